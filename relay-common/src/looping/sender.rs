//! Who put a packet on a link, as far as the packet shows it.

use crate::abi::Address;
use core::fmt;

/// The sender of a packet. What comes round has the last relay's or router's address, and a TTL that seldom is the source's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Its hardware address.
    pub mac: [u8; 6],
    /// The TTL or hop limit that its packet came with.
    pub ttl: u8,
    /// The source address of its packet.
    pub source: Address,
}

impl Sender {
    /// Hardware address and TTL in one word, for a lane's counters; never 0.
    #[must_use]
    pub const fn word(&self, all: bool) -> u64 {
        let [a, b, c, d, e, f] = self.mac;
        u64::from_be_bytes([1 | (all as u8) << 1, self.ttl, a, b, c, d, e, f])
    }
}

/// What a lane says of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The hardware address that the loop comes in from.
    pub mac: [u8; 6],
    /// The TTL it comes in with.
    pub ttl: u8,
    /// Whether all packets are dropped, not only those of that sender.
    pub all: bool,
}

impl Found {
    /// Reads [`Sender::word`].
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        let [flags, ttl, a, b, c, d, e, f] = word.to_be_bytes();
        Self { mac: [a, b, c, d, e, f], ttl, all: flags & 2 != 0 }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, last] = self.mac;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{last:02x}, TTL {}", self.ttl)
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Sender};
    use crate::abi::Address;
    use alloc::string::ToString;

    #[test]
    fn a_word_says_who_it_was() {
        let sender = Sender { mac: [2, 0, 0, 0, 0xab, 7], ttl: 16, source: Address::NONE };
        for all in [false, true] {
            let found = Found::from_word(sender.word(all));
            assert_eq!(found, Found { mac: sender.mac, ttl: 16, all });
            assert_eq!(found.to_string(), "02:00:00:00:ab:07, TTL 16");
        }
    }
}
