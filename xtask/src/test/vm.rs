//! Zero-copy on real drivers, without a NIC: mcr in guests whose NICs an emulator plays. No rights are needed.
//!
//! What this machine lacks is brought to target/vm and installed nowhere: an emulator, kernels, a shell. The suite itself
//! is the test `vm` of the crate bench.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{build, rights::Rights, step, workspace::Workspace};

use super::{
    archive::Archive,
    program,
    table::{Outcome, Row},
    tally::Tally,
    timed,
};

mod proof; // the table of what was proved

const SUITE: &str = "vm";
/// Each guest has two processors and most of them wait: two guests fill two cores.
const GUESTS_AT_ONCE: &str = "--test-threads=2";

/// What is brought: a folder, the packages that it is made of, and which of those that they depend on.
struct Part {
    folder: &'static str,
    suite: &'static str,
    packages: &'static [&'static str],
    keep: fn(&str) -> bool,
}

/// igb needs QEMU 8 or newer, which Debian 12 does not have: it comes with its own libraries and loader. A guest of the
/// newest kernel has both drivers in zero-copy; the two others have none for these NICs.
const PARTS: [Part; 6] = [
    Part { folder: "emulator", suite: "trixie", packages: &["qemu-system-x86"], keep: |_| true },
    Part { folder: "shell", suite: "trixie", packages: &["busybox-static"], keep: |name| name == "busybox-static" },
    Part { folder: "kernel-zero-copy", suite: "trixie-backports", packages: &["linux-image-amd64"], keep: is_kernel },
    Part { folder: "kernel-6.12", suite: "trixie", packages: &["linux-image-cloud-amd64"], keep: is_kernel },
    Part { folder: "kernel-6.1", suite: "bookworm", packages: &["linux-image-cloud-amd64"], keep: is_kernel },
    Part { folder: "systemd", suite: "trixie", packages: &["systemd", "base-files", "dash"], keep: |_| true },
];

/// The image and the modules of a kernel, not the packages that only name the newest.
fn is_kernel(package: &str) -> bool {
    let kinds = ["linux-image-", "linux-binary-", "linux-modules-"];
    kinds
        .iter()
        .any(|kind| package.strip_prefix(kind).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
}

/// Runs the suite, or says why it cannot run here.
pub(super) fn run(workspace: &Workspace, filter: Option<&str>) -> Row {
    let home = workspace.target().join("vm");
    if let Err(reason) = bring(&home) {
        return Row::new(SUITE, Outcome::Skipped(reason), 0.0);
    }
    timed(SUITE, || {
        build::run(workspace)?;
        let table = home.join("table");
        if table.exists() {
            fs::remove_dir_all(&table).context("cannot remove the table of an earlier run")?;
        }
        let mut tally = run_guests(workspace, &home, filter)?;
        proof::print(&table)?;
        let failures = proof::failures(&table);
        if !failures.is_empty() {
            tally.failures = failures;
        }
        Ok(tally)
    })
}

/// Brings every part that is not there yet. The error is the reason why the suite is skipped.
fn bring(home: &Path) -> Result<(), String> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(format!(
            "the emulator and the kernels are brought for x86_64 only, this is {}",
            std::env::consts::ARCH
        ));
    }
    let missing: Vec<&Part> = PARTS.iter().filter(|part| !home.join(part.folder).is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let archive = Archive::open(&home.join("apt"))?;
    for Part { folder, suite, packages, keep } in missing {
        let brought = archive.unpack(packages, suite, *keep, &home.join(folder));
        brought.map_err(|error| format!("{folder} of {suite} is not to be had: {error:#}"))?;
    }
    Ok(())
}

fn run_guests(workspace: &Workspace, home: &Path, filter: Option<&str>) -> Result<Tally> {
    eprintln!("xtask: compiling the tests of {SUITE} …");
    let mut tests = in_own_network(program::compile_test(workspace, "bench", SUITE)?);
    let package = workspace.root().join("bench");
    tests.current_dir(&package).env("CARGO_MANIFEST_DIR", &package).env("MCR_VM", home).env("MCR", workspace.mcr());
    tests.args(["--ignored", GUESTS_AT_ONCE]).args(filter);
    let (status, printed) = step::watch(&mut tests)?;
    Ok(Tally::read(&printed, status))
}

/// The program in a network namespace of its own, where that can be had: there it makes the tap devices that NICs with
/// several queues need, and they go with it. `MCR_VM_TAPS` tells it so. Only root can give the sinks of such devices room.
fn in_own_network(program: PathBuf) -> Command {
    let try_out = ["--net", "ip", "tuntap", "add", "name", "mcr0", "mode", "tap", "multi_queue"];
    if Rights::find() == Some(Rights::Root) && step::succeeds(Command::new("unshare").args(try_out)) {
        let mut command = Command::new("unshare");
        command.arg("--net").arg(program).env("MCR_VM_TAPS", "1");
        return command;
    }
    Command::new(program)
}

#[cfg(test)]
mod tests {
    use super::is_kernel;

    #[test]
    fn a_kernel_is_its_image_and_its_modules() {
        assert!(is_kernel("linux-binary-7.3.4+deb13-amd64") && is_kernel("linux-modules-7.3.4+deb13-amd64"));
        assert!(is_kernel("linux-image-6.1.0-50-cloud-amd64"));
        for other in ["linux-image-amd64", "linux-modules-cloud-amd64", "linux-base", "linux-base-7.3.4+deb13-amd64"] {
            assert!(!is_kernel(other), "{other}");
        }
    }
}
