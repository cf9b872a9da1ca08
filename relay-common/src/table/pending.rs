//! Why an input or an output cannot work yet.

mod compare; // between two looks

pub use compare::pending_changes;

use crate::abi::MAX_LINKS;
use alloc::string::String;
use core::fmt;
use core::net::IpAddr;

/// Something that cannot work yet; the rest of its relay works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The relay.
    pub relay: String,
    /// What of it.
    pub part: Part,
    /// Why, and what to do.
    pub reason: PendingReason,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relay \"{}\" {}: {}", self.relay, self.part, self.reason)
    }
}

/// A part of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Its input.
    Input,
    /// One of its outputs, in the user's order.
    Output(usize),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input => f.write_str("input"),
            Self::Output(i) => write!(f, "outputs[{i}]"),
        }
    }
}

/// Why something is pending. Its text names the thing and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingReason {
    /// There is no such link.
    LinkMissing {
        /// The link.
        link: String,
    },
    /// The link is administratively down or has no carrier. An input stays joined and matched meanwhile.
    LinkDown {
        /// The link.
        link: String,
        /// Whether it is administratively up, so that only the carrier is missing.
        up: bool,
    },
    /// The link is there, but it has no sockets or no program.
    Unusable {
        /// The link.
        link: String,
        /// Why, and what to do.
        problem: String,
    },
    /// The link has no place in the node's tables.
    TooManyLinks {
        /// The link.
        link: String,
        /// How many there can be.
        limit: u32,
    },
    /// The link has no hardware address, so it is not Ethernet.
    NoHardwareAddress {
        /// The link.
        link: String,
    },
    /// Packets of an input link can be longer than a frame has room for, and zero-copy is demanded.
    MtuTooLong {
        /// The link.
        link: String,
        /// Its MTU.
        mtu: u32,
        /// The longest that fits the configured frame size.
        limit: u32,
    },
    /// The link takes VLAN tags out of frames, so that those of every VLAN look alike.
    TagsStripped {
        /// The link.
        link: String,
        /// What to do.
        remedy: String,
    },
    /// There is no VLAN device to join the group on. What the switch sends unasked is relayed all the same.
    VlanDeviceMissing {
        /// The link.
        link: String,
        /// The name that the device must have.
        device: String,
    },
    /// The unicast address of an input is not one of the link's.
    NotOwnAddress {
        /// The link.
        link: String,
        /// The address.
        address: IpAddr,
    },
    /// The link does not have a queue that the configuration names.
    QueueMissing {
        /// The link.
        link: String,
        /// The queue.
        queue: u32,
        /// How many receive queues it has.
        n_queues: u32,
    },
    /// The link has more receive queues than can be served. The others' frames are not relayed.
    TooManyQueues {
        /// The link.
        link: String,
        /// How many it has.
        n_queues: u32,
        /// How many can be served.
        limit: u32,
    },
    /// A lane that the input's packets come to has no transmit queue on the output link.
    TooFewQueues {
        /// The link.
        link: String,
        /// Its transmit queues.
        n_queues: u32,
        /// How many it would need.
        needed: u32,
        /// A lane without one.
        lane: u32,
        /// The input link whose packets come to that lane.
        input: String,
    },
    /// The link has no address to send from.
    NoAddress {
        /// The link.
        link: String,
        /// 4 or 6.
        family: u8,
    },
    /// The destination is the broadcast address of one of the link's networks.
    BroadcastAddress {
        /// The link.
        link: String,
        /// The address.
        address: IpAddr,
    },
    /// The hardware address of the next hop is not known yet.
    NeighbourUnknown {
        /// The link.
        link: String,
        /// Where the output sends.
        destination: IpAddr,
        /// Who would take it there, when there is a route.
        next_hop: Option<IpAddr>,
    },
}

impl PendingReason {
    /// Why a link has no place: there is none left, or it was not there when places were given.
    pub(super) fn unplaced(link: &str, n_placed: usize) -> Self {
        let link = String::from(link);
        if n_placed < MAX_LINKS as usize {
            Self::LinkMissing { link }
        } else {
            Self::TooManyLinks { link, limit: MAX_LINKS }
        }
    }

    /// All names, so that metrics can tell of each before it occurs.
    pub const NAMES: [&'static str; 15] = [
        "link_missing",
        "link_down",
        "unusable",
        "too_many_links",
        "no_hardware_address",
        "mtu_too_long",
        "tags_stripped",
        "vlan_device_missing",
        "not_own_address",
        "queue_missing",
        "too_many_queues",
        "too_few_queues",
        "no_address",
        "broadcast_address",
        "neighbour_unknown",
    ];

    /// The name in metrics and in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LinkMissing { .. } => "link_missing",
            Self::LinkDown { .. } => "link_down",
            Self::Unusable { .. } => "unusable",
            Self::TooManyLinks { .. } => "too_many_links",
            Self::NoHardwareAddress { .. } => "no_hardware_address",
            Self::MtuTooLong { .. } => "mtu_too_long",
            Self::TagsStripped { .. } => "tags_stripped",
            Self::VlanDeviceMissing { .. } => "vlan_device_missing",
            Self::NotOwnAddress { .. } => "not_own_address",
            Self::QueueMissing { .. } => "queue_missing",
            Self::TooManyQueues { .. } => "too_many_queues",
            Self::TooFewQueues { .. } => "too_few_queues",
            Self::NoAddress { .. } => "no_address",
            Self::BroadcastAddress { .. } => "broadcast_address",
            Self::NeighbourUnknown { .. } => "neighbour_unknown",
        }
    }

    /// Says whether an input with this reason takes nothing in. The other reasons are warnings: whatever frames
    /// do come are relayed.
    #[must_use]
    pub const fn stops_input(&self) -> bool {
        !matches!(
            self,
            Self::LinkDown { .. }
                | Self::VlanDeviceMissing { .. }
                | Self::QueueMissing { .. }
                | Self::TooManyQueues { .. }
        )
    }
}

impl fmt::Display for PendingReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkMissing { link } => {
                write!(f, "interface \"{link}\" does not exist: create it, or correct its name")
            }
            Self::LinkDown { link, up: false } => {
                write!(f, "interface \"{link}\" is down: ip link set {link} up")
            }
            Self::LinkDown { link, up: true } => {
                write!(f, "interface \"{link}\" has no carrier: look at its cable and at the port it leads to")
            }
            Self::Unusable { link, problem } => write!(f, "interface \"{link}\" cannot be used: {problem}"),
            Self::TooManyLinks { link, limit } => {
                write!(f, "interface \"{link}\" is one too many: a node can use {limit}; move relays to another node")
            }
            Self::NoHardwareAddress { link } => {
                write!(f, "interface \"{link}\" has no hardware address: use an Ethernet interface")
            }
            Self::MtuTooLong { link, mtu, limit } => write_mtu_too_long(f, link, *mtu, *limit),
            Self::TagsStripped { link, remedy } => {
                write!(
                    f,
                    "interface \"{link}\" takes VLAN tags out of frames, so that those of every VLAN look alike: "
                )?;
                f.write_str(remedy)
            }
            Self::VlanDeviceMissing { link, device } => {
                let id = device.rsplit('.').next().unwrap_or_default();
                write!(f, "there is no \"{device}\" to join the group on: ip link add link {} ", parent(device, link))?;
                write!(f, "name {device} type vlan id {id}, or let the switch send the group unasked")
            }
            Self::NotOwnAddress { link, address } => {
                write!(f, "{address} is not an address of interface \"{link}\": ip address add {address} dev {link}")
            }
            Self::QueueMissing { link, queue, n_queues } => {
                write!(f, "interface \"{link}\" has {n_queues} receive queues, so queue {queue} does not exist: ")?;
                write!(f, "correct queues, or ethtool -L {link} combined {}", queue + 1)
            }
            Self::TooManyQueues { link, n_queues, limit } => {
                write!(f, "interface \"{link}\" has {n_queues} receive queues, but at most {limit} are served: ")?;
                write!(f, "ethtool -L {link} combined {limit}")
            }
            Self::TooFewQueues { link, n_queues, needed, lane, input } => {
                write!(f, "interface \"{link}\" has {n_queues} transmit queues, none of them for lane {lane}, which ")?;
                write!(f, "receives on \"{input}\": ethtool -L {link} combined {needed}, or end mcr (mcr stop) and ")?;
                write!(f, "start it (it then chooses lanes for all relays at once), or name at most {n_queues} in ")?;
                write!(f, "lanes.cores")
            }
            Self::NoAddress { link, family } => {
                write!(f, "interface \"{link}\" has no IPv{family} address to send from: ")?;
                write!(f, "give it one, or set source on the output")
            }
            Self::BroadcastAddress { link, address } => {
                write!(f, "{address} is a broadcast address of interface \"{link}\": send to a group or to one host")
            }
            Self::NeighbourUnknown { link, destination, next_hop: None } => {
                write!(f, "there is no route to {destination} by interface \"{link}\": add one")
            }
            Self::NeighbourUnknown { link, next_hop: Some(next_hop), .. } => {
                write!(f, "{next_hop} does not answer on interface \"{link}\": see that it is on and reachable")
            }
        }
    }
}

/// The device that a VLAN device lies on: the link itself, or the device of the outer tag.
fn parent<'a>(device: &'a str, link: &'a str) -> &'a str {
    device.rsplit_once('.').map_or(link, |(parent, _)| parent)
}

fn write_mtu_too_long(f: &mut fmt::Formatter<'_>, link: &str, mtu: u32, limit: u32) -> fmt::Result {
    let larger = super::longest_mtu(4096);
    write!(f, "interface \"{link}\" has an MTU of {mtu}, but a frame has room for {limit}: ")?;
    write!(f, "ip link set {link} mtu {limit}, zero_copy = \"auto\"")?;
    if mtu <= larger {
        write!(f, ", or set lanes.frame_size = 4096 (room for {larger})")?;
    }
    Ok(())
}
