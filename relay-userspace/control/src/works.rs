//! How much of a node works, relay by relay: found once for each view, when somebody first asks.

use super::view::View;
use relay_common::health::{NAMED, Share, Sum, Waiting, of_relay};
use relay_common::pattern;
use relay_common::plan::Relay;
use relay_common::selector::Selector;
use relay_common::table::{Part, SlotRelay};
use std::collections::{BTreeSet, HashMap};

/// How much of what is in a view works.
#[derive(Debug)]
pub struct Works {
    /// Of all enabled relays.
    pub relays: Sum,
    /// Of all links that they use.
    pub links: Sum,
    /// Each enabled relay: its slot, how much of it works, and what of it is pending, by place in the view.
    each: Vec<(u32, Share, Vec<usize>)>,
}

impl Works {
    /// Looks through a view.
    #[must_use]
    pub fn of(view: &View) -> Self {
        let mut pending: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, part) in view.pending.iter().enumerate() {
            pending.entry(&part.relay).or_default().push(place);
        }
        let one = |(slot, at): (u32, &SlotRelay)| {
            let pending = pending.remove(at.relay.name.as_str()).unwrap_or_default();
            let is_input = |place: &usize| view.pending.get(*place).is_some_and(|one| one.part == Part::Input);
            let input_works = at.key.is_some() && !pending.iter().any(is_input);
            // Of most relays nothing is pending, and there are many outputs.
            let waits =
                if pending.is_empty() { 0 } else { at.outputs.iter().filter(|it| it.pending.is_some()).count() };
            let sends = at.outputs.len() - waits;
            (slot, of_relay(input_works, sends as u64, at.outputs.len() as u64), pending)
        };
        let each: Vec<_> = view.table.slots().filter(|(_, at)| at.relay.enabled).map(one).collect();
        Self {
            relays: each.iter().map(|(_, share, _)| *share).collect(),
            links: links(view, view.plan.links_in_use()),
            each,
        }
    }

    /// The enabled relays of the view that was looked through: each with its slot, and how much of it works.
    pub fn each<'a>(&'a self, view: &'a View) -> impl Iterator<Item = (&'a SlotRelay, u32, Share)> {
        let at = |slot: u32| view.table.relays.get(slot as usize)?.as_ref();
        self.each.iter().filter_map(move |(slot, share, _)| Some((at(*slot)?, *slot, *share)))
    }

    /// What waits of the relays that are meant.
    #[must_use]
    pub fn waiting(&self, view: &View, meant: &Selector) -> Waiting {
        if meant.is_all() {
            let first = view.pending.iter().take(NAMED).map(ToString::to_string).collect();
            let (relays, links, n) = (self.relays, self.links, view.pending.len());
            return Waiting { relays, links, first, n, unknown: Vec::new() };
        }
        let is_meant = |relay: &Relay| meant.takes(&relay.name, &relay.labels);
        let relays: BTreeSet<u32> =
            view.table.slots().filter(|(_, at)| is_meant(&at.relay)).map(|(slot, _)| slot).collect();
        let each = self.each.iter().filter(|(slot, ..)| relays.contains(slot));
        let places = each.clone().flat_map(|(.., pending)| pending);
        let first = places.clone().take(NAMED).filter_map(|place| view.pending.get(*place));
        let of_slot = |(slot, ..): &(u32, Share, Vec<usize>)| view.table.relays.get(*slot as usize)?.as_ref();
        let in_use = each.clone().filter_map(of_slot).flat_map(|at| links_of(&at.relay)).collect();
        let is_known = |pattern: &str| view.table.slots().any(|(_, at)| pattern::matches(pattern, &at.relay.name));
        Waiting {
            relays: each.clone().map(|(_, share, _)| *share).collect(),
            links: links(view, in_use),
            first: first.map(ToString::to_string).collect(),
            n: places.count(),
            unknown: meant.unknown(is_known, relays.is_empty()),
        }
    }
}

fn links_of(relay: &Relay) -> impl Iterator<Item = &str> {
    std::iter::once(relay.input.interface.as_str()).chain(relay.outputs.links())
}

/// How many of these links are up, have a carrier, and can be used.
fn links(view: &View, names: BTreeSet<&str>) -> Sum {
    let works = |name: &str| {
        let is_up = view.facts.link(name).is_some_and(|link| link.up && link.carrier);
        is_up && !view.facts.unusable.contains_key(name)
    };
    names.into_iter().map(|name| if works(name) { Share::ALL } else { Share::NONE }).collect()
}

#[cfg(test)]
mod tests {
    use super::Works;
    use crate::observe::fixtures::Node;
    use relay_common::health::Share;
    use relay_common::selector::Selector;
    use relay_common::table::{Part, Pending, PendingReason};
    use std::sync::Arc;

    fn patterns(of: &[&str]) -> Selector {
        Selector::parse(of, &[]).unwrap()
    }

    #[test]
    fn labels_choose_too_and_what_means_nothing_is_told() {
        let mut node = Node::new(&["news-1", "sport-1"]);
        let labels = [("group".to_owned(), "news".to_owned())];
        Arc::make_mut(&mut node.view.table).relays[0].as_mut().unwrap().relay.labels.extend(labels);
        let view = node.view;
        let asked =
            |names: &[&str], labels: &[&str]| Works::of(&view).waiting(&view, &Selector::parse(names, labels).unwrap());
        let news = asked(&[], &["group=news"]);
        assert_eq!((news.relays.of, news.n, news.unknown.len()), (1, 1, 0));
        assert_eq!(asked(&[], &["group=nwes"]).unknown, ["meant by group=nwes"]);
        assert_eq!(asked(&["sport-*"], &["group=news"]).unknown, ["meant by \"sport-*\" with group=news"]);
    }

    #[test]
    fn the_relays_that_are_meant_count_and_no_others() {
        // Each has two outputs, the second of which waits for a link that is not there.
        let mut node = Node::new(&["news-1", "news-2", "sport-1"]);
        let link = "in0".to_owned();
        let reason = PendingReason::LinkDown { link, up: true };
        Arc::make_mut(&mut node.view.pending).push(Pending { relay: "sport-1".into(), part: Part::Input, reason });
        let view = node.view;
        let works = Works::of(&view);
        assert_eq!(works.relays.share, Share::parse("33.3333").unwrap());
        assert_eq!((works.relays.whole, works.relays.of), (0, 3));
        assert_eq!((works.links.whole, works.links.of), (2, 3));
        let news = works.waiting(&view, &patterns(&["news-?"]));
        assert_eq!((news.relays.of, news.relays.share, news.n), (2, Share::parse("50").unwrap(), 2));
        assert!(news.first[0].contains("relay \"news-1\" outputs[1]"), "{news:?}");
        assert_eq!((news.links.whole, news.links.of), (2, 3));
        let sport = works.waiting(&view, &patterns(&["sport-*", "sprot-*"]));
        assert_eq!((sport.relays.of, sport.relays.share, sport.n), (1, Share::NONE, 2));
        assert_eq!(sport.unknown, ["called \"sprot-*\""]);
        let all = works.waiting(&view, &Selector::default());
        assert_eq!((all.relays, all.n, all.first.len()), (works.relays, 4, 4));
    }

    #[test]
    fn a_relay_that_is_switched_off_is_not_missing() {
        let mut node = Node::new(&["one", "two"]);
        Arc::make_mut(&mut node.view.table).relays[0].as_mut().unwrap().relay.enabled = false;
        let works = Works::of(&node.view);
        assert_eq!(works.relays.of, 1);
        let one = works.waiting(&node.view, &patterns(&["one"]));
        assert_eq!((one.relays.of, one.relays.share, one.unknown), (0, Share::ALL, Vec::new()));
    }
}
