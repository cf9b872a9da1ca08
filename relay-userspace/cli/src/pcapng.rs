//! A capture as it comes: only whole blocks are passed on, so that the file is right wherever it ends.

/// The reader.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    rest: Vec<u8>,
    is_big: bool,
    /// Packets that were passed on.
    pub(super) packets: u64,
    /// Bytes that were passed on.
    pub(super) bytes: u64,
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
/// No block of a packet that fits a frame is longer.
const LONGEST: usize = 1 << 20;

impl Blocks {
    /// Takes more bytes, and gives those of the blocks that are whole now. `None` if these are no blocks.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.rest.extend_from_slice(bytes);
        let mut end = 0;
        while let Some(head) = self.rest.get(end..end + 12) {
            let word = |at: usize| [head[at], head[at + 1], head[at + 2], head[at + 3]];
            let number = |is_big, word| if is_big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) };
            // The type of a section's header reads the same from both ends; its next word tells the order.
            let is_head = u32::from_le_bytes(word(0)) == SECTION_HEADER;
            if is_head {
                self.is_big = word(8) == [0x1a, 0x2b, 0x3c, 0x4d];
            } else if self.bytes == 0 && end == 0 {
                return None;
            }
            let length = number(self.is_big, word(4)) as usize;
            if !(12..=LONGEST).contains(&length) || !length.is_multiple_of(4) {
                return None;
            }
            if self.rest.len() < end + length {
                break;
            }
            end += length;
            self.packets += u64::from(matches!(number(self.is_big, word(0)), SIMPLE_PACKET | ENHANCED_PACKET));
        }
        self.bytes += end as u64;
        let rest = self.rest.split_off(end);
        Some(std::mem::replace(&mut self.rest, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(is_big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
        let word = |number: u32| if is_big { number.to_be_bytes() } else { number.to_le_bytes() };
        let length = word(12 + u32::try_from(body.len()).unwrap());
        [&word(kind)[..], &length, body, &length].concat()
    }

    fn capture(is_big: bool) -> Vec<u8> {
        let magic = if is_big { 0x1a2b_3c4d_u32.to_be_bytes() } else { 0x1a2b_3c4d_u32.to_le_bytes() };
        let head = block(is_big, SECTION_HEADER, &[&magic[..], &[0; 12]].concat());
        let packet = |n: usize| block(is_big, ENHANCED_PACKET, &vec![7; 20 + 4 * n]);
        [head, block(is_big, 1, &[0; 8]), packet(1), packet(300), packet(0)].concat()
    }

    #[test]
    fn pieces_do_not_matter_and_ends_are_whole() {
        for is_big in [false, true] {
            let capture = capture(is_big);
            for size in [1, 5, 64, 4096] {
                let mut blocks = Blocks::default();
                let out: Vec<u8> = capture.chunks(size).flat_map(|piece| blocks.feed(piece).unwrap()).collect();
                assert_eq!((out, blocks.packets, blocks.bytes), (capture.clone(), 3, capture.len() as u64));
            }
            let mut blocks = Blocks::default();
            let out = blocks.feed(&capture[..capture.len() - 1]).unwrap();
            assert_eq!((out.len(), blocks.packets), (capture.len() - 32, 2));
        }
    }

    #[test]
    fn what_is_no_capture_is_refused() {
        assert_eq!(Blocks::default().feed(b"{\"hello\":1}..."), None);
        let mut wrong = capture(false);
        wrong[4] = 3;
        assert_eq!(Blocks::default().feed(&wrong), None);
    }
}
