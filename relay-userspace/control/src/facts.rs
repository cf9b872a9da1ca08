//! What the kernel says of the links and neighbours that a plan needs.

use super::offloads;
use crate::link::neighbour::{Destination, Neighbours};
use crate::link::netlink::{Netlink, Reading};
use crate::link::{ethtool, quirk};
use crate::link::{module, release};
use anyhow::Context;
use relay_common::entry::Vlans;
use relay_common::facts::{Facts, Link, Neighbour};
use relay_common::faults;
use relay_common::plan::{Output, Plan};
use std::collections::{BTreeMap, BTreeSet};

/// Reads links and neighbours, and has the kernel keep the neighbours. One that cannot be asked for now is asked for
/// again at the next look.
pub(super) async fn read(netlink: &Netlink, neighbours: &mut Neighbours, plan: &Plan) -> anyhow::Result<Facts> {
    let mut facts = links(netlink).await?;
    facts.cut_above = cut_above(&facts, plan);
    facts.no_zero_copy = no_zero_copy(plan);
    if let Err(error) = neighbours.want(netlink, &destinations(&facts, plan)).await {
        tracing::debug!(%error, "a neighbour could not be asked for");
    }
    facts.neighbours = neighbours.facts();
    Ok(facts)
}

/// Reads links and neighbours and changes nothing: for a plan that is only looked at.
pub async fn look_at(plan: &Plan) -> anyhow::Result<Facts> {
    let netlink = Netlink::new().context("cannot ask the kernel for its links")?;
    let mut facts = links(&netlink).await?;
    facts.tags_stripped = offloads::stripped_for_good(&facts, plan);
    facts.cut_above = cut_above(&facts, plan);
    facts.no_zero_copy = no_zero_copy(plan);
    for (ifindex, destination) in destinations(&facts, plan) {
        if let Ok(Some(next_hop)) = netlink.route(destination, ifindex).await {
            let mac = netlink.neighbour(ifindex, next_hop).await.ok().flatten();
            facts.neighbours.push(Neighbour { ifindex, destination, next_hop, mac });
        }
    }
    Ok(facts)
}

/// Input links whose NIC would cut what it receives in zero-copy.
fn cut_above(facts: &Facts, plan: &Plan) -> BTreeMap<String, u32> {
    let cut = |name: &str| {
        let driver = ethtool::driver(name)?.name;
        quirk::cuts_above(&driver, facts.link(name)?.mtu, plan.lanes.frame_size)
    };
    plan.input_links().into_iter().filter_map(|name| Some((name.to_owned(), cut(name)?))).collect()
}

/// Links in use on which this kernel has a fault that zero-copy wakes.
fn no_zero_copy(plan: &Plan) -> BTreeMap<String, String> {
    let Some(release) = release::running() else { return BTreeMap::new() };
    let spoilt = |name: &str| {
        let driver = ethtool::driver(name)?.name;
        let driver = faults::Driver { name: &driver, is_module: module::is_module(&driver) };
        let found = faults::spoils_zero_copy(&release, driver)?;
        Some((name.to_owned(), found.text()))
    };
    plan.links_in_use().into_iter().filter_map(spoilt).collect()
}

async fn links(netlink: &Netlink) -> anyhow::Result<Facts> {
    let readings = netlink.readings(None).await.context("cannot read the links")?;
    let vlan_devices = readings.iter().filter_map(Reading::vlan_device).collect();
    let links = readings.into_iter().map(|reading| reading.link).collect();
    Ok(Facts { links, vlan_devices, ..Facts::default() })
}

/// The unicast destinations of a plan, each with the device that it is reached by.
fn destinations(facts: &Facts, plan: &Plan) -> BTreeSet<Destination> {
    let links: BTreeMap<&str, &Link> = facts.links.iter().map(|link| (link.name.as_str(), link)).collect();
    let device = |output: &Output| {
        let link = links.get(output.interface.as_str())?;
        match output.vlans {
            Vlans::Set { ids, .. } => facts.vlan_device(link.ifindex, ids).or(Some(link.ifindex)),
            Vlans::Keep => Some(link.ifindex),
        }
    };
    let to_hosts = plan.relays.iter().filter(|relay| relay.enabled && !relay.outputs.lead_to_groups());
    let outputs = to_hosts.flat_map(|relay| &relay.outputs);
    outputs
        .filter(|output| !output.destination.is_multicast())
        .filter_map(|output| Some((device(output)?, output.destination)))
        .collect()
}
