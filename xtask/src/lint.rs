//! `cargo xtask lint`: formatting, lints, documentation, and what we depend on.

use anyhow::Result;

use crate::{
    build_ebpf, setup,
    step::{self, step},
    toolchain::{self, Compiler},
    workspace::Workspace,
};

const CARGO_DENY: &str = "0.20.2";

/// Check formatting, clippy, documentation and dependencies; a warning is an error.
///
/// Where no compiler for the eBPF program can be had, the rest is still checked, and it says what is not.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install cargo-deny (some minutes) when it is not there; without this it only runs where it is.
    #[arg(long)]
    pub(crate) deny: bool,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    step("checking the format", workspace.cargo().args(["fmt", "--all", "--check"]))?;
    match setup::toolchain(workspace) {
        Ok(compiler) => {
            build_ebpf::build(workspace, &compiler)?;
            let host = ["--workspace", "--exclude=relay-ebpf", "--exclude=bench-ebpf"];
            clippy(workspace, "the host crates", &[&host[..], &["--all-features"]].concat())?;
            lint_ebpf(workspace, &compiler, "relay-ebpf")?;
            lint_ebpf(workspace, &compiler, "bench-ebpf")?;
            document(workspace, &host)?;
        }
        Err(error) => {
            eprintln!("xtask: skipped: what runs in the kernel, and relay-userspace with it inside: {error:#}");
            let others = [
                "--workspace",
                "--exclude=relay-ebpf",
                "--exclude=bench-ebpf",
                "--exclude=relay-control",
                "--exclude=relay-api",
                "--exclude=relay-userspace",
            ];
            clippy(workspace, "the host crates", &[&others[..], &["--all-features"]].concat())?;
            document(workspace, &others)?;
        }
    }
    let bare = ["--package=relay-control", "--package=relay-api", "--package=relay-userspace", "--no-default-features"];
    clippy(workspace, "mcr without eBPF", &bare)?;
    let bare = ["--package=relay-common", "--no-default-features"];
    clippy(workspace, "relay-common without alloc", &bare)?;
    deny(workspace, args.deny)
}

fn clippy(workspace: &Workspace, what: &str, which: &[&str]) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.arg("clippy").args(which).args(["--all-targets", "--", "-D", "warnings"]);
    step(&format!("clippy: {what}"), &mut cargo)
}

/// Clippy is of one version with its compiler; Debian's compiler comes without.
fn lint_ebpf(workspace: &Workspace, compiler: &Compiler, package: &str) -> Result<()> {
    if compiler.is_ours() {
        let mut cargo = build_ebpf::cargo(workspace, compiler, "clippy", package);
        return step(&format!("clippy: {package}"), cargo.args(["--", "-D", "warnings"]));
    }
    eprintln!("xtask: skipped: clippy for {package} (no clippy fits {}); rustc's lints stand in", compiler.version);
    let mut cargo = build_ebpf::cargo(workspace, compiler, "rustc", package);
    step(&format!("warnings: {package}"), cargo.args(["--", "-D", "warnings"]))
}

fn document(workspace: &Workspace, which: &[&str]) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--no-deps"]).args(which);
    step("building the documentation", &mut cargo)
}

fn deny(workspace: &Workspace, install: bool) -> Result<()> {
    if install {
        toolchain::obtain_tool(workspace, "cargo-deny", CARGO_DENY)?;
    } else if !toolchain::has_tool(workspace, "cargo-deny", CARGO_DENY) {
        eprintln!(
            "xtask: skipped: licences and advisories of dependencies: `cargo xtask lint --deny` installs cargo-deny"
        );
        return Ok(());
    }
    let cargo_deny = || {
        let mut command = std::process::Command::new(workspace.tool("cargo-deny"));
        command.current_dir(workspace.root());
        command
    };
    step("checking licences, bans and sources", cargo_deny().args(["check", "bans", "licenses", "sources"]))?;
    if !step::succeeds(cargo_deny().args(["fetch", "db"])) {
        eprintln!("xtask: skipped: advisories: the RustSec database cannot be fetched from here");
        return Ok(());
    }
    step("checking advisories", cargo_deny().args(["check", "advisories"]))
}
