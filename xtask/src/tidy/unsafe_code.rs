//! Unsafe has an address: the fenced list under "Where unsafe lives" in docs/ARCHITECTURE.md.

use super::{Fault, Tree};

const PAGE: &str = "docs/ARCHITECTURE.md";
const HEADING: &str = "Where unsafe lives";

pub(super) fn strays(tree: &Tree) -> Vec<Fault> {
    let addresses = tree.text(PAGE).map(addresses).unwrap_or_default();
    if addresses.is_empty() {
        return vec![Fault::new(PAGE, 0, format!("no fenced list of addresses under the heading \"{HEADING}\""))];
    }
    let mut faults = members_without_lints(tree);
    for (path, text) in tree.files("rs").filter(|(path, _)| !addresses.iter().any(|a| is_at(path, a))) {
        let lifted = text.lines().enumerate().filter(|(_, line)| lifts_the_lint(line));
        faults.extend(lifted.map(|(n, _)| {
            Fault::new(path, n + 1, format!("unsafe away from its addresses; move it to one of those in {PAGE}"))
        }));
    }
    faults
}

/// The lint is in force only in crates that take the workspace's lints.
fn members_without_lints(tree: &Tree) -> Vec<Fault> {
    let parse = |path: &str| tree.text(path).and_then(|text| text.parse::<toml::Table>().ok());
    let Some(root) = parse("Cargo.toml") else {
        return vec![Fault::new("Cargo.toml", 0, "is not there, or is not TOML")];
    };
    let members = root.get("workspace").and_then(|w| w.get("members")).and_then(|m| m.as_array());
    let manifests = members.into_iter().flatten().filter_map(|m| m.as_str()).map(|m| format!("{m}/Cargo.toml"));
    let takes_lints = |path: &String| {
        let lints = parse(path).and_then(|manifest| manifest.get("lints")?.get("workspace")?.as_bool());
        lints == Some(true)
    };
    manifests
        .filter(|path| !takes_lints(path))
        .map(|path| Fault::new(&path, 0, "needs `[lints] workspace = true`, or unsafe is allowed in all of it"))
        .collect()
}

/// The lines of the first fence under the heading; what follows a path on its line is for people.
fn addresses(page: &str) -> Vec<&str> {
    let section = page.lines().skip_while(|line| !(line.starts_with('#') && line.contains(HEADING)));
    let fenced = section.skip_while(|line| !line.starts_with("```")).skip(1);
    fenced.take_while(|line| !line.starts_with("```")).filter_map(|line| line.split_whitespace().next()).collect()
}

/// A directory's address ends in `/`.
fn is_at(path: &str, address: &str) -> bool {
    path == address || (address.ends_with('/') && path.starts_with(address))
}

/// `#[expect(unsafe_code, …)]`, also when rustfmt broke it over lines; comments and texts do not count.
fn lifts_the_lint(line: &str) -> bool {
    let code = line.trim_start();
    let is_attribute = code.starts_with("#[") || code.starts_with("#![") || code.starts_with("unsafe_code");
    let forbids = ["forbid(unsafe_code", "deny(unsafe_code"].iter().any(|word| code.contains(word));
    is_attribute && code.contains("unsafe_code") && !forbids && !code.starts_with("unsafe_code::")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCHITECTURE: &str = "# A\n```text\nnot/this/\n```\n## Where unsafe lives\nWords.\n\n```text\n\
                                b/src/rings/   the rings\nb/src/sys.rs   system calls\n```\n```\nnor/this/\n```\n";
    const ROOT: &str = "[workspace]\nmembers = [\"b\"]\n";
    const MEMBER: &str = "[lints]\nworkspace = true\n";

    fn with(more: &[(&str, &str)]) -> Vec<(String, usize)> {
        let house = [("docs/ARCHITECTURE.md", ARCHITECTURE), ("Cargo.toml", ROOT), ("b/Cargo.toml", MEMBER)];
        let tree = Tree::of(&[&house[..], more].concat());
        strays(&tree).into_iter().map(|fault| (fault.path, fault.line)).collect()
    }

    #[test]
    fn the_list_is_read_from_the_page() {
        assert_eq!(addresses(ARCHITECTURE), ["b/src/rings/", "b/src/sys.rs"]);
    }

    #[test]
    fn at_its_addresses_unsafe_is_at_home() {
        let expect = "//! x\n#[expect(unsafe_code, reason = \"x\")]\n";
        assert_eq!(with(&[("b/src/rings/ring.rs", expect), ("b/src/sys.rs", expect)]), []);
    }

    #[test]
    fn elsewhere_it_is_a_stray_however_it_is_written() {
        let lines = [
            "//! x",
            "#![allow(unsafe_code)]",
            "    #[expect(unsafe_code, reason = \"x\")]",
            "#[expect(",
            "    unsafe_code,",
            ")]",
            "#[cfg_attr(test, expect(unsafe_code))]",
        ]
        .join("\n");
        let expected = [2, 3, 5, 7].map(|line| ("b/src/rings.rs".to_owned(), line));
        assert_eq!(with(&[("b/src/rings.rs", &lines)]), expected);
    }

    #[test]
    fn forbidding_and_talking_about_it_are_no_strays() {
        let lines = "//! unsafe_code\n#![forbid(unsafe_code)]\n// #[expect(unsafe_code)]\nmod unsafe_code;\n";
        assert_eq!(with(&[("b/src/lib.rs", lines)]), []);
    }

    #[test]
    fn a_member_without_the_lints_and_a_page_without_the_list_are_faults() {
        assert_eq!(with(&[("b/Cargo.toml", "[package]\n")]), [("b/Cargo.toml".to_owned(), 0)]);
        assert_eq!(with(&[("docs/ARCHITECTURE.md", "# A\n")]), [("docs/ARCHITECTURE.md".to_owned(), 0)]);
    }
}
