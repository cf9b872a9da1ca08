//! What we ask of MCR: ratios to peers of the same run, and times of its functions.

use std::fmt::{self, Display, Formatter};

use super::number;
use super::results::{Results, ScenarioResult};

/// A figure that must not be left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Asked {
    /// So many times as much, or more.
    AtLeast(f64),
    /// So many times as much, or less.
    AtMost(f64),
    /// So many nanoseconds, or fewer.
    Within(f64),
}

/// What is asked, and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) what: &'static str,
    pub(crate) asked: Asked,
    pub(crate) measured: f64,
    /// What the machine could reach at most, where a ceiling of the same run tells.
    pub(crate) possible: Option<f64>,
}

impl Bound {
    pub(crate) fn holds(&self) -> bool {
        match self.asked {
            Asked::AtLeast(least) => self.measured >= least,
            Asked::AtMost(most) | Asked::Within(most) => self.measured <= most,
        }
    }

    /// A figure in the unit of what is asked.
    pub(crate) fn shown(&self, figure: f64) -> String {
        match self.asked {
            Asked::AtLeast(_) | Asked::AtMost(_) => number::times(figure),
            Asked::Within(_) => number::nanoseconds(figure),
        }
    }

    /// Which share of what is possible is asked; above 1 it cannot hold.
    pub(crate) fn share_of_possible(&self) -> Option<f64> {
        match (self.asked, self.possible) {
            (Asked::AtLeast(least), Some(possible)) => Some(least / possible),
            _ => None,
        }
    }
}

impl Display for Asked {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(out, "at least {least}×"),
            Self::AtMost(most) => write!(out, "at most {most}×"),
            Self::Within(ns) => write!(out, "at most {}", number::nanoseconds(*ns)),
        }
    }
}

/// All bounds whose figures these results have.
pub(crate) fn of(results: &Results) -> Vec<Bound> {
    let scenario = |name: &str| results.scenarios.iter().find(|scenario| scenario.name == name);
    let function = |name: &str| results.functions.iter().find(|function| function.name == name).map(|f| f.median_ns);
    let ratio = |name: &str, peer: &str| scenario(name).and_then(|it| it.ratio_to(it.contestant(peer)?));
    let possible = |name: &str, peer: &str| scenario(name).and_then(|it| sending_only(it, peer));
    let mut bounds = Vec::new();
    let mut ask = |what, asked, measured: Option<f64>, possible| {
        bounds.extend(measured.map(|measured| Bound { what, asked, measured, possible }));
    };
    for (what, name, peer, least) in [
        ("1 to 1, rate, to sockets with recvmmsg and sendmmsg", "1-to-1", "mmsg", 2.2),
        ("1 to 1, rate, to multicast routing by the kernel", "1-to-1", "kernel", 1.25),
        ("1 to 16, rate, to sockets with recvmmsg and sendmmsg", "1-to-16", "mmsg", 2.5),
        ("64 bytes, 1 to 1, rate, to sockets with recvmmsg and sendmmsg", "small", "mmsg", 2.5),
    ] {
        ask(what, Asked::AtLeast(least), ratio(name, peer), possible(name, peer));
    }
    let rate = |name: &str| scenario(name)?.mcr()?.highest();
    let of_many = rate("relays-200").zip(rate("1-to-1")).map(|(many, one)| many / one);
    ask("200 relays, rate, to 1 relay", Asked::AtLeast(0.9), of_many, None);
    let p99 = |name: &str| Some(scenario("1-to-1")?.contestant(name)?.load(50)?.latency.p99);
    let tail = p99("mcr").zip(p99("mmsg")).map(|(ours, theirs)| ours / theirs);
    ask("p99 latency at half load, to sockets with recvmmsg and sendmmsg", Asked::AtMost(1.0), tail, None);
    let busy = || Some(scenario("polling")?.contestant("mcr-busy")?.load(10)?.latency.p50);
    ask("p50 latency at a tenth of the load, busy polling", Asked::Within(30e3), busy(), None);
    let (one, sixteen) = (function("forward 1 to 1, stamp"), function("forward 1 to 16, stamp"));
    ask("forward 1 to 1, a packet", Asked::Within(60.0), one, None);
    let further = one.zip(sixteen).map(|(one, sixteen)| (sixteen - one) / 15.0);
    ask("forward 1 to 16, each further output", Asked::Within(60.0), further, None);
    ask("compile 10 000 relays", Asked::Within(50e6), function("compile 10000 relays"), None);
    bounds
}

/// What an AF_XDP socket that only sends reaches, as a ratio to what a peer sends.
fn sending_only(scenario: &ScenarioResult, peer: &str) -> Option<f64> {
    let ceiling = scenario.contestant("xsk-transmit")?.overload.as_ref()?.median();
    let ratio = ceiling / scenario.out(scenario.contestant(peer)?.highest()?);
    ratio.is_finite().then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::{Asked, Bound, of};
    use crate::measure::fixture;

    fn found<'a>(bounds: &'a [Bound], what: &str) -> &'a Bound {
        bounds.iter().find(|bound| bound.what.starts_with(what)).unwrap()
    }

    #[test]
    fn a_bound_holds_up_to_its_figure() {
        let bound = |asked, measured| Bound { what: "", asked, measured, possible: None }.holds();
        assert!(bound(Asked::AtLeast(2.0), 2.0) && !bound(Asked::AtLeast(2.0), 1.9));
        assert!(bound(Asked::AtMost(1.0), 1.0) && !bound(Asked::AtMost(1.0), 1.1));
        assert!(bound(Asked::Within(60.0), 59.0) && !bound(Asked::Within(60.0), 61.0));
        assert!(!bound(Asked::AtLeast(2.0), f64::NAN) && !bound(Asked::Within(2.0), f64::NAN));
    }

    #[test]
    fn what_is_asked_is_a_share_of_what_is_possible() {
        let bound = |asked, possible| Bound { what: "", asked, measured: 1.5, possible }.share_of_possible();
        assert_eq!(bound(Asked::AtLeast(2.0), Some(2.5)), Some(0.8));
        assert_eq!((bound(Asked::AtLeast(2.0), None), bound(Asked::Within(2.0), Some(2.5))), (None, None));
        assert_eq!(Asked::AtLeast(1.25).to_string(), "at least 1.25×");
        assert_eq!(Asked::Within(5e7).to_string(), "at most 50 ms");
    }

    #[test]
    fn figures_come_from_the_scenarios_they_name() {
        let results = fixture::results();
        let bounds = of(&results);
        let scenario = |name: &str| results.scenarios.iter().find(|scenario| scenario.name == name).unwrap();
        let rate = |scenario_name: &str, name: &str| {
            scenario(scenario_name).contestant(name).unwrap().rate.as_ref().unwrap().median()
        };
        let near = |found: &Bound, expected: f64| assert!((found.measured / expected - 1.0).abs() < 1e-9, "{found:?}");
        near(found(&bounds, "1 to 16, rate"), rate("1-to-16", "mcr") / rate("1-to-16", "mmsg"));
        near(found(&bounds, "200 relays"), rate("relays-200", "mcr") / rate("1-to-1", "mcr"));
        let sent = scenario("1-to-1").contestant("xsk-transmit").unwrap().overload.as_ref().unwrap().median();
        let possible = found(&bounds, "1 to 1, rate, to sockets").possible.unwrap();
        assert!((possible / (sent / rate("1-to-1", "mmsg")) - 1.0).abs() < 1e-9);
        assert!(bounds.iter().all(|bound| bound.what != "compile 10 000 relays"), "what was not measured is not told");
    }
}
