//! The page says what the results say, shows every plot, and survives hostile names.

use super::*;
use crate::measure::{fixture, golden};

#[test]
fn the_page_is_as_it_was() {
    golden::assert_as_it_was("page.md", &render_processor(&fixture::results()));
}

#[test]
fn the_page_on_all_is_as_it_was() {
    let mut another = fixture::results();
    another.machine.processor = "Invented(R) Other(R) Processor".to_owned();
    another.scenarios.truncate(1);
    another.extent = "quick".to_owned();
    golden::assert_as_it_was("all.md", &render_all(&[fixture::results(), another]));
}

#[test]
fn every_plot_is_shown_once_and_none_that_is_missing() {
    for results in [fixture::results(), fixture::awkward()] {
        let page = render(&results);
        let shown: Vec<_> = page.split("](benchmarks/").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        let mut expected: Vec<_> = plot::plots(&results).into_iter().map(|(file, _)| file).collect();
        let mut sorted = shown.clone();
        sorted.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sorted, expected);
    }
}

#[test]
fn hostile_names_break_no_table() {
    let page = render(&fixture::awkward());
    assert!(page.contains(r#"&lt;script>&amp;"quoted"\|piped\|"#) && !page.contains("<script"));
    let mut columns = 0;
    for line in page.lines() {
        let separators = line.replace(r"\|", "").matches('|').count();
        if !line.starts_with('|') {
            columns = 0;
        } else if columns == 0 {
            columns = separators;
        } else {
            assert_eq!(separators, columns, "{line}");
        }
    }
}

#[test]
fn what_is_no_number_is_a_dash() {
    let page = render(&fixture::awkward());
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}

#[test]
fn a_run_in_part_does_not_pass_for_the_whole() {
    let results = Results { extent: "quick".to_owned(), ..fixture::results() };
    assert!(render(&results).starts_with("# Benchmarks, in part\n"));
    let is_told = |results: &Results| render_processor(results).contains("This run was not of all scenarios");
    assert!(is_told(&results) && !is_told(&fixture::results()));
}

#[test]
fn what_was_skipped_says_why() {
    let page = render(&fixture::results());
    assert!(page.contains("there is no socat: apt-get install socat"));
    let mut results = fixture::results();
    results.scenarios.iter_mut().for_each(|scenario| scenario.contestants.retain(|it| it.skipped.is_none()));
    assert!(render(&results).ends_with("## What was skipped\n\nNothing.\n"));
}
