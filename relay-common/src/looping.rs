//! Packets that come round: whether what a relay sends comes in again at its own input, over other nodes.
//!
//! Two nodes that feed each other, on one segment or through a routed core, would send each packet round for ever: each
//! sets a TTL of its own. What comes back looks like any other packet. That one packet comes again and again is no
//! proof either: the null packets of a transport stream are all the same. So a guard, one for each relay of a lane,
//! asks the packets themselves:
//!
//! 1. It watches for one packet. If that comes again within a moment, and again, there may be a loop.
//! 2. It draws random marks, and listens until it knows that the stream has none of them by itself.
//! 3. It sends the packet on with such a mark in a field that nobody needs: the identification of IPv4, which means
//!    nothing in a datagram that is not in fragments (RFC 6864), or the lower bits of IPv6's flow label. A packet that
//!    comes in with that mark is one that this relay has sent. A few of them prove the loop.
//! 4. Then what comes from where they came is dropped, so that what comes from elsewhere, the source itself, is still
//!    relayed. If that does not help, all of it is dropped. After a while it tries again.
//!
//! Time is an argument. `docs/decisions/0016-a-loop-is-proved-before-it-is-cut.md` says what else was possible.

use crate::datagram::Datagram;
use crate::frame::Frame;
use crate::wire::ethernet::Ethernet;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;

mod sender;
pub use sender::{Found, Sender};

const MS: u64 = 1_000_000;
/// For so long one packet is watched for.
const WATCH_NS: u64 = 250 * MS;
/// A packet that has come again so often is suspicious.
const SUSPICIOUS: u8 = 3;
/// So often it must come again while the marks are only listened for: whatever marks a stream goes through over and over
/// have then been heard.
const LISTEN: u8 = 2;
/// Marks that come back to prove a loop.
const PROOF: u32 = 5;
/// Marks that are sent out in search of it: some may be lost where a loop has filled a link.
const MARKS: u8 = 12;
/// A mark that has not come back after so long is followed by the next.
const PATIENCE_NS: u64 = 20 * MS;
/// After so long without a proof there is no loop, or none that is worth it.
const TRACE_NS: u64 = 600 * MS;
/// A packet that has not come for so long comes no more: another is watched for.
const QUIET_NS: u64 = 150 * MS;
/// After a search in vain the next one waits for a second, then for two, then for four.
const PAUSE_NS: u64 = 1000 * MS;
const LONGEST_PAUSE: u8 = 2;
/// For so long a loop stays cut at first; twice as long each time that it is still there, up to 32 times.
pub const CUT_NS: u64 = 10_000 * MS;
const LONGEST_CUT: u8 = 5;
/// A loop that is not found again within this, after it was let be, is gone.
pub const GONE_NS: u64 = 3000 * MS;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It goes on.
    Send,
    /// It goes on with this mark.
    Mark(u16),
    /// A loop was proved: it ends here, and so do others until then, in nanoseconds. The loop is known to be there, or
    /// not known to be gone, until the time told.
    Cut {
        /// Until when the relay counts as looping.
        loops_until: u64,
        /// Whether all packets are dropped, not only those of the same sender.
        all: bool,
    },
    /// It comes round, or may: it ends here.
    Drop,
}

/// A packet as a guard sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What stays the same when a packet comes round, in one number: ports, length, checksum, and how the payload begins.
    pub content: u64,
    /// The field that can be marked.
    pub mark: u16,
    /// Who put it on the link.
    pub sender: Sender,
}

impl Sighting {
    /// Looks at datagram `d` of this frame.
    #[must_use]
    pub fn of<F: Frame + ?Sized>(frame: &F, d: &Datagram) -> Option<Self> {
        let mark = if d.v6 {
            frame.header::<Ipv6>(d.l3 as usize)?.flow
        } else {
            frame.header::<Ipv4>(d.l3 as usize)?.identification
        };
        let ports = u32::from_ne_bytes(*frame.header(d.l4 as usize)?);
        let content = mix(u64::from(ports) | u64::from(d.checksum) << 32 | u64::from(d.end - d.payload) << 48);
        // Where there is no checksum, this tells packets apart: it holds the sequence of RTP, or the first counter of MPEG-TS.
        let begin = frame.header::<[u8; 8]>(d.payload as usize).map_or(0, |begin| u64::from_ne_bytes(*begin));
        let sender = Sender { mac: frame.header::<Ethernet>(0)?.source, ttl: d.ttl, source: d.source };
        Some(Self { content: mix(content ^ begin), mark: mark.get(), sender })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// For the packet to come again.
    Watch,
    /// For the marks that were drawn.
    Listen,
    /// For the marks that were sent.
    Trace,
}

/// What is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Nothing,
    Sender(Sender),
    All,
}

/// The guard over what one relay sends.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Guard {
    /// Until when the packet is watched for; 0 while every packet has to be looked at.
    until: u64,
    /// Its UDP checksum: most packets have another, and need no further look.
    checksum: u16,
    /// Its mark.
    mark: u16,
    /// Whose packets these are: see [`crate::entry::RelayEntry::epoch`].
    epoch: u32,
    /// When the packet is given up.
    ends: u64,
    content: u64,
    stage: Stage,
    /// How often the packet has come again in this stage.
    seen: u8,
    /// How many marks were sent.
    sent: u8,
    /// Searches in vain, one after the other.
    vain: u8,
    /// Which marks came back.
    back: u16,
    /// How often the loop was cut, one after the other.
    cuts: u8,
    /// When the search ends, at the latest.
    search_ends: u64,
    /// Of the marks.
    seed: u64,
    /// When the last mark was sent.
    marked_at: u64,
    /// Before this, nothing is suspicious.
    resume: u64,
    cut: Cut,
    /// When what is cut is let be again, or was.
    cut_ends: u64,
}

impl Guard {
    /// A guard that has seen nothing.
    pub const NEW: Self = Self {
        until: 0,
        checksum: 0,
        mark: 0,
        epoch: 0,
        ends: 0,
        content: 0,
        stage: Stage::Watch,
        seen: 0,
        sent: 0,
        vain: 0,
        back: 0,
        cuts: 0,
        search_ends: 0,
        seed: 0,
        marked_at: 0,
        resume: 0,
        cut: Cut::Nothing,
        cut_ends: 0,
    };

    /// Whether a packet with that UDP checksum has to be looked at. Every packet comes by here.
    #[inline(always)]
    #[must_use]
    pub const fn is_due(&self, checksum: u16, now: u64) -> bool {
        checksum == self.checksum || now >= self.until
    }

    /// Looks at a packet that a relay of that epoch is about to send.
    pub fn look(&mut self, checksum: u16, packet: &Sighting, epoch: u32, now: u64) -> Course {
        if self.epoch != epoch {
            *self = Self { epoch, ..Self::NEW };
        }
        if self.cut != Cut::Nothing {
            if now >= self.cut_ends {
                self.cut = Cut::Nothing;
                self.until = self.ends;
            } else if self.cut == Cut::All || self.cut == Cut::Sender(packet.sender) {
                return Course::Drop;
            }
        }
        if now >= self.ends {
            self.watch(checksum, packet, now);
            return Course::Send;
        }
        if checksum != self.checksum || packet.content != self.content {
            return Course::Send;
        }
        if self.stage != Stage::Watch {
            self.end_at(self.search_ends.min(now + QUIET_NS));
        }
        match self.stage {
            Stage::Watch => self.suspect(packet, now),
            Stage::Listen => self.listen(checksum, packet, now),
            Stage::Trace => return self.trace(packet, now),
        }
        Course::Send
    }

    /// Watches for this packet from now on.
    fn watch(&mut self, checksum: u16, packet: &Sighting, now: u64) {
        if self.stage != Stage::Watch {
            self.vain = if self.back == 0 { (self.vain + 1).min(LONGEST_PAUSE + 1) } else { 0 };
            let pause = self.vain.checked_sub(1).map_or(0, |doublings| PAUSE_NS << doublings);
            self.resume = now + pause;
        } else if self.seen < SUSPICIOUS {
            self.vain = 0;
        }
        if self.cut == Cut::Nothing && now >= self.cut_ends.saturating_add(GONE_NS) {
            self.cuts = 0;
        }
        (self.checksum, self.content, self.mark) = (checksum, packet.content, packet.mark);
        (self.stage, self.seen) = (Stage::Watch, 0);
        self.end_at(now + WATCH_NS);
    }

    fn end_at(&mut self, ends: u64) {
        self.ends = ends;
        self.until = if self.cut == Cut::Nothing { ends } else { 0 };
    }

    fn suspect(&mut self, packet: &Sighting, now: u64) {
        if packet.mark != self.mark {
            return;
        }
        self.seen = self.seen.saturating_add(1);
        if self.seen >= SUSPICIOUS && now >= self.resume {
            (self.stage, self.seen, self.sent, self.back) = (Stage::Listen, 0, 0, 0);
            self.seed = mix(now ^ self.content);
            self.search_ends = now + TRACE_NS;
            self.end_at(now + QUIET_NS);
        }
    }

    fn listen(&mut self, checksum: u16, packet: &Sighting, now: u64) {
        if packet.mark == self.mark {
            self.seen += 1;
            if self.seen >= LISTEN {
                self.stage = Stage::Trace;
            }
        } else if self.number_of(packet.mark, MARKS).is_some() {
            // It would come in without being sent: these marks prove nothing.
            self.watch(checksum, packet, now);
        }
    }

    fn trace(&mut self, packet: &Sighting, now: u64) -> Course {
        if let Some(number) = self.number_of(packet.mark, self.sent) {
            self.back |= 1 << number;
            if self.back.count_ones() >= PROOF {
                return self.cut(packet, now);
            }
        } else if packet.mark != self.mark || self.sent > 0 && now < self.marked_at + PATIENCE_NS {
            return Course::Send;
        }
        if self.sent >= MARKS {
            return Course::Send;
        }
        self.marked_at = now;
        self.sent += 1;
        Course::Mark(self.mark_of(self.sent - 1))
    }

    /// The loop is proved.
    fn cut(&mut self, packet: &Sighting, now: u64) -> Course {
        // Two loops that come in from different senders at once: there may be more.
        self.cut = if self.cut == Cut::Nothing { Cut::Sender(packet.sender) } else { Cut::All };
        self.cut_ends = now + (CUT_NS << self.cuts.min(LONGEST_CUT));
        self.cuts = self.cuts.saturating_add(1);
        (self.stage, self.seen, self.vain, self.resume) = (Stage::Watch, 0, 0, 0);
        self.end_at(now);
        Course::Cut { loops_until: self.cut_ends + GONE_NS, all: self.cut == Cut::All }
    }

    /// The mark of that number: never the packet's own.
    fn mark_of(&self, number: u8) -> u16 {
        let [low, high, ..] = mix(self.seed.wrapping_add(number.into())).to_ne_bytes();
        let mark = u16::from_ne_bytes([low, high]);
        if mark == self.mark { mark.wrapping_add(1) } else { mark }
    }

    /// Which of the first `n` marks this is.
    fn number_of(&self, mark: u16, n: u8) -> Option<u8> {
        (0..n).find(|number| self.mark_of(*number) == mark)
    }
}

/// Spreads every bit over all others (the finish of SplitMix64).
const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests;
