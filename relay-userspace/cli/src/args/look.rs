//! What shows something.

use super::node::Node;
use super::relay::condition;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use relay_common::health::Share;
use relay_config::duration::duration;
use relay_config::event_id::After;
use relay_config::time::unix_ms_of;
use std::path::PathBuf;
use std::time::Duration;

/// Rates are measured over seconds: whoever asks more often sees the same again.
const SHORTEST: Duration = Duration::from_millis(200);

/// What of the status to show.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mcr status\n  mcr status --json | jq .generation\n  mcr status --url http://10.0.0.7:9280"
)]
pub struct Status {
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// What to watch, and how often.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr top
  mcr top 'sport-*' -l site=north        only these relays
  mcr top --interval 5s                  asks less often: for thousands of relays, or a slow line
  mcr top --url http://10.0.0.7:9280     another node

Keys:
  arrows, PgUp, PgDn, Home, End   move
  Tab, 1 to 4                     relays, lanes, links, events
  Enter                           one relay, its outputs, and why it is dark; Esc leads back
  s, r                            sort by the next column; the other way round
  /                               only relays whose names or labels have this in them, or whose names are as this
                                  pattern with *; Esc: all
  p                               pause
  ?                               help
  q, Ctrl-C                       quit")]
pub struct Top {
    /// Only these relays; * stands for anything, ? for one character.
    #[arg(value_name = "PATTERN", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// Only relays with such a label: group=news, group!=news, group or !group. Given more than once, all must hold.
    #[arg(short = 'l', long = "selector", value_name = "LABEL", value_parser = condition)]
    pub labels: Vec<String>,
    /// How often the node is asked; at least 200ms.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub interval: Duration,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// A duration in which a node can be asked, and answer, without much of its time.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval < SHORTEST { Err(format!("{text} is too short: write 200ms or more")) } else { Ok(interval) }
}

/// Which relay to explain.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr why ch1
  mcr why -l group=news
  mcr why ch1 --json | jq -r '.steps[] | select(.state == \"broken\") | .remedy'

Exit code 0: the streams flow; 1: one is dark, or some of its outputs are; 3: mcr cannot be reached. Each relay is watched for
a second.")]
pub struct Why {
    /// The relay, or several; * stands for anything, ? for one character.
    #[arg(required_unless_present = "labels", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// Only relays with such a label: group=news, group!=news, group or !group. Given more than once, all must hold.
    #[arg(short = 'l', long = "selector", value_name = "LABEL", value_parser = condition)]
    pub labels: Vec<String>,
    /// Print the API's JSON, one line for each relay.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// What to capture.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr capture ch1 -w ch1.pcapng                     until Ctrl-C
  mcr capture ch1 -w ch1.pcapng -c 1000             1000 packets
  mcr capture ch1 -w ch1.pcapng --seconds 10 --snap 128
  mcr capture ch1 -w - | tshark -r -                straight into tshark

The relay goes on meanwhile. tcpdump sees nothing of what mcr relays: the frames never reach the kernel's stack.")]
pub struct Capture {
    /// The relay. One is captured at a time: a pattern or -l must mean one.
    #[arg(required_unless_present = "labels", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// The relay with such a label: group=news, group!=news, group or !group. Given more than once, all must hold.
    #[arg(short = 'l', long = "selector", value_name = "LABEL", value_parser = condition)]
    pub labels: Vec<String>,
    /// The pcapng file; - writes to standard output.
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    pub file: PathBuf,
    /// Stop after so many packets.
    #[arg(short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub packets: Option<u64>,
    /// Stop after so many seconds.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: Option<u64>,
    /// Keep only so many bytes of each packet.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub snap: Option<u32>,
    /// On the way in, on the way out, or both.
    #[arg(long, value_enum, default_value_t = Direction::Both)]
    pub direction: Direction,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// The way of captured packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// As they come in.
    In,
    /// As they go out.
    Out,
    /// Both.
    Both,
}

/// Which events to show.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr events                                  what is kept: some thousands
  mcr events --since 10m                      of the last ten minutes
  mcr events -n 20                            the last twenty
  mcr events -f                               the same, and then what happens
  mcr events -f --kind stream --relay ch1     the interruptions of one stream
  mcr events -f --json | jq -r .text
  mcr events -f -l group=news                 of the relays with this label
  mcr events --kind config.refused --kind lane
  mcr events --after 5f3c9a1e0d2b-1041        what came after that one

Where events are missing, because they were pushed out before they were read, a line says so.")]
pub struct Events {
    /// Go on with what happens; a connection that ends is made again, nothing is shown twice, and what is missed is told.
    #[arg(short, long)]
    pub follow: bool,
    /// Only events after the one of this id, or of this number.
    #[arg(long, value_name = "ID", value_parser = after)]
    pub after: Option<String>,
    /// Only events told since then: 10m (ms, s, m or h), or a moment as 2026-11-25T16:38:35Z.
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<String>,
    /// Of what is kept only the last so many.
    #[arg(short = 'n', long, value_name = "N")]
    pub last: Option<usize>,
    /// Only this kind: a name as stream.interrupted, its first word, or a pattern with *.
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<String>,
    /// Only what concerns these relays; * stands for anything.
    #[arg(long, value_name = "PATTERN")]
    pub relay: Vec<String>,
    /// Only what concerns relays with such a label: group=news, group!=news, group or !group. Given more than once, all must
    /// hold.
    #[arg(short = 'l', long = "selector", value_name = "LABEL", value_parser = condition)]
    pub labels: Vec<String>,
    /// Print the API's JSON, one event a line.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// The id of an event, or its number.
fn after(text: &str) -> Result<String, String> {
    let right = text.parse::<After>().map(|_| text.to_owned());
    right.map_err(|()| format!("\"{text}\" is no id of an event: mcr events --json shows them"))
}

/// A moment, or how long it is ago.
fn since(text: &str) -> Result<String, String> {
    let is_moment = text.parse().ok().and_then(|moment| unix_ms_of(&moment)).is_some();
    if is_moment { Ok(text.to_owned()) } else { duration(text).map(|_| text.to_owned()) }
}

/// Which health to tell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr health                               0: packets can flow; 1: they cannot
  mcr health --quiet --timeout 500ms       for a vrrp_script of keepalived
  mcr health --relay 'sport-*' --min 90%   and 90% of these relays work
  mcr health -l group=news --min 90%       and 90% of those with this label
  mcr health --weight                      for a track_file of keepalived
  mcr health --ready                       the same as /readyz

Verdicts of checks that fail:
  fault    packets cannot be carried
  drift    they can, but what was asked of the node is not in force or not kept
  partial  a part waits for a link, a neighbour or an address

Only a fault is a failure; partial is one where --min or --ready demand more.

While control is away, or does not answer within half of the timeout, its lanes
are asked: 0 as long as they come round, 1 when one does not, 3 when there is
none. Only their user and root may ask. Without --min nothing is demanded of the
relays then.

Exit code 0: packets can flow; 1: they cannot, and why; 3: mcr does not answer.
It never takes longer than the timeout, whatever mcr does.")]
pub struct Health {
    /// Ready, too: it is the one to send, and health.ready_min of its relays work.
    #[arg(long)]
    pub ready: bool,
    /// Only these relays count; * stands for anything. Can be given more than once.
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub relay: Vec<String>,
    /// Only relays with such a label count: group=news, group!=news, group or !group. Given more than once, all must hold.
    #[arg(short = 'l', long = "selector", value_name = "LABEL", value_parser = condition)]
    pub labels: Vec<String>,
    /// How much of the relays must work [default with --relay and -l: health.ready_min]
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    pub min: Option<Share>,
    /// Print a number: 0 (all works) to -100 (nothing does), -254 where the exit code is not 0.
    #[arg(long, conflicts_with_all = ["quiet", "json"])]
    pub weight: bool,
    /// How long it may take in all.
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration)]
    pub timeout: Duration,
    /// How long control may be away while its lanes relay [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub away_limit: Option<Duration>,
    /// Where the doors of its lanes lie [default: the folder of the Unix socket]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Say nothing: only the exit code.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

fn share(text: &str) -> Result<Share, String> {
    Share::parse(text).ok_or_else(|| format!("\"{text}\" is no percentage: write 0% to 100%, as in 90% or 99.5%"))
}

/// Commas stand between patterns on their way.
fn pattern(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(',') {
        return Err("is no pattern: give each by an option of its own".to_owned());
    }
    Ok(text.to_owned())
}
