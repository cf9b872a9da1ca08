//! What MCR did is told from what the machine did.

use super::*;
use crate::measure::results::{Percentiles, Spread};
use crate::measure::{fixture, golden};

/// As if some contestants were so many times as fast.
fn faster(results: &Results, times: f64, who: impl Fn(&ContestantResult) -> bool) -> Results {
    let mut results = results.clone();
    for contestant in results.scenarios.iter_mut().flat_map(|it| &mut it.contestants).filter(|it| who(it)) {
        for spread in [&mut contestant.rate, &mut contestant.overload].into_iter().flatten() {
            spread.values.iter_mut().for_each(|value| *value *= times);
        }
        for load in &mut contestant.loads {
            let Percentiles { p50, p90, p99, p999, max } = load.latency;
            let [p50, p90, p99, p999, max] = [p50, p90, p99, p999, max].map(|it| it / times);
            load.latency = Percentiles { p50, p90, p99, p999, max };
            load.core_ns /= times;
        }
    }
    results
}

fn is_mcr(contestant: &ContestantResult) -> bool {
    contestant.kind == Kind::Mcr
}

fn verdicts(comparison: &Comparison, kind: Kind) -> Vec<Verdict> {
    comparison.changes.iter().filter(|change| change.kind == kind).map(|change| change.verdict).collect()
}

#[test]
fn a_run_is_the_same_as_itself() {
    let results = fixture::results();
    let comparison = compare(&results, &results);
    assert!(comparison.changes.len() > 100);
    assert!(comparison.changes.iter().all(|change| change.verdict == Verdict::Same));
    assert!(comparison.missing.is_empty() && comparison.added.is_empty());
    assert!(!comparison.has_regressed());
}

#[test]
fn a_slower_mcr_is_a_regression_and_a_faster_one_is_not() {
    let old = fixture::results();
    let slower = compare(&old, &faster(&old, 0.8, is_mcr));
    assert!(slower.has_regressed());
    let faster = compare(&old, &faster(&old, 1.3, is_mcr));
    assert!(!faster.has_regressed());
    assert!(verdicts(&faster, Kind::Mcr).contains(&Verdict::Better));
}

#[test]
fn a_slower_machine_is_no_regression() {
    let old = fixture::results();
    // Also in a scenario in which nobody but MCR takes part.
    assert!(old.scenarios.iter().any(|scenario| scenario.contestants.len() == 1));
    let comparison = compare(&old, &faster(&old, 0.7, |_| true));
    assert!(verdicts(&comparison, Kind::Mcr).iter().all(|verdict| *verdict == Verdict::Same));
    assert!(verdicts(&comparison, Kind::Peer).contains(&Verdict::Worse));
    assert!(!comparison.has_regressed());
}

#[test]
fn a_faster_machine_hides_no_regression() {
    let old = fixture::results();
    let comparison = compare(&old, &faster(&old, 1.3, |contestant| !is_mcr(contestant)));
    assert!(comparison.has_regressed());
}

#[test]
fn one_peer_among_several_cannot_make_a_regression() {
    let old = fixture::results();
    let comparison = compare(&old, &faster(&old, 2.0, |contestant| contestant.name == "plain"));
    let in_first = |change: &&Change| change.kind == Kind::Mcr && change.scenario == "1-to-1";
    assert!(comparison.changes.iter().filter(in_first).all(|change| change.verdict == Verdict::Same));
}

#[test]
fn without_any_peer_the_figures_themselves_decide() {
    let mut old = fixture::results();
    old.scenarios.iter_mut().for_each(|scenario| scenario.contestants.retain(is_mcr));
    let comparison = compare(&old, &faster(&old, 0.8, |_| true));
    assert!(comparison.has_regressed());
    assert!(comparison.changes.iter().all(|change| change.ratios.is_empty()));
}

#[test]
fn what_its_own_repeats_differ_by_is_noise() {
    let old = fixture::results();
    let mut new = faster(&old, 0.85, is_mcr);
    let rate_of_new = |new: &mut Results, values: &[f64]| {
        let mcr = &mut new.scenarios[0].contestants[0];
        mcr.rate = Some(Spread { values: values.to_vec() });
        let comparison = compare(&old, new);
        let change = comparison.changes.into_iter().find(|it| it.contestant == "mcr" && it.figure == Figure::Rate);
        change.unwrap().verdict
    };
    assert_eq!(rate_of_new(&mut new, &[740e3, 745e3, 750e3]), Verdict::Worse);
    assert_eq!(rate_of_new(&mut new, &[560e3, 745e3, 870e3]), Verdict::Same);
}

#[test]
fn a_tail_is_shown_but_decides_nothing() {
    let old = fixture::results();
    let mut new = old.clone();
    new.scenarios[0].contestants[0].loads[0].latency.p99 *= 3.0;
    let comparison = compare(&old, &new);
    assert!(verdicts(&comparison, Kind::Mcr).contains(&Verdict::Worse));
    assert!(!comparison.has_regressed());
    new.scenarios[0].contestants[0].loads[0].latency.p50 *= 3.0;
    assert!(compare(&old, &new).has_regressed());
}

#[test]
fn more_memory_is_a_regression_on_any_machine() {
    let old = fixture::results();
    let mut new = old.clone();
    new.machine.kernel = "another".to_owned();
    new.scenarios[0].contestants[0].memory_kib = Some(40_000);
    let comparison = compare(&old, &new);
    assert!(comparison.has_other_machine && comparison.has_regressed());
}

#[test]
fn an_mcr_that_no_longer_runs_is_a_regression_and_one_left_out_is_not() {
    let old = fixture::results();
    let mut new = old.clone();
    new.scenarios.remove(1);
    assert!(!compare(&old, &new).has_regressed());
    new.scenarios[0].contestants[0] = fixture::skipped("mcr", "MCR", "it did not start");
    let comparison = compare(&old, &new);
    assert!(comparison.has_regressed());
    assert!(comparison.to_string().ends_with("  missing: mcr in 1-to-1: it did not start\n"));
    new.scenarios[0].contestants[0] =
        ContestantResult { rate: Some(Spread { values: vec![0.0] }), ..fixture::mcr(1.0) };
    assert!(compare(&old, &new).to_string().contains("  missing: rate without loss of mcr in 1-to-1\n"));
}

#[test]
fn a_scenario_that_asks_for_something_else_is_not_compared() {
    let old = fixture::results();
    let mut new = old.clone();
    new.scenarios[0].payload = 64;
    let comparison = compare(&old, &new);
    assert!(!comparison.changes.iter().any(|change| change.scenario == "1-to-1"));
    assert!(comparison.missing.iter().any(|missing| missing.what == "1-to-1: it asks for something else now"));
}

#[test]
fn zeros_and_what_is_no_number_are_left_out() {
    let awkward = fixture::awkward();
    let comparison = compare(&awkward, &awkward);
    assert!(comparison.changes.iter().all(|change| change.share == 0.0));
    assert!(!comparison.has_regressed());
}

#[test]
fn the_text_is_as_it_was() {
    let mut old = fixture::results();
    old.scenarios.truncate(3);
    let mut new = faster(&faster(&old, 0.7, |_| true), 0.8, |contestant| contestant.name == "mcr");
    old.scenarios.remove(2);
    new.scenarios[1].contestants.remove(2);
    new.date = "2026-12-01".to_owned();
    new.machine.kernel = "6.19.0-invented".to_owned();
    golden::assert_as_it_was("comparison.txt", &compare(&old, &new).to_string());
}
