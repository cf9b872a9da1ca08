//! A configuration file on trial, and the way back: what is needed for it is on disk before anything is changed.

use super::worker::Worker;
use crate::clock::now_ns;
use crate::config::{self, Configuration};
use crate::control::book::differences;
use crate::control::desk::{Applied, Refusal, Who};
use crate::control::differs::Differs;
use crate::control::previous::{self, Standing};
use crate::control::store::remedy;
use crate::control::tell;
use crate::control::view::Retry;
use crate::events::{Event, Kind};
use relay_common::unasked::Difference;
use std::io;
use std::sync::Arc;

const WRITING: &str = "writing down the way back";

impl Worker {
    /// Takes the configuration file on trial. Where one is on trial already, what ran before that stays the way back.
    pub(super) async fn try_file(&mut self, length_ms: u64, dry: bool) -> Result<Applied, Refusal> {
        // What is not taken is told as a file that differs, so it does not count as taken before it is.
        let file = match self.read_file(true).await {
            Err(refusal) if !dry => return self.not_tried(Err(refusal)).await,
            read => read?,
        };
        self.may_be_tried(&file)?;
        if dry {
            return self.take_file(file, true).await;
        }
        let before = self.config.trial.clone();
        if before.is_none() {
            let running = self.text_that_runs().ok_or_else(unknown)?;
            let previous = self.previous.clone();
            self.write_down(move || previous.keep(&running)).await?;
        }
        let trial = previous::begin(length_ms);
        self.note_standing(Some(Standing::OnTrial(trial.clone()))).await?;
        self.config.trial = Some(trial);
        let taken = self.not_tried(Ok(file)).await;
        match (&taken, &self.config.trial) {
            (Ok(_), Some(trial)) => self.record(tell::on_trial(&previous::until(trial), length_ms)),
            _ => {
                self.config.trial = before;
                let standing = self.config.trial.clone().map(Standing::OnTrial);
                // Whoever starts now goes back to what runs.
                let _ = self.note_standing(standing).await;
                self.show();
            }
        }
        taken
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
            self.note_standing(None).await?;
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
        let previous = self.previous.clone();
        let read = self.disk.ask(&self.node.progress, "reading what ran before", move || previous.read()).await;
        let previous = match read
            .map_err(|hangs| Refusal::Failed(format!("what ran before cannot be read: {hangs}")))?
        {
            Some(read) => read.map_err(Refusal::Invalid)?,
            None => {
                return Err(Refusal::Conflict(vec!["no configuration is known that ran before this one".to_owned()]));
            }
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
        match self.give_up(given_up).await {
            Ok(()) => self.keep_previous(running).await,
            Err(refusal) => self.config.damaged = Some(format!("a start takes the file that was given up: {refusal}")),
        }
        self.note_given_up(file);
        self.show();
        Ok(applied)
    }

    /// The file is as it was, and no start takes it as it is. What runs is kept before that counts: at every moment a start
    /// finds one of both.
    async fn give_up(&self, given_up: Option<Standing>) -> Result<(), Refusal> {
        if self.store.is_ours() {
            let (last, text) = (self.last.clone(), Arc::clone(&self.text));
            if let Err(refusal) = self.write_down(move || last.keep_now(&text)).await {
                self.keep_what_runs();
                return Err(refusal);
            }
        }
        self.note_standing(given_up).await
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

    /// Keeps what ran before, for a way back that somebody may want.
    pub(super) async fn keep_previous(&mut self, text: Option<Arc<str>>) {
        let Some(text) = text else { return };
        let previous = self.previous.clone();
        if let Err(refusal) = self.write_down(move || previous.keep(&text)).await {
            tracing::warn!("there is no way back from this reload: {refusal}");
        }
    }

    /// The file was taken as it is, and nobody doubts it any more. What ran before is a way back.
    pub(super) async fn file_is_wanted(&mut self, before: Option<Arc<str>>) {
        self.keep_previous(before).await;
        if let Err(refusal) = self.note_standing(None).await {
            tracing::warn!("a start may not take the file that was given up before: {refusal}");
        }
    }

    async fn note_standing(&self, standing: Option<Standing>) -> Result<(), Refusal> {
        let previous = self.previous.clone();
        self.write_down(move || previous.note(standing.as_ref())).await
    }

    async fn write_down(&self, write: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), Refusal> {
        let written = self.disk.ask(&self.node.progress, WRITING, write).await;
        let problem = match written {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => format!("{error}{}", remedy(&error)),
            Err(hangs) => hangs.to_string(),
        };
        Err(Refusal::NotKept { file: self.previous.path().to_owned(), problem })
    }
}

fn unknown() -> Refusal {
    let text = "what runs stands in no file that mcr has read, so there is no way back to it: mcr reload first";
    Refusal::Conflict(vec![text.to_owned()])
}
