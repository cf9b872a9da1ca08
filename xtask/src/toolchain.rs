//! The compiler and the linker of the eBPF program.
//!
//! One stable Rust builds everything. The BPF target ships no compiled `core`, so cargo builds it, and for
//! that the compiler's own source must be there. bpf-linker opens the LLVM of a compiler instead of
//! bringing one, so it fits one version of LLVM only. See docs/decisions/0001-one-stable-rust-builds-ebpf.md.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    packages,
    step::{self, step},
    workspace::Workspace,
};

/// Reads bitcode of this LLVM and no other.
const BPF_LINKER: &str = "0.10.0";
const LLVM_OF_BPF_LINKER: u32 = 22;

/// Debian 12 backports a fresh compiler, with its source, for its browsers.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// A compiler that can build the eBPF program: its source is there and its LLVM is the linker's.
#[derive(Debug)]
pub(crate) struct Compiler {
    pub(crate) rustc: PathBuf,
    pub(crate) version: String,
    pub(crate) library: PathBuf,
}

impl Compiler {
    /// The tool-chain that builds everything else, too, so its clippy fits.
    pub(crate) fn is_ours(&self) -> bool {
        self.rustc == Path::new("rustc")
    }
}

/// What a compiler says about itself.
struct Facts {
    rustc: PathBuf,
    version: String,
    llvm: Option<u32>,
    library: Option<PathBuf>,
}

/// The compiler that is there now, without installing anything.
pub(crate) fn find_compiler() -> Option<Compiler> {
    ["rustc", DEBIAN_RUSTC].iter().filter_map(|rustc| facts(rustc).ok()).find_map(usable)
}

/// Finds the compiler, or installs what is missing: rustup's source first, then Debian's compiler.
pub(crate) fn obtain_compiler() -> Result<Compiler> {
    if let Some(compiler) = find_compiler() {
        return Ok(compiler);
    }
    let ours = facts("rustc").context("there is no rustc; install Rust from https://rustup.rs")?;
    let rustup_may_help = ours.llvm == Some(LLVM_OF_BPF_LINKER) && packages::find_program("rustup").is_some();
    let mut tried = Vec::new();
    if rustup_may_help {
        let mut rustup = Command::new("rustup");
        match step("adding rust-src by rustup", rustup.args(["component", "add", "rust-src"])) {
            Ok(()) => {}
            Err(error) => tried.push(format!("{error:#}")),
        }
        if let Some(compiler) = find_compiler() {
            return Ok(compiler);
        }
    }
    if packages::is_debian() {
        match packages::install(&DEBIAN_PACKAGES) {
            Ok(()) => {}
            Err(error) => tried.push(format!("{error:#}")),
        }
        if let Some(compiler) = find_compiler() {
            return Ok(compiler);
        }
    }
    bail!(no_compiler(&ours, &tried))
}

fn no_compiler(ours: &Facts, tried: &[String]) -> String {
    let llvm = ours.llvm.map_or_else(|| "an unknown LLVM".to_owned(), |llvm| format!("LLVM {llvm}"));
    let tried = if tried.is_empty() { String::new() } else { format!("\n  tried: {}", tried.join("\n  tried: ")) };
    format!(
        "no compiler here can build the eBPF program: rustc is {} with {llvm}{}{tried}\n  \
         any one of these helps:\n  \
         1. a rustup tool-chain with LLVM {LLVM_OF_BPF_LINKER} (`rustup default 1.95.0`) that has its source in \
         lib/rustlib/src/rust\n  \
         2. that source by `rustup component add rust-src`\n  \
         3. on Debian 12: `apt-get install {}`",
        ours.version,
        if ours.library.is_some() { "" } else { ", without the source of core" },
        DEBIAN_PACKAGES.join(" "),
    )
}

fn facts(rustc: &str) -> Result<Facts> {
    let about = step::capture(Command::new(rustc).arg("-vV"))?;
    let sysroot = step::capture(Command::new(rustc).args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    Ok(Facts {
        rustc: rustc.into(),
        version: field(&about, "release").unwrap_or("unknown").to_owned(),
        llvm: field(&about, "LLVM version").and_then(major),
        library: library.join("core/src/lib.rs").is_file().then_some(library),
    })
}

fn usable(facts: Facts) -> Option<Compiler> {
    let fits = facts.llvm == Some(LLVM_OF_BPF_LINKER);
    let library = facts.library.filter(|_| fits)?;
    Some(Compiler { rustc: facts.rustc, version: facts.version, library })
}

/// A line `key: value` of `rustc -vV`.
fn field<'a>(about: &'a str, key: &str) -> Option<&'a str> {
    about.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

/// The linker's version, when the right one is installed.
pub(crate) fn find_linker(workspace: &Workspace) -> Option<&'static str> {
    has_tool(workspace, "bpf-linker", BPF_LINKER).then_some(BPF_LINKER)
}

pub(crate) fn obtain_linker(workspace: &Workspace) -> Result<()> {
    obtain_tool(workspace, "bpf-linker", BPF_LINKER)
}

/// Installs a tool from crates.io into target/tools, unless it is there in this version.
pub(crate) fn obtain_tool(workspace: &Workspace, name: &str, version: &str) -> Result<()> {
    if has_tool(workspace, name, version) {
        return Ok(());
    }
    let mut cargo = workspace.cargo();
    cargo.args(["install", name, "--version", version, "--locked", "--root"]).arg(workspace.tools());
    // The tool's own profile and directory, not ours: it is no part of this workspace.
    cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    step(&format!("installing {name} {version} into target/tools (a minute or two, once)"), &mut cargo)
        .with_context(|| format!("{name} cannot be installed; cargo needs crates.io or a mirror of it"))
}

pub(crate) fn has_tool(workspace: &Workspace, name: &str, version: &str) -> bool {
    let installed = std::fs::read_to_string(workspace.tools().join(".crates.toml")).unwrap_or_default();
    lists(&installed, name, version) && workspace.tool(name).is_file()
}

/// Whether cargo's list of what it installed names this version.
fn lists(installed: &str, name: &str, version: &str) -> bool {
    installed.lines().any(|line| line.starts_with(&format!("\"{name} {version} ")))
}

#[cfg(test)]
mod tests;
