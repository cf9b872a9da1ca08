//! How a node is while control is away, or does not answer: what its lanes, its links and the memo of the last control tell. Lanes relay as
//! they were left, so that a restart of control is no reason to fail over.

use super::{Check, Demand, Judgement, RENEW_CONTROL, Sum, Verdict, Waiting, failing_first, pending, seconds};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What came of asking a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It comes round, and no control has it.
    Alone {
        /// For how long, in nanoseconds, when it knows.
        for_ns: Option<u64>,
    },
    /// It comes round, and a control has it that is beginning, or ending.
    Taken {
        /// For how long none was in charge before, in nanoseconds; `None` where one is.
        for_ns: Option<u64>,
    },
    /// It did not answer in time.
    Silent,
    /// There is none.
    Dead,
}

/// What is known of a node whose control does not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Away<'a> {
    /// Each lane with what came of asking it.
    pub lanes: Vec<(u32, Answer)>,
    /// Links that lanes receive on and that have no program.
    pub bare: Vec<&'a str>,
    /// What waits.
    pub waiting: Waiting,
    /// Control may be away for so long, in nanoseconds; for ever without.
    pub limit_ns: Option<u64>,
    /// It is there, and does not answer in time.
    pub is_silent: bool,
}

impl Away<'_> {
    /// For how long no control was in charge, as far as any lane knows.
    #[must_use]
    pub fn for_ns(&self) -> Option<u64> {
        let of = |(_, answer): &(u32, Answer)| match answer {
            Answer::Alone { for_ns } | Answer::Taken { for_ns } => *for_ns,
            Answer::Silent | Answer::Dead => None,
        };
        self.lanes.iter().filter_map(of).max()
    }
}

/// What is said of a node whose control is away.
#[must_use]
pub fn judge(away: &Away<'_>, demand: Demand) -> Judgement {
    let (for_ns, limit) = (away.for_ns(), away.limit_ns);
    let verdict = match (for_ns, limit) {
        (Some(age), Some(limit)) if age > limit => Verdict::Fault,
        _ => Verdict::Drift,
    };
    let checks = [
        Check::all("control", verdict, &[control(away, for_ns)]),
        Check::all("lanes", Verdict::Fault, &lanes(&away.lanes)),
        Check::all("program", Verdict::Fault, &bare(&away.bare)),
        pending(&away.waiting),
    ];
    let Sum { share, .. } = away.waiting.relays;
    let enough = demand.min.is_none_or(|min| share >= min && away.waiting.unknown.is_empty());
    let mut judgement = Judgement { is_ok: enough, checks: failing_first(checks.into()) };
    judgement.is_ok &= !judgement.gives(Verdict::Fault);
    judgement
}

fn control(away: &Away<'_>, for_ns: Option<u64>) -> String {
    let since = for_ns.map_or_else(String::new, |age| format!(" for {}", seconds(age)));
    if away.lanes.iter().any(|(_, answer)| matches!(answer, Answer::Taken { .. })) {
        return match for_ns {
            Some(_) => format!("control was away{since}, and another is taking the lanes over, which relay meanwhile"),
            None if away.is_silent => format!(
                "control does not answer: it stands still or hangs, and the lanes relay as it left them; another takes them \
                 over without a loss: {RENEW_CONTROL}"
            ),
            None => {
                "control does not answer yet, or no more: it is beginning or ending, and the lanes relay".to_string()
            }
        };
    }
    format!(
        "control is away{since}, and the lanes relay as it left them; one that dies is not started again: see the log, \
         then systemctl start mcr"
    )
}

fn lanes(lanes: &[(u32, Answer)]) -> Vec<String> {
    let wrong = |(number, answer): &(u32, Answer)| match answer {
        Answer::Alone { .. } | Answer::Taken { .. } => None,
        Answer::Silent => Some(format!("lane {number} does not answer: it is stopped, hangs, or its core is taken")),
        Answer::Dead => Some(format!("lane {number} is dead, and no control starts it again")),
    };
    lanes.iter().filter_map(wrong).collect()
}

fn bare(links: &[&str]) -> Vec<String> {
    links.iter().map(|link| format!("{link} has no XDP program: the next control attaches it again")).collect()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Away, judge};
    use crate::health::{Demand, Judgement, Share, Verdict, Waiting, of_relay};
    use alloc::string::String;
    use alloc::vec;

    const S: u64 = 1_000_000_000;

    fn alone(seconds: u64) -> Answer {
        Answer::Alone { for_ns: Some(seconds * S) }
    }

    fn said(away: &Away<'_>) -> Judgement {
        judge(away, Demand::default())
    }

    fn text(judgement: &Judgement, name: &str) -> String {
        judgement.checks.iter().find(|check| check.name == name).unwrap().text.clone()
    }

    #[test]
    fn lanes_that_relay_alone_are_shown_and_no_reason_to_fail_over() {
        let judgement = said(&Away { lanes: vec![(0, alone(3)), (1, alone(4))], ..Away::default() });
        assert!(judgement.is_ok && judgement.gives(Verdict::Drift) && !judgement.gives(Verdict::Fault));
        assert!(
            text(&judgement, "control").starts_with("control is away for 4.0 s, and the lanes relay"),
            "{judgement:?}"
        );
        let unknown = said(&Away { lanes: vec![(0, Answer::Alone { for_ns: None })], ..Away::default() });
        assert!(text(&unknown, "control").starts_with("control is away, and the lanes relay"), "{unknown:?}");
    }

    #[test]
    fn a_control_that_begins_is_told_from_none() {
        let taken =
            |for_ns| said(&Away { lanes: vec![(0, Answer::Taken { for_ns }), (1, alone(3))], ..Away::default() });
        assert!(text(&taken(Some(2 * S)), "control").starts_with("control was away for 3.0 s, and another is taking"));
        let ends = said(&Away { lanes: vec![(0, Answer::Taken { for_ns: None })], ..Away::default() });
        assert!(ends.is_ok && text(&ends, "control").contains("beginning or ending"), "{ends:?}");
    }

    #[test]
    fn a_control_that_does_not_answer_is_drift_as_long_as_its_lanes_come_round() {
        let taken = Answer::Taken { for_ns: None };
        let silent = |other| Away { lanes: vec![(0, taken), (1, other)], is_silent: true, ..Away::default() };
        let hangs = said(&silent(taken));
        assert!(hangs.is_ok && hangs.gives(Verdict::Drift), "{hangs:?}");
        assert!(text(&hangs, "control").starts_with("control does not answer: it stands still or hangs"), "{hangs:?}");
        assert!(text(&hangs, "control").ends_with("mcr restart"), "{hangs:?}");
        assert!(!said(&silent(Answer::Silent)).is_ok, "and does not start a lane that hangs again");
    }

    #[test]
    fn a_lane_that_is_dead_or_silent_is_a_fault() {
        for (answer, words) in [(Answer::Dead, "lane 1 is dead"), (Answer::Silent, "lane 1 does not answer")] {
            let judgement = said(&Away { lanes: vec![(0, alone(1)), (1, answer)], ..Away::default() });
            assert!(!judgement.is_ok && text(&judgement, "lanes").starts_with(words), "{judgement:?}");
        }
        let bare = said(&Away { lanes: vec![(0, alone(1))], bare: vec!["in0"], ..Away::default() });
        assert!(!bare.is_ok && text(&bare, "program").starts_with("in0 has no XDP program"), "{bare:?}");
    }

    #[test]
    fn control_may_be_away_as_long_as_the_limit_says() {
        let away = |seconds| Away { lanes: vec![(0, alone(seconds))], limit_ns: Some(5 * S), ..Away::default() };
        assert_eq!([said(&away(5)).is_ok, said(&away(6)).is_ok], [true, false]);
        assert!(said(&away(6)).gives(Verdict::Fault));
    }

    #[test]
    fn a_minimum_counts_while_control_is_away_too() {
        let relays = [of_relay(true, 1, 2)].into_iter().collect();
        let waiting =
            Waiting { relays, first: vec!["relay \"a\" outputs[0]: out0 is down".into()], n: 1, ..Waiting::default() };
        let away = Away { lanes: vec![(0, alone(1))], waiting, ..Away::default() };
        let at_least = |percent| judge(&away, Demand { min: Share::parse(percent), role: false }).is_ok;
        assert_eq!([at_least("50"), at_least("51"), said(&away).is_ok], [true, false, true]);
        assert!(said(&away).gives(Verdict::Partial));
    }
}
