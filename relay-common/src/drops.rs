//! Every reason why a packet is not sent, with its name and what an operator should know of it.

/// Why a lane did not send a packet, or not on one of its outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Drop {
    /// No relay of the table wants this frame any more.
    NoRelay,
    /// The frame is not a UDP datagram that can be relayed, although the XDP program let it through.
    Malformed,
    /// An IPv6 datagram without a UDP checksum, which must not be forwarded.
    NoChecksum,
    /// The relay has no output that can send.
    NoOutput,
    /// This output is pending: its link or its neighbour is missing.
    Pending,
    /// The relay is muted, or this node may not send now.
    Muted,
    /// Longer than the output link's MTU.
    OverMtu,
    /// The output's transmit ring is full.
    TxFull,
    /// No free frame for a copy.
    NoFrame,
    /// This output counts the TTL down, and the datagram came with 1.
    TtlExpired,
    /// An IPv4 datagram whose options name the routers that it is to pass.
    SourceRoute,
    /// What this relay sends comes in again, over other nodes: see [`crate::looping`].
    Looped,
    /// It lay on the transmit ring of a link that did not send, and became too old.
    Stale,
}

impl Drop {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::NoRelay,
        Self::Malformed,
        Self::NoChecksum,
        Self::NoOutput,
        Self::Pending,
        Self::Muted,
        Self::OverMtu,
        Self::TxFull,
        Self::NoFrame,
        Self::TtlExpired,
        Self::SourceRoute,
        Self::Looped,
        Self::Stale,
    ];
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The name in metrics, summaries and documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoRelay => "no_relay",
            Self::Malformed => "malformed",
            Self::NoChecksum => "no_checksum",
            Self::NoOutput => "no_output",
            Self::Pending => "pending",
            Self::Muted => "muted",
            Self::OverMtu => "over_mtu",
            Self::TxFull => "tx_full",
            Self::NoFrame => "no_frame",
            Self::TtlExpired => "ttl_expired",
            Self::SourceRoute => "source_route",
            Self::Looped => "looped",
            Self::Stale => "stale",
        }
    }

    /// What happened and what to do, in one sentence.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::NoRelay => "the relay was removed while the frame was on its way: harmless right after a change",
            Self::Malformed => "the frame changed or was cut between the XDP program and the lane: report it",
            Self::NoChecksum => "an IPv6 datagram came without a UDP checksum: turn checksums on at its sender",
            Self::NoOutput => "no output of the relay can send: see which outputs are pending",
            Self::Pending => "the output's link is missing or down or its neighbour is unknown",
            Self::Muted => "the relay is muted, or this node is not active: what comes in is measured, not sent",
            Self::OverMtu => "the datagram is longer than the output link's MTU: raise that MTU",
            Self::TxFull => {
                "the output link takes packets more slowly than they come: raise ring_size or spread the relays"
            }
            Self::NoFrame => "all frames of the lane are in use: raise lanes.frames",
            Self::TtlExpired => {
                "the datagram came with TTL 1 and the output counts down: raise the sender's TTL, or set the output's ttl"
            }
            Self::SourceRoute => {
                "the IPv4 options name a route, which would lead on from our output: turn source routing off at the sender"
            }
            Self::Looped => {
                "what the relay sends comes in again over another node: take one of the relays or outputs on the way round out"
            }
            Self::Stale => {
                "it waited for an output link that did not send (100 ms, a second if its device was busy, or in a card \
                 whose link went down), and was not sent late: see that link"
            }
        }
    }
}
