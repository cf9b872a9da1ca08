//! What can be said on the command line.

use crate::{links, probe};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Takes multicast streams in on one interface and sends them out on others, rewritten and copied, at wire speed.
#[derive(Debug, Parser)]
#[command(name = "mcr", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  mcr check /etc/mcr/relay.toml         is the file right, and what would it do here?
  mcr links                             what can the interfaces of this machine do?
  mcr probe ens1f0                      does this interface do zero-copy? (tries it; links only asks)
  mcr run --config /etc/mcr/relay.toml  relay until Ctrl-C or SIGTERM";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Relay until Ctrl-C or SIGTERM; prints at the end what was counted.
    Run(Run),
    /// Say whether a configuration file is right and what it would do on this machine.
    ///
    /// Every error is told at once, with file, line, key and what to do. Then the table that the file becomes here, and
    /// what cannot work yet. Exit code 0: good; 1: refused.
    Check(Check),
    /// Say what each interface can do, what mcr would use of it, and what hurts.
    Links(links::Options),
    /// End mcr in this network namespace, and lanes whose control has died.
    ///
    /// Detaches first, sends everything that came in, leaves the groups. Exit code 0 when nothing is left running.
    Stop {
        /// The run folder that mcr was started with.
        #[arg(long, value_name = "DIR", default_value = "/run/mcr")]
        run_dir: PathBuf,
    },
    /// What must be the same in two binaries for one to take over from the other, as JSON; asked by `mcr upgrade`.
    #[command(hide = true)]
    Layouts,
    /// Find out by trying whether an interface does XDP and zero-copy.
    ///
    /// Attaches the XDP program, binds a socket to each queue, asks the driver to send nothing, and takes everything away
    /// again. Tells driver, queues, XDP mode, zero-copy, transmit metadata and limits. Each queue is reset for a moment,
    /// and some drivers drop the link for seconds: not for an interface that carries what must not stop. Refused where
    /// mcr or another XDP program is at work. Exit code 0: probed, whatever was found; 1: could not be probed.
    Probe(probe::Options),
    /// A lane; started by `mcr run` only.
    #[command(hide = true)]
    Lane {
        /// Its number.
        number: u32,
    },
}

/// How to run.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration file; config/relay.toml documents every key.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where mcr's lock, its lanes' doors and its API socket lie: one folder for each network namespace, or one for all.
    #[arg(long, value_name = "DIR", default_value = "/run/mcr")]
    pub run_dir: PathBuf,
    /// Where the relays are kept that were made through the API (relays.toml), unless [state] file names it.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/mcr")]
    pub state_dir: PathBuf,
    /// The log's form: lines for people, or JSON for programs.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Print the counters at the end as JSON.
    #[arg(long)]
    pub json: bool,
    /// Let the XDP program write a log line for each frame of a relay. Slow: for debugging one relay.
    #[arg(long)]
    pub debug_ebpf: bool,
}

/// The log's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What to check.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration file.
    pub file: PathBuf,
    /// Refuse what is only pending otherwise: an interface that does not exist, a link that is down.
    #[arg(long)]
    pub strict: bool,
    /// For programs.
    #[arg(long)]
    pub json: bool,
}
