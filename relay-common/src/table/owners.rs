//! Whose lines of counters are whose: those that have a new owner must begin at 0.

use super::{SlotRelay, Table, assign::same_output};
use crate::plan::Output;
use alloc::{collections::BTreeMap, vec::Vec};

/// Lines of counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Those of relays, by slot.
    pub relays: Vec<u32>,
    /// Those of outputs, by counter.
    pub outputs: Vec<u32>,
}

/// The lines that have another owner in a table than in the table before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewOwners {
    /// They were nobody's: no lane counts on them before it runs the new table.
    pub of_free: Lines,
    /// They are handed on by somebody: lanes count on them until they run the new table.
    pub of_taken: Lines,
}

impl Lines {
    /// Takes the lines of another.
    pub fn append(&mut self, other: &mut Self) {
        self.relays.append(&mut other.relays);
        self.outputs.append(&mut other.outputs);
    }
}

impl NewOwners {
    /// The lines of `new` that `old` gives to nobody or to another.
    #[must_use]
    pub fn between(old: &Table, new: &Table) -> Self {
        let mut owners = Self::default();
        for (slot, relay) in new.slots() {
            let before = old.relays.get(slot as usize).and_then(Option::as_ref);
            if before.is_none_or(|before| !before.relay.is(&relay.relay) && before.relay.name != relay.relay.name) {
                owners.lines(before.is_none()).relays.push(slot);
            }
        }
        // Most relays are as they were, and nobody else has their lines.
        let before: BTreeMap<u32, (&str, &Output)> = changed(old, new).flat_map(outputs).collect();
        for (counter, (name, output)) in changed(new, old).flat_map(outputs) {
            let before = before.get(&counter);
            if before.is_none_or(|(before, of)| *before != name || !same_output(of, output)) {
                owners.lines(before.is_none()).outputs.push(counter);
            }
        }
        owners
    }

    const fn lines(&mut self, free: bool) -> &mut Lines {
        if free { &mut self.of_free } else { &mut self.of_taken }
    }
}

/// The relays of a table that have other outputs, or other lines, in another one.
fn changed<'a>(of: &'a Table, other: &'a Table) -> impl Iterator<Item = &'a SlotRelay> {
    of.slots()
        .filter(|(slot, relay)| {
            !other.relays.get(*slot as usize).and_then(Option::as_ref).is_some_and(|other| is_same(relay, other))
        })
        .map(|(_, relay)| relay)
}

fn is_same(one: &SlotRelay, other: &SlotRelay) -> bool {
    let is_alike = || one.relay.name == other.relay.name && one.relay.outputs == other.relay.outputs;
    (one.outputs == other.outputs || counters(one).eq(counters(other))) && (one.relay.is(&other.relay) || is_alike())
}

fn counters(relay: &SlotRelay) -> impl Iterator<Item = u32> {
    relay.outputs.iter().map(|slot| slot.counter)
}

/// The counters of a relay's outputs, and what they count.
fn outputs(relay: &SlotRelay) -> impl Iterator<Item = (u32, (&str, &Output))> {
    let name = relay.relay.name.as_str();
    relay.outputs.iter().zip(&relay.relay.outputs).map(move |(slot, output)| (slot.counter, (name, output)))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{compiled, facts, plan, relay};
    use super::super::{Placement, Table, compile};
    use super::{Lines, NewOwners};
    use crate::plan::{Lanes, Plan, Relay};
    use alloc::{vec, vec::Vec};

    fn table(relays: Vec<Relay>, previous: &Table) -> Table {
        compiled(&plan(relays), &facts(), Some(previous)).table
    }

    /// A table with room for one relay and one output.
    fn narrow(relays: Vec<Relay>, previous: &Table) -> Table {
        let lanes = Lanes { max_relays: 1, max_outputs: 1, ..Lanes::default() };
        let plan = Plan { lanes, ..plan(relays) };
        compile(&plan, &facts(), &Placement::new(&plan, &facts(), None), Some(previous)).table
    }

    fn a() -> Relay {
        relay("a", "239.1.1.1", &["239.2.1.1", "239.2.1.2"])
    }

    fn lines(relays: &[u32], outputs: &[u32]) -> Lines {
        Lines { relays: relays.to_vec(), outputs: outputs.to_vec() }
    }

    #[test]
    fn what_stays_keeps_its_lines() {
        let before = table(vec![a()], &Table::empty(16, 16));
        let mut changed = a();
        changed.muted = true;
        changed.outputs[0].ttl = None;
        changed.outputs.reverse();
        assert_eq!(NewOwners::between(&before, &table(vec![changed], &before)), NewOwners::default());
    }

    #[test]
    fn what_is_new_has_new_lines() {
        let empty = Table::empty(16, 16);
        let first = table(vec![a()], &empty);
        assert_eq!(NewOwners::between(&empty, &first).of_free, lines(&[0], &[0, 1]));
        let mut led_elsewhere = a();
        led_elsewhere.outputs[1].port = 7000.try_into().unwrap();
        let second = table(vec![led_elsewhere, relay("b", "239.1.1.2", &["239.2.1.3"])], &first);
        let owners = NewOwners::between(&first, &second);
        assert_eq!(owners, NewOwners { of_free: lines(&[1], &[2, 3]), of_taken: Lines::default() });
    }

    #[test]
    fn lines_of_a_full_table_are_handed_on() {
        let one = |name| relay(name, "239.1.1.1", &["239.2.1.1"]);
        let first = narrow(vec![one("a")], &Table::empty(1, 1));
        let second = narrow(vec![one("b")], &first);
        let owners = NewOwners::between(&first, &second);
        assert_eq!(owners, NewOwners { of_free: Lines::default(), of_taken: lines(&[0], &[0]) });
        let mut elsewhere = one("b");
        elsewhere.outputs[0].port = 7000.try_into().unwrap();
        let owners = NewOwners::between(&second, &narrow(vec![elsewhere], &second));
        assert_eq!(owners.of_taken, lines(&[], &[0]));
    }

    #[test]
    fn a_relay_that_is_switched_off_has_its_lines_too() {
        let empty = Table::empty(16, 16);
        let mut off = a();
        off.enabled = false;
        let first = table(vec![off], &empty);
        assert_eq!(NewOwners::between(&empty, &first).of_free, lines(&[0], &[0, 1]));
        assert_eq!(NewOwners::between(&first, &table(vec![a()], &first)), NewOwners::default());
    }
}
