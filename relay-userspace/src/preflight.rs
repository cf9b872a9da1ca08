//! What must be so before anything is made: each thing that is not has its own text.

use anyhow::{Context, bail};

/// The oldest kernel that has everything in use here: before it the rings of a bound socket cannot be mapped, and that is
/// how a lane takes its sockets up.
const OLDEST: (u32, u32) = (6, 4);

/// Looks at this machine.
pub fn check() -> anyhow::Result<()> {
    let name = nix::sys::utsname::uname().context("cannot tell the kernel's version")?;
    check_kernel(&name.release().to_string_lossy())?;
    check_own_rights("mcr run")
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

/// Looks whether a kernel of this release is new enough.
pub fn check_kernel(release: &str) -> anyhow::Result<()> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Ok(()); // A name of its own: let the kernel itself refuse what it cannot.
    };
    if (major, minor) < OLDEST {
        let (old_major, old_minor) = OLDEST;
        bail!(
            "this kernel is {release}: mcr needs Linux {old_major}.{old_minor} or newer, which Debian 12 has in its backports"
        );
    }
    Ok(())
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
    use super::{check_kernel, check_rights};

    #[test]
    fn old_kernels_are_refused_with_both_versions() {
        for old in ["5.10.0-32-amd64", "6.1.0-50-amd64", "6.3.12", "4.19.0"] {
            let text = check_kernel(old).unwrap_err().to_string();
            assert!(text.contains(old) && text.contains("6.4"), "{text}");
        }
        for new in ["6.4.0-1-amd64", "6.12.9", "6.18.44", "7.2.1", "custom"] {
            check_kernel(new).unwrap();
        }
    }

    #[test]
    fn missing_rights_are_named() {
        check_rights("mcr run", &[("CAP_BPF".into(), true)]).unwrap();
        let text = check_rights("mcr run", &[("CAP_BPF".into(), false), ("CAP_NET_RAW".into(), true)])
            .unwrap_err()
            .to_string();
        assert!(text.contains("CAP_BPF") && !text.contains("CAP_NET_RAW"), "{text}");
    }
}
