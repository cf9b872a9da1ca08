//! What becomes of a frame. The XDP program and the tests call the same function.

use crate::abi::{InputKey, InputValue, MacKey, SourceKey};
use crate::datagram::{Datagram, NotADatagram};
use crate::frame::Frame;
use crate::wire::ethernet::Ethernet;

/// What is wanted here: the kernel's maps, or a list in a test.
pub trait Groups {
    /// The relay's input that has this key.
    fn input(&self, key: &InputKey) -> Option<InputValue>;
    /// The slot of the relay that takes this source. Asked only where relays name theirs.
    fn source(&self, key: &SourceKey) -> Option<u32>;
    /// Whether this hardware address is one of ours.
    fn own_mac(&self, key: &MacKey) -> bool;
}

/// What the XDP program decided about a frame: the name of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// Handed to the socket of its queue.
    Ours,
    /// Not UDP in IPv4 or IPv6.
    NotUdp,
    /// UDP, but no relay's input.
    NotOurs,
    /// A part of a datagram.
    Fragment,
    /// Lengths that contradict each other.
    Malformed,
    /// Too many headers before the payload.
    LongHeader,
    /// A relay's input, from a source that no relay names.
    WrongSource,
    /// A relay's input, on a queue without a socket.
    NoSocket,
    /// A relay's input, sent by ourselves.
    Loop,
    /// A frame whose VLAN tag travels beside it.
    TagBeside,
}

/// What happens to the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The kernel goes on with it.
    Pass,
    /// It ends here.
    Drop,
    /// A lane gets it.
    Redirect,
}

impl Verdict {
    /// All verdicts, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Ours,
        Self::NotUdp,
        Self::NotOurs,
        Self::Fragment,
        Self::Malformed,
        Self::LongHeader,
        Self::WrongSource,
        Self::NoSocket,
        Self::Loop,
        Self::TagBeside,
    ];
    /// How many verdicts there are: the entries of the map `VERDICTS`.
    pub const COUNT: u32 = 10;

    /// Its place in [`Verdict::ALL`] and in the map `VERDICTS`.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// What happens to a frame with this verdict. Only what would go round for ever is dropped: whatever is not ours
    /// belongs to the kernel.
    #[inline(always)]
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::Ours => Action::Redirect,
            Self::Loop => Action::Drop,
            Self::NotUdp
            | Self::NotOurs
            | Self::Fragment
            | Self::Malformed
            | Self::LongHeader
            | Self::WrongSource
            | Self::NoSocket
            | Self::TagBeside => Action::Pass,
        }
    }

    /// The name in metrics, summaries and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::NotUdp => "not_udp",
            Self::NotOurs => "not_ours",
            Self::Fragment => "fragment",
            Self::Malformed => "malformed",
            Self::LongHeader => "long_header",
            Self::WrongSource => "wrong_source",
            Self::NoSocket => "no_socket",
            Self::Loop => "loop",
            Self::TagBeside => "tag_beside",
        }
    }

    /// What happened and what to do, in one sentence.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::Ours => "frames of a relay's input, handed to its lane",
            Self::NotUdp => "frames without UDP, such as ARP, IGMP and PTP: the kernel gets them",
            Self::NotOurs => "UDP that no relay takes in: the kernel gets it",
            Self::Fragment => {
                "fragments are not relayed: make the sender's datagrams fit its MTU, if these are of a relay's input"
            }
            Self::Malformed => "lengths that contradict each other: look for a faulty sender or cable",
            Self::LongHeader => "more than 128 bytes of headers: the sender's IPv6 extension headers are too many",
            Self::WrongSource => "a relay's group and port from a source that no relay names: find the second sender",
            Self::NoSocket => "no lane serves the queue: `mcr health` says which and why, or `queues` leaves it out",
            Self::Loop => "our own output came back as an input: look for a loop behind the output link",
            Self::TagBeside => {
                "VLAN tags that travel beside the frame, where a lane cannot see them: `ethtool -K IFACE txvlan off` on the peer of the link"
            }
        }
    }
}
const _: () = assert!(Verdict::ALL.len() == Verdict::COUNT as usize);

/// A verdict, and for a frame that is ours where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The relay's slot; 0 unless the frame is ours.
    pub slot: u32,
    /// The entry of the socket map; 0 unless the frame is ours.
    pub socket: u32,
}

impl Decision {
    /// A decision that leads nowhere.
    #[inline(always)]
    const fn only(verdict: Verdict) -> Self {
        Self { verdict, slot: 0, socket: 0 }
    }
}

/// Decides about a frame that came in on this link and queue.
///
/// The source is looked at before our own addresses: what a relay would not take in cannot go round.
///
/// Whether a socket is there is for the caller to see: [`Verdict::NoSocket`] is said here only of a queue that has no
/// place for one.
#[inline(always)]
pub fn decide<F: Frame + ?Sized, G: Groups>(frame: &F, ifindex: u32, queue: u32, groups: &G) -> Decision {
    let datagram = match Datagram::parse(frame) {
        Ok(datagram) => datagram,
        Err(NotADatagram::NotUdp) => return Decision::only(Verdict::NotUdp),
        Err(NotADatagram::Fragment) => return Decision::only(Verdict::Fragment),
        Err(NotADatagram::Malformed) => return Decision::only(Verdict::Malformed),
        Err(NotADatagram::LongHeader) => return Decision::only(Verdict::LongHeader),
    };
    // Built once, where it stands: a copy of the input's key costs more than looking it up.
    let wanted = SourceKey { input: datagram.key(ifindex), source: datagram.source };
    let Some(input) = groups.input(&wanted.input) else {
        return Decision::only(Verdict::NotOurs);
    };
    let slot = if input.has_sources == 0 {
        input.slot
    } else {
        match groups.source(&wanted) {
            Some(slot) => slot,
            None => return Decision::only(Verdict::WrongSource),
        }
    };
    let Some(link) = frame.header::<Ethernet>(0) else {
        return Decision::only(Verdict::Malformed);
    };
    if groups.own_mac(&MacKey { mac: link.source, zero: [0; 2] }) {
        return Decision::only(Verdict::Loop);
    }
    if queue >= input.n_queues {
        return Decision::only(Verdict::NoSocket);
    }
    // An entry past the end of the socket map has no socket, so a sum that wraps harms nothing.
    Decision { verdict: Verdict::Ours, slot, socket: input.socket_base.wrapping_add(queue) }
}

#[cfg(test)]
mod tests;
