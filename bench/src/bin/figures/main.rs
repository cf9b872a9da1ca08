//! The bench: measures MCR against its peers, and makes document and plots of what it finds.
//!
//! `cargo xtask bench` builds what is needed and calls this.

mod measure; // a run
mod show; // what a run, or two of them, say

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures MCR and its peers, and shows what was measured.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Measure(measure::Arguments),
    /// Make the document and the plots of a run.
    Render {
        /// What was measured
        #[arg(long, value_name = "FILE")]
        json: PathBuf,
        /// The folder for benchmarks.md and benchmarks/*.svg
        #[arg(long, value_name = "FOLDER")]
        docs: PathBuf,
    },
    /// Say what changed beyond the noise between two runs; exit 1 when MCR got slower.
    Compare {
        /// The earlier run
        old: PathBuf,
        /// The later run
        new: PathBuf,
    },
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Measure(arguments) => measure::run(&arguments)?,
        Command::Render { json, docs } => show::render(&json, &docs)?,
        Command::Compare { old, new } => return show::compare(&old, &new),
    }
    Ok(ExitCode::SUCCESS)
}
