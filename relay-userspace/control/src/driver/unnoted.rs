//! What has become of the configuration file is written down for the next start of everything. What a disk does not take is
//! told, kept for whichever control comes next, and tried again.

use super::worker::Worker;
use crate::desk::Refusal;
use crate::previous::{Outcome, Standing};
use crate::store::remedy;
use crate::view::Unnoted;
use relay_engine::clock::now_ns;
use std::io;
use std::sync::Arc;

const WRITING: &str = "writing down the way back";

impl Worker {
    /// Notes an outcome, now or as soon as that works.
    pub(super) async fn settle(&mut self, outcome: Outcome) {
        let problem = match self.settle_now(outcome.clone()).await {
            Ok(()) => return,
            Err(Refusal::NotKept { problem, .. }) => problem,
            Err(refusal) => refusal.to_string(),
        };
        if self.config.unnoted.is_none() {
            tracing::warn!("how the configuration file stands cannot be written down: {problem}; trying again");
        }
        let unnoted = Unnoted::after(self.config.unnoted.as_ref(), outcome, problem, now_ns());
        self.keep_unnoted(Some(unnoted));
    }

    /// Notes an outcome, or nothing has come of it yet.
    pub(super) async fn settle_now(&mut self, outcome: Outcome) -> Result<(), Refusal> {
        let waits = self.config.unnoted.as_ref().and_then(|unnoted| unnoted.outcome.before.clone());
        let outcome = Outcome { before: outcome.before.or(waits), ..outcome };
        // What runs is kept before it counts that the file is given up: at every moment a start finds one of both.
        if self.store.is_ours() && matches!(outcome.standing, Some(Standing::GivenUp(_))) {
            let (last, text) = (self.last.clone(), Arc::clone(&self.text));
            self.write_down(move || last.keep_now(&text)).await?;
        }
        let previous = self.previous.clone();
        self.write_down(move || previous.settle(&outcome)).await?;
        self.keep_unnoted(None);
        Ok(())
    }

    /// Tries again to note what is not noted, when it is time or somebody needs it.
    pub(super) async fn settle_what_waits(&mut self, is_needed: bool) -> Result<(), Refusal> {
        let Some(unnoted) = self.config.unnoted.clone().filter(|unnoted| is_needed || now_ns() >= unnoted.retry.at)
        else {
            return Ok(());
        };
        self.settle(unnoted.outcome).await;
        match &self.config.unnoted {
            None => Ok(()),
            Some(unnoted) => {
                let file = self.previous.path().to_owned();
                Err(Refusal::NotKept { file, problem: unnoted.problem.clone() })
            }
        }
    }

    fn keep_unnoted(&mut self, unnoted: Option<Unnoted>) {
        if self.config.unnoted.is_none() && unnoted.is_none() {
            return;
        }
        self.running.keep_unnoted(unnoted.as_ref().map(|unnoted| self.previous.outcome_to_text(&unnoted.outcome)));
        self.config.unnoted = unnoted;
        self.show();
    }

    pub(super) async fn write_down(
        &self,
        write: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<(), Refusal> {
        let written = self.disk.ask(&self.node.progress, WRITING, write).await;
        let problem = match written {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => format!("{error}{}", remedy(&error)),
            Err(hangs) => hangs.to_string(),
        };
        Err(Refusal::NotKept { file: self.previous.path().to_owned(), problem })
    }
}
