//! The way in: from the link to a lane.

mod arrival; // what arrives, and what of it the program takes

use super::evidence::{Attachment, Evidence, Lane, Membership, rise};
use super::step::{Finding, Stage};
use super::words;
use crate::drops::Drop;
use crate::health::RENEW_CONTROL;
use crate::plan::Input;
use crate::table::{Part, PendingReason};
use alloc::{format, string::String};

/// Judges a step. What passes is judged behind a broken step only if packets come all the same.
pub(super) fn find(evidence: &Evidence, stage: Stage, is_broken: bool) -> Finding {
    let is_reached = !is_broken || evidence.flows();
    match stage {
        Stage::Link => link(evidence),
        // Of a link that is not there nothing can be said.
        _ if evidence.link.is_none() => Finding::not_reached(),
        Stage::Carrier => carrier(evidence),
        Stage::Mtu => mtu(evidence),
        Stage::Joined => joined(evidence),
        Stage::Attached => attached(evidence),
        Stage::Matched => matched(evidence, is_broken),
        Stage::Socket => arrival::socket(evidence),
        Stage::Lane => lane(evidence),
        _ if !is_reached => Finding::not_reached(),
        Stage::Seen => arrival::seen(evidence),
        Stage::Whole => arrival::whole(evidence),
        Stage::Vlan => arrival::vlan(evidence),
        Stage::Source => arrival::source(evidence),
        Stage::Loop => arrival::came_round(evidence),
        Stage::Received => arrival::received(evidence),
        _ => relayed(evidence),
    }
}

fn input(evidence: &Evidence) -> &Input {
    &evidence.relay.input
}

/// The pending reason of the input that `is` picks, as a finding.
fn pending(evidence: &Evidence, is: impl Fn(&PendingReason) -> bool) -> Option<Finding> {
    let reason = evidence.pending(Part::Input).find(|reason| is(reason));
    reason.map(|reason| Finding::told(&format!("{reason}")))
}

fn link(evidence: &Evidence) -> Finding {
    let later = |reason: &PendingReason| {
        matches!(reason, PendingReason::MtuTooLong { .. } | PendingReason::NotOwnAddress { .. })
    };
    if let Some(finding) = pending(evidence, |reason| reason.stops_input() && !later(reason)) {
        return finding;
    }
    let name = &input(evidence).interface;
    match &evidence.link {
        Some(link) => Finding::ok(format!("interface \"{name}\" is there, with number {}", link.ifindex)),
        None => Finding::told(&format!("{}", PendingReason::LinkMissing { link: name.clone() })),
    }
}

fn carrier(evidence: &Evidence) -> Finding {
    match &evidence.link {
        Some(link) if !(link.up && link.carrier) => {
            Finding::told(&format!("{}", PendingReason::LinkDown { link: link.name.clone(), up: link.up }))
        }
        _ => Finding::ok("it is up and has carrier"),
    }
}

fn mtu(evidence: &Evidence) -> Finding {
    if let Some(finding) = pending(evidence, |reason| matches!(reason, PendingReason::MtuTooLong { .. })) {
        return finding;
    }
    let (mtu, longest) = (evidence.link.as_ref().map_or(0, |link| link.mtu), evidence.longest_packet);
    Finding::ok(if mtu > longest {
        format!(
            "packets of up to {longest} bytes are relayed; longer ones, of up to its MTU of {mtu}, are dropped (rx_dropped)"
        )
    } else {
        format!("frames have room for its MTU of {mtu}")
    })
}

fn joined(evidence: &Evidence) -> Finding {
    let Input { interface, destination, sources, .. } = input(evidence);
    if let Some(finding) = pending(evidence, |reason| matches!(reason, PendingReason::NotOwnAddress { .. })) {
        return finding;
    }
    if let Some(finding) = pending(evidence, |reason| matches!(reason, PendingReason::VlanDeviceMissing { .. })) {
        let unasked = || Finding::ok(format!("{} but it comes unasked", finding.text));
        return if evidence.flows() { unasked() } else { finding };
    }
    match &evidence.membership {
        Membership::NotNeeded => Finding::ok(format!("{destination} is an address of \"{interface}\"")),
        Membership::Unknown => Finding::unknown("nobody looked at the memberships"),
        Membership::Group { device, is_held: false, is_in_kernel, .. } => {
            let other = if *is_in_kernel { ", only another process has" } else { "" };
            let remedy = format!(
                "look for \"cannot join\" in the log of mcr, mend what it says, then {}",
                words::anew(evidence)
            );
            Finding::broken(format!("mcr has not joined {destination} on \"{device}\"{other}"), remedy)
        }
        Membership::Group { device, is_in_kernel: false, .. } => {
            let anew = words::anew(evidence);
            let remedy = format!("{anew} to join anew; `ip maddr show dev {device}` lists what is joined");
            Finding::broken(format!("the kernel has lost {destination} on \"{device}\""), remedy)
        }
        Membership::Group { device, missing_sources, .. } if !missing_sources.is_empty() => {
            let missing = words::list(missing_sources);
            let anew = words::anew(evidence);
            let remedy = format!("{anew} to join anew; `grep {device} /proc/net/mcfilter*` lists who is asked for");
            Finding::broken(format!("{destination} on \"{device}\" is not asked for from {missing}"), remedy)
        }
        Membership::Group { device, .. } => {
            let from = if sources.is_empty() { String::new() } else { format!(" from {}", words::list(sources)) };
            Finding::ok(format!("{destination} is joined on \"{device}\"{from}"))
        }
    }
}

fn attached(evidence: &Evidence) -> Finding {
    let name = &input(evidence).interface;
    match &evidence.attachment {
        Attachment::Unknown => Finding::unknown("nobody looked at the XDP program"),
        Attachment::Ours { mode } => Finding::ok(format!("our XDP program runs on \"{name}\" in {mode} mode")),
        Attachment::Never => Finding::broken(
            format!("our XDP program is not on \"{name}\""),
            "look for \"cannot attach\" in the log of mcr and mend what it says: mcr tries again every few seconds",
        ),
        Attachment::Detached => Finding::broken(
            format!("something detached our XDP program from \"{name}\""),
            format!("mcr attaches it again; find out who did it (`bpftool link detach`, or \"{name}\" made anew)"),
        ),
        Attachment::Replaced { program } => Finding::broken(
            format!("XDP program {program} has taken the place of ours on \"{name}\""),
            format!("mcr puts its own back; end what put it there (`bpftool prog show id {program}` names it)"),
        ),
    }
}

fn matched(evidence: &Evidence, is_broken: bool) -> Finding {
    let input = words::input(input(evidence));
    match evidence.is_matched {
        Some(true) => Finding::ok(format!("the program takes {input}")),
        None => Finding::unknown("nobody looked into the program's map"),
        // A relay whose input is pending is in no map.
        Some(false) if is_broken => Finding::not_reached(),
        Some(false) => Finding::broken(
            format!("the program does not know {input}: its entry in the map INPUTS is gone"),
            "mcr writes it anew within a second; find out who deleted it",
        ),
    }
}

fn lane(evidence: &Evidence) -> Finding {
    let Some(lane) = evidence.lanes.iter().find(|lane| !lane.is_fine()) else {
        let lanes = words::list(evidence.lanes.iter().map(|lane| lane.number));
        return match evidence.lanes.first() {
            Some(first) => Finding::ok(format!("lane {lanes} runs generation {}", first.generation)),
            None => Finding::unknown("no lane is known to serve this link"),
        };
    };
    let Lane { number, is_alive, heartbeat_age_ns, heartbeat_limit_ns, generation, in_force } = *lane;
    if !is_alive {
        let remedy = "mcr starts it again by itself; if that does not last, its log says how the lane ends";
        return Finding::broken(format!("lane {number} does not run"), remedy);
    }
    if heartbeat_age_ns > heartbeat_limit_ns {
        let age = words::seconds(heartbeat_age_ns);
        let remedy = "see whether it is stopped (state T in `ps`; then kill -CONT) or another process has its core; \
                      else kill it, and mcr starts another that loses nothing";
        return Finding::broken(format!("lane {number} has not come round for {age}"), remedy);
    }
    let remedy = format!("see the log; another control brings it up to date without a loss: {RENEW_CONTROL}");
    Finding::broken(format!("lane {number} runs generation {generation}, {in_force} is in force"), remedy)
}

/// What lanes drop of a relay. That no output can send is said at the outputs.
fn relayed(evidence: &Evidence) -> Finding {
    if let Some(found) = evidence.now.comes_round {
        let input = words::input(input(evidence));
        let what = if found.all { "nothing is sent" } else { "what comes from there is dropped" };
        return Finding::broken(
            format!("what it sends comes in again on {input}, from {found}: {what}"),
            "find the node with that address, and take the relay or the output that closes the way round out there or here",
        );
    }
    for reason in [Drop::NoChecksum, Drop::Malformed, Drop::NoRelay, Drop::SourceRoute, Drop::Looped] {
        let n = rise(&evidence.before.drops, &evidence.now.drops, reason);
        if n > 0 {
            let window = words::seconds(evidence.window_ns);
            let finding = Finding::told(reason.help());
            return Finding { text: format!("{n} packets dropped within {window}: {}", finding.text), ..finding };
        }
    }
    Finding::ok("every packet can be relayed")
}
