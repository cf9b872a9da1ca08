//! How a relay does: what came in, and which word says so.

use crate::view::LaneView;
use relay_common::counters::relay;
use relay_common::entry::Vlans;
use relay_common::plan::{Output, Relay};
use relay_common::silence::Seen;
use relay_common::table::{Part, Pending, PendingReason, SlotRelay, vlan_device};
use std::net::SocketAddr;
use std::sync::Arc;

/// A relay that nobody is told of when it falls silent is shown as silent after so long.
const DARK_AFTER_NS: u64 = 1_000_000_000;

/// After how long without packets a relay's stream counts as interrupted, in nanoseconds; never without.
#[must_use]
pub fn silence_after(relay: &Relay) -> Option<u64> {
    relay.silence_after_ms.map(|ms| u64::from(ms) * 1_000_000)
}

/// Whether a relay is received and measured, and not sent.
#[must_use]
pub fn is_muted(relay: &Relay) -> bool {
    relay.muted
}

/// The state of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Packets come in and are sent.
    Running,
    /// Nothing comes in.
    Silent,
    /// Its input cannot work yet; or packets come in, and none of its outputs can send.
    Pending,
    /// What comes in is not sent.
    Muted,
    /// It is switched off.
    Disabled,
}

impl State {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Running, Self::Silent, Self::Pending, Self::Muted, Self::Disabled];

    /// The word in metrics and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Silent => "silent",
            Self::Pending => "pending",
            Self::Muted => "muted",
            Self::Disabled => "disabled",
        }
    }

    /// The state of a relay at its slot; `pending` is what of it cannot work yet.
    pub fn of<'a>(relay: &SlotRelay, seen: Seen, pending: impl IntoIterator<Item = &'a Pending>, now: u64) -> Self {
        let is_dead = |pending: &Pending| {
            // A link that is down stays joined and matched, but nothing comes from it.
            let is_down = matches!(pending.reason, PendingReason::LinkDown { .. });
            pending.part == Part::Input && (is_down || pending.reason.stops_input())
        };
        let silence_after = silence_after(&relay.relay).unwrap_or(DARK_AFTER_NS);
        if !relay.relay.enabled {
            Self::Disabled
        } else if relay.key.is_none() || pending.into_iter().any(is_dead) {
            Self::Pending
        } else if is_muted(&relay.relay) {
            Self::Muted
        } else if seen.packets == 0 || now.saturating_sub(seen.last) > silence_after {
            Self::Silent
        } else if relay.outputs.iter().all(|output| output.pending.is_some()) {
            Self::Pending
        } else {
            Self::Running
        }
    }
}

/// What came in for a slot, over all lanes.
#[must_use]
pub fn seen(lanes: &[Arc<LaneView>], slot: u32) -> Seen {
    lanes.iter().fold(Seen::default(), |seen, lane| Seen {
        packets: seen.packets + lane.counters.get_relay(slot, relay::PACKETS),
        last: seen.last.max(lane.counters.get_relay(slot, relay::LAST)),
    })
}

/// A relay's input, for people: `ens1f0/239.1.1.1:5000`.
#[must_use]
pub fn input(relay: &Relay) -> String {
    let input = &relay.input;
    let device = vlan_device(&input.interface, &input.vlans);
    format!("{device}/{}", SocketAddr::new(input.destination, input.port.get()))
}

/// An output, for people: `ens1f1/239.2.1.1:5001`.
#[must_use]
pub fn output(output: &Output) -> String {
    let device = match output.vlans {
        Vlans::Set { ids, .. } => vlan_device(&output.interface, &ids),
        Vlans::Keep => output.interface.clone(),
    };
    format!("{device}/{}", SocketAddr::new(output.destination, output.port.get()))
}

#[cfg(test)]
mod tests {
    use super::State;
    use crate::observe::fixtures::Node;
    use relay_common::silence::Seen;
    use relay_common::table::{Part, Pending, PendingReason, SlotOutput};

    const S: u64 = 1_000_000_000;

    fn pending(part: Part, reason: PendingReason) -> Pending {
        Pending { relay: "one".into(), part, reason }
    }

    #[test]
    fn the_state_is_the_first_thing_that_is_in_the_way() {
        let node = Node::new(&["one"]);
        let mut relay = node.view.table.relays[0].clone().unwrap();
        let seen = Seen { packets: 5, last: 10 * S };
        let link = String::from("in0");
        let down = pending(Part::Input, PendingReason::LinkDown { link: link.clone(), up: true });
        let warning =
            pending(Part::Input, PendingReason::VlanDeviceMissing { link: link.clone(), device: "in0.5".into() });
        let output = pending(Part::Output(0), PendingReason::LinkMissing { link });
        assert_eq!(State::of(&relay, seen, [], 11 * S), State::Running);
        assert_eq!(State::of(&relay, seen, [], 11 * S + 1), State::Silent);
        assert_eq!(State::of(&relay, Seen::default(), [], S / 2), State::Silent);
        assert_eq!(State::of(&relay, seen, [&warning, &output], 11 * S), State::Running);
        assert_eq!(State::of(&relay, seen, [&output, &down], 11 * S), State::Pending);
        relay.outputs[0].pending = Some(output.reason.clone());
        assert_eq!(State::of(&relay, seen, [&output], 11 * S), State::Pending);
        assert_eq!(State::of(&relay, seen, [&output], 21 * S), State::Silent, "that comes first");
        relay.outputs.push(SlotOutput { counter: 9, entry: None, pending: None });
        assert_eq!(State::of(&relay, seen, [&output], 11 * S), State::Running);
        relay.key = None;
        assert_eq!(State::of(&relay, seen, [], 11 * S), State::Pending);
        relay.relay.enabled = false;
        assert_eq!(State::of(&relay, seen, [&down], 11 * S), State::Disabled);
    }
}
