//! What is waited for.

use super::node::Node;
use super::relay::condition;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use relay_config::duration::duration;
use std::time::Duration;

/// What to wait for.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr wait --healthy && mcr relay ls
  mcr wait --relay ch1 --flowing --timeout 30s
  mcr wait --ready --flowing -l group=news --timeout 5m

All that is given must hold at once. What is still missing is told on standard error. A control that does not answer, ends or
is started again meanwhile is waited for, too.

Exit code 0: it is so; 1: it was not within the timeout, and why; 3: mcr did not answer at the end of it.")]
pub struct Wait {
    /// Until packets can flow: mcr health would say ok.
    #[arg(long)]
    pub healthy: bool,
    /// Until the node is ready, too: mcr health --ready would say ok.
    #[arg(long)]
    pub ready: bool,
    /// Until packets of the relays come in, and all of their outputs can send.
    #[arg(long)]
    pub flowing: bool,
    /// Of these relays; * stands for anything, ? for one character.
    #[arg(long, value_name = "PATTERN", requires = "flowing", value_parser = NonEmptyStringValueParser::new())]
    pub relay: Vec<String>,
    /// Of relays with such a label: group=news, group!=news, group or !group. Given more than once, all must hold.
    #[arg(short = 'l', long = "selector", value_name = "LABEL", requires = "flowing", value_parser = condition)]
    pub labels: Vec<String>,
    /// How long at most.
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub timeout: Duration,
    /// Say nothing: only the exit code.
    #[arg(short, long)]
    pub quiet: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}
