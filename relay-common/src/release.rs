//! The release of a kernel, as `uname` and its neighbours tell it: which upstream version it is, and how far its number
//! tells of faults. Distributions carry newer code, and fixes, under old numbers.

use core::fmt;

/// An upstream version: major, minor, and the number of the stable release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16, pub u16);

impl Version {
    /// Whether the other one is of the same stable branch.
    #[must_use]
    pub const fn is_of_branch(self, other: Self) -> bool {
        self.0 == other.0 && self.1 == other.1
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(major, minor, stable) = self;
        if *stable == 0 { write!(f, "{major}.{minor}") } else { write!(f, "{major}.{minor}.{stable}") }
    }
}

/// Who has built it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Its number is all there is: whoever built it, it is what kernel.org gave out.
    Upstream,
    /// Debian: follows the stable releases, and may fix something before they do.
    Debian,
    /// Ubuntu: keeps an upstream version and adds fixes of its own choice.
    Ubuntu,
    /// Proxmox: builds Ubuntu's, with the number of the stable release in the name and fixes from behind it.
    Proxmox,
    /// Red Hat and those who rebuild it: an old number with much newer code.
    RedHat,
    /// SUSE: the same.
    Suse,
    /// Somebody else, or nobody knows.
    Other,
}

/// A kernel's release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// The upstream version. Where the stable release is not known it is 0.
    pub version: Version,
    /// Whether the number of the stable release is known.
    pub is_stable_known: bool,
    /// Whether it is a candidate: what its version has in the end it may have or not.
    pub is_candidate: bool,
    /// Who has built it.
    pub maker: Maker,
}

impl Release {
    /// Reads a release: what `uname -r` says, what `uname -v` says, and `/proc/version_signature`, which only Ubuntu has.
    /// `None` for a name that begins with no version.
    #[must_use]
    pub fn parse(name: &str, build: &str, signature: &str) -> Option<Self> {
        let (version, rest) = version(name)?;
        let maker = maker(rest, build, signature);
        let known = match maker {
            Maker::Upstream => Some(version),
            // "#1 SMP PREEMPT_DYNAMIC Debian 6.1.170-1 (2026-…)"; the name has it too since Debian 13.
            Maker::Debian => after(build, "Debian ").or_else(|| (version.2 > 0).then_some(version)),
            // "Ubuntu 6.8.0-51.52-generic 6.8.12"
            Maker::Ubuntu => signature.split_whitespace().nth(2).and_then(self::version).map(|(version, _)| version),
            Maker::RedHat | Maker::Suse => None,
            Maker::Proxmox | Maker::Other => (version.2 > 0).then_some(version),
        };
        let known = known.filter(|known| known.is_of_branch(version));
        Some(Self {
            version: known.unwrap_or(Version(version.0, version.1, 0)),
            is_stable_known: known.is_some(),
            is_candidate: rest.starts_with("-rc"),
            maker,
        })
    }
}

/// The version that a text begins with, and what follows.
fn version(text: &str) -> Option<(Version, &str)> {
    let (major, rest) = number(text)?;
    let (minor, rest) = number(rest.strip_prefix('.')?)?;
    let stable = rest.strip_prefix('.').and_then(number);
    let (stable, rest) = stable.unwrap_or((0, rest));
    Some((Version(major, minor, stable), rest))
}

fn number(text: &str) -> Option<(u16, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn after(text: &str, word: &str) -> Option<Version> {
    let (_, rest) = text.split_once(word)?;
    version(rest).map(|(version, _)| version)
}

fn maker(rest: &str, build: &str, signature: &str) -> Maker {
    let has = |mark: &str| {
        let follows = rest.split(mark).skip(1);
        follows.into_iter().any(|after| after.starts_with(|c: char| c.is_ascii_digit()))
    };
    // "6.8.12-5-pve", "#1 SMP PREEMPT_DYNAMIC PMX 6.8.12-5 (2024-12-03T10:26Z)"
    if rest.ends_with("-pve") {
        Maker::Proxmox
    } else if build.contains("Debian ") || has("deb") || rest.starts_with("+bpo") {
        Maker::Debian
    } else if signature.starts_with("Ubuntu") || build.contains("-Ubuntu ") {
        Maker::Ubuntu
    } else if has(".el") || rest.contains("uek") {
        Maker::RedHat
    } else if rest.ends_with("-default") {
        Maker::Suse
    } else if rest.is_empty() || rest.strip_prefix("-rc").is_some_and(|n| n.chars().all(|c| c.is_ascii_digit())) {
        Maker::Upstream
    } else {
        Maker::Other
    }
}

#[cfg(test)]
mod tests {
    use super::{Maker, Release, Version};

    fn read(name: &str, build: &str, signature: &str) -> (Version, bool, Maker) {
        let Release { version, is_stable_known, maker, is_candidate } = Release::parse(name, build, signature).unwrap();
        assert_eq!(is_candidate, name.contains("-rc"), "{name}");
        (version, is_stable_known, maker)
    }

    #[test]
    fn distributions_are_known_by_how_they_write() {
        let smp = "#1 SMP PREEMPT_DYNAMIC";
        let debian = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.170-1 (2026-05-06)";
        let ubuntu = "#52-Ubuntu SMP PREEMPT_DYNAMIC Thu Dec  5 13:09:44 UTC 2024";
        let cases = [
            (("6.18.44", smp, ""), (Version(6, 18, 44), true, Maker::Upstream)),
            (("7.2.0", smp, ""), (Version(7, 2, 0), true, Maker::Upstream)),
            (("7.2.0-rc3", smp, ""), (Version(7, 2, 0), true, Maker::Upstream)),
            (("6.12.41+deb13-amd64", smp, ""), (Version(6, 12, 41), true, Maker::Debian)),
            (("6.12.9+bpo-amd64", smp, ""), (Version(6, 12, 9), true, Maker::Debian)),
            (("6.1.0-50-amd64", debian, ""), (Version(6, 1, 170), true, Maker::Debian)),
            (("6.1.0-50-cloud-amd64", debian, ""), (Version(6, 1, 170), true, Maker::Debian)),
            (("6.8.0-51-generic", ubuntu, ""), (Version(6, 8, 0), false, Maker::Ubuntu)),
            (
                ("6.8.0-51-generic", ubuntu, "Ubuntu 6.8.0-51.52-generic 6.8.12\n"),
                (Version(6, 8, 12), true, Maker::Ubuntu),
            ),
            (("5.14.0-570.el9.x86_64", smp, ""), (Version(5, 14, 0), false, Maker::RedHat)),
            (("6.12.0-55.9.1.el10_0.x86_64", smp, ""), (Version(6, 12, 0), false, Maker::RedHat)),
            (("5.15.0-205.149.5.1.el8uek.x86_64", smp, ""), (Version(5, 15, 0), false, Maker::RedHat)),
            (("6.4.0-150600.23.47-default", smp, ""), (Version(6, 4, 0), false, Maker::Suse)),
            (("6.8.12-5-pve", "#1 SMP PREEMPT_DYNAMIC PMX 6.8.12-5", ""), (Version(6, 8, 12), true, Maker::Proxmox)),
            (("6.18.3-arch1-1", smp, ""), (Version(6, 18, 3), true, Maker::Other)),
            (("6.17.8-300.fc43.x86_64", smp, ""), (Version(6, 17, 8), true, Maker::Other)),
            (("6.1.1-1.el9.elrepo.x86_64", smp, ""), (Version(6, 1, 0), false, Maker::RedHat)),
            (("6.8.0-1019-aws", smp, ""), (Version(6, 8, 0), false, Maker::Other)),
            (("6.18.44-fc-v857", smp, ""), (Version(6, 18, 44), true, Maker::Other)),
            (("6.6-headend", smp, ""), (Version(6, 6, 0), false, Maker::Other)),
        ];
        for ((name, build, signature), wanted) in cases {
            assert_eq!(read(name, build, signature), wanted, "{name}");
        }
    }

    #[test]
    fn a_name_of_its_own_is_no_release() {
        for name in ["", "headend", "6", "v6.18", ".1", "6.x"] {
            assert_eq!(Release::parse(name, "", ""), None, "{name}");
        }
    }

    #[test]
    fn a_number_of_another_branch_is_not_believed() {
        let (version, known, _) = read("6.1.0-50-amd64", "#1 SMP Debian 5.10.3-1", "");
        assert_eq!((version, known), (Version(6, 1, 0), false));
    }
}
