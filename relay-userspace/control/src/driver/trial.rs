//! A configuration file on trial, and the way back: what is needed for it is on disk before anything is changed.

use super::worker::Worker;
use crate::book::differences;
use crate::desk::{Applied, Refusal, Who};
use crate::differs::Differs;
use crate::events::{Event, Kind};
use crate::previous::{self, Outcome, Standing};
use crate::tell;
use crate::view::Retry;
use relay_common::unasked::Difference;
use relay_config as config;
use relay_config::Configuration;
use relay_engine::clock::now_ns;
use std::sync::Arc;

impl Worker {
    /// Takes the configuration file on trial. Where one is on trial already, what ran before that stays the way back.
    pub(super) async fn try_file(&mut self, length_ms: u64, dry: bool) -> Result<Applied, Refusal> {
        // What is not taken is told as a file that differs, so it does not count as taken before it is.
        let file = match self.read_file(true).await {
            Err(refusal) if !dry => return self.not_tried(Err(refusal)).await,
            read => read?,
        };
        self.may_be_tried(&file)?;
        // What would be refused is, before anything is written down for a way back from it.
        match self.take_file(file.clone(), true).await {
            would if dry => return would,
            Ok(_) => {}
            Err(refusal) => {
                (self.config.differs, self.config.tried) = (None, Some(file.text));
                self.not_taken(&refusal);
                self.config.retry = None;
                self.show();
                return Err(refusal);
            }
        }
        self.settle_what_waits(true).await?;
        let (before, standing) = (self.config.trial.clone(), self.standing().await?);
        let taken = self.begin_trial(file, length_ms).await;
        if taken.is_err() {
            self.config.trial = before;
            // Whoever starts now goes back to what runs, and takes no more than before.
            if self.standing().await.ok().as_ref() != Some(&standing) {
                self.settle(Outcome { standing, before: None }).await;
            }
            self.show();
        }
        taken
    }

    /// What is needed for the way back is on disk before the file is taken.
    async fn begin_trial(&mut self, file: Configuration, length_ms: u64) -> Result<Applied, Refusal> {
        if self.config.trial.is_none() {
            let running = self.text_that_runs().ok_or_else(unknown)?;
            let previous = self.previous.clone();
            self.write_down(move || previous.keep_for_trial(&running)).await?;
        }
        let (trial, previous) = (previous::begin(length_ms), self.previous.clone());
        let standing = Standing::OnTrial(trial.clone());
        self.write_down(move || previous.note(Some(&standing))).await?;
        let until = previous::until(&trial);
        self.config.trial = Some(trial);
        let applied = self.not_tried(Ok(file)).await?;
        self.record(tell::on_trial(&until, length_ms));
        Ok(applied)
    }

    /// How the file stands on disk.
    async fn standing(&self) -> Result<Option<Standing>, Refusal> {
        let previous = self.previous.clone();
        let read = self.disk.ask(&self.node.progress, "reading how the file stands", move || previous.standing()).await;
        read.map_err(|hangs| Refusal::NotKept { file: self.previous.path().to_owned(), problem: hangs.to_string() })
    }

    /// As [`take`](Self::take), but nothing that failed is tried again by itself: then it would not be on trial.
    async fn not_tried(&mut self, file: Result<Configuration, Refusal>) -> Result<Applied, Refusal> {
        let taken = self.take(file).await;
        self.config.retry = None;
        taken
    }

    /// Whether there is a way back from it.
    fn may_be_tried(&self, file: &Configuration) -> Result<(), Refusal> {
        if self.config.trial.is_none() && self.text_that_runs().is_none() {
            return Err(unknown());
        }
        if file.settings.state.file == self.config.in_force().settings.state.file {
            return Ok(());
        }
        let text = "state.file cannot be on trial, because the way back lies beside that file: change it by a reload of its own";
        Err(Refusal::Conflict(vec![text.to_owned()]))
    }

    /// What is on trial stays.
    pub(super) async fn confirm(&mut self, dry: bool) -> Result<Applied, Refusal> {
        if self.config.trial.is_none() {
            return Err(Refusal::Conflict(vec!["nothing is on trial: there is nothing to confirm".to_owned()]));
        }
        let (plan, generation) = (&self.node.plan, self.node.table.generation);
        let applied = differences(plan, plan, generation).with(vec!["keep what is on trial".to_owned()]);
        if !dry {
            // Where it has changed nothing, the way back is what it was.
            let before = self.read_previous().await.ok().flatten();
            let before =
                before.filter(|before| Differs::between(&self.config.in_force(), &self.book, before).is_some());
            self.settle_now(Outcome { standing: None, before: before.map(|before| before.text) }).await?;
            self.config.trial = None;
            self.record(tell::confirmed());
            self.show();
        }
        Ok(applied)
    }

    /// Goes back to what ran before the last reload, because somebody wants it.
    pub(super) async fn roll_back(&mut self, who: &Who, dry: bool) -> Result<Applied, Refusal> {
        let reason = match who {
            Who::User { uid, .. } => format!("asked for by uid {uid}"),
            Who::Token { name, .. } => format!("asked for by token \"{name}\""),
            Who::File => "asked for".to_owned(),
        };
        self.go_back(&reason, dry).await
    }

    /// Goes back when the time of a trial is up; what fails is tried again.
    pub(super) async fn end_trial_in_time(&mut self) {
        let is_up = self.config.trial.as_ref().is_some_and(|trial| previous::left(trial).is_none());
        if !is_up || self.back_at.is_some_and(|retry: Retry| now_ns() < retry.at) {
            return;
        }
        match self.go_back("nobody has confirmed it in time", false).await {
            Ok(_) => self.back_at = None,
            Err(refusal) => {
                self.back_at = Some(Retry::after(self.back_at, now_ns()));
                let text = format!("what ran before the last reload cannot be brought back yet: {refusal}");
                self.record(Event::new(Kind::ConfigFailed, text).with("error", refusal.to_string()));
            }
        }
    }

    async fn go_back(&mut self, reason: &str, dry: bool) -> Result<Applied, Refusal> {
        let Some(previous) = self.read_previous().await? else {
            return Err(Refusal::Conflict(vec!["no configuration is known that ran before this one".to_owned()]));
        };
        if dry {
            return self.take_file(previous, true).await;
        }
        let running = self.text_that_runs();
        let applied = self.take_file(previous, false).await?;
        self.config.trial = None;
        (self.config.refused, self.config.failed) = (None, None);
        (self.config.retry, self.config.last_good, self.config.differs) = (None, None, None);
        self.record(tell::rolled_back(reason));
        let file = self.read_file(false).await;
        // A file that says what runs again is not given up.
        let given_up = file.as_ref().ok().filter(|file| file.text != self.text);
        let given_up = given_up.map(|file| Standing::GivenUp(previous::hash(&file.text)));
        self.settle(Outcome { standing: given_up, before: running.filter(|_| !applied.is_nothing()) }).await;
        self.keep_what_runs();
        self.note_given_up(file);
        self.show();
        Ok(applied)
    }

    /// What ran before, which a rollback brings back.
    async fn read_previous(&self) -> Result<Option<Configuration>, Refusal> {
        let (previous, is_on_trial) = (self.previous.clone(), self.config.trial.is_some());
        let unnoted = self.config.unnoted.as_ref().and_then(|unnoted| unnoted.outcome.before.clone());
        let reads = move || match unnoted {
            _ if is_on_trial => previous.read_before_trial(),
            Some(text) => Some(config::parse_here(&previous.path().display().to_string(), &text)),
            None => previous.read(),
        };
        let read = self.disk.ask(&self.node.progress, "reading what ran before", reads).await;
        let read = read.map_err(|hangs| Refusal::Failed(format!("what ran before cannot be read: {hangs}")))?;
        read.transpose().map_err(Refusal::Invalid)
    }

    fn note_given_up(&mut self, file: Result<Configuration, Refusal>) {
        let file = match file {
            Ok(file) => file,
            Err(Refusal::Invalid(errors)) => return self.note_refused(errors),
            Err(refusal) => return self.config.failed = Some(refusal.to_string()),
        };
        let differs = Differs::between(&self.config.in_force(), &self.book, &file);
        if let Some(differs) = &differs {
            self.record(tell::differs(differs));
        }
        self.config.differs = differs.map(Arc::new);
        self.config.tried = Some(file.text);
    }

    /// What runs, as a file says it; `None` where only the lanes know.
    pub(super) fn text_that_runs(&self) -> Option<Arc<str>> {
        let text = &self.config.read.as_ref()?.text;
        let said = config::parse("", text).ok()?.plan.relays;
        Difference::between(&said, &self.book.of_file.relays).is_nothing().then(|| Arc::clone(text))
    }
}

fn unknown() -> Refusal {
    let text = "what runs stands in no file that mcr has read, so there is no way back to it: mcr reload first";
    Refusal::Conflict(vec![text.to_owned()])
}
