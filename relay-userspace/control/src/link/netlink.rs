//! Links, addresses, routes and neighbours, asked of the kernel over netlink.

mod dump; // whole lists
mod neighbours; // who is on a link, and who is kept resolved

pub use neighbours::Keeping;

use super::event::LinkEvents;
use super::queues::Queues;
use super::xdp::Attached;
use super::{ethtool, xdp};
use futures_util::StreamExt;
use relay_common::facts::{Link, VlanDevice};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteType, RouteVia};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, RouteMessageBuilder};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Why the kernel did not answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No socket.
    #[error("cannot open a netlink socket: {0}")]
    Socket(#[source] io::Error),
    /// A request was refused.
    #[error("the kernel refused to {what}: {source}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// There is no room for another neighbour.
    #[error(
        "the kernel's table of IPv{version} neighbours is full: raise net.ipv{version}.neigh.default.gc_thresh3 (sysctl), \
         which counts for the whole machine"
    )]
    NeighboursFull {
        /// Of IP: 4 or 6.
        version: u8,
    },
    /// The connection broke, or an answer made no sense.
    #[error("no answer to the request to {what}: {text}")]
    NoAnswer {
        /// What was asked.
        what: &'static str,
        /// What happened instead.
        text: String,
    },
}

impl LinkError {
    fn new(what: &'static str, error: rtnetlink::Error) -> Self {
        match error {
            rtnetlink::Error::NetlinkError(message) => Self::Refused { what, source: message.to_io() },
            other => Self::NoAnswer { what, text: other.to_string() },
        }
    }

    fn errno(&self) -> Option<i32> {
        match self {
            Self::Socket(source) | Self::Refused { source, .. } => source.raw_os_error(),
            Self::NeighboursFull { .. } => Some(libc::ENOBUFS),
            Self::NoAnswer { .. } => None,
        }
    }
}

/// One link with what only people and joins need of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The facts.
    pub link: Link,
    /// The kind of a software link (`veth`, `vlan`, `bridge`, …); empty on hardware.
    pub kind: String,
    /// The index of the link it lies on and its VLAN identifier, on an 802.1Q device.
    pub vlan: Option<(u32, u16)>,
    /// The index of the bond, team or bridge that it is a member of.
    pub controller: Option<u32>,
    /// XDP programs that are attached.
    pub attached: Vec<Attached>,
    /// How often its carrier has come or gone.
    pub carrier_changes: u32,
}

/// A connection to the kernel, in the network namespace of the thread that made it.
#[derive(Clone)]
pub struct Netlink {
    handle: Handle,
    queues: Arc<Mutex<Queues>>,
}

impl Netlink {
    /// Connects, and serves the connection on the current tokio runtime until every clone is dropped.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn new() -> Result<Self, LinkError> {
        let (mut connection, handle, _) = rtnetlink::new_connection().map_err(LinkError::Socket)?;
        // Whether a list is whole may be said at its end alone.
        connection.set_forward_done(true);
        tokio::spawn(connection);
        Ok(Self { handle, queues: Arc::default() })
    }

    /// Subscribes to changes.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn events(&self) -> Result<LinkEvents, LinkError> {
        LinkEvents::new().map_err(LinkError::Socket)
    }

    /// The links of these names, or all. A name without a link is left out.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn facts(&self, names: Option<&[&str]>) -> Result<Vec<Link>, LinkError> {
        Ok(self.readings(names).await?.into_iter().map(|reading| reading.link).collect())
    }

    /// The VLAN devices of this node.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn vlan_devices(&self) -> Result<Vec<VlanDevice>, LinkError> {
        Ok(self.links().await?.iter().filter_map(Reading::vlan_device).collect())
    }

    /// As [`Netlink::facts`], with everything else that the same answers say.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn readings(&self, names: Option<&[&str]>) -> Result<Vec<Reading>, LinkError> {
        let mut readings = self.links().await?;
        let there: BTreeSet<u32> = readings.iter().map(|reading| reading.link.ifindex).collect();
        readings.retain(|reading| names.is_none_or(|names| names.contains(&reading.link.name.as_str())));
        let question = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let of = |message| match message {
            RouteNetlinkMessage::NewAddress(address) => Some(address),
            _ => None,
        };
        let mut addresses = self.list("list addresses", question, of).await?;
        addresses.sort_by_key(reluctance);
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.keep_only(|ifindex| there.contains(&ifindex));
        for reading in &mut readings {
            let link = &mut reading.link;
            for address in addresses.iter().filter(|address| address.header.index == link.ifindex) {
                match local(address) {
                    Some(IpAddr::V4(v4)) => link.v4.push((v4, address.header.prefix_len)),
                    Some(IpAddr::V6(v6)) => link.v6.push((v6, address.header.prefix_len)),
                    None => {}
                }
            }
            // Drivers reserve more queues than they use, and netlink only knows the reserved ones.
            queues.settle(link, ethtool::asked_channels(&link.name));
        }
        Ok(readings)
    }

    async fn links(&self) -> Result<Vec<Reading>, LinkError> {
        let of = |message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(reading(&link)),
            _ => None,
        };
        self.list("list links", RouteNetlinkMessage::GetLink(LinkMessage::default()), of).await
    }

    /// The next hop of a unicast destination through this link: the destination itself or a gateway; `None` when no
    /// route leads there. An IPv4 destination without a route through this link is taken to be on it, as the kernel
    /// does for every socket that is bound to a link.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn route(&self, destination: IpAddr, oif: u32) -> Result<Option<IpAddr>, LinkError> {
        let message = match destination {
            IpAddr::V4(v4) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(v4, 32).build(),
            IpAddr::V6(v6) => RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(v6, 128).build(),
        };
        let mut request = self.handle.route().get(message);
        request.message_mut().attributes.push(RouteAttribute::Oif(oif));
        let mut answers = Box::pin(request.execute());
        let route = match answers.next().await {
            Some(Ok(route)) => route,
            Some(Err(error)) => {
                // EINVAL is a black hole, EACCES a prohibited route.
                let error = LinkError::new("look up a route", error);
                return match error.errno() {
                    Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENODEV | libc::EACCES | libc::EINVAL) => {
                        Ok(None)
                    }
                    _ => Err(error),
                };
            }
            None => return Ok(None),
        };
        let leaves_here = route.attributes.contains(&RouteAttribute::Oif(oif));
        if route.header.kind != RouteType::Unicast || !leaves_here {
            return Ok(None);
        }
        let gateway = route.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(v4)) | RouteAttribute::Via(RouteVia::Inet(v4)) => {
                Some(IpAddr::V4(*v4))
            }
            RouteAttribute::Gateway(RouteAddress::Inet6(v6)) | RouteAttribute::Via(RouteVia::Inet6(v6)) => {
                Some(IpAddr::V6(*v6))
            }
            _ => None,
        });
        Ok(Some(gateway.unwrap_or(destination)))
    }
}

fn reading(message: &LinkMessage) -> Reading {
    let flags = message.header.flags;
    let mut link = Link {
        name: String::new(),
        ifindex: message.header.index,
        mac: [0; 6],
        mtu: 0,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        v4: Vec::new(),
        v6: Vec::new(),
        n_rx_queues: 1,
        n_tx_queues: 1,
    };
    let (mut parent, mut vlan_id, mut kind, mut attached) = (None, None, String::new(), Vec::new());
    let (mut carrier_changes, mut controller) = (0, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => link.mac = <[u8; 6]>::try_from(bytes.as_slice()).unwrap_or_default(),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::NumRxQueues(n) => link.n_rx_queues = *n,
            LinkAttribute::NumTxQueues(n) => link.n_tx_queues = *n,
            LinkAttribute::Link(index) => parent = Some(*index),
            LinkAttribute::CarrierChanges(n) => carrier_changes = *n,
            LinkAttribute::Controller(index) => controller = Some(*index),
            LinkAttribute::Xdp(parts) => attached = xdp::attached(parts),
            LinkAttribute::LinkInfo(parts) => (kind, vlan_id) = kind_and_vlan(parts),
            _ => {}
        }
    }
    Reading { link, kind, vlan: parent.zip(vlan_id), controller, attached, carrier_changes }
}

fn kind_and_vlan(parts: &[LinkInfo]) -> (String, Option<u16>) {
    let (mut kind, mut vlan) = (String::new(), None);
    for part in parts {
        match part {
            LinkInfo::Kind(of) => kind = of.to_string(),
            LinkInfo::Data(InfoData::Vlan(data)) => {
                vlan = data.iter().find_map(|item| if let InfoVlan::Id(id) = item { Some(*id) } else { None });
            }
            _ => {}
        }
    }
    (kind, vlan)
}

impl Reading {
    /// What it is of a VLAN, if it is an 802.1Q device.
    #[must_use]
    pub fn vlan_device(&self) -> Option<VlanDevice> {
        let (parent_ifindex, vlan) = self.vlan?;
        Some(VlanDevice { parent_ifindex, vlan, ifindex: self.link.ifindex, name: self.link.name.clone() })
    }
}

fn flags(address: &AddressMessage) -> AddressFlags {
    let long = address.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    long.unwrap_or_else(AddressFlags::empty)
}

/// The link's own address: on a point-to-point link `IFA_ADDRESS` is the peer's. Addresses that the kernel would not
/// send from yet, or never because another host has them, are left out.
fn local(address: &AddressMessage) -> Option<IpAddr> {
    if flags(address).intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)
        && !flags(address).contains(AddressFlags::Optimistic)
    {
        return None;
    }
    let mut found = None;
    for attribute in &address.attributes {
        match attribute {
            AddressAttribute::Local(local) => return Some(*local),
            AddressAttribute::Address(address) => found = Some(*address),
            _ => {}
        }
    }
    found
}

/// Orders a link's addresses, and leaves the kernel's order where it says the same: link-local IPv6 addresses after
/// all others, and among each those last that come and go (privacy addresses) or are about to.
fn reluctance(address: &AddressMessage) -> (bool, bool) {
    let link_local = matches!(local(address), Some(IpAddr::V6(v6)) if v6.is_unicast_link_local());
    let temporary = address.header.family == AddressFamily::Inet6
        && flags(address).intersects(AddressFlags::Secondary | AddressFlags::Deprecated);
    (link_local, temporary)
}
