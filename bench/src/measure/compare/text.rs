//! A comparison as people read it in a terminal: every figure, and the outcome at the end.

use std::fmt::{self, Display, Formatter};

use super::figure::Figure;
use super::{Change, Comparison, Verdict};
use crate::measure::number;
use crate::measure::results::Kind;

impl Display for Comparison {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let [old, new] = &self.runs;
        writeln!(out, "old: {old}\nnew: {new}")?;
        if self.has_other_machine {
            writeln!(out, "The machines differ: trust only the ratios of MCR to its peers.")?;
        }
        let mut scenario = "";
        let name_width = self.changes.iter().map(|change| change.contestant.chars().count()).max().unwrap_or_default();
        for change in &self.changes {
            if change.scenario != scenario {
                scenario = &change.scenario;
                writeln!(out, "\n{scenario}")?;
            }
            writeln!(out, "  {}", line(change, name_width))?;
        }
        writeln!(out)?;
        for missing in &self.missing {
            writeln!(out, "missing: {}", missing.what)?;
        }
        for added in &self.added {
            writeln!(out, "new: {added}")?;
        }
        self.outcome(out)
    }
}

impl Comparison {
    fn outcome(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let count = |verdict: Verdict| {
            self.changes.iter().filter(|change| change.kind == Kind::Mcr && change.verdict == verdict).count()
        };
        let (better, worse, same) = (count(Verdict::Better), count(Verdict::Worse), count(Verdict::Same));
        writeln!(out, "figures of MCR: {better} better, {worse} worse, {same} the same")?;
        if !self.has_regressed() {
            return writeln!(out, "MCR has not regressed");
        }
        writeln!(out, "MCR has regressed:")?;
        for missing in self.missing.iter().filter(|missing| missing.is_failure) {
            writeln!(out, "  missing: {}", missing.what)?;
        }
        for change in self.regressions() {
            let Change { scenario, contestant, figure, .. } = change;
            writeln!(out, "  {contestant} in {scenario}: {figure}, {}", shares(change))?;
        }
        Ok(())
    }
}

fn line(change: &Change, name_width: usize) -> String {
    let Change { contestant, figure, old, new, share, .. } = change;
    let (old, new, share) = (figure.show(*old), figure.show(*new), number::change(*share));
    let words =
        format!("{contestant:<name_width$}  {figure:<17}  {old:>9}  {new:>9}  {share:>9}  {:<7}", verdict(change));
    match change.ratios.is_empty() {
        true => words.trim_end().to_owned(),
        false => format!("{words}  {}", ratios(change)),
    }
}

fn verdict(change: &Change) -> &'static str {
    match (change.verdict, change.figure) {
        (Verdict::Same, _) => "same",
        (Verdict::Better, Figure::Memory) => "smaller",
        (Verdict::Worse, Figure::Memory) => "larger",
        (Verdict::Better, _) => "faster",
        (Verdict::Worse, _) => "slower",
    }
}

fn shares(change: &Change) -> String {
    let share = number::change(change.share);
    if change.ratios.is_empty() { share } else { format!("{share}, {}", ratios(change)) }
}

fn ratios(change: &Change) -> String {
    let ratios = change.ratios.iter().map(|ratio| format!("to {} {}", ratio.peer, number::change(ratio.share)));
    ratios.collect::<Vec<_>>().join(", ")
}
