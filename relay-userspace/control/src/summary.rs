//! What `systemctl status` shows of the node: one line.

use super::view::View;
use crate::observe::stream::{self, State};
use relay_common::health::Share;
use relay_config::model::Health;

/// Characters of a line.
const LONGEST: usize = 250;

/// The line: how many relays flow, why the others do not, lanes, and what gives a verdict that somebody should look at.
#[must_use]
pub fn line(view: &View, health: &Health, now: u64) -> String {
    let lanes = view.lanes.len();
    let mut line = format!("{}; {lanes} {}", relays(view, now), if lanes == 1 { "lane" } else { "lanes" });
    for check in health.checks.iter().filter(|check| !check.ok) {
        if let Some(verdict @ ("fault" | "drift")) = check.verdict.as_deref() {
            line.push_str(&format!("; {verdict}: {}: {}", check.name, check.text));
        }
    }
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

/// `12 of 12 relays flow`. One flows when packets come in and all its outputs can send, as in `mcr wait --flowing`.
fn relays(view: &View, now: u64) -> String {
    let (mut flow, mut of) = (0, 0);
    let [mut wait, mut silent, mut muted] = [0; 3];
    for (at, slot, share) in view.works().each(view) {
        of += 1;
        let count = if share != Share::ALL {
            &mut wait
        } else {
            match State::of(at, stream::seen(&view.lanes, slot), [], now) {
                State::Running => &mut flow,
                State::Muted => &mut muted,
                State::Silent => &mut silent,
                State::Pending | State::Disabled => &mut wait,
            }
        };
        *count += 1;
    }
    let why = [(silent, "silent"), (wait, "pending"), (muted, "muted")];
    let why: Vec<String> = why.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    match (of, why.join(", ")) {
        (0, _) => "no relays".to_owned(),
        (_, why) if why.is_empty() => format!("{flow} of {of} relays flow"),
        (_, why) => format!("{flow} of {of} relays flow ({why})"),
    }
}

#[cfg(test)]
mod tests {
    use super::line;
    use crate::observe;
    use crate::observe::fixtures::{NOW, Node};
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

    const S: u64 = 1_000_000_000;

    #[test]
    fn it_says_what_flows_and_what_is_wrong() {
        let mut node = Node::new(&["flows", "silent", "pending", "muted", "off"]);
        // Each has an output that waits for a link that is not there.
        for slot in [0, 1, 3, 4] {
            node.relay(slot).outputs.pop();
        }
        let table = Arc::make_mut(&mut node.view.table);
        table.relays[3].as_mut().unwrap().relay.muted = true;
        table.relays[4].as_mut().unwrap().relay.enabled = false;
        Arc::make_mut(&mut node.view.pending).retain(|pending| pending.relay == "pending");
        for slot in [0, 2, 3] {
            node.lane(0).received(slot, 100, NOW - S / 10);
        }
        let desk = node.desk();
        let said = || line(&desk.view(), &observe::health(&desk, None, NOW), NOW);
        assert_eq!(said(), "1 of 4 relays flow (1 silent, 1 pending, 1 muted); 2 lanes");
        desk.pulse.turned.store(NOW - 60 * S, Relaxed);
        let (faulty, wrong) = (said(), "(1 silent, 1 pending, 1 muted); 2 lanes; fault: control: ");
        assert!(faulty.contains(wrong), "{faulty}");
    }

    #[test]
    fn it_is_short_where_all_is_well_and_where_there_is_nothing() {
        let mut node = Node::new(&["one"]);
        node.relay(0).outputs.pop();
        Arc::make_mut(&mut node.view.pending).clear();
        node.lane(1).received(0, 100, NOW);
        for (node, wanted) in [(node, "1 of 1 relays flow; 2 lanes"), (Node::new(&[]), "no relays; 2 lanes")] {
            let desk = node.desk();
            assert_eq!(line(&desk.view(), &observe::health(&desk, None, NOW), NOW), wanted);
        }
    }
}
