//! Why a plan does not fit this node.

use super::FrameBudget;
use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

/// Why a plan does not fit this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// More relays than the table has room for.
    TooManyRelays {
        /// Relays of the plan, ranges expanded.
        n_relays: usize,
        /// The room.
        max_relays: u32,
    },
    /// More outputs than the table has room for.
    TooManyOutputs {
        /// Outputs of the plan, ranges expanded.
        n_outputs: usize,
        /// The room.
        max_outputs: u32,
    },
    /// Two relays want the same frames.
    SameInput {
        /// The relay that has them.
        first: String,
        /// The relay that was refused.
        second: String,
        /// The source that both name; none when one of them takes any.
        source: Option<IpAddr>,
    },
    /// A lane could run out of frames.
    TooFewFrames(FrameBudget),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRelays { n_relays, max_relays } => {
                write!(f, "{n_relays} relays, but there is room for {max_relays}: raise lanes.max_relays and restart")
            }
            Self::TooManyOutputs { n_outputs, max_outputs } => {
                write!(
                    f,
                    "{n_outputs} outputs, but there is room for {max_outputs}: raise lanes.max_outputs and restart"
                )
            }
            Self::SameInput { first, second, source: Some(source) } => {
                write!(f, "relay \"{second}\" takes in what relay \"{first}\" does from {source}: ")?;
                write!(f, "name it in one of them, or give \"{first}\" the outputs of both")
            }
            Self::SameInput { first, second, source: None } => {
                write!(f, "relay \"{second}\" takes in what relay \"{first}\" does: ")?;
                write!(f, "give \"{first}\" the outputs of both, or name different sources in both")
            }
            Self::TooFewFrames(budget) => {
                let FrameBudget { n_rx_queues, n_tx_links, needed, frames } = budget;
                write!(f, "lanes.frames = {frames} is too few for a lane with {n_rx_queues} receive queues and ")?;
                write!(f, "{n_tx_links} output links: set it to at least {needed}, or leave it out")
            }
        }
    }
}
