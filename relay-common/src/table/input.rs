//! An input, from the plan to its key.

use super::compile::Node;
use super::{Join, PendingReason, longest_mtu, vlan_device};
use crate::abi::{Address, InputKey, MAX_QUEUES};
use crate::facts::Link;
use crate::plan::{Input, Queues};
use alloc::vec::Vec;

/// An input that takes packets in.
pub(super) struct Resolved {
    pub(super) key: InputKey,
    pub(super) socket_base: u32,
    pub(super) n_queues: u32,
    pub(super) join: Option<Join>,
    /// What may be wrong all the same.
    pub(super) warnings: Vec<PendingReason>,
}

/// Finds the key of an input, or why it can have none yet.
pub(super) fn resolve(node: &Node<'_>, input: &Input) -> Result<Resolved, PendingReason> {
    let name = &input.interface;
    let link = node.link(name).ok_or_else(|| PendingReason::LinkMissing { link: name.clone() })?;
    let place = node.place.input(name);
    let place = place.ok_or_else(|| PendingReason::unplaced(name, node.place.inputs().count()))?;
    node.check_usable(name)?;
    if link.mac == [0; 6] {
        return Err(PendingReason::NoHardwareAddress { link: name.clone() });
    }
    // Where the kernel copies, it takes what fits and counts what does not.
    let limit = longest_mtu(node.frame_size);
    if link.mtu > limit && node.demands_zero_copy(name) {
        return Err(PendingReason::MtuTooLong { link: name.clone(), mtu: link.mtu, limit });
    }
    if let Some(remedy) = node.tags_stripped(name) {
        return Err(PendingReason::TagsStripped { link: name.clone(), remedy });
    }
    let mut warnings = link_warnings(node, link);
    let device = node.vlan_device(link, input.vlans);
    let mut join = None;
    if !input.destination.is_multicast() {
        let address = input.destination;
        if !device.unwrap_or(link).has_address(address) {
            return Err(PendingReason::NotOwnAddress { link: name.clone(), address });
        }
    } else if let Some(device) = device {
        join = Some(Join {
            device: device.name.clone(),
            ifindex: device.ifindex,
            group: input.destination,
            sources: input.sources.iter().copied().collect(),
        });
    } else {
        let device = vlan_device(name, &input.vlans);
        warnings.push(PendingReason::VlanDeviceMissing { link: name.clone(), device });
    }
    let key = InputKey {
        ifindex: link.ifindex,
        destination: Address::from(input.destination),
        port: input.port.get(),
        vlans: input.vlans,
        zero: 0,
    };
    Ok(Resolved { key, socket_base: place.socket_base(), n_queues: place.n_queues(), join, warnings })
}

/// What keeps packets from coming in on a link that is otherwise fit.
fn link_warnings(node: &Node<'_>, link: &Link) -> Vec<PendingReason> {
    let mut warnings = Vec::new();
    if !(link.up && link.carrier) {
        warnings.push(PendingReason::LinkDown { link: link.name.clone(), up: link.up });
    }
    let n_queues = link.n_rx_queues;
    match node.queues(&link.name) {
        Some(Queues::Some(queues)) => {
            let missing = queues.iter().copied().filter(|queue| *queue >= n_queues);
            warnings.extend(missing.map(|queue| PendingReason::QueueMissing {
                link: link.name.clone(),
                queue,
                n_queues,
            }));
        }
        _ if n_queues > MAX_QUEUES => {
            warnings.push(PendingReason::TooManyQueues { link: link.name.clone(), n_queues, limit: MAX_QUEUES });
        }
        _ => {}
    }
    warnings
}
