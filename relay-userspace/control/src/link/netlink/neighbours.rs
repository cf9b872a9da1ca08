//! Neighbours: who is on a link, with which hardware address, and who is kept resolved.

use super::{LinkError, Netlink};
use crate::link::event::usable_mac;
use futures_util::StreamExt;
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// How the kernel keeps a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It keeps the neighbour resolved by itself until [`Netlink::release_neighbour`].
    Managed,
    /// It is older than 5.16 and only resolved it once: it must be asked again every few seconds.
    Probed,
    /// An administrator made the entry permanent, so that there is nothing to keep.
    Permanent,
}

/// What the kernel has of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its hardware address, while the kernel has one that it would use.
    pub mac: Option<[u8; 6]>,
    /// Whether the kernel keeps it without being asked again.
    pub is_kept: bool,
}

impl Netlink {
    /// All neighbours that the kernel has, by link and address: one question for all of them.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn neighbours(&self) -> Result<BTreeMap<(u32, IpAddr), Entry>, LinkError> {
        let of = |message| {
            let RouteNetlinkMessage::NewNeighbour(entry) = message else { return None };
            let is_kept = is_managed(&entry) || is_permanent(&entry);
            Some(((entry.header.ifindex, address_of(&entry)?), Entry { mac: usable_mac(&entry), is_kept }))
        };
        let question = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        Ok(self.list("list neighbours", question, of).await?.into_iter().collect())
    }

    /// The hardware address of a neighbour, when the kernel has one that it would use.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn neighbour(&self, ifindex: u32, next_hop: IpAddr) -> Result<Option<[u8; 6]>, LinkError> {
        Ok(self.entry(ifindex, next_hop).await?.as_ref().and_then(usable_mac))
    }

    /// Has the kernel resolve a neighbour and keep it resolved.
    ///
    /// # Errors
    /// When the kernel refuses, as it does on a link that is down.
    pub async fn keep_neighbour(&self, ifindex: u32, next_hop: IpAddr) -> Result<Keeping, LinkError> {
        match self.entry(ifindex, next_hop).await? {
            // The kernel would silently make a permanent entry an ordinary one.
            Some(entry) if is_permanent(&entry) => return Ok(Keeping::Permanent),
            Some(entry) if is_managed(&entry) => return Ok(Keeping::Managed),
            _ => {}
        }
        self.set_entry(ifindex, next_hop, true).await?;
        let after = self.entry(ifindex, next_hop).await?;
        Ok(if after.is_some_and(|entry| is_managed(&entry)) { Keeping::Managed } else { Keeping::Probed })
    }

    /// Lets a neighbour age like any other.
    ///
    /// # Errors
    /// When the kernel refuses; a neighbour that is not there or not managed is no error.
    pub async fn release_neighbour(&self, ifindex: u32, next_hop: IpAddr) -> Result<(), LinkError> {
        match self.entry(ifindex, next_hop).await? {
            Some(entry) if is_managed(&entry) => self.set_entry(ifindex, next_hop, false).await,
            _ => Ok(()),
        }
    }

    async fn entry(&self, ifindex: u32, address: IpAddr) -> Result<Option<NeighbourMessage>, LinkError> {
        const WHAT: &str = "look up a neighbour";
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNeighbour(question(ifindex, address)));
        request.header.flags = NLM_F_REQUEST;
        let mut answers = self.handle.clone().request(request).map_err(|e| LinkError::new(WHAT, e))?;
        match answers.next().await.map(|answer| answer.payload) {
            Some(NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry))) => Ok(Some(entry)),
            Some(NetlinkPayload::Error(error)) => match error.to_io() {
                source if matches!(source.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => Ok(None),
                source => Err(LinkError::Refused { what: WHAT, source }),
            },
            other => Err(LinkError::NoAnswer { what: WHAT, text: format!("{other:?}") }),
        }
    }

    async fn set_entry(&self, ifindex: u32, address: IpAddr, managed: bool) -> Result<(), LinkError> {
        const WHAT: &str = "keep a neighbour resolved";
        let mut message = question(ifindex, address);
        message.header.flags = NeighbourFlags::Use;
        if managed {
            message.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
        }
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewNeighbour(message));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let mut answers = self.handle.clone().request(request).map_err(|e| LinkError::new(WHAT, e))?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload {
                return Err(not_kept(WHAT, address, error.to_io()));
            }
        }
        Ok(())
    }
}

/// Why a neighbour is not kept resolved.
fn not_kept(what: &'static str, address: IpAddr, source: io::Error) -> LinkError {
    match source.raw_os_error() {
        Some(libc::ENOBUFS) => LinkError::NeighboursFull { version: if address.is_ipv4() { 4 } else { 6 } },
        _ => LinkError::Refused { what, source },
    }
}

/// An administrator's entry, or one that needs no answer.
const fn is_permanent(entry: &NeighbourMessage) -> bool {
    matches!(entry.header.state, NeighbourState::Permanent | NeighbourState::Noarp)
}

fn address_of(entry: &NeighbourMessage) -> Option<IpAddr> {
    entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })
}

fn question(ifindex: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = ifindex;
    let destination = match address {
        IpAddr::V4(v4) => {
            message.header.family = AddressFamily::Inet;
            NeighbourAddress::Inet(v4)
        }
        IpAddr::V6(v6) => {
            message.header.family = AddressFamily::Inet6;
            NeighbourAddress::Inet6(v6)
        }
    };
    message.attributes.push(NeighbourAttribute::Destination(destination));
    message
}

fn is_managed(entry: &NeighbourMessage) -> bool {
    entry.attributes.iter().any(
        |attribute| matches!(attribute, NeighbourAttribute::ExtFlags(flags) if flags.contains(NeighbourExtFlags::Managed)),
    )
}

#[cfg(test)]
mod tests {
    use super::not_kept;
    use std::io;

    #[test]
    fn a_full_table_names_what_is_to_be_raised() {
        let told = |address: &str, errno| {
            not_kept("keep a neighbour", address.parse().unwrap(), io::Error::from_raw_os_error(errno)).to_string()
        };
        assert!(told("192.0.2.1", libc::ENOBUFS).contains("net.ipv4.neigh.default.gc_thresh3"));
        assert!(told("2001:db8::1", libc::ENOBUFS).contains("net.ipv6.neigh.default.gc_thresh3"));
        assert!(!told("192.0.2.1", libc::ENETDOWN).contains("gc_thresh3"));
    }
}
