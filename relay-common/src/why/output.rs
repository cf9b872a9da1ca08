//! The way out: from a lane to the wire.

use super::evidence::{Evidence, Mute, OutputCounts, rise};
use super::step::{Finding, Stage};
use super::words::{self, seconds};
use crate::counters::{LaneCounter, output};
use crate::drops::Drop;
use crate::plan::Output;
use crate::table::{Part, PendingReason};
use alloc::format;
use core::num::NonZeroU8;

/// Judges a step of an output.
pub(super) fn find(evidence: &Evidence, i: usize, stage: Stage, is_broken: bool) -> Finding {
    match stage {
        Stage::Muted => muted(evidence),
        Stage::OutputLink => link(evidence, i),
        Stage::Neighbour => neighbour(evidence, i),
        _ if is_broken => Finding::not_reached(),
        Stage::Losses => losses(evidence, i),
        Stage::Sent => sent(evidence, i),
        _ => ttl(&evidence.relay.outputs[i]),
    }
}

fn muted(evidence: &Evidence) -> Finding {
    let name = &evidence.relay.name;
    match &evidence.mute {
        None => Finding::ok("it may send"),
        Some(Mute::Relay) => Finding::broken(
            format!("relay \"{name}\" is muted: it is measured, not sent"),
            match &evidence.file {
                Some(file) => format!("set muted = false in {file}, when receivers shall get it from this node"),
                None => format!("mcr relay unmute {name}, when receivers shall get it from this node"),
            },
        ),
        Some(Mute::Node { role }) => Finding::broken(
            format!("this node is {role}: its streams are measured, not sent"),
            "ask the active node, or make this one active (`mcr role`)",
        ),
    }
}

/// The pending reason of an output, when it is one of the next hop or when it is not.
fn pending(evidence: &Evidence, i: usize, of_neighbour: bool) -> Option<Finding> {
    let is = |reason: &&PendingReason| matches!(reason, PendingReason::NeighbourUnknown { .. }) == of_neighbour;
    let reason = evidence.pending(Part::Output(i)).find(is);
    reason.map(|reason| Finding::told(&format!("{reason}")))
}

fn link(evidence: &Evidence, i: usize) -> Finding {
    let name = &evidence.relay.outputs[i].interface;
    pending(evidence, i, false).unwrap_or_else(|| Finding::ok(format!("interface \"{name}\" can be sent on")))
}

fn neighbour(evidence: &Evidence, i: usize) -> Finding {
    let destination = evidence.relay.outputs[i].destination;
    let known = || match destination.is_multicast() {
        true => Finding::ok(format!("{destination} is a group: nobody has to answer")),
        // Whoever looks for a neighbour needs the link first.
        false if pending(evidence, i, false).is_some() => Finding::not_reached(),
        false => Finding::ok(format!("the next hop to {destination} is known")),
    };
    pending(evidence, i, true).unwrap_or_else(known)
}

fn counts(evidence: &Evidence, i: usize) -> (OutputCounts, OutputCounts) {
    let of = |outputs: &[OutputCounts]| outputs.get(i).cloned().unwrap_or_default();
    (of(&evidence.before.outputs), of(&evidence.now.outputs))
}

fn losses(evidence: &Evidence, i: usize) -> Finding {
    let (before, now) = counts(evidence, i);
    let window = seconds(evidence.window_ns);
    for reason in output::REASONS {
        let n = rise(&before.drops, &now.drops, reason);
        // These two are states, and were judged as such.
        if n > 0 && !matches!(reason, Drop::Pending | Drop::Muted) {
            let finding = Finding::told(reason.help());
            let text = format!("{n} packets dropped within {window} ({}): {}", reason.name(), finding.text);
            return Finding { text, ..finding };
        }
    }
    let of = &evidence.relay.outputs[i].interface;
    let lost = [
        (
            LaneCounter::KickBusy,
            "the device lost packets that were handed to it",
            "raise its transmit ring (ethtool -G)",
        ),
        (LaneCounter::KickNoBuffers, "the kernel had no memory to send", "give it memory, or send less at once"),
        (LaneCounter::KickLinkDown, "it was down when it should send", "look at its carrier"),
        (LaneCounter::KickOther, "its driver refused to send", "see what the kernel log says"),
    ];
    for (counter, what, remedy) in lost {
        let n = rise(&evidence.before.kicks, &evidence.now.kicks, counter);
        if n > 0 {
            let text =
                format!("{n} times within {window} ({}) \"{of}\" or another link of its lanes: {what}", counter.name());
            return Finding::broken(text, remedy);
        }
    }
    Finding::ok("nothing is dropped")
}

fn sent(evidence: &Evidence, i: usize) -> Finding {
    let (before, now) = counts(evidence, i);
    let n = now.packets.saturating_sub(before.packets);
    let window = seconds(evidence.window_ns);
    if n > 0 {
        return Finding::ok(format!("{n} packets within {window}"));
    }
    if evidence.risen() == 0 {
        return Finding::unknown(format!("nothing came in within {window} that could be sent"));
    }
    Finding::broken(
        format!("{} packets came in within {window}, and none was sent", evidence.risen()),
        format!("report it with what `mcr status --json` says; {} may help", words::anew(evidence)),
    )
}

fn ttl(output: &Output) -> Finding {
    let Output { ttl, destination, interface, .. } = output;
    match ttl.map(NonZeroU8::get) {
        Some(1) => Finding::unknown(format!(
            "{destination} leaves \"{interface}\" with TTL 1, so no router passes it on: raise ttl if receivers are behind one"
        )),
        Some(ttl) => Finding::ok(format!("{destination} leaves \"{interface}\" with TTL {ttl}")),
        None => Finding::ok(format!("{destination} leaves \"{interface}\" with the TTL that it came with, less one")),
    }
}
