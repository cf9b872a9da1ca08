//! What Debian brings: the programs that tests and demo start, and how they are installed.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    rights::Rights,
    step::{self, step},
};

/// A Debian package, known to be there by a program it brings.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    pub(crate) wanted_for: &'static str,
}

/// What tests and demo need beyond a tool-chain.
pub(crate) const PACKAGES: [Package; 14] = [
    Package { name: "iproute2", program: "ip", wanted_for: "namespaces and veth pairs of tests and demo" },
    Package { name: "ethtool", program: "ethtool", wanted_for: "checksum and VLAN offloads of the veth pairs" },
    Package { name: "bpftool", program: "bpftool", wanted_for: "taking away what mcr put into the kernel" },
    Package { name: "keepalived", program: "keepalived", wanted_for: "choosing between nodes by what mcr says" },
    Package { name: "strace", program: "strace", wanted_for: "the system calls that the unit must let through" },
    Package { name: "systemd", program: "systemd-analyze", wanted_for: "judging the unit" },
    Package { name: "tcpdump", program: "tcpdump", wanted_for: "a second opinion on what was sent" },
    Package { name: "tshark", program: "tshark", wanted_for: "reading captures, checksums verified" },
    Package { name: "ffmpeg", program: "ffmpeg", wanted_for: "a real transport stream, made and played" },
    Package { name: "gstreamer1.0-tools", program: "gst-launch-1.0", wanted_for: "another sender that is not ours" },
    Package { name: "gstreamer1.0-plugins-good", program: "gst-launch-1.0", wanted_for: "its UDP sockets" },
    Package { name: "iputils-ping", program: "ping", wanted_for: "a host that still answers beside the relay" },
    Package { name: "prometheus", program: "promtool", wanted_for: "judging metrics and alert rules" },
    Package { name: "procps", program: "ps", wanted_for: "watching lanes and their cores" },
];

/// What the bench and its tests need besides: relays that are not ours.
pub(crate) const MEASURING: [Package; 3] = [
    Package { name: "smcroute", program: "smcrouted", wanted_for: "multicast routing by the kernel, a peer" },
    Package { name: "socat", program: "socat", wanted_for: "a peer" },
    Package { name: "multicat", program: "multicat", wanted_for: "a peer that is named by hand" },
];

/// What the tests of the page at `/` need: a real browser, and what drives it.
pub(crate) const BROWSING: [Package; 2] = [
    Package { name: "chromium", program: "chromium", wanted_for: "looking at the page as people do" },
    Package { name: "chromium-driver", program: "chromedriver", wanted_for: "driving the browser" },
];

/// What a booted systemd needs to run in.
pub(crate) const CONTAINERS: [Package; 1] = [Package {
    name: "systemd-container",
    program: "systemd-nspawn",
    wanted_for: "the unit under a booted systemd, in a container",
}];

/// What fuzzing needs: libFuzzer is C++.
pub(crate) const FUZZING: [Package; 1] =
    [Package { name: "g++", program: "c++", wanted_for: "libFuzzer, which is C++" }];

/// What counting instructions needs.
pub(crate) const COUNTING: [Package; 1] = [Package {
    name: "valgrind",
    program: "valgrind",
    wanted_for: "counting instructions, which no neighbour disturbs",
}];

impl Package {
    pub(crate) fn found(&self) -> Option<PathBuf> {
        find_program(self.program)
    }
}

/// Looks where root looks too: /usr/sbin is not on every user's PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Installs those of `packages` that are missing.
pub(crate) fn install_missing(packages: &[Package]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().filter(|p| p.found().is_none()).map(|p| p.name).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

/// Installs by apt-get, after fetching the package lists when there are none or they are too old to serve.
pub(crate) fn install(names: &[&str]) -> Result<()> {
    let wanted = names.join(" ");
    if find_program("apt-get").is_none() {
        bail!("missing: {wanted} (Debian's names); there is no apt-get here, install them by your system's means");
    }
    let Some(rights) = Rights::find() else {
        bail!("missing: {wanted}; installing needs root, run: sudo apt-get install --no-install-recommends {wanted}");
    };
    if !lists_are_there(Path::new("/var/lib/apt/lists")) {
        update(rights)?;
    }
    let what = format!("installing {wanted}");
    if step(&what, &mut install_command(rights, names)).is_ok() {
        return Ok(());
    }
    update(rights)?;
    step(&what, &mut install_command(rights, names))
        .with_context(|| format!("apt-get cannot install {wanted}; see its lines above"))
}

fn install_command(rights: Rights, names: &[&str]) -> Command {
    let mut command = apt_get(rights);
    command.args(["install", "-q", "-y", "--no-install-recommends"]).args(names);
    command
}

fn update(rights: Rights) -> Result<()> {
    step("fetching Debian's package lists", apt_get(rights).args(["update", "-q"]))
}

fn apt_get(rights: Rights) -> Command {
    rights.command("apt-get", &[("DEBIAN_FRONTEND", OsStr::new("noninteractive"))])
}

fn lists_are_there(dir: &Path) -> bool {
    let Ok(files) = dir.read_dir() else { return false };
    files.flatten().any(|file| file.file_name().to_string_lossy().contains("_Packages"))
}

/// Whether apt-get could bring packages at all; it says nothing of rights.
pub(crate) fn is_debian() -> bool {
    find_program("apt-get").is_some() && step::succeeds(Command::new("dpkg").arg("--version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_where_root_looks() {
        assert!(find_program("sh").is_some());
        assert!(find_program("mcr-no-such-program").is_none());
    }

    #[test]
    fn lists_are_missing_in_a_fresh_image() {
        assert!(!lists_are_there(Path::new("/nonexistent")));
        assert!(!lists_are_there(Path::new("/proc/self/fdinfo")));
    }

    #[test]
    fn the_command_asks_nothing_and_brings_no_more_than_it_must() {
        let command = install_command(Rights::Sudo { ask: false }, &["tshark", "ffmpeg"]);
        let expected = "sudo -n env DEBIAN_FRONTEND=noninteractive \
                        apt-get install -q -y --no-install-recommends tshark ffmpeg";
        assert_eq!(step::shown(&command), expected);
    }
}
