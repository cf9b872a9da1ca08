//! `cargo xtask build-ebpf`: what runs in the kernel, as object files.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{setup, step::step, toolchain::Compiler, workspace::Workspace};

/// Build the XDP program and leave it in target/relay-ebpf.o, where relay-userspace embeds it from; and the bench's
/// programs in target/bench-ebpf.o.
///
/// The same stable Rust as for everything else builds them, with `core` from source. A file is only written
/// when its bytes change, so that nothing is rebuilt for nothing.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let compiler = setup::toolchain(workspace)?;
    build(workspace, &compiler)?;
    build_bench(workspace, &compiler)
}

/// Builds the relay's program with a tool-chain that is there.
pub(crate) fn build(workspace: &Workspace, compiler: &Compiler) -> Result<()> {
    build_package(workspace, compiler, "relay-ebpf")
}

/// Builds the bench's programs.
pub(crate) fn build_bench(workspace: &Workspace, compiler: &Compiler) -> Result<()> {
    build_package(workspace, compiler, "bench-ebpf")
}

fn build_package(workspace: &Workspace, compiler: &Compiler, package: &str) -> Result<()> {
    let mut cargo = cargo(workspace, compiler, "build", package);
    step(&format!("building {package}"), &mut cargo)?;
    let built = workspace.target().join("ebpf/bpfel-unknown-none/release").join(package);
    copy_if_changed(&built, &workspace.ebpf_object(package))
}

/// `cargo SUBCOMMAND` for the BPF target. Nothing that the caller set for the host may reach it.
pub(crate) fn cargo(workspace: &Workspace, compiler: &Compiler, subcommand: &str, package: &str) -> Command {
    let mut cargo = workspace.cargo();
    cargo.args([subcommand, "--release", "--package", package, "--target", "bpfel-unknown-none"]);
    cargo.args(["-Z", "build-std=core"]);
    for variable in ["RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET", "RUSTC"] {
        cargo.env_remove(variable);
    }
    if !compiler.is_ours() {
        cargo.env("RUSTC", &compiler.rustc);
    }
    let linker = format!("linker={}", workspace.tool("bpf-linker").display());
    // No BTF: the kernel refuses the names of Rust's generic types, and the maps are not defined by it.
    let mut flags = vec!["-C".to_owned(), linker, "-C".to_owned(), "debuginfo=2".to_owned()];
    flags.extend(remaps(workspace, compiler));
    // -Z build-std asks for the bootstrap variable; it is what a nightly compiler would allow anyway.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    // The encoded form, because a path may hold a space.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    cargo.env("CARGO_TARGET_DIR", workspace.target().join("ebpf"));
    cargo
}

/// Names sources alike on every machine, so that the object does not depend on who built it where.
fn remaps(workspace: &Workspace, compiler: &Compiler) -> Vec<String> {
    let home = || env::home_dir().unwrap_or_default().join(".cargo");
    let cargo_home = env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from);
    let places = [(workspace.root(), "."), (&cargo_home, "/cargo"), (&compiler.library, "/rust/library")];
    places.map(|(place, name)| format!("--remap-path-prefix={}={name}", place.display())).into()
}

fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_the_same_bytes_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("mcr-xtask-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (from, to) = (dir.join("from"), dir.join("to"));
        fs::write(&from, "one").unwrap();
        copy_if_changed(&from, &to).unwrap();
        let before = std::time::SystemTime::UNIX_EPOCH;
        fs::File::options().write(true).open(&to).unwrap().set_modified(before).unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), before);
        fs::write(&from, "two").unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"two");
        fs::remove_dir_all(&dir).unwrap();
    }
}
