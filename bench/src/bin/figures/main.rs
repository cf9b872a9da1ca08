//! The bench: measures MCR against its peers, and makes document and plots of what it finds.
//!
//! `cargo xtask bench` builds what is needed and calls this.

mod measure; // a run
mod show; // what a run, or two of them, say

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgGroup, Parser, Subcommand};

/// Measures MCR and its peers, and shows what was measured.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Measure(measure::Arguments),
    /// Make the documents and the plots of a run, or of all that are kept.
    #[command(group(ArgGroup::new("what").args(["json", "kept"]).required(true)))]
    Render {
        /// What was measured
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// What is kept of each processor
        #[arg(long, value_name = "FOLDER")]
        kept: Option<PathBuf>,
        /// The folder for benchmarks.md and what stands beside it in benchmarks/
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
        Command::Render { json: Some(json), docs, .. } => show::render(&json, &docs)?,
        Command::Render { kept, docs, .. } => show::render_kept(&kept.unwrap_or_default(), &docs)?,
        Command::Compare { old, new } => return show::compare(&old, &new),
    }
    Ok(ExitCode::SUCCESS)
}
