//! Two runs side by side: what became faster, what slower, and what is only noise.

mod figure; // what is compared
mod text; // what people read

#[cfg(test)]
mod tests;

use figure::Figure;

use super::results::{ContestantResult, Kind, Machine, Results, ScenarioResult};

/// What differs between two runs.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Each run in one line, the older first.
    runs: [String; 2],
    /// Whether the two machines are not the same.
    has_other_machine: bool,
    /// Each figure that both runs have, in the order of the newer run.
    changes: Vec<Change>,
    /// What the older run has and the newer has not.
    missing: Vec<Missing>,
    /// What the newer run has and the older has not.
    added: Vec<String>,
}

/// A figure that both runs have.
#[derive(Clone, Debug)]
struct Change {
    scenario: String,
    contestant: String,
    kind: Kind,
    figure: Figure,
    old: f64,
    new: f64,
    /// What the newer has more, as a share of the older.
    share: f64,
    noise: f64,
    /// How the ratio to others changed, where that decides.
    ratios: Vec<Ratio>,
    verdict: Verdict,
}

/// How the ratio of MCR's figure to that of a peer of the same run changed.
#[derive(Clone, Debug)]
struct Ratio {
    peer: String,
    share: f64,
    noise: f64,
}

/// What is to be thought of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Better,
    Worse,
    Same,
}

/// Something that was not measured again.
#[derive(Clone, Debug)]
struct Missing {
    what: String,
    /// The scenario ran again, and MCR has no highest rate in it now.
    is_failure: bool,
}

/// Compares two runs.
pub fn compare(old: &Results, new: &Results) -> Comparison {
    let pairs = pairs(old, new);
    let runs = [old, new].map(|run| format!("{} {} ({}), {}", run.date, run.commit, run.extent, run.machine.processor));
    let mut changes: Vec<_> = pairs.iter().flat_map(|pair| pair.changes()).collect();
    // Whom MCR is to be compared with must be known first.
    let peers: Vec<_> = changes.iter().filter(|change| change.kind == Kind::Peer).cloned().collect();
    for change in &mut changes {
        change.judge(&peers);
    }
    let has_other_machine = is_another(&old.machine, &new.machine);
    Comparison { runs, has_other_machine, changes, missing: missing(old, new), added: added(old, new) }
}

impl Comparison {
    /// Whether MCR does worse than before, beyond the noise, in a figure that decides; or does no longer what it did.
    pub fn has_regressed(&self) -> bool {
        self.missing.iter().any(|missing| missing.is_failure) || self.regressions().next().is_some()
    }

    fn regressions(&self) -> impl Iterator<Item = &Change> {
        let is_ours = |change: &&Change| change.kind == Kind::Mcr && change.figure.decides();
        self.changes.iter().filter(is_ours).filter(|change| change.verdict == Verdict::Worse)
    }
}

/// Other clocks, other kernels: figures themselves say little then.
fn is_another(old: &Machine, new: &Machine) -> bool {
    let essence = |machine: &Machine| (machine.processor.clone(), machine.cores, machine.kernel.clone());
    essence(old) != essence(new)
}

/// A contestant in a scenario that both runs have.
struct Pair<'a> {
    scenario: &'a str,
    old: &'a ContestantResult,
    new: &'a ContestantResult,
}

fn pairs<'a>(old: &'a Results, new: &'a Results) -> Vec<Pair<'a>> {
    let scenarios = new.scenarios.iter().filter_map(|scenario| Some((same(old, scenario)?, scenario)));
    let pairs = scenarios.flat_map(|(old, new)| {
        new.contestants.iter().filter_map(|contestant| {
            Some(Pair { scenario: &new.name, old: old.contestant(&contestant.name)?, new: contestant })
        })
    });
    pairs.collect()
}

/// The scenario of this name, if it asked for the same.
fn same<'a>(results: &'a Results, like: &ScenarioResult) -> Option<&'a ScenarioResult> {
    let essence = |it: &ScenarioResult| (it.relays, it.outputs, it.links, it.payload, it.frame);
    results.scenarios.iter().find(|it| it.name == like.name && essence(it) == essence(like))
}

impl Pair<'_> {
    fn changes(&self) -> Vec<Change> {
        let figures = Figure::all(self.new).into_iter();
        figures.filter_map(|figure| self.change(figure)).collect()
    }

    fn change(&self, figure: Figure) -> Option<Change> {
        let (old, new) = (figure.of(self.old)?, figure.of(self.new)?);
        let noise = figure.noise_floor().max(figure.noise(self.old)).max(figure.noise(self.new));
        Some(Change {
            scenario: self.scenario.to_owned(),
            contestant: self.new.name.clone(),
            kind: self.new.kind,
            figure,
            old,
            new,
            share: new / old - 1.0,
            noise,
            ratios: Vec::new(),
            verdict: Verdict::Same,
        })
    }
}

impl Change {
    /// A machine may be slower today. So what MCR does is judged by what its peers did on the same day: those of the
    /// same scenario, or where it has none, those of all others. Of several the one in the middle speaks.
    fn judge(&mut self, peers: &[Self]) {
        let (mut share, mut noise) = (self.share, self.noise);
        if self.kind == Kind::Mcr && self.figure.depends_on_the_machine() {
            let alike = || peers.iter().filter(|peer| peer.figure == self.figure);
            let mut ratios: Vec<_> =
                alike().filter(|peer| peer.scenario == self.scenario).filter_map(|peer| self.ratio_to(peer)).collect();
            let is_elsewhere = ratios.is_empty();
            if is_elsewhere {
                ratios = alike().filter_map(|peer| self.ratio_to(peer)).collect();
            }
            if let Some(middle) = middle(&ratios) {
                (share, noise) = (middle.share, middle.noise);
                self.ratios = if is_elsewhere { vec![middle.elsewhere()] } else { ratios };
            }
        }
        let gain = if self.figure.is_better_when_higher() { share } else { -share };
        self.verdict = match gain {
            _ if gain > noise => Verdict::Better,
            _ if gain < -noise => Verdict::Worse,
            _ => Verdict::Same,
        };
    }

    fn ratio_to(&self, peer: &Self) -> Option<Ratio> {
        let share = (1.0 + self.share) / (1.0 + peer.share) - 1.0;
        // Errors that have nothing to do with each other add up like this.
        let noise = self.noise.hypot(peer.noise);
        share.is_finite().then(|| Ratio { peer: peer.contestant.clone(), share, noise })
    }
}

impl Ratio {
    fn elsewhere(self) -> Self {
        Self { peer: "peers elsewhere".to_owned(), ..self }
    }
}

/// Of an even number the one of the two in the middle that changed less.
fn middle(ratios: &[Ratio]) -> Option<Ratio> {
    let mut sorted = ratios.to_vec();
    sorted.sort_by(|a, b| a.share.total_cmp(&b.share));
    let n = sorted.len();
    let in_the_middle = sorted.get(n.saturating_sub(1) / 2..=n / 2)?;
    in_the_middle.iter().min_by(|a, b| a.share.abs().total_cmp(&b.share.abs())).cloned()
}

fn missing(old: &Results, new: &Results) -> Vec<Missing> {
    let mut missing = Vec::new();
    for scenario in &old.scenarios {
        let Some(again) = same(new, scenario) else {
            let what = match new.scenarios.iter().any(|it| it.name == scenario.name) {
                true => format!("{}: it asks for something else now", scenario.name),
                false => scenario.name.clone(),
            };
            missing.push(Missing { what, is_failure: false });
            continue;
        };
        for contestant in scenario.contestants.iter().filter(|it| it.skipped.is_none()) {
            missing.extend(missing_of(contestant, again));
        }
    }
    missing
}

fn missing_of(contestant: &ContestantResult, scenario: &ScenarioResult) -> Vec<Missing> {
    let who = format!("{} in {}", contestant.name, scenario.name);
    let Some(again) = scenario.contestant(&contestant.name) else {
        // Someone who was left out on purpose has not failed.
        return vec![Missing { what: who, is_failure: false }];
    };
    let has_lost = |figure: &Figure| figure.of(contestant).is_some() && figure.of(again).is_none();
    let is_failure = contestant.kind == Kind::Mcr && has_lost(&Figure::Rate);
    if let Some(why) = &again.skipped {
        return vec![Missing { what: format!("{who}: {why}"), is_failure }];
    }
    let lost = Figure::all(contestant).into_iter().filter(has_lost);
    lost.map(|figure| {
        let is_failure = contestant.kind == Kind::Mcr && figure == Figure::Rate;
        Missing { what: format!("{figure} of {who}"), is_failure }
    })
    .collect()
}

fn added(old: &Results, new: &Results) -> Vec<String> {
    let mut added = Vec::new();
    for scenario in &new.scenarios {
        let Some(before) = same(old, scenario) else {
            added.push(scenario.name.clone());
            continue;
        };
        for contestant in scenario.contestants.iter().filter(|it| it.skipped.is_none()) {
            if before.contestant(&contestant.name).is_none_or(|it| it.skipped.is_some()) {
                added.push(format!("{} in {}", contestant.name, scenario.name));
            }
        }
    }
    added
}
