//! What has become pending between two looks, and what works again.

use super::{Part, Pending};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What has become pending, and what works again, between two looks. A part that is pending for another reason than
/// before is new; it works again once nothing of it is pending.
#[must_use]
pub fn pending_changes<'a>(before: &'a [Pending], now: &'a [Pending]) -> (Vec<&'a Pending>, Vec<&'a Pending>) {
    if before == now {
        return (Vec::new(), Vec::new());
    }
    let (known, still) = (by_relay(before), by_relay(now));
    let new = now.iter().filter(|new| !of_part(&known, new).any(|old| old.reason == new.reason)).collect();
    let works = before.iter().filter(|old| of_part(&still, old).next().is_none()).collect();
    (new, works)
}

/// The parts of each relay, in their order: hundreds of thousands when the link of a large node goes down.
fn by_relay(pending: &[Pending]) -> BTreeMap<&str, Vec<(Part, &Pending)>> {
    let mut all: BTreeMap<&str, Vec<(Part, &Pending)>> = BTreeMap::new();
    // What a table says of one relay stands side by side.
    for run in pending.chunk_by(|one, next| one.relay == next.relay) {
        all.entry(run[0].relay.as_str()).or_default().extend(run.iter().map(|pending| (pending.part, pending)));
    }
    all.values_mut().for_each(|parts| parts.sort_by_key(|(part, _)| *part));
    all
}

/// What is pending of the part that this one is of.
fn of_part<'a>(
    all: &'a BTreeMap<&str, Vec<(Part, &'a Pending)>>,
    of: &Pending,
) -> impl Iterator<Item = &'a Pending> + use<'a> {
    let parts = all.get(of.relay.as_str()).map_or(&[][..], Vec::as_slice);
    let (wanted, first) = (of.part, parts.partition_point(|(part, _)| *part < of.part));
    parts[first..].iter().take_while(move |(part, _)| *part == wanted).map(|(_, pending)| *pending)
}

#[cfg(test)]
mod tests {
    use super::super::PendingReason;
    use super::*;
    use crate::table::tests::processor_time;
    use alloc::{format, vec};
    use core::time::Duration;

    fn down(relay: &str, part: Part, link: &str) -> Pending {
        Pending { relay: relay.into(), part, reason: PendingReason::LinkDown { link: link.into(), up: true } }
    }

    #[test]
    fn a_part_is_new_with_its_reason_and_works_without_any() {
        let (input, output) = (Part::Input, Part::Output(0));
        let before = vec![down("a", input, "in0"), down("a", output, "out0"), down("b", input, "in0")];
        let now = vec![down("a", input, "in1"), down("a", Part::Output(1), "out0"), down("b", input, "in0")];
        let (new, works) = pending_changes(&before, &now);
        assert_eq!(new, [&now[0], &now[1]], "another reason, another output");
        assert_eq!(works, [&before[1]]);
        assert_eq!(pending_changes(&before, &before), (vec![], vec![]));
        assert_eq!(pending_changes(&[], &now), (now.iter().collect(), vec![]));
        assert_eq!(pending_changes(&before, &[]), (vec![], before.iter().collect()));
    }

    #[test]
    fn a_part_can_be_pending_for_two_reasons() {
        let missing =
            Pending { relay: "a".into(), part: Part::Input, reason: PendingReason::LinkMissing { link: "x".into() } };
        let both = vec![down("a", Part::Input, "in0"), missing.clone()];
        assert_eq!(pending_changes(&both[..1], &both), (vec![&missing], vec![]));
        assert_eq!(pending_changes(&both, &both[..1]), (vec![], vec![]), "it is pending all the same");
    }

    /// Outputs of that many relays, sixty-four each, all on one link.
    fn parts(relays: usize, link: &str) -> Vec<Pending> {
        let of_relay = |relay: usize| (0..64).map(move |output| (relay, output));
        let one = |(relay, output)| down(&format!("relay-{relay}"), Part::Output(output), link);
        (0..relays).flat_map(of_relay).map(one).collect()
    }

    /// A link that goes down, comes back, is renamed, or has one output more or less: what all these looks take.
    fn comparing(relays: usize) -> Duration {
        let (all, renamed) = (parts(relays, "out0"), parts(relays, "out1"));
        let (n, mut but_one) = (all.len(), all.clone());
        but_one.remove(n / 2);
        let count = |(new, works): (Vec<&Pending>, Vec<&Pending>)| (new.len(), works.len());
        let begun = processor_time();
        assert_eq!(count(pending_changes(&[], &all)), (n, 0));
        assert_eq!(count(pending_changes(&all, &[])), (0, n));
        assert_eq!(count(pending_changes(&all, &renamed)), (n, 0));
        assert_eq!(count(pending_changes(&but_one, &all)), (1, 0));
        assert_eq!(count(pending_changes(&all, &but_one)), (0, 1));
        processor_time() - begun
    }

    /// As many as the largest node has, 262 144, take as long as sixteen times a sixteenth and a little more, where a look at all
    /// for each would take sixteen times as long.
    #[test]
    fn every_output_of_the_largest_node_is_compared_at_once() {
        let few: Duration = (0..16).map(|_| comparing(256)).sum();
        let many = comparing(4096);
        std::println!("compared 16 times 16 384 outputs in {few:?}, 262 144 in {many:?}");
        assert!(many < few * 4, "{few:?} and {many:?}");
    }
}
