//! Frames from headers.

use super::checksum::{UDP, pseudo_header, sum};
use super::{Checksum, Headers, Ip, Ipv4, Ipv6};

const UDP_HEADER: usize = 8;

/// Makes the frame of a datagram with these headers.
///
/// # Panics
/// When the headers cannot be written: a datagram above 65535 bytes, options that are no multiple of four bytes, an
/// extension header of odd size.
pub fn build(headers: &Headers, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(64 + UDP_HEADER + payload.len());
    frame.extend(headers.destination_mac.0);
    frame.extend(headers.source_mac.0);
    for vlan in &headers.vlans {
        let tci = u16::from(vlan.priority) << 13 | u16::from(vlan.drop_eligible) << 12 | vlan.id & 0xfff;
        frame.extend(vlan.tpid.to_be_bytes());
        frame.extend(tci.to_be_bytes());
    }
    let length = wire_length(UDP_HEADER + payload.len());
    match &headers.ip {
        Ip::V4(ip) => put_ipv4(&mut frame, ip, length),
        Ip::V6(ip) => put_ipv6(&mut frame, ip, length),
    }
    let udp = frame.len();
    frame.extend(headers.source_port.to_be_bytes());
    frame.extend(headers.destination_port.to_be_bytes());
    frame.extend(length.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(payload);
    seal(&mut frame[udp..], headers);
    frame
}

/// Writes the UDP checksum that `headers` ask for into `datagram`, which begins with the UDP header. For senders that
/// change the payload of a built frame.
///
/// # Panics
/// When the datagram has no whole header or is above 65535 bytes.
pub fn seal(datagram: &mut [u8], headers: &Headers) {
    let pseudo = pseudo_header(&headers.ip, wire_length(datagram.len()));
    datagram[6..8].fill(0);
    // A sum that comes out as zero is sent as its other form, since zero means that there is none (RFC 768).
    let right = match !sum(datagram, pseudo) {
        0 => 0xffff,
        sum => sum,
    };
    let checksum = match headers.checksum {
        Checksum::Right => right,
        Checksum::Zero => 0,
        Checksum::Partial => pseudo,
        // Neither zero nor by chance one of the others.
        Checksum::Wrong => (1..).find(|wrong| *wrong != right && *wrong != pseudo && !*wrong != 0).unwrap_or(1),
    };
    datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
}

fn put_ipv4(frame: &mut Vec<u8>, ip: &Ipv4, udp_length: u16) {
    assert!(ip.options.len().is_multiple_of(4) && ip.options.len() <= 40, "IPv4 options of {} bytes", ip.options.len());
    frame.extend(0x0800_u16.to_be_bytes());
    let start = frame.len();
    let header_length = 20 + ip.options.len();
    let words = u8::try_from(header_length / 4).expect("at most 15");
    frame.extend([0x40 | words, ip.tos]);
    frame.extend(wire_length(header_length + usize::from(udp_length)).to_be_bytes());
    frame.extend(ip.identification.to_be_bytes());
    let flags = u16::from(ip.dont_fragment) << 14 | u16::from(ip.more_fragments) << 13;
    frame.extend((flags | ip.fragment_offset & 0x1fff).to_be_bytes());
    frame.extend([ip.ttl, UDP, 0, 0]);
    frame.extend(ip.source.octets());
    frame.extend(ip.destination.octets());
    frame.extend(&ip.options);
    let right = !sum(&frame[start..], 0);
    let checksum = if ip.checksum == Checksum::Right { right } else { right ^ 0x5555 };
    frame[start + 10..start + 12].copy_from_slice(&checksum.to_be_bytes());
}

fn put_ipv6(frame: &mut Vec<u8>, ip: &Ipv6, udp_length: u16) {
    let extensions: usize = ip.extensions.iter().map(|extension| 2 + extension.content.len()).sum();
    frame.extend(0x86dd_u16.to_be_bytes());
    let first = 6 << 28 | u32::from(ip.traffic_class) << 20 | ip.flow_label & 0xf_ffff;
    frame.extend(first.to_be_bytes());
    frame.extend(wire_length(extensions + usize::from(udp_length)).to_be_bytes());
    let mut kinds = ip.extensions.iter().map(|extension| extension.kind).chain([UDP]);
    frame.extend([kinds.next().unwrap_or(UDP), ip.hop_limit]);
    frame.extend(ip.source.octets());
    frame.extend(ip.destination.octets());
    for (extension, next) in ip.extensions.iter().zip(kinds) {
        let length = 2 + extension.content.len();
        assert!(length >= 8 && length.is_multiple_of(8), "an extension header of {length} bytes");
        frame.extend([next, u8::try_from(length / 8 - 1).expect("at most 2048 bytes")]);
        frame.extend(&extension.content);
    }
}

fn wire_length(length: usize) -> u16 {
    u16::try_from(length).expect("a datagram has at most 65535 bytes")
}
