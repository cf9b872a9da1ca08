//! What must be so before anything is made: each thing that is not has its own text. The kernel is asked by trying, not
//! by its number: what enterprise kernels carry under an old one is new.

pub mod features; // what a kernel must have, by name
mod trial; // what it has

pub use trial::features;

use crate::link::release;
use anyhow::{Context, bail};
use features::{Feature, Features, Need};

/// Looks at this machine.
///
/// # Errors
/// Why mcr cannot run here, with the remedy.
pub fn check() -> anyhow::Result<Features> {
    check_own_rights("mcr run")?;
    let found = features();
    let kernel = release::name();
    if let Some(refusal) = found.refusal() {
        bail!("mcr does not run on Linux {kernel}: {refusal}");
    }
    for (feature, why) in found.missing() {
        let (name, cost, remedy) = (feature.name(), feature.cost(), feature.remedy());
        match feature.need() {
            Need::Promise => tracing::warn!(kernel, "this kernel lacks {name} ({why}), so {cost}; remedy: {remedy}"),
            // Whoever wants to poll busily is told when it is asked for.
            _ if feature == Feature::BusyPolling => {}
            _ => tracing::info!(kernel, "this kernel lacks {name} ({why}), so {cost}; remedy: {remedy}"),
        }
    }
    Ok(found)
}

/// Looks whether this process has the rights that `command` needs.
pub fn check_own_rights(command: &str) -> anyhow::Result<()> {
    let effective = caps::read(None, caps::CapSet::Effective).context("cannot read the capabilities")?;
    let needed = [
        caps::Capability::CAP_NET_ADMIN,
        caps::Capability::CAP_NET_RAW,
        caps::Capability::CAP_BPF,
        caps::Capability::CAP_PERFMON,
    ];
    check_rights(command, &needed.map(|right| (right.to_string(), effective.contains(&right))))
}

fn check_rights(command: &str, rights: &[(String, bool)]) -> anyhow::Result<()> {
    let missing: Vec<&str> = rights.iter().filter(|(_, held)| !held).map(|(name, _)| name.as_str()).collect();
    if !missing.is_empty() {
        bail!("{command} needs {}: run it as root, or let systemd give it these capabilities", missing.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_rights;

    #[test]
    fn missing_rights_are_named() {
        check_rights("mcr run", &[("CAP_BPF".into(), true)]).unwrap();
        let text = check_rights("mcr run", &[("CAP_BPF".into(), false), ("CAP_NET_RAW".into(), true)])
            .unwrap_err()
            .to_string();
        assert!(text.contains("CAP_BPF") && !text.contains("CAP_NET_RAW"), "{text}");
    }
}
