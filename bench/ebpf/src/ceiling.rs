//! What could be reached at most: programs on the relay's input link in place of a relay.
#![expect(unsafe_code, reason = "map entries are reached by address here")]
#![expect(clippy::cast_possible_truncation, reason = "words are cut in parts on purpose")]

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    helpers::bpf_redirect,
    macros::{map, xdp},
    maps::{Array, XskMap},
    programs::XdpContext,
};

use crate::abi::redirect;
use crate::packet::Packet;

/// What `rewrite` writes.
#[map]
static REWRITE: Array<[u64; redirect::WORDS]> = Array::with_max_entries(1, 0);

/// The socket that `steer` sends everything to.
#[map]
static SOCKETS: XskMap = XskMap::with_max_entries(64, 0);

/// Drops everything: what a link takes without anybody behind it.
#[xdp]
fn discard(_context: XdpContext) -> u32 {
    XDP_DROP
}

/// Hands everything to the socket of its queue.
#[xdp]
fn steer(context: XdpContext) -> u32 {
    match SOCKETS.redirect(context.rx_queue_index(), u64::from(XDP_PASS)) {
        Ok(action) | Err(action) => action,
    }
}

/// Relays one IPv4 stream without leaving the driver.
#[xdp]
fn rewrite(context: XdpContext) -> u32 {
    let packet = Packet::new(context.data(), context.data_end());
    relay(packet).unwrap_or(XDP_PASS)
}

const UDP_AT: usize = 34;

#[inline(always)]
fn relay(packet: Packet) -> Option<u32> {
    if packet.get(12)? != 0x0800_u16.to_be() || packet.get(22)? >> 8 != 17 {
        return None;
    }
    let rewrite = REWRITE.get_ptr(0)?;
    // SAFETY: the entry is there as long as the program, and nobody writes to it while packets flow.
    let rewrite = unsafe { &*rewrite };
    let (low, high) = (rewrite[redirect::MACS_LOW], rewrite[redirect::MACS_HIGH]);
    packet.put_u32(0, low as u32)?;
    packet.put_u32(4, (low >> 32) as u32)?;
    packet.put_u32(8, high as u32)?;
    let (address, port) = (rewrite[redirect::ADDRESS] as u32, rewrite[redirect::PORT] as u16);
    let address_before = packet.get_u32(30)?;
    let port_before = packet.get(UDP_AT + 2)?;
    let hops_before = packet.get(22)?;
    let hops = hops_before & 0xff00 | 16;
    packet.put(22, hops)?;
    packet.put_u32(30, address)?;
    packet.put(UDP_AT + 2, port)?;
    let change = difference(address_before as u16, address as u16)
        + difference((address_before >> 16) as u16, (address >> 16) as u16);
    packet.put(24, updated(packet.get(24)?, change + difference(hops_before, hops)))?;
    packet.put(UDP_AT + 6, updated(packet.get(UDP_AT + 6)?, change + difference(port_before, port)))?;
    // SAFETY: the helper notes where the frame is to go.
    Some(unsafe { bpf_redirect(rewrite[redirect::IFINDEX] as u32, 0) } as u32)
}

/// What a changed word adds to a sum.
#[inline(always)]
fn difference(before: u16, after: u16) -> u32 {
    u32::from(!before) + u32::from(after)
}

/// A checksum after its words have changed (RFC 1624).
#[inline(always)]
fn updated(checksum: u16, change: u32) -> u16 {
    let sum = u32::from(!checksum) + change;
    let once = (sum & 0xffff) + (sum >> 16);
    !((once & 0xffff) + (once >> 16)) as u16
}
