//! Everything that can happen to control.

use super::desk::Asked;
use crate::link::event::LinkEvent;

/// One thing that happened. The set is closed: the driver handles each.
#[derive(Debug)]
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
    /// A lane that a dead control left showed what cannot be. It was ended.
    LaneUntrue {
        /// The lane.
        number: u32,
        /// The process, as the kernel says.
        pid: u32,
        /// What cannot be.
        problem: String,
    },
    /// It is time to start a lane again that kept dying.
    LaneDue {
        /// The lane.
        number: u32,
    },
    /// The frames of a socket that was dropped can be had back.
    SocketGone {
        /// The lane.
        lane: u32,
        /// The socket's number within the lane.
        number: u16,
    },
    /// Somebody asks for a change.
    Asked(Asked),
    /// Somebody wants the configuration file read again (SIGHUP).
    Reload,
    /// A burst of notices of links has settled.
    LinksSettled,
    /// A second has gone by.
    Tick,
    /// Somebody wants us to end.
    Stop,
}
