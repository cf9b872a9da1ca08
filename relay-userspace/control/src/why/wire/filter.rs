//! Only UDP to one destination, behind up to two tags: a classic filter, which the kernel runs before it copies a frame.

use relay_engine::sys::packet::Instruction;
use std::net::IpAddr;

const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const ALL_OF_IT: u32 = u32::MAX;

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const TAGS: [u32; 3] = [0x8100, 0x88a8, 0x9100];
const UDP: u32 = 17;
/// Where the EtherType of an untagged frame is.
const ETHER_TYPE: u32 = 12;
/// The kernel has taken the outer tag off, as a rule: one more than there can be otherwise.
const MOST_TAGS: u32 = 2;

/// The filter for a destination.
pub(super) fn to(destination: IpAddr) -> Vec<Instruction> {
    let mut filter = Vec::new();
    for n_tags in 0..=MOST_TAGS {
        let ether_type = ETHER_TYPE + 4 * n_tags;
        let (protocol, block) = match destination {
            IpAddr::V4(group) => (IPV4, v4(ether_type + 2, group.to_bits())),
            IpAddr::V6(group) => (IPV6, v6(ether_type + 2, group.to_bits())),
        };
        filter.push(instruction(LOAD_HALF, 0, 0, ether_type));
        let behind = u8::try_from(block.len()).expect("a block has ten instructions at most");
        filter.push(instruction(JUMP_EQUAL, 0, behind, protocol));
        filter.extend(block);
        for (left, tag) in (1_u8..=3).rev().zip(TAGS) {
            filter.push(instruction(JUMP_EQUAL, left, 0, tag));
        }
        filter.push(instruction(RETURN, 0, 0, 0));
    }
    filter.push(instruction(RETURN, 0, 0, 0));
    filter
}

/// UDP to an IPv4 address, with the header at `at`.
fn v4(at: u32, destination: u32) -> Vec<Instruction> {
    vec![
        instruction(LOAD_BYTE, 0, 0, at + 9),
        instruction(JUMP_EQUAL, 0, 3, UDP),
        instruction(LOAD_WORD, 0, 0, at + 16),
        instruction(JUMP_EQUAL, 0, 1, destination),
        instruction(RETURN, 0, 0, ALL_OF_IT),
        instruction(RETURN, 0, 0, 0),
    ]
}

/// Anything to an IPv6 address, with the header at `at`: extension headers may stand before UDP's.
fn v6(at: u32, destination: u128) -> Vec<Instruction> {
    let mut block = Vec::new();
    for (i, skip) in (0_u32..4).zip([7, 5, 3, 1]) {
        #[expect(clippy::cast_possible_truncation, reason = "a word is what is wanted")]
        let word = (destination >> (96 - 32 * i)) as u32;
        block.push(instruction(LOAD_WORD, 0, 0, at + 24 + 4 * i));
        block.push(instruction(JUMP_EQUAL, 0, skip, word));
    }
    block.push(instruction(RETURN, 0, 0, ALL_OF_IT));
    block.push(instruction(RETURN, 0, 0, 0));
    block
}

const fn instruction(code: u16, if_true: u8, if_false: u8, operand: u32) -> Instruction {
    Instruction { code, if_true, if_false, operand }
}
