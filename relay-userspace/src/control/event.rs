//! Everything that can happen to control.

use crate::link::event::LinkEvent;

/// One thing that happened. The set is closed: the driver handles each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The kernel says something about links, addresses, neighbours or routes.
    Link(LinkEvent),
    /// A lane's process ended.
    LaneEnded {
        /// The lane.
        number: u32,
        /// The process, so that a late notice of a predecessor is not taken for the present one.
        pid: u32,
    },
    /// It is time to start a lane again that kept dying.
    LaneDue {
        /// The lane.
        number: u32,
    },
    /// Somebody wants us to end.
    Stop,
}
