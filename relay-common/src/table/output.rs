//! An output, from the plan to its entry.

use super::PendingReason;
use super::compile::Node;
use crate::abi::Address;
use crate::entry::{OutputEntry, Rewrite, Vlans};
use crate::facts::Link;
use crate::plan::{Input, Output, Source};
use crate::wire::ethernet::group_mac;
use core::net::{IpAddr, Ipv6Addr};
use core::num::NonZeroU8;
use zerocopy::FromZeros;

/// Makes the entry of an output, and says why it cannot send if it cannot.
pub(super) fn resolve(
    node: &Node<'_>,
    input: &Input,
    output: &Output,
    counter: u32,
) -> (OutputEntry, Option<PendingReason>) {
    let mut entry = OutputEntry::new_zeroed();
    entry.counter = counter;
    entry.rewrite = rewrite_without_facts(output);
    if output.ttl.is_none() {
        entry.flags |= OutputEntry::DECREMENTS_TTL;
    }
    let pending = fill_in(node, input, output, &mut entry).err();
    if pending.is_some() {
        entry.flags |= OutputEntry::PENDING;
    }
    (entry, pending)
}

/// What of the rewrite the plan alone decides.
fn rewrite_without_facts(output: &Output) -> Rewrite {
    let mut rewrite = Rewrite::new_zeroed();
    rewrite.destination = Address::from(output.destination);
    rewrite.destination_port = output.port.get();
    rewrite.source_port = output.source_port.map_or(0, |port| port.get());
    rewrite.ttl = output.ttl.map_or(Rewrite::DECREMENT_TTL, NonZeroU8::get);
    match output.vlans {
        Vlans::Keep => rewrite.n_vlans = Rewrite::KEEP_VLANS,
        Vlans::Set { n, ids } => (rewrite.n_vlans, rewrite.vlan_ids) = (n, ids),
    }
    if let Some(dscp) = output.dscp {
        rewrite.dscp = dscp;
        rewrite.flags |= Rewrite::SET_DSCP;
    }
    if let Source::Address(source) = output.source {
        rewrite.source = Address::from(source);
        rewrite.flags |= Rewrite::SET_SOURCE;
    }
    rewrite
}

/// Fills in what the link decides, as far as it goes.
fn fill_in(node: &Node<'_>, input: &Input, output: &Output, entry: &mut OutputEntry) -> Result<(), PendingReason> {
    let name = &output.interface;
    let link = node.link(name).ok_or_else(|| PendingReason::LinkMissing { link: name.clone() })?;
    entry.mtu = link.mtu;
    let number = node.place.output(name);
    entry.link = number.ok_or_else(|| PendingReason::unplaced(name, node.place.outputs().count()))?;
    node.check_usable(name)?;
    if link.mac == [0; 6] {
        return Err(PendingReason::NoHardwareAddress { link: name.clone() });
    }
    entry.rewrite.source_mac = link.mac;
    let device = vlan_device(node, link, output.vlans).unwrap_or(link);
    if output.source == Source::Link {
        entry.rewrite.source = Address::from(first_address(device, link, output.destination)?);
        entry.rewrite.flags |= Rewrite::SET_SOURCE;
    }
    entry.rewrite.destination_mac = destination_mac(node, device, link, output.destination)?;
    if !(link.up && link.carrier) {
        return Err(PendingReason::LinkDown { link: name.clone(), up: link.up });
    }
    has_queues(node, input, link)
}

/// Only the lanes that the input's packets come to need a transmit queue of their own.
fn has_queues(node: &Node<'_>, input: &Input, link: &Link) -> Result<(), PendingReason> {
    let lanes = node.place.lanes_of(&input.interface, node.n_lanes);
    let highest = lanes.map(|lane| (node.place.tx_queue(&link.name, lane, node.n_lanes), lane)).max();
    match highest {
        Some((queue, lane)) if queue >= link.n_tx_queues => {
            let (n_queues, needed, input) = (link.n_tx_queues, queue + 1, input.interface.clone());
            Err(PendingReason::TooFewQueues { link: link.name.clone(), n_queues, needed, lane, input })
        }
        _ => Ok(()),
    }
}

/// The device that stands for an output's tags, when there is one: its addresses are those of that VLAN.
fn vlan_device<'a>(node: &Node<'a>, link: &'a Link, vlans: Vlans) -> Option<&'a Link> {
    match vlans {
        Vlans::Keep => None,
        Vlans::Set { ids, .. } => node.vlan_device(link, ids),
    }
}

/// Whether an address means something on its link only. No packet beyond the link may have such a source.
const fn is_link_scope(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local() || matches!(address.octets(), [0xff, flags, ..] if flags & 0xf <= 2)
}

/// The first address of the device, or of the link below it, in the destination's family.
fn first_address(device: &Link, link: &Link, destination: IpAddr) -> Result<IpAddr, PendingReason> {
    let first = |link: &Link| match destination {
        IpAddr::V4(_) => link.v4.first().map(|(address, _)| IpAddr::V4(*address)),
        IpAddr::V6(to) => {
            let reaches = |from: &Ipv6Addr| is_link_scope(to) || !from.is_unicast_link_local();
            link.v6.iter().map(|(address, _)| *address).find(reaches).map(IpAddr::V6)
        }
    };
    let family = if destination.is_ipv4() { 4 } else { 6 };
    let missing = || PendingReason::NoAddress { link: link.name.clone(), family };
    first(device).or_else(|| first(link)).ok_or_else(missing)
}

fn destination_mac(node: &Node<'_>, device: &Link, link: &Link, destination: IpAddr) -> Result<[u8; 6], PendingReason> {
    if destination.is_multicast() {
        return Ok(group_mac(Address::from(destination)).unwrap_or_default());
    }
    if device.is_broadcast(destination) {
        return Err(PendingReason::BroadcastAddress { link: link.name.clone(), address: destination });
    }
    let neighbour = node.neighbour(device.ifindex, destination);
    neighbour.and_then(|neighbour| neighbour.mac).ok_or_else(|| PendingReason::NeighbourUnknown {
        link: link.name.clone(),
        destination,
        next_hop: neighbour.map(|neighbour| neighbour.next_hop),
    })
}
