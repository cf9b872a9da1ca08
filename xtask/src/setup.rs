//! `cargo xtask setup`: what is missing, and installing it.

use std::io::Write;

use anyhow::{Result, bail};

use crate::{
    packages::{self, BROWSING, CONTAINERS, COUNTING, MEASURING, PACKAGES},
    toolchain,
    workspace::Workspace,
};

/// Find what building, testing and the demo need, and install what is missing.
///
/// The source of Rust's core library (rustup's rust-src; on Debian, where rustup cannot download, rustc-web and
/// rust-web-src), bpf-linker into target/tools, and a few Debian packages that tests and demo start. Every other
/// command calls the part it needs, so this is rarely typed. Doing it twice does nothing the second time.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only tell; exit 1 when something is missing.
    #[arg(long)]
    check: bool,
}

/// One line of what was looked for.
struct Finding {
    what: &'static str,
    found: Option<String>,
    wanted_for: &'static str,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if !args.check {
        toolchain(workspace)?;
        packages::install_missing(&PACKAGES)?;
        packages::install_missing(&MEASURING)?;
        packages::install_missing(&COUNTING)?;
        packages::install_missing(&BROWSING)?;
        packages::install_missing(&CONTAINERS)?;
    }
    let findings = look(workspace);
    print(&findings)?;
    let missing: Vec<&str> = findings.iter().filter(|f| f.found.is_none()).map(|f| f.what).collect();
    if !missing.is_empty() {
        bail!("missing: {}; `cargo xtask setup` installs them", missing.join(", "));
    }
    Ok(())
}

/// The half that building needs: a compiler with its source, and the linker.
pub(crate) fn toolchain(workspace: &Workspace) -> Result<toolchain::Compiler> {
    let compiler = toolchain::obtain_compiler()?;
    toolchain::obtain_linker(workspace)?;
    Ok(compiler)
}

fn look(workspace: &Workspace) -> Vec<Finding> {
    let compiler = toolchain::find_compiler();
    let mut findings = vec![
        Finding {
            what: "source of core",
            found: compiler.map(|c| format!("{} {}, {}", c.rustc.display(), c.version, c.library.display())),
            wanted_for: "building the eBPF program",
        },
        Finding {
            what: "bpf-linker",
            found: toolchain::find_linker(workspace)
                .map(|version| format!("{version}, {}", workspace.tool("bpf-linker").display())),
            wanted_for: "building the eBPF program",
        },
    ];
    let packages = [&PACKAGES[..], &MEASURING, &COUNTING, &BROWSING, &CONTAINERS];
    findings.extend(packages.into_iter().flatten().map(|package| Finding {
        what: package.name,
        found: package.found().map(|path| path.display().to_string()),
        wanted_for: package.wanted_for,
    }));
    findings
}

fn print(findings: &[Finding]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for Finding { what, found, wanted_for } in findings {
        match found {
            Some(found) => writeln!(out, "{what:16} found    {found}")?,
            None => writeln!(out, "{what:16} MISSING  for {wanted_for}")?,
        }
    }
    Ok(())
}
