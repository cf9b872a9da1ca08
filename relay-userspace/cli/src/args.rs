//! What can be said on the command line.

mod change; // what asks control for something
mod machine; // what is asked of this machine, whether mcr runs or not
mod look; // what shows something
mod node; // which control is asked
mod relay; // what is done with relays
mod wait; // what is waited for
mod whole; // a whole node as one document

pub use change::{Apply, Change, Changes, Confirm, Diff, HashToken, Log, Reload, Restart, Rollback, Stop, Upgrade};
pub use look::{Capture, Direction, Events, Health, Status, Top, Why};
pub use machine::{Check, Links, Probe};
pub use node::Node;
pub use relay::{Add, List, MeterLevel, Names, Parts, Relay, Set, Show};
pub use wait::Wait;
pub use whole::{Export, Import};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Takes multicast streams in on one interface and sends them out on others, rewritten and copied, at wire speed.
#[derive(Debug, Parser)]
#[command(name = "mcr", version, max_term_width = 100, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{CODES}"))]
#[command(disable_help_subcommand = true)]
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
  mcr run --config /etc/mcr/relay.toml  relay until Ctrl-C or SIGTERM
  mcr relay add ch1 --in ens1f0/239.1.1.1:5000 --out ens1f1/239.2.1.1:5001
  mcr relay ls                          what runs, and how fast
  mcr top                               the same, live
  mcr why ch1                           why is it dark?
  mcr events -f                         what happens

mcr COMMAND --help has more, with examples for each command.";

const CODES: &str = "\
Exit codes:
  0  done
  1  refused or failed; of health: it fails; of why: the stream does not flow; of wait: it was not in time;
     of diff: the file differs
  2  the command line is wrong; of diff: it cannot be told
  3  the running mcr cannot be reached, or does not answer in time
  4  apply --exit-code: there was nothing to change

Environment:
  MCR_SOCKET  the Unix socket of the running mcr, as --socket
  MCR_URL     its address, as --url
  MCR_TOKEN   the token for changes over TCP, where there is no --token-file
  MCR_LOG     the level of mcr run's log: error, warn, info, debug or trace
  NO_COLOR    no colours, also on a terminal";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Relay until Ctrl-C or SIGTERM; prints at the end what was counted.
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
    /// Say whether a configuration file is right and what it would do on this machine.
    ///
    /// Every error is told at once, with file, line, key and what to do. Then the table that the file becomes here, and
    /// what cannot work yet. With --kernel it is this kernel that is looked at, by trying out what mcr needs of it. Exit
    /// code 0: good; 1: refused.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Say what each interface can do, what mcr would use of it, and what hurts.
    #[command(after_help = LINKS_EXAMPLES)]
    Links(Links),
    /// Find out by trying whether an interface does XDP and zero-copy.
    ///
    /// Attaches the XDP program, binds a socket to each queue, asks the driver to send nothing, and takes everything away
    /// again. Tells driver, queues, XDP mode, zero-copy, transmit metadata and limits. Each queue is reset for a moment,
    /// and some drivers drop the link for seconds: not for an interface that carries what must not stop. Refused where
    /// mcr or another XDP program is at work. Exit code 0: probed, whatever was found; 1: could not be probed.
    #[command(after_help = PROBE_EXAMPLES)]
    Probe(Probe),
    /// Add, change, remove and look at relays of the running mcr.
    #[command(subcommand, disable_help_subcommand = true)]
    Relay(Relay),
    /// Make the relays of a file the relays of the API: all of them, in one step.
    Apply(Apply),
    /// List the changes that were asked for lately, and what became of each.
    Changes(Changes),
    /// Show what became of a change, by the number that its answer has.
    Change(Change),
    /// Show the running mcr at a glance: health, configuration, lanes, what cannot work yet.
    Status(Status),
    /// Watch the running mcr: relays and their rates, lanes, links and events, as they are now.
    ///
    /// Takes the whole terminal until q. The node is asked all the while; where it does not answer, or is replaced by a
    /// newer one, it is asked again until it does. ? shows the keys.
    Top(Top),
    /// Say why a relay's stream is dark: its way, step by step, and what to do at the first broken one.
    Why(Why),
    /// Write a relay's packets to a pcapng file, as they come in and as they go out.
    Capture(Capture),
    /// Show what happened, and follow what happens.
    Events(Events),
    /// Say whether packets can flow: the exit code for keepalived, scripts and probes.
    Health(Health),
    /// Wait until packets can flow, or those of some relays do: for scripts.
    Wait(Wait),
    /// Show what the configuration file says otherwise than what runs.
    ///
    /// The file is read by the running mcr, as a reload would. Exit code 0: nothing; 1: it differs; 2: trouble, as a file that is
    /// wrong or an mcr that does not answer.
    Diff(Diff),
    /// Print all that is in force as one document: the configuration file and the relays of the API.
    Export(Export),
    /// Make what mcr export wrote all that is in force: the configuration file and the relays of the API, in one step.
    ///
    /// The document is checked whole, then it is shown what changes. Either all of it is in force afterwards and stands in the node's
    /// files, or nothing has changed. Relays of the API that the document does not have go.
    Import(Import),
    /// Read the configuration file anew.
    Reload(Reload),
    /// Start control anew, and nothing else: lanes relay on, and no packet is lost.
    ///
    /// For when control hangs, or its log or health say that it should. The binary is the one that runs; mcr upgrade takes
    /// another. What a reload has left of http and state for the next start counts afterwards; a file that nobody has
    /// taken waits on. Returns when the new control is in charge. Who starts mcr sees the same process go on; systemctl
    /// restart ends the lanes, too.
    Restart(Restart),
    /// Keep what mcr reload --confirm has taken on trial.
    Confirm(Confirm),
    /// Go back to the configuration that ran before the last reload.
    ///
    /// The file is not touched: it differs afterwards, and no start takes it again as it is, until it is changed or reloaded.
    /// What is on trial is given up. A second rollback undoes the first.
    Rollback(Rollback),
    /// Put a newer binary in the place of the running mcr, without losing a packet.
    ///
    /// The newer one is started beside the one that runs, and proves itself: it reads the configuration file, takes the lanes
    /// over, and answers; only then the old one ends. Where any of that fails, or takes too long, the old one is in charge
    /// as before, and the error says why. Under systemd the unit has another main process then; elsewhere the process stays
    /// the same. Returns when the newer one is in charge.
    Upgrade(Upgrade),
    /// End mcr in this network namespace, and lanes whose control has died.
    Stop(Stop),
    /// Set the level of the running mcr's log.
    Log(Log),
    /// Make the configuration's line for a token, which is read on standard input.
    HashToken(HashToken),
    /// Print what a shell needs to complete mcr's commands and options.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print mcr's manual page.
    #[command(after_help = "Examples:\n  mcr man > /usr/local/share/man/man1/mcr.1\n  mcr man | man -l -")]
    Man,
    /// What must be the same in two binaries for one to take over from the other, as JSON; asked by `mcr upgrade`.
    #[command(hide = true)]
    Layouts,
    /// A lane; started by `mcr run` only.
    #[command(hide = true)]
    Lane {
        /// Its number.
        number: u32,
        /// The number of the user that it becomes.
        #[arg(long, requires = "group")]
        user: Option<u32>,
        /// The number of the group that it becomes.
        #[arg(long, requires = "user")]
        group: Option<u32>,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  mcr run --config /etc/mcr/relay.toml
  mcr run --config /etc/mcr/relay.toml --log-format json";

const LINKS_EXAMPLES: &str = "\
Examples:
  mcr links                  all of them
  mcr links ens1f0 --json    one, for programs
  mcr links --lanes 4        would four lanes fit?";

const PROBE_EXAMPLES: &str = "\
Examples:
  mcr probe ens1f0           what a spare interface can do
  mcr probe ens1f0 --json    the same, for programs";

const CHECK_EXAMPLES: &str = "\
Examples:
  mcr check /etc/mcr/relay.toml           everything that is wrong, or what it would do here
  mcr check --strict /etc/mcr/relay.toml  the same, and what only cannot work yet is wrong too
  mcr check --offline relay.toml          the file alone, where it is written and not run
  mcr check --kernel                      what this kernel has of what mcr needs, and its known faults";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  mcr completions bash > /etc/bash_completion.d/mcr
  mcr completions zsh > /usr/local/share/zsh/site-functions/_mcr
  mcr completions fish > ~/.config/fish/completions/mcr.fish";

/// How to run.
#[derive(Debug, Args)]
pub struct Run {
    /// The configuration file; config/relay.toml documents every key.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where mcr's lock, its lanes' doors and its API socket lie: one folder for each network namespace, or one for all.
    #[arg(long, value_name = "DIR", default_value = "/run/mcr")]
    pub run_dir: PathBuf,
    /// Where the relays are kept that were made through the API (relays.toml), unless the key state.file names it.
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

/// A shell that can complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
}

#[cfg(test)]
mod tests;
