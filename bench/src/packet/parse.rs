//! Headers from frames.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};

use super::checksum::{UDP, pseudo_header, sum};
use super::{Checksum, Extension, Headers, Ip, Ipv4, Ipv6, Mac, TPID_8021AD, TPID_8021Q, Vlan};

/// A datagram found in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// All its headers.
    pub headers: Headers,
    /// Where in the frame its payload lies.
    pub payload: Range<usize>,
    /// How many bytes of the frame follow the payload (Ethernet pads short frames).
    pub padding: usize,
}

/// Reads the headers of a UDP datagram; an error says what the frame is instead.
pub fn parse(frame: &[u8]) -> Result<Parsed> {
    let mut reader = Reader { frame, at: 0 };
    let (destination_mac, source_mac) = (Mac(reader.array()?), Mac(reader.array()?));
    let mut vlans = Vec::new();
    let mut ether_type = reader.u16()?;
    while ether_type == TPID_8021Q || ether_type == TPID_8021AD {
        let tci = reader.u16()?;
        let [first, _] = tci.to_be_bytes();
        let (id, priority, drop_eligible) = (tci & 0xfff, first >> 5, first & 0x10 != 0);
        vlans.push(Vlan { tpid: ether_type, id, priority, drop_eligible });
        ether_type = reader.u16()?;
    }
    let (ip, end) = match ether_type {
        0x0800 => ipv4(&mut reader)?,
        0x86dd => ipv6(&mut reader)?,
        other => bail!("not IP: EtherType {other:#06x}"),
    };
    ensure!(end <= frame.len(), "the IP packet ends at byte {end}, the frame at {}", frame.len());
    let udp = reader.at;
    let (source_port, destination_port) = (reader.u16()?, reader.u16()?);
    let (length, found) = (reader.u16()?, reader.u16()?);
    let udp_end = udp + usize::from(length);
    ensure!(length >= 8 && udp_end <= end, "UDP length {length} does not fit: the IP packet leaves {}", end - udp);
    let checksum = judge(&ip, &frame[udp..udp_end], length, found);
    Ok(Parsed {
        headers: Headers { source_mac, destination_mac, vlans, ip, source_port, destination_port, checksum },
        payload: reader.at..udp_end,
        padding: frame.len() - udp_end,
    })
}

fn ipv4(reader: &mut Reader<'_>) -> Result<(Ip, usize)> {
    let start = reader.at;
    let [version, tos] = reader.array()?;
    let header_length = usize::from(version & 0xf) * 4;
    ensure!(version >> 4 == 4 && header_length >= 20, "IPv4 header begins with {version:#04x}");
    let total = usize::from(reader.u16()?);
    ensure!(total >= header_length, "IPv4 total length {total} is less than its header's {header_length}");
    let identification = reader.u16()?;
    let fragment = reader.u16()?;
    let [ttl, protocol] = reader.array()?;
    reader.u16()?;
    let (source, destination) = (Ipv4Addr::from(reader.array::<4>()?), Ipv4Addr::from(reader.array::<4>()?));
    let options = reader.take(header_length - 20)?.to_vec();
    let header = &reader.frame[start..reader.at];
    let checksum = if sum(header, 0) == 0xffff { Checksum::Right } else { Checksum::Wrong };
    ensure!(protocol == UDP, "not UDP: IPv4 protocol {protocol}");
    ensure!(fragment & 0x1fff == 0, "not the first fragment of its datagram");
    let ip = Ipv4 {
        source,
        destination,
        tos,
        identification,
        dont_fragment: fragment & 0x4000 != 0,
        more_fragments: fragment & 0x2000 != 0,
        fragment_offset: fragment & 0x1fff,
        ttl,
        options,
        checksum,
    };
    Ok((Ip::V4(ip), start + total))
}

fn ipv6(reader: &mut Reader<'_>) -> Result<(Ip, usize)> {
    let first = u32::from_be_bytes(reader.array()?);
    ensure!(first >> 28 == 6, "IPv6 header begins with {first:#010x}");
    let [traffic_class, ..] = (first << 4).to_be_bytes();
    let flow_label = first & 0xf_ffff;
    let payload_length = usize::from(reader.u16()?);
    let [mut next, hop_limit] = reader.array()?;
    let (source, destination) = (Ipv6Addr::from(reader.array::<16>()?), Ipv6Addr::from(reader.array::<16>()?));
    let end = reader.at + payload_length;
    let mut extensions = Vec::new();
    while matches!(next, 0 | 43 | 44 | 60) {
        let [following, more] = reader.array()?;
        let content = reader.take(6 + usize::from(more) * 8)?.to_vec();
        ensure!(reader.at <= end, "an IPv6 extension header ends at byte {}, the packet at {end}", reader.at);
        extensions.push(Extension { kind: next, content });
        next = following;
    }
    ensure!(next == UDP, "not UDP: IPv6 next header {next}");
    ensure!(end >= reader.at, "the IPv6 packet ends before UDP begins");
    Ok((Ip::V6(Ipv6 { source, destination, traffic_class, flow_label, hop_limit, extensions }), end))
}

fn judge(ip: &Ip, datagram: &[u8], length: u16, found: u16) -> Checksum {
    let pseudo = pseudo_header(ip, length);
    if found == 0 {
        Checksum::Zero
    } else if sum(datagram, pseudo) == 0xffff {
        Checksum::Right
    } else if found == pseudo {
        Checksum::Partial
    } else {
        Checksum::Wrong
    }
}

struct Reader<'a> {
    frame: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let taken = self.frame.get(self.at..self.at + length);
        let taken =
            taken.with_context(|| format!("the frame ends at byte {} of {}", self.frame.len(), self.at + length))?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into()?)
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }
}
