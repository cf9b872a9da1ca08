//! What hurts on the links in use is said once at the start, with the remedy.

use super::sockets::interface;
use crate::link::ability::Ability;
use crate::link::hint::{Hint, Use, hints};
use crate::link::netlink::Netlink;
use crate::link::xdp::Netdev;
use anyhow::Context;
use relay_common::plan::{Mode, Plan, ZeroCopy};
use relay_common::table::Placement;

/// Hints that would only repeat what is said elsewhere: as pending, or as an error of the attachment.
const SAID_ELSEWHERE: [&str; 4] = ["down", "no-carrier", "other-program", "mtu"];
/// Hints about the senders, not the link: worth knowing, and nothing to warn of each time.
const OF_SENDERS: [&str; 1] = ["partial-checksums"];

/// Hints that concern a link that packets only leave by, too.
const OF_OUTPUTS: [&str; 2] = ["short-rings", "other-node"];

/// Looks at every link in use: all hints of those that packets come in on.
pub async fn advise(netlink: &Netlink, plan: &Plan, place: &Placement) -> anyhow::Result<()> {
    let netdev = Netdev::open().context("cannot ask the kernel what drivers can do")?;
    for reading in netlink.readings(None).await? {
        let name = reading.link.name.clone();
        let is_input = place.input(&name).is_some();
        if !is_input && place.output(&name).is_none() {
            continue;
        }
        let vlans = plan.relays.iter().any(|relay| relay.input.interface == name && relay.input.vlans != [0, 0]);
        // Only lanes that send on the link want a queue of it.
        let lanes = if place.output(&name).is_some() { plan.lanes.n_lanes() } else { 1 };
        let interface = interface(plan, &name);
        let usage = Use {
            lanes,
            cores: plan.lanes.cores.clone(),
            frame_size: plan.lanes.frame_size,
            ring_size: plan.lanes.ring_size,
            zero_copy: interface.zero_copy != ZeroCopy::Never && interface.mode != Mode::Generic,
            vlans,
            own_programs: Vec::new(),
        };
        let ability = Ability::of(reading, netdev.as_ref());
        let is_due =
            |hint: &&Hint| !SAID_ELSEWHERE.contains(&hint.name) && (is_input || OF_OUTPUTS.contains(&hint.name));
        for hint in hints(&ability, &usage).iter().filter(is_due) {
            if OF_SENDERS.contains(&hint.name) {
                tracing::info!(link = %name, "{}; remedy: {}", hint.text, hint.remedy);
            } else {
                tracing::warn!(link = %name, "{}; remedy: {}", hint.text, hint.remedy);
            }
        }
    }
    Ok(())
}
