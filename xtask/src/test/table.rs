//! What is printed at the end, and whether that is a success.

use std::io::Write;

use anyhow::{Result, bail};

use super::tally::Tally;

/// How a suite ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Ran(Tally),
    /// It could not be built or started.
    Broken(String),
    /// It cannot run here, for this reason.
    Skipped(String),
    /// The workspace has no such suite.
    Missing,
}

impl Outcome {
    pub(super) fn broken(error: &anyhow::Error) -> Self {
        Self::Broken(format!("{error:#}"))
    }
}

pub(super) struct Row {
    suite: String,
    outcome: Outcome,
    seconds: f64,
}

impl Row {
    pub(super) fn new(suite: &str, outcome: Outcome, seconds: f64) -> Self {
        Self { suite: suite.to_owned(), outcome, seconds }
    }

    pub(super) fn renamed(self, rename: impl FnOnce(&str) -> String) -> Self {
        Self { suite: rename(&self.suite), ..self }
    }
}

pub(super) fn print(rows: &[Row]) -> Result<()> {
    std::io::stdout().lock().write_all(text(rows).as_bytes())?;
    Ok(())
}

fn text(rows: &[Row]) -> String {
    let mut text = format!("\n{:20} {:>7} {:>7} {:>8} {:>8}\n", "suite", "passed", "failed", "skipped", "seconds");
    for Row { suite, outcome, seconds } in rows {
        let line = match outcome {
            Outcome::Ran(Tally { passed, failed, ignored, .. }) => {
                format!("{suite:20} {passed:>7} {failed:>7} {ignored:>8} {seconds:>8.1}\n")
            }
            Outcome::Broken(why) => format!("{suite:20} broken: {why}\n"),
            Outcome::Skipped(why) => format!("{suite:20} skipped: {why}\n"),
            Outcome::Missing => format!("{suite:20} no such suite\n"),
        };
        text.push_str(&line);
    }
    // Last, because the log of a long run may keep no more than its end.
    for Row { suite, outcome, .. } in rows {
        if let Outcome::Ran(Tally { failures, .. }) = outcome {
            text.extend(failures.iter().map(|failure| format!("failed: {suite} {failure}\n")));
        }
    }
    text
}

/// Fails when a test failed, and when a suite is not there: a test that nobody runs is green for ever.
pub(super) fn verdict(rows: &[Row]) -> Result<()> {
    let is_bad = |row: &&Row| match &row.outcome {
        Outcome::Ran(tally) => tally.failed > 0,
        Outcome::Broken(_) => true,
        Outcome::Skipped(_) => false,
        Outcome::Missing => true,
    };
    let bad: Vec<&str> = rows.iter().filter(is_bad).map(|row| row.suite.as_str()).collect();
    if !bad.is_empty() {
        bail!("not green: {}", bad.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(outcome: Outcome) -> Row {
        Row::new("netns", outcome, 1.25)
    }

    #[test]
    fn the_table_says_how_each_suite_ended() {
        let tally = Tally { passed: 12, ignored: 3, ..Tally::default() };
        let rows = [Outcome::Ran(tally), Outcome::Skipped("needs root".into()), Outcome::Missing].map(row);
        let expected = "\n\
            suite                 passed  failed  skipped  seconds\n\
            netns                     12       0        3      1.2\n\
            netns                skipped: needs root\n\
            netns                no such suite\n";
        assert_eq!(text(&rows), expected);
    }

    #[test]
    fn a_failure_and_a_broken_suite_are_not_green() {
        let failed = Tally { passed: 12, failed: 1, ..Tally::default() };
        assert!(verdict(&[row(Outcome::Ran(failed))]).is_err());
        assert!(verdict(&[row(Outcome::Broken("does not compile".into()))]).is_err());
        assert!(verdict(&[row(Outcome::Ran(Tally::default())), row(Outcome::Skipped("no root".into()))]).is_ok());
    }

    #[test]
    fn a_suite_that_is_not_there_fails_who_asked_for_it() {
        assert!(verdict(&[row(Outcome::Missing)]).is_err());
    }
    #[test]
    fn what_failed_stands_at_the_end() {
        let failures = vec!["idle::it_sleeps: 6 % of a core".to_owned()];
        let failed = Tally { passed: 12, failed: 1, ignored: 0, failures };
        assert!(
            text(&[row(Outcome::Ran(failed)), row(Outcome::Missing)])
                .ends_with("no such suite\nfailed: netns idle::it_sleeps: 6 % of a core\n")
        );
    }
}
