//! The internet checksum (RFC 1071), computed over whole packets and never updated.

use super::Ip;

/// The protocol number of UDP.
pub(super) const UDP: u8 = 17;

/// The sum of big-endian 16-bit words, not complemented; an odd last byte counts as the high half of a word.
pub(super) fn sum(bytes: &[u8], start: u16) -> u16 {
    // Eight bytes at a time: carries are folded in at the end, and byte order does not matter to the sum until then.
    let (mut wide, chunks) = (u128::from(start.to_be()), bytes.chunks_exact(8));
    let mut last = [0; 8];
    let rest = chunks.remainder();
    last[..rest.len()].copy_from_slice(rest);
    for chunk in chunks {
        wide += u128::from(u64::from_ne_bytes(chunk.try_into().unwrap_or_default()));
    }
    wide += u128::from(u64::from_ne_bytes(last));
    fold(wide).to_be()
}

fn fold(mut wide: u128) -> u16 {
    loop {
        match u16::try_from(wide) {
            Ok(narrow) => return narrow,
            Err(_) => wide = (wide & 0xffff) + (wide >> 16),
        }
    }
}

/// The sum of the pseudo header of a UDP datagram of `length` bytes. With a routing header the final destination would
/// count; the laboratory sends only ones that are already there.
pub(super) fn pseudo_header(ip: &Ip, length: u16) -> u16 {
    let mut bytes = [0; 40];
    let used = match ip {
        Ip::V4(ip) => {
            bytes[..4].copy_from_slice(&ip.source.octets());
            bytes[4..8].copy_from_slice(&ip.destination.octets());
            8
        }
        Ip::V6(ip) => {
            bytes[..16].copy_from_slice(&ip.source.octets());
            bytes[16..32].copy_from_slice(&ip.destination.octets());
            32
        }
    };
    bytes[used + 1] = UDP;
    bytes[used + 2..used + 4].copy_from_slice(&length.to_be_bytes());
    sum(&bytes[..used + 4], 0)
}
