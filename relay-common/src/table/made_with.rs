//! What a table was compiled with besides its relays. Whatever was made of a relay is made of it again as long as that is the
//! same: of thousands of relays a change touches one.

use super::Placement;
use crate::facts::{Facts, Neighbour};
use crate::plan::{Interface, Lanes, Plan};
use alloc::{sync::Arc, vec::Vec};

/// What a table was compiled with; nothing, if only its numbers are known.
#[derive(Clone, Debug, Default)]
pub(super) struct MadeWith(Option<Arc<Surroundings>>);

/// A table says the same whatever it was made with.
impl PartialEq for MadeWith {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for MadeWith {}

/// Everything that says how a relay becomes what lanes read.
#[derive(Debug)]
struct Surroundings {
    interfaces: Vec<Interface>,
    lanes: Lanes,
    place: Placement,
    /// All but the neighbours.
    facts: Facts,
    /// What unicast outputs look at, and no others.
    neighbours: Vec<Neighbour>,
}

/// Which outputs are made again as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    /// Those of no relay.
    None,
    /// Those that lead to groups.
    Groups,
    /// Those of every relay that is what it was.
    All,
}

impl MadeWith {
    /// What a table is compiled with now, and what of the one before it is the same. What is the same is shared.
    pub(super) fn now(before: Option<&Self>, plan: &Plan, facts: &Facts, place: &Placement) -> (Self, Same) {
        let before = before.and_then(|before| before.0.as_ref());
        let without = |facts: &Facts| Facts { neighbours: Vec::new(), ..facts.clone() };
        let bare = without(facts);
        let is_same = |before: &&Arc<Surroundings>| {
            before.interfaces == plan.interfaces
                && before.lanes == plan.lanes
                && before.facts == bare
                && before.place.leads_like(place)
        };
        match before.filter(is_same) {
            Some(before) if before.neighbours == facts.neighbours => (Self(Some(Arc::clone(before))), Same::All),
            same => {
                let (interfaces, lanes) = (plan.interfaces.clone(), plan.lanes.clone());
                let (place, neighbours) = (place.clone(), facts.neighbours.clone());
                let now = Surroundings { interfaces, lanes, place, facts: bare, neighbours };
                (Self(Some(Arc::new(now))), if same.is_some() { Same::Groups } else { Same::None })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{facts, plan, relay};
    use super::super::{Placement, Table, compile};
    use super::MadeWith;
    use crate::facts::{Facts, Neighbour};
    use crate::plan::Relay;
    use alloc::{vec, vec::Vec};

    /// Compiles relays after a table, and once more after one that does not say what it was made with.
    fn checked(relays: Vec<Relay>, facts: &Facts, before: &Table) -> Table {
        let plan = plan(relays);
        let place = Placement::new(&plan, facts, None);
        let unknown = Table { made_with: MadeWith::default(), ..before.clone() };
        let [compiled, anew] = [before, &unknown].map(|before| compile(&plan, facts, &place, Some(before)));
        assert_eq!(compiled, anew);
        compiled.table
    }

    fn all() -> Vec<Relay> {
        let a = relay("a", "239.1.1.1", &["239.2.1.1", "10.0.2.77", "239.2.1.1"]);
        vec![a, relay("b", "239.1.1.2", &["239.2.1.2", "239.2.1.3"]), relay("c", "239.1.1.3", &["239.2.1.4"])]
    }

    fn changed(at: usize, change: impl FnOnce(&mut Relay)) -> Vec<Relay> {
        let mut relays = all();
        change(&mut relays[at]);
        relays
    }

    #[test]
    fn what_is_taken_from_the_table_before_is_what_would_be_made_anew() {
        let known = facts();
        let mut table = checked(all(), &known, &Table::empty(4096, 16_384));
        for relays in [
            all(),
            changed(1, |b| b.muted = true),
            changed(1, |b| b.outputs.truncate(1)),
            changed(0, |a| a.input.port = 7.try_into().unwrap()),
            all()[1..].to_vec(),
            changed(2, |c| c.enabled = false),
            all(),
            changed(0, |a| a.input.interface = "missing".into()),
            changed(0, |a| a.name = "renamed".into()),
            // Two want the same.
            changed(0, |a| a.input = all()[1].input.clone()),
            all(),
        ] {
            table = checked(relays, &known, &table);
        }
        let mut others = facts();
        let (destination, mac) = ("10.0.2.77".parse().unwrap(), Some([2, 7, 7, 7, 7, 7]));
        let ifindex = known.links[1].ifindex;
        others.neighbours.push(Neighbour { ifindex, destination, next_hop: destination, mac });
        table = checked(all(), &others, &table);
        others.links[1].carrier = false;
        table = checked(all(), &others, &table);
        others.unusable.insert(known.links[1].name.clone(), "another program has it".into());
        checked(all(), &known, &checked(all(), &others, &table));
    }

    #[test]
    fn outputs_that_nothing_has_become_of_are_shared() {
        let (first, mut known) = (all(), facts());
        let before = checked(first.clone(), &known, &Table::empty(4096, 16_384));
        let is_shared = |after: &Table| -> Vec<bool> {
            let outputs = |table: &Table, name: &str| &raw const *table.relay(name).unwrap().1.outputs;
            ["a", "b", "c"].map(|name| outputs(&before, name) == outputs(after, name)).to_vec()
        };
        let mut other = first.clone();
        other[1].outputs.truncate(1);
        assert_eq!(is_shared(&checked(other, &known, &before)), [true, false, true]);
        known.neighbours.clear();
        assert_eq!(is_shared(&checked(first.clone(), &known, &before)), [false, true, true], "a sends to a host");
        known.links[1].mtu = 1400;
        assert_eq!(is_shared(&checked(first, &known, &before)), [false; 3]);
    }
}
