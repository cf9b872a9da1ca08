//! What is known of a relay's way: plain data. Numbers were read twice, so that it can be seen what rises.

use crate::counters::LaneCounter;
use crate::decide::Verdict;
use crate::drops::Drop;
use crate::facts::{Link, LinkCounts};
use crate::looping::Found;
use crate::plan::{Input, Relay};
use crate::table::{Part, PendingReason};
use alloc::{string::String, vec::Vec};
use core::net::IpAddr;

/// Everything that is known of the way of one relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The relay as the plan has it.
    pub relay: Relay,
    /// The file that it stands in, when it can be changed only there.
    pub file: Option<String>,
    /// Why it must not send, when it must not.
    pub mute: Option<Mute>,
    /// What of it cannot work yet.
    pub pending: Vec<(Part, PendingReason)>,
    /// Its input link, when there is one.
    pub link: Option<Link>,
    /// Whether and how its group is joined.
    pub membership: Membership,
    /// What runs on its input link.
    pub attachment: Attachment,
    /// Whether its key lies in the kernel's map, when that was looked at.
    pub is_matched: Option<bool>,
    /// The receive queues of its input link that are served.
    pub queues: Vec<Queue>,
    /// The lanes that serve them.
    pub lanes: Vec<Lane>,
    /// A stream is silent after so long without a packet.
    pub silence_after_ns: u64,
    /// The longest packet that a frame has room for.
    pub longest_packet: u32,
    /// What was counted.
    pub before: Counts,
    /// What was counted `window_ns` later.
    pub now: Counts,
    /// The time between the two.
    pub window_ns: u64,
    /// What of its group went past the program meanwhile, when that was looked at.
    pub wire: Option<Wire>,
    /// Processes of this host that listen to what the program takes away.
    pub listeners: Vec<Listener>,
    /// Memberships of its group on this host that are not ours.
    pub foreign_members: u32,
}

/// Why a relay must not send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mute {
    /// Somebody muted the relay.
    Relay,
    /// The node is not active.
    Node {
        /// Its role.
        role: String,
    },
}

/// How a group is joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The destination is no group: nothing has to be joined.
    NotNeeded,
    /// Nobody looked.
    Unknown,
    /// A group.
    Group {
        /// The device that it is joined on: the link, or the VLAN device on it.
        device: String,
        /// Whether we hold it.
        is_held: bool,
        /// Whether the kernel has it on that device.
        is_in_kernel: bool,
        /// Sources of the relay that the kernel does not ask for, although it asks for others.
        missing_sources: Vec<IpAddr>,
    },
}

/// What runs on the input link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// Nobody looked.
    Unknown,
    /// Our program.
    Ours {
        /// The word for where it runs: `native` or `generic`.
        mode: &'static str,
    },
    /// We have not attached it.
    Never,
    /// Somebody detached it.
    Detached,
    /// Somebody put another in its place.
    Replaced {
        /// The kernel's number of that one.
        program: u32,
    },
}

/// A receive queue that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its number.
    pub number: u32,
    /// Whether its socket is where the program looks for it.
    pub has_socket: bool,
}

/// A lane that serves the relay's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Its number.
    pub number: u32,
    /// Whether its process is there.
    pub is_alive: bool,
    /// How long ago it last came round.
    pub heartbeat_age_ns: u64,
    /// How long that may be.
    pub heartbeat_limit_ns: u64,
    /// The generation that it runs.
    pub generation: u64,
    /// The generation in force.
    pub in_force: u64,
}

impl Lane {
    /// Whether it does its work.
    pub(super) const fn is_fine(&self) -> bool {
        self.is_alive && self.heartbeat_age_ns <= self.heartbeat_limit_ns && self.generation >= self.in_force
    }
}

/// What was counted at one moment, over all lanes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets of the relay that came to a lane.
    pub packets: u64,
    /// How long ago the last one came; `None` before the first.
    pub last_age_ns: Option<u64>,
    /// Packets that the relay dropped, by reason.
    pub drops: Vec<(Drop, u64)>,
    /// Where its packets come round from, over other nodes, if they do.
    pub comes_round: Option<Found>,
    /// Its outputs, in the user's order.
    pub outputs: Vec<OutputCounts>,
    /// Transmit calls of its lanes that did not go well.
    pub kicks: Vec<(LaneCounter, u64)>,
    /// Verdicts of the program over all relays.
    pub verdicts: Vec<(Verdict, u64)>,
    /// What was counted on its input link, whosever packets they are.
    pub link: Option<LinkCounts>,
}

/// What one output has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputCounts {
    /// Packets put on a transmit ring.
    pub packets: u64,
    /// Packets dropped, by reason.
    pub drops: Vec<(Drop, u64)>,
}

/// What went past the program on the input link: what it redirects or drops does not come by here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// For how long it was looked at.
    pub watched_ns: u64,
    /// What came to the relay's destination, alike ones together.
    pub frames: Vec<WireFrames>,
    /// Frames that there was no time for.
    pub missed: u64,
}

/// Frames to the relay's destination that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireFrames {
    /// Who sent them.
    pub source: IpAddr,
    /// Their tags, outer first; 0 where there is none.
    pub vlans: [u16; 2],
    /// The UDP port that they were sent to; `None` in fragments.
    pub port: Option<u16>,
    /// How many.
    pub count: u64,
}

/// How a frame on the wire suits a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is exactly what the relay wants, and yet went past the program.
    Exact,
    /// It is a part of a datagram.
    Fragment,
    /// Another UDP port.
    OtherPort,
    /// Other tags.
    OtherVlan,
    /// A source that the relay does not name.
    OtherSource,
}

impl WireFrames {
    /// How they suit an input.
    #[must_use]
    pub fn fit(&self, input: &Input) -> Fit {
        match self.port {
            None => Fit::Fragment,
            Some(port) if port != input.port.get() => Fit::OtherPort,
            Some(_) if self.vlans != input.vlans => Fit::OtherVlan,
            Some(_) if !input.sources.is_empty() && !input.sources.contains(&self.source) => Fit::OtherSource,
            Some(_) => Fit::Exact,
        }
    }
}

/// A process of this host that waits for what the program takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What its socket is bound to.
    pub address: IpAddr,
    /// And its port.
    pub port: u16,
    /// Its number and name, when they can be seen.
    pub process: Option<(u32, String)>,
}

impl Evidence {
    /// Packets of the relay that came meanwhile.
    pub(super) const fn risen(&self) -> u64 {
        self.now.packets.saturating_sub(self.before.packets)
    }

    /// By how much a count of the input link rose, when it could be read.
    pub(super) fn risen_on_link(&self, read: impl Fn(&LinkCounts) -> u64) -> Option<u64> {
        let (before, now) = (self.before.link.as_ref()?, self.now.link.as_ref()?);
        Some(read(now).saturating_sub(read(before)))
    }

    /// Whether packets come to the lanes.
    pub(super) fn flows(&self) -> bool {
        self.risen() > 0 || self.now.last_age_ns.is_some_and(|age| age < self.silence_after_ns)
    }

    /// By how much a verdict rose.
    pub(super) fn verdict(&self, verdict: Verdict) -> u64 {
        rise(&self.before.verdicts, &self.now.verdicts, verdict)
    }

    /// What went past the program that suits in this way, the most frequent first.
    pub(super) fn passed(&self, fit: Fit) -> Vec<&WireFrames> {
        let frames = self.wire.iter().flat_map(|wire| &wire.frames);
        let mut frames: Vec<_> = frames.filter(|frames| frames.fit(&self.relay.input) == fit).collect();
        frames.sort_by_key(|frames| core::cmp::Reverse(frames.count));
        frames
    }

    /// Why a part is pending.
    pub(super) fn pending(&self, part: Part) -> impl Iterator<Item = &PendingReason> {
        self.pending.iter().filter(move |(of, _)| *of == part).map(|(_, reason)| reason)
    }
}

/// By how much one of several numbers rose.
pub(super) fn rise<T: PartialEq + Copy>(before: &[(T, u64)], now: &[(T, u64)], what: T) -> u64 {
    let count = |counts: &[(T, u64)]| counts.iter().filter(|(of, _)| *of == what).map(|(_, n)| *n).sum::<u64>();
    count(now).saturating_sub(count(before))
}
