//! A short look at a link: what came to a relay's destination and went past the XDP program.
//!
//! Frames that the program takes never come by here, so these are exactly those that are not as the relay wants them. If
//! there are none, and none are counted, then nothing arrives.

mod filter; // only UDP to that destination

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use relay_common::abi::Address;
use relay_common::datagram::{Datagram, NotADatagram};
use relay_common::frame::Frame as _;
use relay_common::why::{Wire, WireFrames};
use relay_common::wire::ethernet::{self, Ethernet};
use relay_common::wire::ipv4::Ipv4;
use relay_common::wire::ipv6::Ipv6;
use relay_common::wire::vlan::{self, Vlan};
use relay_engine::clock::now_ns;
use relay_engine::sys::packet::PacketSocket;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

/// Frames after which a look ends: what they are is known by then, and a flood must not keep a processor.
const MOST_FRAMES: u64 = 20_000;
/// Kinds of frames that are told apart.
const MOST_KINDS: usize = 64;

/// What tells frames apart: source, tags, port.
type Kind = (IpAddr, [u16; 2], Option<u16>);

/// Opens a socket for a look, in the network namespace of the calling thread.
pub(super) fn open(ifindex: u32, destination: IpAddr) -> io::Result<PacketSocket> {
    PacketSocket::open(ifindex, &filter::to(destination))
}

/// Looks for so long. The calling thread waits.
pub(super) fn watch(socket: &mut PacketSocket, lasts: Duration) -> io::Result<Wire> {
    let start = now_ns();
    let lasts = u64::try_from(lasts.as_nanos()).unwrap_or(u64::MAX);
    let mut kinds: BTreeMap<Kind, u64> = BTreeMap::new();
    let mut seen = 0;
    let watched_ns = loop {
        let passed = now_ns() - start;
        if passed >= lasts || seen >= MOST_FRAMES {
            break passed;
        }
        while seen < MOST_FRAMES
            && let Some(frame) = socket.receive()?
        {
            seen += 1;
            let Some(kind) = kind(frame) else { continue };
            if kinds.len() < MOST_KINDS || kinds.contains_key(&kind) {
                *kinds.entry(kind).or_default() += 1;
            }
        }
        let left = Duration::from_nanos(lasts.saturating_sub(now_ns() - start));
        let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    let frames = kinds.into_iter().map(|((source, vlans, port), count)| WireFrames { source, vlans, port, count });
    Ok(Wire { watched_ns, frames: frames.collect(), missed: socket.missed()? })
}

/// What kind of frame that is; none of what the program does not take for a datagram either.
fn kind(frame: &[u8]) -> Option<Kind> {
    match Datagram::parse(frame) {
        Ok(datagram) => Some((datagram.source.into(), datagram.vlans, Some(datagram.port))),
        Err(NotADatagram::Fragment) => fragment(frame),
        Err(_) => None,
    }
}

/// Where a fragment comes from, and its tags.
fn fragment(frame: &[u8]) -> Option<Kind> {
    let mut ether_type = frame.header::<Ethernet>(0)?.ether_type.get();
    let mut at = Ethernet::LEN;
    let (mut vlans, mut n) = ([0; 2], 0);
    while vlan::is_tag(ether_type) {
        let tag: &Vlan = frame.header(at)?;
        if tag.id() != 0 && n < vlans.len() {
            vlans[n] = tag.id();
            n += 1;
        }
        ether_type = tag.ether_type.get();
        at += Vlan::LEN;
    }
    let source = match ether_type {
        ethernet::IPV4 => Address::v4(frame.header::<Ipv4>(at)?.source),
        ethernet::IPV6 => Address(frame.header::<Ipv6>(at)?.source),
        _ => return None,
    };
    Some((source.into(), vlans, None))
}
