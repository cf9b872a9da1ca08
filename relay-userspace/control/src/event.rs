//! Everything that can happen to control.

use super::agenda::End;
use super::desk::{Asked, Desk};
use super::supervisor::Seen;
use super::urgent::Urgent;
use crate::link::event::LinkEvent;
use relay_common::written::Line;
use relay_config::Http;
use tokio::sync::{mpsc, oneshot};

/// What the loop needs of a node that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Where control is asked.
    pub desk: Desk,
    /// What is asked there.
    pub asks: mpsc::Receiver<Asked>,
    /// Where the lanes can be seen.
    pub lanes: Seen,
    /// Whether lanes that are started again have to be given sockets: see [`Start`](super::node::Start).
    pub rebinds: bool,
    /// What decides which rights are kept.
    pub http: Http,
    /// The worker waits for this before it says that it is ready.
    pub go_on: oneshot::Sender<()>,
}

/// What came of what the worker was given.
#[derive(Debug, Default)]
pub struct Done {
    /// Relays were silenced by this change, which did not wait for others.
    pub silenced: Option<(u64, Urgent)>,
    /// Another control is to follow.
    pub end: Option<End>,
}

/// One thing that happened. The set is closed: the driver handles each.
#[derive(Debug)]
pub enum Event {
    /// The kernel says something about links, addresses, neighbours or routes.
    Link(LinkEvent),
    /// There is more to tell of streams than was told at once.
    StreamsUntold,
    /// The groups of a link were reported, because its carrier has returned.
    Reported {
        /// The link.
        link: String,
        /// How many.
        groups: usize,
    },
    /// A lane's process ended. Another one runs in its place, unless it failed to start or is let wait.
    LaneEnded {
        /// The lane.
        number: u32,
        /// The process that ended.
        pid: u32,
        /// How it ended.
        ending: String,
        /// Why it could not be started again.
        failed: Option<String>,
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
    /// A lane wrote something on its standard error.
    LaneWrote {
        /// The lane.
        number: u32,
        /// What.
        line: Line,
    },
    /// A lane that a dead control left cannot be taken over. It was ended.
    LaneReplaced {
        /// The lane.
        number: u32,
        /// The process.
        pid: u32,
        /// Why not.
        problem: String,
    },
    /// A lane that kept dying, and was let wait, was started again.
    LaneStarted {
        /// The lane.
        number: u32,
    },
    /// A lane hung and was ended: its end is told of as any other.
    LaneHangs {
        /// The lane.
        number: u32,
    },
    /// Something is wrong with a lane that was started.
    LaneTrouble {
        /// The lane.
        number: u32,
        /// What.
        text: String,
    },
    /// The frames of a socket that was dropped can be had back.
    SocketGone {
        /// The lane.
        lane: u32,
        /// The socket's number within the lane.
        number: u16,
    },
    /// Somebody asks for a change.
    Asked(Box<Asked>),
    /// The worker has begun: packets flow, and it waits for something to do.
    Begun(Box<Begun>),
    /// The worker has done what it was given.
    Done(Done),
    /// The worker has ended: its thread says how.
    WorkerEnded,
    /// Somebody wants the configuration file read again (SIGHUP).
    Reload,
    /// A burst of notices of links has settled.
    LinksSettled,
    /// A second has gone by.
    Tick,
    /// Somebody wants us to end.
    Stop,
}
