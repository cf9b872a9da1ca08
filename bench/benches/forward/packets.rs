//! What comes in, and how it leaves.

use bench::packet::{Checksum, Headers, Mac, Vlan, build};
use relay_common::abi::Address;
use relay_common::entry::Rewrite;
use zerocopy::FromZeros;

/// Seven TS packets.
const PAYLOAD: usize = 1316;
/// An RTP header without extensions.
const RTP: usize = 12;
const TS: usize = 188;
/// The link that packets come in on.
pub(crate) const IFINDEX: u32 = 7;

/// Groups that relays send to.
pub(crate) const TO_V4: Address = Address::v4([239, 2, 1, 1]);
pub(crate) const TO_V6: Address = Address([0xff, 0x3e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 2]);

/// A datagram of a broadcast stream, as it comes in over IPv4.
pub(crate) fn v4(tags: &[Vlan]) -> Vec<u8> {
    bytes(&headers("10.1.0.1:4000", "239.1.1.1:5000").tagged(tags))
}

/// The same without a UDP checksum.
pub(crate) fn v4_without_checksum() -> Vec<u8> {
    bytes(&headers("10.1.0.1:4000", "239.1.1.1:5000").checksum(Checksum::Zero))
}

/// The same over IPv6.
pub(crate) fn v6() -> Vec<u8> {
    bytes(&headers("[fd00::1]:4000", "[ff3e::8000:1]:5000"))
}

/// The same with an RTP header in front of the TS packets, or without, its checksum whole or left to hardware.
pub(crate) fn stream(is_rtp: bool, is_unfinished: bool) -> Vec<u8> {
    let mut payload = vec![0x47; PAYLOAD + if is_rtp { RTP } else { 0 }];
    number(&mut payload, is_rtp, 0);
    let checksum = if is_unfinished { Checksum::Partial } else { Checksum::Right };
    build(&headers("10.1.0.1:4000", "239.1.1.1:5000").checksum(checksum), &payload)
}

/// Makes a payload the `n`th of its stream: nothing of it is missing. Its UDP checksum is not kept right.
pub(crate) fn number(payload: &mut [u8], is_rtp: bool, n: u64) {
    let [low, high, ..] = n.to_le_bytes();
    let (rtp, packets) = payload.split_at_mut(if is_rtp { RTP } else { 0 });
    if is_rtp {
        rtp.copy_from_slice(&[0x80, 33, high, low, 0, 0, high, low, 1, 2, 3, 4]);
    }
    let first = low.wrapping_mul(7);
    for (packet, i) in packets.chunks_exact_mut(TS).zip(0u8..) {
        // One PID of video, payload only.
        packet[..4].copy_from_slice(&[0x47, 1, 0, 0x10 | first.wrapping_add(i) & 0xf]);
        // What it carries is never the same again.
        packet[4..12].copy_from_slice(&n.to_le_bytes());
    }
}

/// Gives the end of a header another UDP checksum for each `n`, as packets of a stream have it. It is not kept right.
pub(crate) fn check(header: &mut [u8], n: u64) {
    let [low, high, ..] = n.to_le_bytes();
    if let [.., a, b] = header {
        (*a, *b) = (low, high);
    }
}

fn headers(source: &str, group: &str) -> Headers {
    let (source, group) = (source.parse().expect("a source"), group.parse().expect("a group"));
    Headers::new(source, group).from_mac(Mac([2, 0, 0, 0, 0, 1]))
}

fn bytes(headers: &Headers) -> Vec<u8> {
    build(headers, &[0x47; PAYLOAD])
}

/// What an output to this group writes: everything is changed that can be, tags are kept.
pub(crate) fn rewrite(group: Address, port: u16) -> Rewrite {
    let mut rewrite = Rewrite::new_zeroed();
    let [.., a, b, c, d] = group.0;
    rewrite.destination = group;
    rewrite.destination_mac = if group.is_v4() { [1, 0, 0x5e, b & 0x7f, c, d] } else { [0x33, 0x33, a, b, c, d] };
    rewrite.source = if group.is_v4() { Address::v4([10, 2, 0, 1]) } else { Address([0xfd; 16]) };
    rewrite.source_mac = [2, 0, 0, 0, 0, 2];
    rewrite.destination_port = port;
    rewrite.n_vlans = Rewrite::KEEP_VLANS;
    rewrite.ttl = 16;
    rewrite.dscp = 34;
    rewrite.flags = Rewrite::SET_SOURCE | Rewrite::SET_DSCP;
    rewrite
}
