//! What hurts on the links in use is said once at the start, with the remedy.

use super::sockets::interface;
use crate::link::ability::Ability;
use crate::link::hint::{Hint, KERNEL_FAULT, Use, hints};
use crate::link::netlink::Netlink;
use crate::link::release;
use crate::link::xdp::Netdev;
use anyhow::Context;
use relay_common::plan::{Mode, Plan, ZeroCopy};
use relay_common::table::Placement;

/// Hints that would only repeat what is said elsewhere: as pending, or as an error of the attachment.
const SAID_ELSEWHERE: [&str; 4] = ["down", "no-carrier", "other-program", "vlan-offload"];

/// Hints that concern a link that packets only leave by, too.
const OF_OUTPUTS: [&str; 3] = ["short-rings", "other-node", KERNEL_FAULT];

/// Looks at every link in use: all hints of those that packets come in on.
pub async fn advise(netlink: &Netlink, plan: &Plan, place: &Placement) -> anyhow::Result<()> {
    for (link, hint) in hints_of(netlink, plan, place).await? {
        if SAID_ELSEWHERE.contains(&hint.name) {
            continue;
        }
        tracing::warn!(link, hint = hint.name, "{}; remedy: {}", hint.text, hint.remedy);
    }
    Ok(())
}

/// What concerns each link that a plan uses.
///
/// # Errors
/// When the kernel does not tell of its links.
pub async fn hints_of_links(plan: &Plan, place: &Placement) -> anyhow::Result<Vec<(String, Hint)>> {
    let netlink = Netlink::new().context("cannot ask the kernel for its links")?;
    hints_of(&netlink, plan, place).await
}

/// Whether it is a fault of this kernel that the plan would wake.
#[must_use]
pub fn is_kernel_fault(hint: &Hint) -> bool {
    hint.name == KERNEL_FAULT
}

/// The hints that concern each link in use.
async fn hints_of(netlink: &Netlink, plan: &Plan, place: &Placement) -> anyhow::Result<Vec<(String, Hint)>> {
    let netdev = Netdev::open().context("cannot ask the kernel what drivers can do")?;
    let mut found = Vec::new();
    let all = netlink.readings(None).await?;
    for reading in all.clone() {
        let name = reading.link.name.clone();
        let is_input = place.input(&name).is_some();
        if !is_input && place.output(&name).is_none() {
            continue;
        }
        let usage = usage(plan, place, &name);
        let ability = Ability::of(reading, &all, netdev.as_ref());
        let is_due = |hint: &Hint| is_input || OF_OUTPUTS.contains(&hint.name);
        found.extend(hints(&ability, &usage).into_iter().filter(is_due).map(|hint| (name.clone(), hint)));
    }
    Ok(found)
}

/// What a plan does with a link.
fn usage(plan: &Plan, place: &Placement, name: &str) -> Use {
    let interface = interface(plan, name);
    Use {
        // Only lanes that send on the link want a queue of it.
        lanes: if place.output(name).is_some() { plan.lanes.n_lanes() } else { 1 },
        cores: plan.lanes.cores.clone(),
        frame_size: plan.lanes.frame_size,
        ring_size: plan.lanes.ring_size,
        zero_copy: interface.zero_copy != ZeroCopy::Never && interface.mode != Mode::Generic,
        zero_copy_demanded: interface.zero_copy == ZeroCopy::Always,
        native: interface.mode != Mode::Generic,
        polls_busily: plan.lanes.busy_poll_us > 0,
        release: release::running(),
        vlans: plan.relays.iter().any(|relay| relay.input.interface == name && relay.input.vlans != [0, 0]),
        own_programs: Vec::new(),
    }
}
