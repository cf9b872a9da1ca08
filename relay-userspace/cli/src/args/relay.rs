//! What is done with relays.

use super::node::Node;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use relay_common::selector::Selector;
use std::path::PathBuf;

/// A condition on labels.
pub(super) fn condition(text: &str) -> Result<String, String> {
    Selector::parse::<&str>(&[], &[text]).map(|_| text.to_owned())
}

/// What is done with relays.
#[derive(Debug, Subcommand)]
pub enum Relay {
    /// Make a new relay.
    #[command(after_help = format!("{FORM}\n\n{ADD_EXAMPLES}"))]
    Add(Add),
    /// Change a relay: only what is given changes.
    ///
    /// --in replaces the input, --out all outputs. --add-out adds an output, or replaces the one that leads to the same
    /// interface, address and port. If the relay changes in the meantime, it is read again and the change made to that.
    #[command(after_help = SET_EXAMPLES)]
    Set(Set),
    /// Remove relays.
    ///
    /// Where patterns or labels say which, all of them go at once, or none.
    #[command(
        alias = "remove",
        after_help = "Examples:\n  mcr relay rm ch1\n  mcr relay rm ch1 ch2 --dry-run\n  mcr relay rm -l group=trial --dry-run"
    )]
    Rm(Names),
    /// List the relays: what runs, and how fast.
    #[command(alias = "list", after_help = LS_EXAMPLES)]
    Ls(List),
    /// Show relays: definition, traffic, drops, and what of it cannot work yet.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
    /// Let relays run.
    ///
    /// Where patterns or labels say which, all of them change at once, or none.
    #[command(after_help = "Examples:\n  mcr relay enable ch1 ch2\n  mcr relay enable -l group=news")]
    Enable(Names),
    /// Let relays rest: they join nothing and send nothing, but keep their place.
    ///
    /// Where patterns or labels say which, all of them change at once, or none.
    #[command(after_help = "Examples:\n  mcr relay disable ch1\n  mcr relay disable 'trial-*' -l 'site!=north'")]
    Disable(Names),
    /// Receive and measure, but send nothing.
    ///
    /// Where patterns or labels say which, all of them change at once, or none.
    #[command(
        after_help = "Examples:\n  mcr relay mute ch1      the groups stay joined, so unmute takes effect at once\n  mcr relay mute -l group=news"
    )]
    Mute(Names),
    /// Send again.
    ///
    /// Where patterns or labels say which, all of them change at once, or none.
    #[command(after_help = "Examples:\n  mcr relay unmute ch1\n  mcr relay unmute -l group=news")]
    Unmute(Names),
    /// Let the configuration file have relays that came through the API.
    ///
    /// A relay that stands in the file and came through the API runs as the file says; the API's is shown as shadowed until
    /// it is forgotten by this. The stream loses no packet.
    #[command(after_help = ADOPT_EXAMPLES)]
    Adopt(Names),
}

/// The form of inputs and outputs, for the help.
const FORM: &str = "\
The short form:
  --in   IFACE/ADDR:PORT[,sources=A+B][,vlan=V]
  --out  IFACE/ADDR:PORT[,ttl=N][,dscp=N][,source=S][,source_port=N][,vlan=V]

  ADDR    239.1.1.1, [ff3e::1], or a unicast address
  vlan    100, 100.7 (outer.inner), none; of an output also keep. IFACE can say it too: ens1f0.100/239.1.1.1:5000
  ttl     1 to 255, or decrement (what it came with, less one) [default: 16]
  dscp    0 to 63, or keep [default: keep]
  source  link (the output link's address), keep (the datagram's own), or an address [default: link]";

const ADD_EXAMPLES: &str = "\
Examples:
  mcr relay add ch1 --in ens1f0/239.1.1.1:5000 --out ens1f1/239.2.1.1:5001
  mcr relay add ch2 --in ens1f0/232.1.1.1:5000,sources=10.0.0.5+10.0.0.6 \\
                    --out ens1f1/239.2.1.2:5001,ttl=8,dscp=34 --out ens1f1/10.1.1.9:6000
  mcr relay add ch6 --in 'ens1f0.100/[ff3e::1]:5000' --out 'ens1f1/[ff3e::2]:5001,vlan=200'
  mcr relay add ch5 --in ens1f0/239.1.1.5:5000 --out ens1f1/239.2.1.5:5001 --label group=news --label site=north
  mcr relay add --file ch3.toml            one [[relay]], or JSON
  mcr relay show ch1 --json | mcr relay add ch1-spare --disabled --file -";

const SET_EXAMPLES: &str = "\
Examples:
  mcr relay set ch1 --in ens1f0/239.1.1.9:5000
  mcr relay set ch1 --add-out ens1f2/239.2.1.1:5001,ttl=8
  mcr relay set ch1 --remove-out 239.2.1.1:5001
  mcr relay set ch1 --remove-out 0 --dry-run
  mcr relay set ch1 --label group=sport --label site- --description 'Sport-1-HD'
  mcr relay set -l group=sport --label site=north --muted
  mcr relay set ch1 --file ch1.toml

The short form of inputs and outputs is in mcr relay add --help.";

const LS_EXAMPLES: &str = "\
Examples:
  mcr relay ls
  mcr relay ls 'ch*' --state silent --state pending
  mcr relay ls -l group=news -l 'site!=north' --labels
  mcr relay ls --json | jq -r '.relays[] | select(.status.input.pps == 0) | .name'
  mcr relay ls --origin api --json > relays.json    a backup; mcr apply relays.json brings it back

OUT is outputs that work/outputs; DROPS is what was not passed on since the start, at the input and all outputs.";

const ADOPT_EXAMPLES: &str = "\
Examples:
  write ch1 into /etc/mcr/relay.toml, then:
  mcr reload && mcr relay adopt ch1
  mcr relay ls --state shadowed          what the file keeps from running";

const SHOW_EXAMPLES: &str = "\
Examples:
  mcr relay show ch1
  mcr relay show -l group=news
  mcr relay show ch1 --json | mcr relay set ch1 --file -";

/// A new relay.
#[derive(Debug, Args)]
pub struct Add {
    /// Its name; with --file, in place of the name that stands there.
    #[arg(required_unless_present = "file")]
    pub name: Option<String>,
    /// What it takes in, in the short form.
    #[arg(long = "in", value_name = "INPUT", required_unless_present = "file")]
    pub input: Option<String>,
    /// Where it sends that, in the short form; as often as there are outputs.
    #[arg(long = "out", value_name = "OUTPUT", required_unless_present = "file")]
    pub outputs: Vec<String>,
    /// The rest.
    #[command(flatten)]
    pub parts: Parts,
}

/// What of a relay is said by options that `add` and `set` share.
#[derive(Debug, Default, Args)]
pub struct Parts {
    /// Take the definition from a file with a single relay, or from JSON; - reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input", "outputs"])]
    pub file: Option<PathBuf>,
    /// What it is, in a line for people; "" takes it away.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// A label, as group=news; group- takes one away. Can be given more than once.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Do not let it run yet: mcr relay enable does.
    #[arg(long)]
    pub disabled: bool,
    /// Receive and measure, but do not send yet: mcr relay unmute does.
    #[arg(long)]
    pub muted: bool,
    /// Without packets for so long its stream counts as interrupted: 10ms to 1h, or off.
    #[arg(long, value_name = "TIME")]
    pub silence_after: Option<String>,
    /// What of the input is measured besides packets, bytes and time.
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub meters: Option<MeterLevel>,
    /// Take groups that belong to the protocols of a link, as 224.0.0.0/24.
    #[arg(long)]
    pub allow_link_local: bool,
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Change it also where it cannot be kept, as on a full disk; it is kept as soon as that works.
    #[arg(long)]
    pub volatile: bool,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// What of an input is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MeterLevel {
    /// Nothing more.
    Off,
    /// Gaps in RTP's numbers.
    Rtp,
    /// RTP, and the counters of the MPEG transport stream.
    Full,
}

impl MeterLevel {
    /// The word of the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Rtp => "rtp",
            Self::Full => "full",
        }
    }
}

/// What to change of a relay.
#[derive(Debug, Args)]
pub struct Set {
    /// The relay; where a pattern or -l means several, all of them change at once, or none.
    #[arg(required_unless_present = "selector", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// Relays with such a label: group=news, group!=news, group or !group. Given more than once, all must hold.
    #[arg(short = 'l', long = "selector", value_name = "LABEL", value_parser = condition)]
    pub selector: Vec<String>,
    /// Another input, in the short form.
    #[arg(long = "in", value_name = "INPUT")]
    pub input: Option<String>,
    /// Other outputs, in the short form, in place of all that there are.
    #[arg(long = "out", value_name = "OUTPUT", conflicts_with_all = ["add_outputs", "remove_outputs"])]
    pub outputs: Vec<String>,
    /// One more output, or other settings for the one that leads there.
    #[arg(long = "add-out", value_name = "OUTPUT", conflicts_with = "file")]
    pub add_outputs: Vec<String>,
    /// An output less: ADDR:PORT, IFACE/ADDR:PORT, or its number from 0.
    #[arg(long = "remove-out", value_name = "WHICH", conflicts_with = "file")]
    pub remove_outputs: Vec<String>,
    /// The rest.
    #[command(flatten)]
    pub parts: Parts,
}

/// Relays by their names.
#[derive(Debug, Args)]
pub struct Names {
    /// The relays; * stands for anything, ? for one character.
    #[arg(required_unless_present = "labels", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// Only relays with such a label: group=news, group!=news, group or !group. Given more than once, all must hold.
    #[arg(short = 'l', long = "selector", value_name = "LABEL", value_parser = condition)]
    pub labels: Vec<String>,
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Change it also where it cannot be kept, as on a full disk; it is kept as soon as that works.
    #[arg(long)]
    pub volatile: bool,
    /// Print the API's JSON, one line for each relay.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// Which relays to list.
#[derive(Debug, Args)]
pub struct List {
    /// Only relays with such a name; * stands for anything, ? for one character.
    #[arg(value_name = "PATTERN", value_parser = NonEmptyStringValueParser::new())]
    pub patterns: Vec<String>,
    /// Only relays with such a label: group=news, group!=news, group or !group. Given more than once, all must hold.
    #[arg(short = 'l', long = "selector", value_name = "LABEL", value_parser = condition)]
    pub labels: Vec<String>,
    /// Show their labels too.
    #[arg(long = "labels")]
    pub shows_labels: bool,
    /// Only relays in this state: running, silent, pending, muted, disabled or shadowed. Pending are also those in another
    /// state of which a part waits.
    #[arg(long, value_name = "STATE", value_parser = ["running", "silent", "pending", "muted", "disabled", "shadowed"])]
    pub state: Vec<String>,
    /// Only relays from there.
    #[arg(long, value_name = "ORIGIN", value_parser = ["file", "api"])]
    pub origin: Option<String>,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// Which relay to show.
#[derive(Debug, Args)]
pub struct Show {
    /// The relay, or several; * stands for anything, ? for one character.
    #[arg(required_unless_present = "labels", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub names: Vec<String>,
    /// Only relays with such a label: group=news, group!=news, group or !group. Given more than once, all must hold.
    #[arg(short = 'l', long = "selector", value_name = "LABEL", value_parser = condition)]
    pub labels: Vec<String>,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}
