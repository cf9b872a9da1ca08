//! What a control reads from the disk as it begins.

use crate::disk::{Disk, PATIENCE_OVER_LANES, Unanswered};
use crate::events::EventLog;
use crate::last_good::{LastGood, Ran};
use crate::previous::{self, Outcome, Previous, Standing};
use crate::progress::Progress;
use crate::running::Running;
use crate::store::Store;
use crate::tell;
use crate::view::Unnoted;
use relay_common::plan::Relay;
use relay_common::trial::Trial;
use relay_config::Configuration;
use relay_engine::clock::now_ns;
use std::path::PathBuf;
use std::sync::Arc;

/// The disk, for a control that begins. Over lanes, which know what runs, it is waited for less long.
pub(super) struct Files<'a> {
    pub(super) disk: &'a Disk,
    pub(super) progress: &'a Progress,
    pub(super) lanes_run: bool,
}

impl Files<'_> {
    async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        if self.lanes_run {
            self.disk.ask_within(PATIENCE_OVER_LANES, self.progress, what, work).await
        } else {
            self.disk.ask(self.progress, what, work).await
        }
    }

    /// The configuration that ran last, if it can be read.
    pub(super) async fn last(&self, last: &LastGood) -> Result<Option<Ran>, Unanswered> {
        let last = last.clone();
        self.ask("reading the configuration that ran last", move || last.read().and_then(Result::ok)).await
    }

    /// What a start of everything begins with in place of the configuration file, where that was given up.
    pub(super) async fn instead_of(&self, text: &str, last: &LastGood, previous: Previous) -> Option<Configuration> {
        let (last, hash) = (last.clone(), previous::hash(text));
        let before = self.ask("reading what ran before", move || match previous.standing()? {
            Standing::OnTrial(trial) if previous::left(&trial).is_none() => {
                previous.read_before_trial().and_then(Result::ok)
            }
            Standing::GivenUp(given_up) if given_up == hash => {
                // Whoever died in the middle of giving it up may have left it as the last one that ran.
                let ran = last.read().and_then(Result::ok).map(|ran| ran.configuration);
                let both = [ran, previous.read().and_then(Result::ok)];
                both.into_iter().flatten().find(|ran| hash != previous::hash(&ran.text))
            }
            _ => None,
        });
        before.await.ok().flatten()
    }

    /// What is on trial still, and what of that is not on disk. A trial whose time was up before everything began anew is over,
    /// and what ran before it runs.
    pub(super) async fn trial(
        &self,
        previous: &Previous,
        running: &Running,
        (runs, other): (&Configuration, Option<&Configuration>),
        log: &EventLog,
    ) -> (Option<Trial>, Option<Unnoted>) {
        let unnoted = |outcome, problem| Some(Unnoted::after(None, outcome, problem, now_ns()));
        if self.lanes_run
            && let Some(outcome) = running.unnoted().and_then(|text| previous.outcome_from(&text))
        {
            let trial = match &outcome.standing {
                Some(Standing::OnTrial(trial)) => Some(trial.clone()),
                _ => None,
            };
            return (trial, unnoted(outcome, "the control before this one could not write it".to_owned()));
        }
        running.keep_unnoted(None);
        let reads = previous.clone();
        let standing = self.ask("reading what is on trial", move || reads.standing()).await.ok().flatten();
        let Some(Standing::OnTrial(trial)) = standing else { return (None, None) };
        let Some(file) = other.filter(|_| !self.lanes_run && previous::left(&trial).is_none()) else {
            return (Some(trial), None);
        };
        log.record(tell::rolled_back("nobody has confirmed it before the machine was booted, or mcr started anew"));
        let standing = Some(Standing::GivenUp(previous::hash(&file.text)));
        let outcome = Outcome { standing, before: Some(Arc::clone(&runs.text)) };
        let (writes, over) = (previous.clone(), outcome.clone());
        let problem = match self.ask("writing what was given up", move || writes.settle(&over)).await {
            Ok(Ok(())) => return (None, None),
            Ok(Err(error)) => error.to_string(),
            Err(hangs) => hangs.to_string(),
        };
        tracing::warn!("cannot write down that the file was given up: {problem}; trying again");
        (None, unnoted(outcome, problem))
    }

    /// The state file, and the relays in it.
    pub(super) async fn store(&self, file: PathBuf) -> (Store, Result<Vec<Relay>, String>) {
        let path = file.clone();
        let opened = self.ask("reading the state file", move || {
            let mut store = Store::open(&path);
            let kept = store.load();
            (store, kept)
        });
        match opened.await {
            Ok((store, kept)) => (store, kept.map_err(|errors| errors.to_string())),
            Err(hangs) => (Store::unopened(&file, hangs.to_string()), Err(hangs.to_string())),
        }
    }
}
