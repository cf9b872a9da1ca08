//! Why a relay's stream is dark: what control knows of it, what lanes have counted, and a look at its link.

use crate::desk::Findings;
use crate::observe::{round_trip, stream};
use crate::problem::ProgramFault;
use crate::view::{LaneView, Origin, View};
use crate::why::{self, Joined, Known};
use relay_common::counters::{LaneCounter, output, relay as place};
use relay_common::decide::Verdict;
use relay_common::drops::Drop;
use relay_common::plan::Relay;
use relay_common::table::{SlotRelay, longest_mtu};
use relay_common::why::{Attachment, Counts, Lane, Mute, OutputCounts, Queue, State, Step};
use relay_config::model;
use std::sync::Arc;

/// A lane that has not come round for so long stalls.
const HEARTBEAT_NS: u64 = 1_000_000_000;
/// A relay that tells no silence of its own is dark after so long.
const SILENCE_NS: u64 = 1_000_000_000;

/// What is known of a relay without looking; nothing when there is none of that name.
pub fn known(view: &View, findings: &Findings, name: &str, now: u64) -> Option<Known> {
    let (_, built) = view.table.relay(name)?;
    let relay = built.relay.clone();
    let link = view.facts.link(&relay.input.interface).cloned();
    let of_file = view.origins.get(name) == Some(Origin::File);
    let pending = view.pending.iter().filter(|pending| pending.relay == name);
    let place = view.place.input(&relay.input.interface);
    let is_broken = |number: u32| findings.problems.iter().any(|one| one.is_of_queue(&relay.input.interface, number));
    let queues = place.map(|place| place.queues.clone()).unwrap_or_default();
    let queues: Vec<Queue> =
        queues.into_iter().map(|number| Queue { number, has_socket: !is_broken(number) }).collect();
    Some(Known {
        file: of_file.then(|| view.config.path.display().to_string()),
        mute: relay.muted.then_some(Mute::Relay),
        pending: pending.map(|pending| (pending.part, pending.reason.clone())).collect(),
        joined: joined(view, &relay),
        own_ports: view.own_ports.as_ref().clone(),
        attachment: attachment(view, findings, &relay.input.interface),
        is_matched: Some(built.key.is_some_and(|key| view.table.kernel.inputs.contains_key(&key))),
        lanes: lanes_of(view, &relay).map(|lane| lane_of(view, lane, now)).collect(),
        silence_after_ns: stream::silence_after(&relay).unwrap_or(SILENCE_NS),
        longest_packet: longest_mtu(view.plan.lanes.frame_size),
        queues,
        link,
        relay,
    })
}

/// What was counted of a relay by now.
pub fn counts(view: &View, name: &str, verdicts: Vec<(Verdict, u64)>, now: u64) -> Counts {
    let Some((slot, built)) = view.table.relay(name) else { return Counts::default() };
    let sum = |read: &dyn Fn(&LaneView) -> u64| view.lanes.iter().map(|lane| read(lane)).sum::<u64>();
    let of_relay = |place: usize| sum(&|lane| lane.counters.get_relay(slot, place));
    let last = view.lanes.iter().map(|lane| lane.counters.get_relay(slot, place::LAST)).max().unwrap_or(0);
    let kicks = [LaneCounter::KickBusy, LaneCounter::KickNoBuffers, LaneCounter::KickLinkDown, LaneCounter::KickOther];
    Counts {
        packets: of_relay(place::PACKETS),
        last_age_ns: (last > 0).then(|| now.saturating_sub(last)),
        comes_round: round_trip::found(&view.lanes, slot, now),
        drops: Drop::ALL.into_iter().map(|reason| (reason, of_relay(place::DROPS + reason as usize))).collect(),
        outputs: outputs(view, built),
        kicks: kicks.into_iter().map(|kick| (kick, sum(&|lane| lane.counters.get(kick)))).collect(),
        verdicts,
        link: None,
    }
}

fn outputs(view: &View, relay: &SlotRelay) -> Vec<OutputCounts> {
    let one = |counter: u32| {
        let read = |place: usize| view.lanes.iter().map(|lane| lane.counters.get_output(counter, place)).sum();
        let drops = output::REASONS.into_iter().map(|reason| (reason, read(output::place(reason)))).collect();
        OutputCounts { packets: read(output::PACKETS), drops }
    };
    relay.outputs.iter().map(|output| one(output.counter)).collect()
}

fn joined(view: &View, relay: &Relay) -> Option<Joined> {
    let input = &relay.input;
    let link = view.facts.link(&input.interface)?;
    let ifindex = view.facts.vlan_device(link.ifindex, input.vlans)?;
    let device = view.facts.links.iter().find(|link| link.ifindex == ifindex)?.name.clone();
    let held = view.joined.iter().any(|held| held.ifindex == ifindex && held.group == input.destination);
    Some(Joined { device, ifindex, n_sockets: u32::from(held) })
}

/// What control last found of the program on a link: asking the kernel here could wait for its locks.
fn attachment(view: &View, findings: &Findings, link: &str) -> Attachment {
    let Some(attached) = view.attached.iter().find(|attached| attached.link == link) else { return Attachment::Never };
    match findings.problems.iter().find_map(|problem| problem.of_program(link)) {
        Some(ProgramFault::Detached) => Attachment::Detached,
        Some(ProgramFault::Replaced { program }) => Attachment::Replaced { program: *program },
        Some(ProgramFault::NotAttached(_)) => Attachment::Never,
        Some(ProgramFault::Unknown(_)) => Attachment::Unknown,
        None => Attachment::Ours { mode: attached.hook.name() },
    }
}

/// The lanes that serve a relay's input.
fn lanes_of<'a>(view: &'a View, relay: &'a Relay) -> impl Iterator<Item = &'a Arc<LaneView>> {
    let n_lanes = u32::try_from(view.lanes.len()).unwrap_or(u32::MAX);
    let serves = move |lane: &&Arc<LaneView>| {
        view.place.rx_queues(lane.number, n_lanes.max(1)).any(|(link, _)| link == relay.input.interface)
    };
    view.lanes.iter().filter(serves)
}

fn lane_of(view: &View, lane: &LaneView, now: u64) -> Lane {
    Lane {
        number: lane.number,
        is_alive: lane.pid.is_some(),
        heartbeat_age_ns: now.saturating_sub(lane.counters.get(LaneCounter::Heartbeat)),
        heartbeat_limit_ns: HEARTBEAT_NS,
        generation: lane.counters.get(LaneCounter::Generation),
        in_force: view.table.generation,
    }
}

/// Looks for about a second and says what was found.
pub async fn walk(name: &str, known: Known, count: impl FnMut() -> Counts) -> model::Why {
    let evidence = why::look(known, count).await;
    let walk = relay_common::why::walk(name, Some(&evidence), &[]);
    let is_broken = |step: &Step| step.finding.state == State::Broken;
    let input_is_broken = walk.steps.iter().any(|step| step.output.is_none() && is_broken(step));
    let n_outputs = evidence.relay.outputs.len();
    let broken_outputs =
        (0..n_outputs).filter(|i| walk.steps.iter().any(|step| step.output == Some(*i) && is_broken(step))).count();
    let verdict = match (input_is_broken, broken_outputs) {
        (true, _) => "dark",
        (false, 0) => "flows",
        (false, broken) if broken == n_outputs => "dark",
        (false, _) => "partly",
    };
    model::Why {
        relay: name.to_owned(),
        verdict: verdict.to_owned(),
        steps: walk.steps.iter().map(step).collect(),
        warnings: walk.warnings,
    }
}

fn step(step: &Step) -> model::Step {
    model::Step {
        name: step.stage.name().to_owned(),
        part: step.output.map_or_else(|| "input".to_owned(), |i| format!("outputs[{i}]")),
        state: step.finding.state.name().to_owned(),
        text: step.finding.text.clone(),
        remedy: step.finding.remedy.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::fixtures::{NOW, Node};
    use crate::problem::{Problem, SocketFault};

    fn known_with(problem: Problem) -> Known {
        known(&Node::new(&["one"]).view, &Findings { at: NOW, worked: 0, problems: vec![problem] }, "one", NOW).unwrap()
    }

    #[test]
    fn what_was_found_of_the_program_is_said_of_its_own_link_only() {
        let attachment = |link: &str, fault| known_with(Problem::Program { link: link.to_owned(), fault }).attachment;
        assert_eq!(attachment("in0", ProgramFault::Replaced { program: 7 }), Attachment::Replaced { program: 7 });
        assert_eq!(attachment("in0", ProgramFault::Detached), Attachment::Detached);
        assert_eq!(attachment("in0", ProgramFault::Unknown("detached?".to_owned())), Attachment::Unknown);
        let never = ProgramFault::NotAttached("another one is attached to in0".to_owned());
        assert_eq!(attachment("in0", never.clone()), Attachment::Never);
        assert_eq!(attachment("main0", never), Attachment::Ours { mode: "native" });
    }

    #[test]
    fn a_queue_without_a_socket_is_that_of_its_own_link_only() {
        let sockets = |link: &str| {
            let fault = SocketFault::Missing("no memory".to_owned());
            let known = known_with(Problem::Socket { link: link.to_owned(), queue: 1, fault });
            known.queues.iter().map(|queue| queue.has_socket).collect::<Vec<_>>()
        };
        assert_eq!(sockets("in0"), [true, false]);
        assert_eq!(sockets("vin0"), [true, true]);
    }
}
