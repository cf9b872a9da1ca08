//! Groups, hosts and interfaces.

use super::error::Fault;
use super::number::{describe, within};
use super::range::{Run, addresses};
use super::section::text;
use super::value::{Kind, Value};
use std::net::IpAddr;

/// Characters that an interface's name can have: `IFNAMSIZ` less the closing zero.
const MAX_INTERFACE: usize = 15;
/// VLAN identifiers that can be used: 0 means "no VLAN", 4095 is reserved.
const VLANS: std::ops::RangeInclusive<u32> = 1..=4094;

/// A group, or a range of groups.
pub(super) fn groups(value: &Value) -> Result<Run<IpAddr>, Fault> {
    let run = addresses(text(value)?)?;
    if let Some(end) = [run.first(), run.last()].into_iter().find(|end| !end.is_multicast()) {
        let remedy = format!("write address = \"{end}\", or a group (224.0.0.0/4, ff00::/8)");
        return Err(Fault::new(format!("{end} is not a multicast group"), remedy));
    }
    match run.first() {
        IpAddr::V6(first) if first.octets()[1] & 0xf <= 1 => {
            Err(Fault::new(format!("{first} never leaves the host"), "use a group of a larger scope, as in ff3e::1"))
        }
        _ => Ok(run),
    }
}

/// A unicast address, or a range of them.
pub(super) fn hosts(value: &Value) -> Result<Run<IpAddr>, Fault> {
    let run = addresses(text(value)?)?;
    for end in [run.first(), run.last()] {
        if end.is_multicast() {
            let remedy = format!("write group = \"{end}\", or a host's address");
            return Err(Fault::new(format!("{end} is a multicast group, not a host"), remedy));
        }
        check_host(end)?;
    }
    Ok(run)
}

/// One unicast address that packets can come from.
pub(super) fn host(value: &Value) -> Result<IpAddr, Fault> {
    let run = addresses(text(value)?)?;
    if run.length.is_some() {
        return Err(Fault::new("a range cannot stand here", "name one address"));
    }
    if run.first().is_multicast() {
        return Err(Fault::new(format!("{} is a multicast group, not a host", run.first()), "name a host's address"));
    }
    check_host(run.first()).map(|()| run.first())
}

fn check_host(address: IpAddr) -> Result<(), Fault> {
    let problem = match address {
        _ if address.is_unspecified() => "stands for no address",
        _ if address.is_loopback() => "is this host itself",
        IpAddr::V4(v4) if v4.is_broadcast() => "is the broadcast address",
        IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240 => "is in a range that no host can have",
        _ => return Ok(()),
    };
    Err(Fault::new(format!("{address} {problem}"), "name a host's address on a network"))
}

/// Says whether a group stays on its link: 224.0.0.0/24, or IPv6 groups of that scope.
pub(super) fn is_link_local(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.octets()[..3] == [224, 0, 0],
        IpAddr::V6(group) => group.is_multicast() && group.octets()[1] & 0xf == 2,
    }
}

/// VLAN identifiers: outer first, 0 where there is no tag.
pub(super) type Ids = [u16; 2];

/// An interface, and the VLAN that its name implies.
pub(super) fn interface(value: &Value) -> Result<(String, Ids), Fault> {
    let name = text(value)?;
    let mut link = name;
    let mut suffixes = Vec::new();
    while let Some((rest, suffix)) = link.rsplit_once('.').filter(|_| suffixes.len() < 2) {
        let Some(id) = suffix.parse::<u16>().ok().filter(|id| VLANS.contains(&u32::from(*id))) else { break };
        suffixes.insert(0, id);
        link = rest;
    }
    let ids = [suffixes.first().copied().unwrap_or(0), suffixes.get(1).copied().unwrap_or(0)];
    link_name(link).map(|()| (link.to_owned(), ids))
}

/// A link without a VLAN.
pub(super) fn link(value: &Value) -> Result<String, Fault> {
    match interface(value)? {
        (link, [0, 0]) => Ok(link),
        (link, _) => {
            let problem = format!("\"{}\" is a VLAN on \"{link}\"", text(value)?);
            Err(Fault::new(problem, format!("name the link: name = \"{link}\"")))
        }
    }
}

fn link_name(link: &str) -> Result<(), Fault> {
    let fits = (1..=MAX_INTERFACE).contains(&link.len()) && link != "." && link != "..";
    if fits && link.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | ':')) {
        return Ok(());
    }
    let remedy = format!("use 1 to {MAX_INTERFACE} characters, without spaces, '/' and ':'; ip link shows the names");
    Err(Fault::new(format!("\"{link}\" cannot be the name of an interface"), remedy))
}

/// The VLAN of an input: N or [outer, inner], or "none".
pub(super) fn input_vlan(value: &Value) -> Result<Ids, Fault> {
    match &value.kind {
        Kind::Text(word) if word == "none" => Ok([0, 0]),
        Kind::Integer(_) | Kind::List(_) => ids(value),
        _ => Err(Fault::new(format!("is {}", describe(value)), "use 1 to 4094, [outer, inner] or \"none\"")),
    }
}

/// The VLAN of an output: as that of an input, or "keep" (`None`).
pub(super) fn output_vlan(value: &Value) -> Result<Option<Ids>, Fault> {
    match &value.kind {
        Kind::Text(word) if word == "keep" => Ok(None),
        Kind::Text(word) if word == "none" => Ok(Some([0, 0])),
        Kind::Integer(_) | Kind::List(_) => ids(value).map(Some),
        _ => Err(Fault::new(format!("is {}", describe(value)), "use \"none\", \"keep\", 1 to 4094 or [outer, inner]")),
    }
}

fn ids(value: &Value) -> Result<Ids, Fault> {
    let id = |value: &Value| within(value, VLANS).map(|id| u16::try_from(id).unwrap_or(u16::MAX));
    match &value.kind {
        Kind::List(list) => match list.as_slice() {
            [outer, inner] => Ok([id(outer)?, id(inner)?]),
            _ => Err(Fault::new(format!("has {} tags", list.len()), "write [outer, inner], or one number")),
        },
        _ => Ok([id(value)?, 0]),
    }
}
