//! In which order relays stand.

use crate::document::name_of;
use crate::relay::drops;
use relay_config::model::Relay;
use std::cmp::Ordering;

/// What relays are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum By {
    #[default]
    Name,
    State,
    Input,
    Output,
    Drops,
    Age,
}

impl By {
    const ALL: [Self; 6] = [Self::Name, Self::State, Self::Input, Self::Output, Self::Drops, Self::Age];

    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Input => "in",
            Self::Output => "out",
            Self::Drops => "drops",
            Self::Age => "age",
        }
    }
}

/// In which order relays stand: by names from the first, by numbers from the greatest, by state from the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// What they are sorted by.
    pub(super) by: By,
    /// Whether the last comes first.
    pub(super) is_reversed: bool,
}

impl Order {
    /// The same by what comes next.
    pub(super) fn next(self) -> Self {
        let next = By::ALL.iter().cycle().skip_while(|by| **by != self.by).nth(1);
        Self { by: next.copied().unwrap_or_default(), is_reversed: false }
    }

    /// The other way round.
    pub(super) const fn reversed(self) -> Self {
        Self { by: self.by, is_reversed: !self.is_reversed }
    }

    /// Whether numbers grow, or names go on, from above to below.
    pub(super) fn is_rising(self) -> bool {
        matches!(self.by, By::Name | By::State) != self.is_reversed
    }

    /// Which of two comes first. Names decide where nothing else does, so that nothing jumps.
    pub(super) fn compare(self, a: &Relay, b: &Relay) -> Ordering {
        let names = || name_of(&a.definition).cmp(name_of(&b.definition));
        let (x, y) = (&a.status, &b.status);
        let sent = |relay: &Relay| relay.status.outputs.iter().map(|output| output.pps).sum::<f64>();
        let age = |relay: &Relay| relay.status.input.last_packet_age_s.unwrap_or(f64::INFINITY);
        let order = match self.by {
            By::Name => names(),
            By::State => rank(&x.state).cmp(&rank(&y.state)),
            By::Input => y.input.pps.total_cmp(&x.input.pps),
            By::Output => sent(b).total_cmp(&sent(a)),
            By::Drops => drops(y).cmp(&drops(x)),
            By::Age => age(b).total_cmp(&age(a)),
        };
        (if self.is_reversed { order.reverse() } else { order }).then_with(names)
    }
}

/// How soon somebody should look.
fn rank(state: &str) -> usize {
    let worst_first = ["silent", "pending", "shadowed", "muted", "disabled", "running"];
    worst_first.iter().position(|known| *known == state).unwrap_or(worst_first.len())
}

#[cfg(test)]
mod tests {
    use super::super::tests::stage::relay;
    use super::*;

    fn sorted(order: Order) -> Vec<&'static str> {
        let names = ["a", "b", "c"];
        let mut relays = [relay("a", "running", 5.0), relay("b", "silent", 0.0), relay("c", "muted", 5.0)];
        relays[0].status.input.drops.insert("ttl".into(), 9);
        relays[1].status.input.last_packet_age_s = None;
        relays[2].status.outputs[0].pps = 100.0;
        relays.sort_by(|a, b| order.compare(a, b));
        relays.iter().map(|relay| *names.iter().find(|n| **n == name_of(&relay.definition)).unwrap()).collect()
    }

    #[test]
    fn what_needs_a_look_comes_first() {
        let mut order = Order::default();
        let mut seen = Vec::new();
        for _ in 0..By::ALL.len() {
            seen.push((order.by.name(), sorted(order)));
            order = order.next();
        }
        assert_eq!(order, Order::default(), "all round");
        let expected = [
            ("name", ["a", "b", "c"]),
            ("state", ["b", "c", "a"]),
            ("in", ["a", "c", "b"]),
            ("out", ["c", "a", "b"]),
            ("drops", ["a", "b", "c"]),
            ("age", ["b", "a", "c"]),
        ];
        assert_eq!(seen, expected.map(|(name, names)| (name, names.to_vec())));
    }

    #[test]
    fn reversed_is_the_other_way_round_but_for_ties() {
        let order = Order { by: By::Input, is_reversed: true };
        assert_eq!(sorted(order), ["b", "a", "c"]);
        assert!(order.is_rising() && !order.reversed().is_rising() && Order::default().is_rising());
    }
}
