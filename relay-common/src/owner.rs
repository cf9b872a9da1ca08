//! The owner word: where a frame is, in shared memory, so that a lane that follows a dead one knows what is whose.
//!
//! A zero-copy driver holds frames that are in no ring, so the rings alone cannot tell. A word changes only when a
//! lane commits a batch through its journal; between two commits it is exact.

/// Who has a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The lane's pool: free for a copy or for a fill ring.
    Free,
    /// The kernel, through the fill ring of that socket; also while the frame waits in the receive ring.
    Fill {
        /// The socket's number within its lane.
        socket: u16,
    },
    /// The kernel, through that many transmit rings at once.
    Transmit {
        /// Transmit descriptors that have not been completed.
        rings: u8,
    },
}

impl Owner {
    /// The word in shared memory. All zero is a free frame, so fresh memory is a full pool.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u32 {
        match self {
            Self::Free => 0,
            Self::Fill { socket } => 1 | (socket as u32) << 16,
            Self::Transmit { rings } => 2 | (rings as u32) << 8,
        }
    }

    /// Reads a word; `None` for one that no lane of this layout writes.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u32) -> Option<Self> {
        match word.to_le_bytes() {
            [0, 0, 0, 0] => Some(Self::Free),
            [1, 0, low, high] => Some(Self::Fill { socket: u16::from_le_bytes([low, high]) }),
            [2, rings, 0, 0] if rings != 0 => Some(Self::Transmit { rings }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Owner;

    #[test]
    fn every_owner_survives_its_word() {
        let owners = [
            Owner::Free,
            Owner::Fill { socket: 0 },
            Owner::Fill { socket: u16::MAX },
            Owner::Transmit { rings: 1 },
            Owner::Transmit { rings: 64 },
            Owner::Transmit { rings: 255 },
        ];
        for owner in owners {
            assert_eq!(Owner::from_word(owner.word()), Some(owner));
        }
    }

    #[test]
    fn words_that_nobody_writes_are_refused() {
        for word in [3, 0xff, 0x100, 2, 0x1_0002, 0x101] {
            assert_eq!(Owner::from_word(word), None, "{word:#x}");
        }
    }
}
