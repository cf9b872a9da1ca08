//! The only automation of this project: everything that is built, tested, checked or measured is one command here.
//!
//! One file per command, in the order in which a day uses them; below them, what they stand on.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

// The commands.
mod bench;
mod build;
mod build_ebpf;
mod ci;
mod demo;
mod lint;
mod run;
mod setup;
mod test;
mod tidy;

// What they stand on.
mod clock; // the one Instant::now
mod packages; // what Debian brings
mod rights; // root, and how to get there
mod step; // running a program: a line before, the time after
mod toolchain; // the compiler and the linker of the eBPF program
mod workspace; // where things are

/// The only automation of MCR.
///
/// Everything installs what it needs: on a machine with Rust, `cargo xtask demo` shows the relay at work and
/// `cargo xtask test` runs every test. Tools go to target/tools, nothing else of yours is touched but
/// Debian packages and rustup's rust-src (`cargo xtask setup --check` tells which).
#[derive(Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 110)]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Args),
    BuildEbpf(build_ebpf::Args),
    Build(build::Args),
    Run(run::Args),
    Demo(demo::Args),
    Test(test::Args),
    Lint(lint::Args),
    Tidy(tidy::Args),
    Bench(bench::Args),
    Ci(ci::Args),
}

fn main() -> ExitCode {
    let command = Xtask::parse().command;
    match dispatch(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &Command) -> anyhow::Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Setup(args) => setup::run(&workspace, args),
        Command::BuildEbpf(_) => build_ebpf::run(&workspace),
        Command::Build(_) => build::run(&workspace),
        Command::Run(args) => run::run(&workspace, args),
        Command::Demo(args) => demo::run(&workspace, args),
        Command::Test(args) => test::run(&workspace, args),
        Command::Lint(args) => lint::run(&workspace, args),
        Command::Tidy(_) => tidy::run(&workspace),
        Command::Bench(args) => bench::run(&workspace, args),
        Command::Ci(_) => ci::run(&workspace),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Xtask::command().debug_assert();
    }
}
