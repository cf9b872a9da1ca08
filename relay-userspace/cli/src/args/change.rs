//! What asks control for something, besides relays.

use super::node::Node;
use clap::Args;
use relay_config::trial_length;
use std::path::PathBuf;

/// Which relays to apply.
#[derive(Debug, Args)]
#[command(
    long_about = "Make the relays of a file the relays of the API: all of them, in one step.\n\nThe [[relay]] sections of \
                  FILE take the place of every relay that was made through the API; relays of the node's own configuration \
                  file stay. Either all of it is in force afterwards, or nothing has changed. Relays that stay the same lose \
                  no packet. What mcr relay ls --json prints can be given too. Other sections are left out.",
    after_help = "\
Examples:
  mcr apply relays.toml --dry-run      what would change
  mcr apply relays.toml
  mcr apply --keep more.toml           leaves relays that the file does not name
  mcr apply --exit-code relays.toml    exit code 4 when there was nothing to change

+ is a new relay, ~ one that changes, - one that goes."
)]
pub struct Apply {
    /// The file, TOML or JSON; - reads standard input.
    pub file: PathBuf,
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Change it also where it cannot be kept, as on a full disk; it is kept as soon as that works.
    #[arg(long)]
    pub volatile: bool,
    /// Leave relays of the API that the file does not name.
    #[arg(long)]
    pub keep: bool,
    /// Exit with 4 when there is nothing to change.
    #[arg(long)]
    pub exit_code: bool,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// What to compare.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr diff                          what a reload would change
  mcr diff -q || mcr reload         reload if there is something to take
  mcr diff --json | jq .removed     for programs

+ is new in the file, ~ another, - gone, ! taken and not in effect until mcr restart.")]
pub struct Diff {
    /// Print nothing but trouble: only the exit code tells.
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// How to reload.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr check /etc/mcr/relay.toml && mcr reload
  mcr diff && echo \"nothing to take\"
  mcr reload --confirm 5m && mcr health --ready && mcr confirm

With --confirm what ran before runs again after that time, unless mcr confirm comes first: also where this terminal, control or
the machine has died meanwhile.

A file that is wrong changes nothing, and every error is told. A file that has changed waits for this, and mcr status
shows that it differs, unless the key config.watch lets some changes come by themselves.")]
pub struct Reload {
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Take it on trial: what ran before runs again after so long (1s to 24h), unless mcr confirm comes first.
    #[arg(long, value_name = "TIME", value_parser = confirm)]
    pub confirm: Option<String>,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// A time that control takes: it is sent as it was written.
fn confirm(text: &str) -> Result<String, String> {
    trial_length(text).map(|_| text.to_owned())
}

/// How to confirm.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr reload --confirm 5m && mcr health --ready && mcr confirm")]
pub struct Confirm {
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// How to go back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr rollback --dry-run     what would change
  mcr rollback")]
pub struct Rollback {
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// How to start control anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr restart
  mcr restart --json | jq .started_ns
  mcr restart --force     where control stands still, and answers nobody

Control becomes itself anew, in the same process, and the lanes relay on. One that does not take the question for five
seconds is replaced without being asked. One that answers nobody (it is stopped, or a debugger holds it) is told of after three
seconds; --force kills it, and whoever starts mcr again (systemd) puts another in charge of the lanes without a loss.")]
pub struct Restart {
    /// Kill the control that runs, as it stands, and wait for the next one. Its lanes relay on.
    #[arg(long)]
    pub force: bool,
    /// The run folder that mcr was started with, where the process is found [default: the folder of the Unix socket]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Print the API's JSON: the status of the new control.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// Which mcr to list the changes of.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr changes
  mcr changes --json | jq '.[] | select(.state == \"queued\")'

Those that wait or are being carried out, and the last 64 that are over, newest first. Mute and disable do not wait for the
changes before them.")]
pub struct Changes {
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// Which change to show.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr change 28771200012          what became of it
  mcr change 28771200012 --wait   the same, once it is over

States:
  queued   it waits for those before it
  running  it is being carried out, and in which step
  done     it is in force; one with --volatile says whether it is on disk
  refused  nothing has changed
  failed   nothing has changed
  unkept   it is in force, and nobody knows whether it is on disk

Exit code 0: it is done, or not over yet; 1: all else; 3: mcr does not answer.")]
pub struct Change {
    /// Its number.
    pub id: u64,
    /// Wait until it is over.
    #[arg(long)]
    pub wait: bool,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// What to upgrade to.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  /usr/local/bin/mcr upgrade       to the binary that is called here
  mcr upgrade /opt/mcr-0.2/mcr     to another one

Where the two cannot follow each other it is refused, and a fresh start is the way.")]
pub struct Upgrade {
    /// The newer binary, on the node; without, the one that is called.
    pub binary: Option<PathBuf>,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// How to stop.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr stop

Where systemd runs mcr, use systemctl stop mcr: systemd may start it again otherwise.")]
pub struct Stop {
    /// The run folder that mcr was started with: lanes whose control has died are found there too.
    /// Without it, and without a socket, it is /run/mcr.
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// The Unix socket of the one to end, in place of the run folder [env: MCR_SOCKET]
    #[arg(long, value_name = "PATH", conflicts_with = "run_dir")]
    pub socket: Option<PathBuf>,
}

impl Stop {
    /// The run folder to look in: that of a socket is its folder, unless the configuration has put it elsewhere.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        let of_socket = || Some(self.socket()?.parent()?.to_owned());
        self.run_dir.clone().or_else(of_socket).unwrap_or_else(|| PathBuf::from("/run/mcr"))
    }

    /// Whether a socket says which mcr is meant.
    #[must_use]
    pub fn names_a_socket(&self) -> bool {
        self.run_dir.is_none() && self.socket().is_some()
    }

    fn socket(&self) -> Option<PathBuf> {
        self.socket.clone().or_else(|| std::env::var_os("MCR_SOCKET").map(PathBuf::from))
    }
}

/// Which level to log at.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr log debug
  mcr log info
  mcr log info,relay_control=trace    in the form of MCR_LOG")]
pub struct Log {
    /// error, warn, info, debug, trace, or a filter in the form of MCR_LOG.
    pub level: String,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// Whose token to hash.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  openssl rand -hex 32 | tee token | mcr hash-token --name ops    the line for [http] tokens
  mcr relay ls --url http://10.0.0.7:9280 --token-file token

Only the hash stands in the configuration; whoever reads it cannot use the API.")]
pub struct HashToken {
    /// Whose it is: the name in the audit lines.
    #[arg(long, default_value = "operator")]
    pub name: String,
}
