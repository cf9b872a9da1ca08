//! The inner crates of relay-userspace depend on each other in one direction.

use super::{Fault, Tree};

/// What each inner crate may depend on, of this workspace.
const BELOW: [(&str, &[&str]); 5] = [
    ("engine", &["relay-common"]),
    ("config", &["relay-common"]),
    ("control", &["relay-common", "relay-config", "relay-engine"]),
    ("api", &["relay-common", "relay-config", "relay-control", "relay-engine"]),
    ("cli", &["relay-common", "relay-config"]),
];
/// What must not come into a process with the rights of a lane.
const NOT_FOR_LANES: [&str; 5] = ["tokio", "serde", "serde_json", "rustls", "hyper"];

/// Dependencies that lead upwards, or that lanes must not have.
pub(super) fn upward(tree: &Tree) -> Vec<Fault> {
    BELOW.iter().flat_map(|(name, below)| of_crate(tree, name, below)).collect()
}

fn of_crate(tree: &Tree, name: &str, below: &[&str]) -> Vec<Fault> {
    let path = format!("relay-userspace/{name}/Cargo.toml");
    let Some(Ok(manifest)) = tree.text(&path).map(str::parse::<toml::Table>) else {
        return vec![Fault::new(&path, 0, "is not there, or not TOML")];
    };
    let dependencies = manifest.get("dependencies").and_then(|value| value.as_table());
    let names = dependencies.into_iter().flat_map(toml::Table::keys);
    let is_upward = |other: &str| other.starts_with("relay-") && !below.contains(&other);
    let is_too_much = |other: &str| name == "engine" && NOT_FOR_LANES.contains(&other);
    names
        .filter(|other| is_upward(other) || is_too_much(other))
        .map(|other| Fault::new(&path, 0, format!("depends on {other}; see the order of the crates in ARCHITECTURE")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{BELOW, upward};
    use crate::tidy::tree::Tree;

    fn faults(engine: &str, cli: &str) -> Vec<String> {
        let paths = BELOW.map(|(name, _)| format!("relay-userspace/{name}/Cargo.toml"));
        let texts = [engine, "", "", "", cli].map(|names| format!("[dependencies]\n{names}"));
        let files: Vec<(&str, &str)> = paths.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
        upward(&Tree::of(&files)).into_iter().map(|fault| format!("{} {}", fault.path, fault.what)).collect()
    }

    #[test]
    fn an_arrow_that_leads_upward_is_found() {
        assert_eq!(faults("relay-common.workspace = true\n", "relay-config.workspace = true\n"), Vec::<String>::new());
        assert_eq!(faults("relay-config.workspace = true\n", "").len(), 1);
        assert_eq!(faults("", "relay-control.workspace = true\n").len(), 1);
    }

    #[test]
    fn what_a_lane_must_not_have_is_found() {
        assert_eq!(faults("tokio.workspace = true\nserde.workspace = true\n", "tokio.workspace = true\n").len(), 2);
    }

    #[test]
    fn a_manifest_that_is_gone_is_found() {
        assert_eq!(upward(&Tree::of(&[])).len(), BELOW.len());
    }
}
