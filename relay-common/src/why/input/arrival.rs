//! What arrives on the link, and what of it the program takes.

use super::super::evidence::{Evidence, Fit, Wire, WireFrames};
use super::super::step::Finding;
use super::super::words;
use super::input;
use crate::decide::Verdict;
use crate::plan::Input;
use alloc::{collections::BTreeSet, format, string::String, string::ToString, vec::Vec};

/// Whether anything of the stream arrives, be it as it may.
pub(super) fn seen(evidence: &Evidence) -> Finding {
    let destination = words::destination(input(evidence));
    let interface = &input(evidence).interface;
    if evidence.flows() {
        return Finding::ok(format!("{destination} arrives on \"{interface}\""));
    }
    let suits = [Fit::Exact, Fit::Fragment, Fit::OtherVlan, Fit::OtherSource];
    let passed: Vec<&WireFrames> = suits.into_iter().flat_map(|fit| evidence.passed(fit)).collect();
    if !passed.is_empty() {
        let n: u64 = passed.iter().map(|frames| frames.count).sum();
        let from = words::sources(&passed);
        return Finding::ok(format!(
            "{n} packets from {from} arrive on \"{interface}\", but not as the relay wants them"
        ));
    }
    if evidence.lanes.iter().any(|lane| !lane.is_fine()) {
        return Finding::unknown("nothing was counted, but a lane that would count does not work");
    }
    if evidence.verdict(Verdict::Loop) > 0 {
        return Finding::unknown("nothing was counted, but frames of our own came in");
    }
    let others = evidence.passed(Fit::OtherPort);
    if let Some(most) = others.first().and_then(|frames| frames.port) {
        let ports: BTreeSet<u16> = others.iter().filter_map(|frames| frames.port).collect();
        let Input { destination: group, port, .. } = input(evidence);
        let (from, ports) = (words::sources(&others), words::list(ports));
        return Finding::broken(
            format!("{group} arrives from {from}, but on port {ports}, not {port}"),
            format!("set port = {most} on the input, or have the sender use {port}"),
        );
    }
    if let Some(hint) = without_a_look(evidence) {
        return Finding::unknown(hint);
    }
    nothing(evidence)
}

/// Without a look at the wire, what the verdicts of all relays together hint at.
fn without_a_look(evidence: &Evidence) -> Option<String> {
    if evidence.wire.as_ref().is_some_and(|wire| wire.missed == 0) {
        return None;
    }
    let suspects = [Verdict::WrongSource, Verdict::Fragment, Verdict::NoSocket];
    let risen = suspects.into_iter().filter(|verdict| evidence.verdict(*verdict) > 0);
    let risen: Vec<String> = risen.map(|verdict| format!("{} ({})", verdict.name(), verdict.help())).collect();
    (!risen.is_empty()).then(|| format!("nothing was counted, but these rise on this node: {}", risen.join("; ")))
}

fn nothing(evidence: &Evidence) -> Finding {
    let Input { interface, vlans, destination, sources, .. } = input(evidence);
    let all = evidence.risen_on_link(|counts| counts.rx_packets);
    let looked =
        evidence.wire.as_ref().map_or(evidence.window_ns, |wire: &Wire| wire.watched_ns.max(evidence.window_ns));
    let looked = words::seconds(looked);
    if all == Some(0) {
        let remedy = "look at the switch port that it leads to: is it the right one, is it enabled, in which VLANs";
        return Finding::broken(format!("nothing at all arrives on \"{interface}\" within {looked}"), remedy);
    }
    let mut remedy = String::from("see that the sender sends, and ");
    if !destination.is_multicast() {
        remedy.push_str("that it has the right hardware address of ours");
    } else {
        let query = if destination.is_ipv4() { "igmp" } else { "icmp6" };
        let from = if sources.is_empty() { String::new() } else { format!(" from {}", words::list(sources)) };
        remedy.push_str(&format!(
            "that the network brings the group{from} to this port: snooping switches need a querier in the VLAN \
             (`tcpdump -ni {interface} {query}` should show one every two minutes)"
        ));
    }
    if *vlans != [0, 0] {
        remedy.push_str("; and that the port carries the VLAN");
    }
    let meant = words::destination(input(evidence));
    let tags = if *vlans == [0, 0] { String::new() } else { format!(" {}", words::tags(*vlans)) };
    Finding::broken(format!("nothing for {meant}{tags} arrives on \"{interface}\" within {looked}"), remedy)
}

pub(super) fn whole(evidence: &Evidence) -> Finding {
    let parts = evidence.passed(Fit::Fragment);
    if parts.is_empty() {
        return Finding::ok("no fragments");
    }
    let (n, from) = (parts.iter().map(|frames| frames.count).sum::<u64>(), words::sources(&parts));
    Finding::broken(
        format!("{n} fragments from {from}: only whole datagrams are relayed"),
        "have the sender make datagrams that fit its MTU: 1472 bytes of payload at 1500 and IPv4 (7 TS packets are 1316)",
    )
}

pub(super) fn vlan(evidence: &Evidence) -> Finding {
    let Input { interface, vlans, .. } = input(evidence);
    let others = evidence.passed(Fit::OtherVlan);
    let wanted = words::tags(*vlans);
    if !others.is_empty() && !evidence.flows() && evidence.passed(Fit::Exact).is_empty() {
        let found: BTreeSet<[u16; 2]> = others.iter().map(|frames| frames.vlans).collect();
        let first = found.first().copied().unwrap_or_default();
        let name = crate::table::vlan_device(interface, &first);
        let found = words::list(found.into_iter().map(words::tags));
        return Finding::broken(
            format!("it arrives {found}, but the relay takes it {wanted}"),
            format!("set interface = \"{name}\" on the input, or correct the VLAN of the switch port"),
        );
    }
    if *vlans != [0, 0] && is_taken_off(evidence) {
        // mcr has turned off what takes tags out: where it could not, the input is pending, and the way ends before.
        return Finding::broken(
            format!("it arrives {wanted}, but the program does not see the tag: it travels beside the frame"),
            format!(
                "on the other end of the veth pair of \"{interface}\": ethtool -K PEER txvlan off; on a bridge or a bond, \
                 relay from the interfaces that it is made of"
            ),
        );
    }
    Finding::ok(format!("it arrives {wanted}"))
}

/// Frames that suit went past the program, although nothing that it knows is against them.
fn is_taken_off(evidence: &Evidence) -> bool {
    let is_served = words::empty_queues(evidence).is_empty() && evidence.verdict(Verdict::NoSocket) == 0;
    !evidence.flows() && is_served && !evidence.passed(Fit::Exact).is_empty()
}

pub(super) fn source(evidence: &Evidence) -> Finding {
    let Input { sources, .. } = input(evidence);
    if sources.is_empty() {
        return Finding::ok("from any source");
    }
    let named = words::list(sources);
    let strangers = evidence.passed(Fit::OtherSource);
    if !strangers.is_empty() && !evidence.flows() && evidence.passed(Fit::Exact).is_empty() {
        let from = words::sources(&strangers);
        return Finding::broken(
            format!("it comes from {from}, but the relay takes it from {named} only"),
            format!(
                "add {from} to the input's sources if that is the right sender; else find out why the other is silent"
            ),
        );
    }
    Finding::ok(format!("from {named}"))
}

/// Frames that came round are dropped, so the wire does not show them: only the verdict does, for all relays.
pub(super) fn came_round(evidence: &Evidence) -> Finding {
    let n = evidence.verdict(Verdict::Loop);
    let nothing_else = evidence.wire.as_ref().is_none_or(|wire| wire.frames.is_empty());
    if n > 0 && !evidence.flows() && nothing_else && evidence.lanes.iter().all(|lane| lane.is_fine()) {
        return Finding::broken(
            format!(
                "the only frames like these are our own: {n} came back within {}",
                words::seconds(evidence.window_ns)
            ),
            "look for a loop behind an output link, such as two ports in one VLAN, or a relay that sends where it listens",
        );
    }
    Finding::ok("none of it is our own")
}

pub(super) fn socket(evidence: &Evidence) -> Finding {
    let interface = &input(evidence).interface;
    let empty = words::empty_queues(evidence);
    if empty.is_empty() {
        let (n, lost) = (evidence.queues.len(), evidence.verdict(Verdict::NoSocket));
        if lost > 0 && !evidence.flows() && !evidence.passed(Fit::Exact).is_empty() {
            return Finding::broken(
                format!(
                    "it comes on a queue of \"{interface}\" that no lane serves: {lost} frames passed as no_socket"
                ),
                format!("serve it (queues = \"all\" for this interface), or `ethtool -L {interface} combined {n}`"),
            );
        }
        return match n {
            0 => Finding::unknown("nobody looked at the queues"),
            n => Finding::ok(format!("{n} queue{} with a socket", if n == 1 { "" } else { "s, each" })),
        };
    }
    let queues = words::list(empty);
    if evidence.flows() {
        return Finding::ok("the queue that it comes on has its socket");
    }
    Finding::broken(
        format!("queue {queues} of \"{interface}\" has no socket: what comes there is not relayed"),
        "mend what mcr health says of it: mcr tries again every few seconds; or find out who deleted the entry",
    )
}

/// The last word: whatever else was found, either packets come to a lane or not.
pub(super) fn received(evidence: &Evidence) -> Finding {
    let last = match evidence.now.last_age_ns {
        Some(age) => format!("the last one {} ago", words::seconds(age)),
        None => "none since the relay was made".to_string(),
    };
    if evidence.flows() {
        let (n, window) = (evidence.risen(), words::seconds(evidence.window_ns));
        return Finding::ok(format!("{n} packets within {window}, {last}"));
    }
    let remedy = "see what `mcr status` says of the program's verdicts, and what the log of mcr says";
    Finding::broken(format!("no packet comes to a lane: {last}"), remedy)
}
