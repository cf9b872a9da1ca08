//! What is asked of this machine, whether mcr runs or not.

use clap::Args;
use std::path::PathBuf;

/// What to check.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration file.
    #[arg(required_unless_present = "kernel")]
    pub file: Option<PathBuf>,
    /// Look at the kernel instead: what it has of what mcr needs, found out by trying, and its known faults.
    #[arg(long, conflicts_with_all = ["file", "strict"])]
    pub kernel: bool,
    /// Refuse what is only pending otherwise: an interface that does not exist, a link that is down.
    #[arg(long)]
    pub strict: bool,
    /// Look at the file alone, and not at links, cores, memory, sockets, folders and certificates: this is not the machine that it is for.
    #[arg(long, conflicts_with = "kernel")]
    pub offline: bool,
    /// The folder that `mcr run` is given as --run-dir.
    #[arg(long, value_name = "DIR", default_value = "/run/mcr")]
    pub run_dir: PathBuf,
    /// The folder that `mcr run` is given as --state-dir.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/mcr")]
    pub state_dir: PathBuf,
    /// For programs.
    #[arg(long)]
    pub json: bool,
}

/// What `mcr links` is asked for.
#[derive(Clone, Debug, Args)]
pub struct Links {
    /// JSON for programs instead of a table for people
    #[arg(long)]
    pub json: bool,
    /// Judge the links for this many lanes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub lanes: u32,
    /// These interfaces only; all but loopback when none is named
    #[arg(value_name = "IFACE")]
    pub names: Vec<String>,
}

/// What `mcr probe` is asked for.
#[derive(Clone, Debug, Args)]
pub struct Probe {
    /// JSON for programs instead of lines for people
    #[arg(long)]
    pub json: bool,
    /// The interface
    #[arg(value_name = "IFACE")]
    pub name: String,
}
