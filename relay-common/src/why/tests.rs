//! Every step that can break is named, with its remedy, by evidence in which only that is wrong.

mod relay; // evidence to begin with

use self::relay::{MS, dark, link, passes, risen, with, works};
use super::{Attachment, Evidence, Lane, Listener, Membership, Mute, Stage, State, Walk, walk};
use crate::counters::LaneCounter;
use crate::decide::Verdict;
use crate::drops::Drop;
use crate::facts::Link;
use crate::table::{Part, PendingReason};
use alloc::{format, string::String, string::ToString, vec, vec::Vec};
use core::num::NonZeroU8;

fn look(evidence: &Evidence) -> Walk {
    walk("ch1", Some(evidence), &["ch1"])
}

/// The first broken step is this one, and its text and remedy say so.
#[track_caller]
fn breaks(evidence: &Evidence, stage: Stage, words: &[&str]) {
    let walk = look(evidence);
    let step = walk.first_broken().unwrap_or_else(|| panic!("nothing is broken:\n{walk}"));
    assert_eq!(step.stage, stage, "\n{walk}");
    let said = format!("{} -> {}", step.finding.text, step.finding.remedy.as_deref().expect("a remedy"));
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

fn states(walk: &Walk, stages: &[Stage]) -> Vec<State> {
    let of = |stage: &Stage| walk.steps.iter().find(|step| step.stage == *stage).unwrap().finding.state;
    stages.iter().map(of).collect()
}

#[test]
fn a_stream_that_flows_is_told_step_by_step() {
    let expected = "  relay       ok     enabled: in0/239.1.1.1:5000 to 2 outputs
  link        ok     interface \"in0\" is there, with number 7
  carrier     ok     it is up and has carrier
  mtu         ok     frames have room for its MTU of 1500
  joined      ok     239.1.1.1 is joined on \"in0\"
  attached    ok     our XDP program runs on \"in0\" in native mode
  matched     ok     the program takes in0/239.1.1.1:5000
  seen        ok     239.1.1.1:5000 arrives on \"in0\"
  whole       ok     no fragments
  vlan        ok     it arrives without a tag
  source      ok     from any source
  loop        ok     none of it is our own
  socket      ok     2 queues, each with a socket
  lane        ok     lane 0 runs generation 7
  received    ok     100 packets within 1.0 s, the last one 0.0 s ago
  relayed     ok     every packet can be relayed
outputs[0]
  muted       ok     it may send
  output_link ok     interface \"out0\" can be sent on
  neighbour   ok     239.2.1.1 is a group: nobody has to answer
  losses      ok     nothing is dropped
  sent        ok     100 packets within 1.0 s
  ttl         ok     239.2.1.1 leaves \"out0\" with TTL 16
outputs[1]
  muted       ok     it may send
  output_link ok     interface \"out0\" can be sent on
  neighbour   ok     the next hop to 10.2.0.9 is known
  losses      ok     nothing is dropped
  sent        ok     100 packets within 1.0 s
  ttl         ok     10.2.0.9 leaves \"out0\" with TTL 16
relay \"ch1\": nothing is broken
";
    assert_eq!(format!("{}", look(&works())), expected);
}

#[test]
fn a_relay_that_is_not_there_or_disabled_ends_the_way() {
    let walk = walk("tv", None, &["ch1", "tv/0", "tv/1"]);
    assert_eq!(walk.steps.len(), 1);
    assert!(format!("{walk}").contains("there is no relay \"tv\"\n"), "{walk}");
    assert!(format!("{walk}").contains("-> it may be \"tv/0\" that is meant"), "{walk}");
    let disabled = with(dark(), |evidence| evidence.relay.enabled = false);
    breaks(&disabled, Stage::Relay, &["disabled", "mcr relay enable ch1"]);
    assert_eq!(states(&look(&disabled), &[Stage::Link, Stage::Sent]), [State::NotReached; 2]);
    let of_file = with(disabled, |evidence| evidence.file = Some("/etc/mcr/relay.toml".to_string()));
    breaks(&of_file, Stage::Relay, &["set enabled = true in /etc/mcr/relay.toml"]);
}

#[test]
fn a_link_that_cannot_be_used_is_named() {
    let pend = |reason: PendingReason| with(dark(), |evidence| evidence.pending.push((Part::Input, reason)));
    let in0 = || "in0".to_string();
    let missing = with(pend(PendingReason::LinkMissing { link: in0() }), |evidence| evidence.link = None);
    breaks(&missing, Stage::Link, &["interface \"in0\" does not exist", "create it"]);
    assert_eq!(states(&look(&missing), &[Stage::Carrier, Stage::Seen, Stage::Received]), [State::NotReached; 3]);
    let unusable =
        PendingReason::Unusable { link: in0(), problem: "another program is attached: detach it".to_string() };
    breaks(&pend(unusable), Stage::Link, &["another program", "detach it"]);
    let down = |up| with(dark(), |evidence| evidence.link = Some(Link { up, carrier: false, ..link() }));
    breaks(&down(false), Stage::Carrier, &["is down", "ip link set in0 up"]);
    breaks(&down(true), Stage::Carrier, &["no carrier", "cable"]);
    let mtu = PendingReason::MtuTooLong { link: in0(), mtu: 9000, limit: 1766 };
    breaks(&pend(mtu), Stage::Mtu, &["MTU of 9000", "ip link set in0 mtu 1766"]);
    let long = with(works(), |evidence| evidence.link = Some(Link { mtu: 9000, ..link() }));
    assert_eq!(look(&long).first_broken(), None);
    assert!(
        look(&long).to_string().contains("packets of up to 1766 bytes are relayed; longer ones"),
        "{}",
        look(&long)
    );
}

#[test]
fn a_group_that_is_not_joined_is_named() {
    let group = |is_held, is_in_kernel, missing: &[&str]| {
        let missing_sources = missing.iter().map(|source| source.parse().unwrap()).collect();
        let membership = Membership::Group { device: "in0".to_string(), is_held, is_in_kernel, missing_sources };
        with(dark(), |evidence| evidence.membership = membership)
    };
    breaks(&group(false, false, &[]), Stage::Joined, &["has not joined 239.1.1.1 on \"in0\"", "cannot join"]);
    breaks(&group(false, true, &[]), Stage::Joined, &["only another process has"]);
    breaks(&group(true, false, &[]), Stage::Joined, &["lost 239.1.1.1", "ip maddr show dev in0"]);
    breaks(&group(true, true, &["10.0.0.1"]), Stage::Joined, &["not asked for from 10.0.0.1"]);
    // A switch that floods hides it, but it is broken all the same; the rest of the way is judged.
    let flooded = with(works(), |evidence| evidence.membership = group(true, false, &[]).membership);
    breaks(&flooded, Stage::Joined, &[]);
    assert_eq!(states(&look(&flooded), &[Stage::Seen, Stage::Received, Stage::Sent]), [State::Ok; 3]);

    let not_own = PendingReason::NotOwnAddress { link: "in0".to_string(), address: [10, 1, 0, 3].into() };
    let not_own = with(dark(), |evidence| evidence.pending.push((Part::Input, not_own)));
    breaks(&not_own, Stage::Joined, &["10.1.0.3 is not an address", "ip address add"]);

    let missing = PendingReason::VlanDeviceMissing { link: "in0".to_string(), device: "in0.5".to_string() };
    let pend = |evidence: &mut Evidence| evidence.pending.push((Part::Input, missing));
    let without = with(with(dark(), pend), |evidence| evidence.membership = Membership::Unknown);
    breaks(&without, Stage::Joined, &["no \"in0.5\" to join", "ip link add link in0 name in0.5 type vlan id 5"]);
    let unasked = with(without, |evidence| evidence.now = works().now);
    assert_eq!(look(&unasked).first_broken(), None, "the switch sends it unasked");
}

#[test]
fn a_program_that_does_not_run_or_know_the_relay_is_named() {
    let attachment = |attachment| with(dark(), |evidence| evidence.attachment = attachment);
    breaks(&attachment(Attachment::Never), Stage::Attached, &["not on \"in0\"", "cannot attach"]);
    breaks(&attachment(Attachment::Detached), Stage::Attached, &["detached our XDP program from \"in0\""]);
    let other = attachment(Attachment::Replaced { program: 99 });
    breaks(&other, Stage::Attached, &["program 99", "bpftool prog show id 99"]);
    breaks(&with(dark(), |evidence| evidence.is_matched = Some(false)), Stage::Matched, &["INPUTS is gone"]);
}

#[test]
fn what_arrives_otherwise_than_wanted_is_named() {
    breaks(&dark(), Stage::Seen, &["nothing for 239.1.1.1:5000 arrives on \"in0\"", "querier", "tcpdump -ni in0 igmp"]);
    let silent = with(dark(), |evidence| evidence.now.link = evidence.before.link);
    breaks(&silent, Stage::Seen, &["nothing at all arrives on \"in0\"", "switch port"]);
    let frames = |frames: &[_]| with(dark(), |evidence| passes(evidence, frames));
    let other_port = frames(&[("10.0.0.1", [0, 0], Some(5002), 90), ("10.0.0.1", [0, 0], Some(5004), 3)]);
    breaks(&other_port, Stage::Seen, &["on port 5002, 5004, not 5000", "set port = 5002"]);
    let fragments = frames(&[("10.0.0.1", [0, 0], None, 90)]);
    breaks(&fragments, Stage::Whole, &["90 fragments from 10.0.0.1", "1472"]);
    let tagged = frames(&[("10.0.0.1", [200, 0], Some(5000), 90)]);
    breaks(&tagged, Stage::Vlan, &["arrives with VLAN 200", "takes it without a tag", "interface = \"in0.200\""]);
    let untagged = with(frames(&[("10.0.0.1", [0, 0], Some(5000), 9)]), |evidence| {
        evidence.relay.input.vlans = [100, 7];
    });
    breaks(&untagged, Stage::Vlan, &["without a tag", "with VLANs 100 and 7", "interface = \"in0\""]);
    let stranger = with(frames(&[("10.0.0.9", [0, 0], Some(5000), 90)]), |evidence| {
        evidence.relay.input.sources = vec![[10, 0, 0, 1].into()];
    });
    breaks(&stranger, Stage::Source, &["comes from 10.0.0.9", "from 10.0.0.1 only", "add 10.0.0.9"]);
    let hidden = with(frames(&[("10.0.0.1", [100, 0], Some(5000), 90)]), |evidence| {
        evidence.relay.input.vlans = [100, 0];
    });
    breaks(&hidden, Stage::Vlan, &["travels beside the frame", "veth pair of \"in0\": ethtool -K PEER txvlan off"]);
    let looped = with(dark(), |evidence| risen(evidence, Verdict::Loop, 50));
    breaks(&looped, Stage::Loop, &["50 came back", "loop behind an output"]);
    // Frames of other relays that come round are nothing to one that gets its packets.
    assert_eq!(look(&with(works(), |evidence| risen(evidence, Verdict::Loop, 50))).first_broken(), None);
}

#[test]
fn without_a_look_at_the_wire_the_suspects_are_named() {
    let blind = with(dark(), |evidence| {
        evidence.wire = None;
        risen(evidence, Verdict::WrongSource, 90);
    });
    breaks(&blind, Stage::Received, &["no packet comes to a lane", "the last one 62.3 s ago"]);
    let walk = look(&blind);
    let seen = &walk.steps.iter().find(|step| step.stage == Stage::Seen).unwrap().finding;
    assert_eq!(seen.state, State::Unknown);
    assert!(seen.text.contains("wrong_source"), "{}", seen.text);
}

#[test]
fn what_the_link_lost_before_mcr_is_a_warning() {
    let lossy = with(works(), |evidence| {
        let link = evidence.now.link.as_mut().unwrap();
        (link.rx_dropped, link.rx_errors) = (link.rx_dropped + 12, link.rx_errors + 1);
    });
    let walk = look(&lossy);
    assert_eq!((walk.first_broken(), walk.warnings.len()), (None, 2));
    assert!(walk.warnings[0].contains("\"in0\" dropped 12 packets within 1.0 s"), "{:?}", walk.warnings);
    assert!(walk.warnings[0].contains("ethtool -G in0 rx N"), "{:?}", walk.warnings);
    assert!(walk.warnings[1].contains("1 damaged packets came in on \"in0\""), "{:?}", walk.warnings);
    let unread = with(lossy, |evidence| evidence.now.link = None);
    assert!(look(&unread).warnings.is_empty());
}

#[test]
fn a_queue_without_a_socket_is_named() {
    let empty = with(dark(), |evidence| {
        evidence.queues[1].has_socket = false;
        passes(evidence, &[("10.0.0.1", [0, 0], Some(5000), 90)]);
        risen(evidence, Verdict::NoSocket, 90);
    });
    breaks(&empty, Stage::Socket, &["queue 1 of \"in0\" has no socket", "mcr health"]);
    let unserved = with(empty, |evidence| evidence.queues.truncate(1));
    breaks(&unserved, Stage::Socket, &["that no lane serves", "ethtool -L in0 combined 1"]);
    let lucky = with(works(), |evidence| evidence.queues[1].has_socket = false);
    let walk = look(&lucky);
    assert_eq!(walk.first_broken(), None);
    assert_eq!(walk.warnings, ["queue 1 of in0 has no socket: what comes there is not relayed"]);
}

#[test]
fn a_lane_that_does_not_work_is_named_and_not_what_it_cannot_count() {
    let lane = |change: &dyn Fn(&mut Lane)| with(dark(), |evidence| change(&mut evidence.lanes[0]));
    let stopped = lane(&|lane| lane.heartbeat_age_ns = 3_200 * MS);
    breaks(&stopped, Stage::Lane, &["lane 0 has not come round for 3.2 s", "kill -CONT"]);
    assert_eq!(states(&look(&stopped), &[Stage::Seen, Stage::Received]), [State::Unknown, State::NotReached]);
    breaks(&lane(&|lane| lane.is_alive = false), Stage::Lane, &["lane 0 does not run"]);
    breaks(&lane(&|lane| lane.generation = 6), Stage::Lane, &["runs generation 6, 7 is in force"]);
    // A change is on its way: it is in force when every lane has confirmed it.
    assert_eq!(states(&look(&lane(&|lane| lane.generation = 8)), &[Stage::Lane]), [State::Ok]);
}

#[test]
fn what_an_output_does_not_send_is_named() {
    let muted = with(works(), |evidence| evidence.mute = Some(Mute::Relay));
    breaks(&muted, Stage::Muted, &["muted", "mcr relay unmute ch1"]);
    let of_file = with(muted, |evidence| evidence.file = Some("/etc/mcr/relay.toml".to_string()));
    breaks(&of_file, Stage::Muted, &["set muted = false in /etc/mcr/relay.toml"]);
    let standby = Some(Mute::Node { role: "standby".to_string() });
    breaks(&with(works(), |evidence| evidence.mute = standby), Stage::Muted, &["this node is standby"]);
    let pend = |reason| with(works(), |evidence| evidence.pending.push((Part::Output(1), reason)));
    let down = pend(PendingReason::LinkDown { link: "out0".to_string(), up: true });
    breaks(&down, Stage::OutputLink, &["no carrier"]);
    assert_eq!(look(&down).first_broken().unwrap().output, Some(1), "the first output is fine");
    let next_hop = Some([10, 2, 0, 9].into());
    let silent =
        PendingReason::NeighbourUnknown { link: "out0".to_string(), destination: [10, 2, 0, 9].into(), next_hop };
    breaks(&pend(silent), Stage::Neighbour, &["10.2.0.9 does not answer", "see that it is on"]);
    let drops =
        |reason, n| with(works(), |evidence| evidence.now.outputs[0].drops = vec![(Drop::TxFull, 5), (reason, n)]);
    breaks(&drops(Drop::OverMtu, 9), Stage::Losses, &["9 packets dropped within 1.0 s (over_mtu)", "raise that MTU"]);
    breaks(&drops(Drop::NoFrame, 9), Stage::Losses, &["no_frame", "raise lanes.frames"]);
    breaks(&drops(Drop::TxFull, 9), Stage::Losses, &["tx_full", "raise ring_size"]);
    let busy = with(works(), |evidence| evidence.now.kicks = vec![(LaneCounter::KickBusy, 6)]);
    breaks(&busy, Stage::Losses, &["4 times", "kick_busy", "ethtool -G"]);
    let none = with(works(), |evidence| evidence.now.outputs[1].packets = 100);
    breaks(&none, Stage::Sent, &["100 packets came in", "none was sent"]);
    let damaged = with(works(), |evidence| evidence.now.drops.push((Drop::NoChecksum, 8)));
    breaks(&damaged, Stage::Relayed, &["8 packets dropped", "turn checksums on"]);
    let round = with(works(), |evidence| {
        evidence.now.comes_round = Some(crate::looping::Found { mac: [2, 0, 0, 0, 0, 9], ttl: 16, all: false });
    });
    breaks(
        &round,
        Stage::Relayed,
        &["from 02:00:00:00:00:09, TTL 16: what comes from there is dropped", "find the node"],
    );
}

#[test]
fn what_cannot_be_told_is_said_and_not_guessed() {
    let slow = with(works(), |evidence| {
        evidence.now.packets = evidence.before.packets;
        evidence.now.outputs = evidence.before.outputs.clone();
        evidence.relay.outputs[0].ttl = Some(NonZeroU8::MIN);
    });
    let walk = look(&slow);
    assert_eq!(walk.first_broken(), None, "its last packet is a millisecond old");
    assert_eq!(states(&walk, &[Stage::Received, Stage::Sent, Stage::Ttl]), [State::Ok, State::Unknown, State::Unknown]);
    // Behind a way in that is broken nothing is sent, but that the output is pending too is worth knowing.
    let reason = PendingReason::LinkDown { link: "out0".to_string(), up: false };
    let both = with(dark(), |evidence| evidence.pending.push((Part::Output(0), reason)));
    breaks(&both, Stage::Seen, &[]);
    let expected = [State::Broken, State::NotReached, State::NotReached];
    assert_eq!(states(&look(&both), &[Stage::OutputLink, Stage::Sent, Stage::Losses]), expected);
}

#[test]
fn who_goes_dark_because_of_the_relay_is_warned_of() {
    let listener = Listener { address: [0, 0, 0, 0].into(), port: 5000, process: Some((4711, "vlc".to_string())) };
    let listening = with(works(), |evidence| {
        evidence.listeners = vec![listener];
        evidence.foreign_members = 1;
    });
    let walk = look(&listening);
    assert_eq!(walk.first_broken(), None);
    let expected = "process 4711 (vlc) on this host listens on 0.0.0.0:5000 and gets nothing of 239.1.1.1:5000";
    assert!(walk.warnings[0].contains(expected), "{:?}", walk.warnings);
    assert_eq!(walk.warnings.len(), 1);
    let member = with(works(), |evidence| evidence.foreign_members = 2);
    assert!(look(&member).warnings[0].contains("2 other sockets of this host joined 239.1.1.1 on in0"));
    let also = with(works(), |evidence| {
        evidence.relay.input.sources = vec![[10, 0, 0, 1].into()];
        passes(evidence, &[("10.0.0.9", [0, 0], Some(5000), 90)]);
    });
    assert_eq!(look(&also).warnings, ["239.1.1.1:5000 also comes from 10.0.0.9, which the relay does not name"]);
}

/// Every reason has a text that can be told: what, then a colon, then what to do.
#[test]
fn every_reason_and_every_drop_has_a_remedy() {
    let link = || "in0".to_string();
    let address = [10, 0, 0, 1].into();
    let reasons = [
        PendingReason::LinkMissing { link: link() },
        PendingReason::Unusable { link: link(), problem: "it is taken: free it".to_string() },
        PendingReason::TooManyLinks { link: link(), limit: 64 },
        PendingReason::NoHardwareAddress { link: link() },
        PendingReason::QueueMissing { link: link(), queue: 3, n_queues: 1 },
        PendingReason::TooManyQueues { link: link(), n_queues: 99, limit: 64 },
        PendingReason::TooFewQueues { link: link(), n_queues: 1, needed: 2, lane: 1, input: link() },
        PendingReason::NoAddress { link: link(), family: 4 },
        PendingReason::BroadcastAddress { link: link(), address },
        PendingReason::NeighbourUnknown { link: link(), destination: address, next_hop: None },
    ];
    let texts: Vec<String> = reasons.iter().map(PendingReason::to_string).collect();
    let helps = [Drop::NoChecksum, Drop::Malformed, Drop::NoRelay, Drop::OverMtu, Drop::TxFull, Drop::NoFrame];
    for text in texts.iter().map(String::as_str).chain(helps.map(Drop::help)) {
        assert!(text.split_once(": ").is_some_and(|(what, remedy)| !what.is_empty() && !remedy.is_empty()), "{text}");
    }
    let of_output = with(works(), |evidence| evidence.pending.push((Part::Output(0), reasons[6].clone())));
    breaks(&of_output, Stage::OutputLink, &["1 transmit queues, none of them for lane 1", "ethtool -L in0 combined 2"]);
}
