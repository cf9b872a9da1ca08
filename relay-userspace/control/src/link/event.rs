//! What changed, as the kernel tells it. A notice says where to look, never what is there now: the reader asks again.

use futures_util::future::poll_fn;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

/// The kernel's groups that are listened to.
const GROUPS: [MulticastGroup; 6] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];
/// Room for notices while the reader is busy: a table of routes that flaps must not often end in [`LinkEvent::Lost`].
const RECEIVE_BUFFER: usize = 1 << 20;

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A link came, went or changed.
    LinkChanged {
        /// Its index.
        ifindex: u32,
        /// Whether it is there no more.
        gone: bool,
    },
    /// An address came, went or changed.
    AddressChanged {
        /// The index of its link.
        ifindex: u32,
    },
    /// What is known of a neighbour changed.
    NeighbourChanged {
        /// The index of its link.
        ifindex: u32,
        /// Its address.
        address: IpAddr,
        /// Its hardware address, while the kernel has one that it would use.
        mac: Option<[u8; 6]>,
    },
    /// A route came, went or changed.
    RouteChanged,
    /// Notices were lost, because they came faster than they were read: everything must be read again.
    Lost,
}

impl LinkEvent {
    /// Whether links may be other than they were.
    #[must_use]
    pub const fn is_of_links(&self) -> bool {
        matches!(self, Self::LinkChanged { .. } | Self::Lost)
    }
}

/// The kernel's notices, in their order.
pub struct LinkEvents {
    socket: TokioSocket,
    read: VecDeque<LinkEvent>,
}

impl LinkEvents {
    /// Subscribes, in the network namespace of the calling thread and on the current tokio runtime. Subscribe first and
    /// read facts after: then nothing falls between the two.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn new() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_ref().set_rx_buf_sz(i32::try_from(RECEIVE_BUFFER).unwrap_or(i32::MAX))?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        for group in GROUPS {
            socket.socket_ref().add_membership(group as u32)?;
        }
        Ok(Self { socket, read: VecDeque::new() })
    }

    /// The next notice. Nothing is lost when the future is dropped before it is ready.
    ///
    /// # Errors
    /// When the socket fails for good.
    pub async fn next(&mut self) -> io::Result<LinkEvent> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Ok(event);
            }
            match poll_fn(|context| self.socket.poll_recv_from_full(context)).await {
                Ok((bytes, from)) if from.port_number() == 0 => self.read.extend(events(&bytes)),
                Ok(_) => {} // Only the kernel, which is port 0, is believed.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.drain();
                    return Ok(LinkEvent::Lost);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Throws away what is queued: everything is read again anyway, and until there is room more is lost. It ends at a
    /// number, because notices may come as fast as they are thrown away.
    fn drain(&self) {
        for _ in 0..100_000 {
            match self.socket.socket_ref().recv_from_full() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    }
}

/// The notices of one datagram. What cannot be read may have been anything, so it counts as lost.
fn events(mut bytes: &[u8]) -> Vec<LinkEvent> {
    const HEADER: usize = 16;
    let mut events = Vec::new();
    while bytes.len() >= HEADER {
        let length = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        let Some(message) = bytes.get(..length).filter(|_| length >= HEADER) else {
            events.push(LinkEvent::Lost);
            break;
        };
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) {
            Ok(message) => events.extend(event(message.payload)),
            Err(_) => events.push(LinkEvent::Lost),
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    events
}

fn event(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<LinkEvent> {
    use RouteNetlinkMessage as M;
    let message = match payload {
        NetlinkPayload::InnerMessage(message) => message,
        NetlinkPayload::Overrun(_) => return Some(LinkEvent::Lost),
        _ => return None,
    };
    match message {
        // A bridge tells of its ports in messages of its own family: a port that leaves it is not a link that is gone.
        M::NewLink(link) | M::DelLink(link) if link.header.interface_family != AddressFamily::Unspec => None,
        M::NewLink(link) => Some(LinkEvent::LinkChanged { ifindex: link.header.index, gone: false }),
        M::DelLink(link) => Some(LinkEvent::LinkChanged { ifindex: link.header.index, gone: true }),
        M::NewAddress(address) | M::DelAddress(address) => {
            Some(LinkEvent::AddressChanged { ifindex: address.header.index })
        }
        M::NewNeighbour(neighbour) => neighbour_changed(&neighbour, usable_mac(&neighbour)),
        M::DelNeighbour(neighbour) => neighbour_changed(&neighbour, None),
        M::NewRoute(_) | M::DelRoute(_) => Some(LinkEvent::RouteChanged),
        _ => None,
    }
}

fn neighbour_changed(message: &NeighbourMessage, mac: Option<[u8; 6]>) -> Option<LinkEvent> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })?;
    Some(LinkEvent::NeighbourChanged { ifindex: message.header.ifindex, address, mac })
}

/// The hardware address, in the states in which the kernel itself would send to it.
pub(super) fn usable_mac(message: &NeighbourMessage) -> Option<[u8; 6]> {
    use rtnetlink::packet_route::neighbour::NeighbourState as S;
    match message.header.state {
        S::Reachable | S::Stale | S::Delay | S::Probe | S::Permanent | S::Noarp => {
            message.attributes.iter().find_map(|attribute| match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => <[u8; 6]>::try_from(bytes.as_slice()).ok(),
                _ => None,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
