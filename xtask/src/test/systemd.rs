//! The unit of deploy/ under a booted systemd, in containers.
//!
//! A container has the /usr of this machine, so its systemd is this machine's and nothing is brought. Those of other releases
//! of Debian are brought to target/systemd, and installed nowhere.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    packages::{self, CONTAINERS},
    rights::Rights,
    step,
    workspace::Workspace,
};

use super::{
    archive::Archive,
    root_suite::{Run, Suite},
    table::{Outcome, Row},
    timed,
};

const SUITE: &str = "systemd";
/// Debian 12 has systemd 252, Debian 13 has 257.
const RELEASES: [&str; 2] = ["bookworm", "trixie"];
/// A binary that fails is a script in some tests.
const PACKAGES: [&str; 3] = ["systemd", "base-files", "dash"];

/// A container that does nothing, in a cgroup of its own.
const TRIAL: &str = r#"
umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && cd /sys/fs/cgroup && mkdir "mcr-trial-$$" || exit
sh -c 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"' sh "mcr-trial-$$" \
    systemd-nspawn --quiet --register=no --keep-unit --volatile=yes --directory=/ /usr/bin/true
result=$?
find "mcr-trial-$$" -depth -type d -exec rmdir {} +
exit $result
"#;

/// Runs the suite with this machine's systemd, or says why it cannot run here.
pub(super) fn own(workspace: &Workspace, run: &Run<'_>) -> Row {
    match is_possible(run.rights) {
        Ok(()) => timed(SUITE, || Suite::systemd().run(workspace, run)),
        Err(reason) => Row::new(SUITE, Outcome::Skipped(reason), 0.0),
    }
}

/// Runs the suite with the systemd of each release that this machine is not.
pub(super) fn others(workspace: &Workspace, run: &Run<'_>) -> Vec<Row> {
    let own = fs::read_to_string("/usr/lib/os-release").unwrap_or_default();
    let is_other = |release: &&&str| !own.lines().any(|line| line == format!("VERSION_CODENAME={release}"));
    let rows = RELEASES.iter().filter(is_other).map(|release| {
        let name = format!("{SUITE} {release}");
        match is_possible(run.rights).and_then(|()| bring(workspace, release)) {
            Err(reason) => Row::new(&name, Outcome::Skipped(reason), 0.0),
            Ok(usr) => timed(&name, || {
                let env = [("MCR_SYSTEMD_USR", usr.as_os_str())];
                Suite::systemd().run(workspace, &Run { env: &env, ..*run })
            }),
        }
    });
    rows.collect()
}

/// The error is the reason why no container can be had here.
fn is_possible(rights: Rights) -> Result<(), String> {
    packages::install_missing(&CONTAINERS).map_err(|error| format!("{error:#}"))?;
    if !Path::new("/usr/lib/systemd/systemd").is_file() || !Path::new("/lib").is_symlink() {
        return Err("this machine's /usr has no systemd, or is not merged with / (package usrmerge)".into());
    }
    let mut trial = rights.command("unshare", &[]);
    trial.args(["--mount", "--propagation=private", "sh", "-c", TRIAL]);
    step::capture(&mut trial).map(drop).map_err(|error| format!("containers cannot be had here: {error:#}"))
}

/// The /usr of a release. The error is the reason why it cannot be had, or is of no use here.
fn bring(workspace: &Workspace, release: &str) -> Result<PathBuf, String> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(format!("releases are brought for x86_64 only, this is {}", std::env::consts::ARCH));
    }
    let folder = workspace.target().join(SUITE).join(release);
    if !folder.join("usr/bin/sh").exists() {
        // What an earlier version of this brought is not enough.
        remove(&folder).map_err(|error| format!("{error:#}"))?;
        let archive = Archive::open(&workspace.target().join(SUITE).join("apt"))?;
        let unpacked = folder.with_extension("parts");
        let brought = remove(&unpacked)
            .and_then(|()| archive.unpack(&PACKAGES, release, |_| true, &unpacked))
            .and_then(|()| merge(&unpacked))
            .and_then(|()| fs::rename(&unpacked, &folder).context("cannot keep what was brought"));
        brought.map_err(|error| format!("systemd of {release} is not to be had: {error:#}"))?;
    }
    let usr = folder.join("usr");
    let mut loader = Command::new(usr.join("lib64/ld-linux-x86-64.so.2"));
    loader.arg("--library-path").arg(usr.join("lib/x86_64-linux-gnu")).arg(workspace.mcr()).arg("--version");
    match step::capture(&mut loader) {
        Ok(_) => Ok(usr),
        Err(_) => Err(format!("mcr is built here for a newer C library than that of {release}")),
    }
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() { fs::remove_dir_all(folder).context("cannot remove what an earlier run left") } else { Ok(()) }
}

/// Packages of Debian 12 still have files in /lib and /sbin; on an installed system these are links to those of /usr.
fn merge(folder: &Path) -> Result<()> {
    for name in ["bin", "sbin", "lib", "lib64"] {
        let (from, to) = (folder.join(name), folder.join("usr").join(name));
        if from.is_dir() && !from.is_symlink() {
            fs::create_dir_all(&to)?;
            step::capture(Command::new("cp").arg("-a").arg(from.join(".")).arg(&to))?;
        }
    }
    // No package has this; the containers have theirs there.
    fs::create_dir_all(folder.join("usr/local")).context("cannot make usr/local")
}
