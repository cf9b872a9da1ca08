//! A configuration file that has changed: what of it is not in force is told, and taken only where it may come by itself.

use super::worker::Worker;
use crate::desk::{Ask, Refusal, Who};
use crate::differs::Differs;
use crate::events::audit::audit;
use crate::progress::Progress;
use crate::{sources, tell};
use relay_config::{Configuration, Errors};
use relay_engine::clock::now_ns;
use std::sync::Arc;

impl Worker {
    /// Looks into the configuration file, if it is another than was read before, or is to be tried again.
    pub(super) async fn look_at_file(&mut self, progress: &Progress) {
        let path = self.file.path().to_owned();
        let what = "looking at the configuration file";
        let looked = self.disk.ask_in_passing(&self.node.progress, what, move || sources::signature(&path));
        // On a disk that hangs nothing is new.
        let has_changed = looked.await.is_some_and(|signature| self.file.is_changed(signature));
        let is_due = self.config.retry.is_some_and(|retry| now_ns() >= retry.at);
        // A reload that could not even read the file takes it when that can be read, whatever it says by then.
        let waits_to_be_read = self.config.retry.is_some() && self.config.tried.is_none();
        if !is_due && (!has_changed || waits_to_be_read) {
            return;
        }
        progress.begin(None, "a look into the configuration file");
        match self.read_file(false).await {
            file if waits_to_be_read => self.take_unasked(file).await,
            Ok(file) if is_due && self.is_known(&file) => self.take_unasked(Ok(file)).await,
            Ok(file) if self.is_known(&file) => {}
            Ok(file) => self.note(file).await,
            Err(Refusal::Invalid(errors)) => self.note_refused(errors),
            Err(_) => {}
        }
    }

    /// Whether it is what was tried, or told of: nothing new is to be said of it.
    fn is_known(&self, file: &Configuration) -> bool {
        self.config.refused.is_none() && self.config.tried.as_ref() == Some(&file.text)
    }

    /// The file is wrong. That is told once.
    pub(super) fn note_refused(&mut self, errors: Errors) {
        if self.config.refused.as_ref() != Some(&errors) {
            self.record(tell::differs_and_is_wrong(&errors));
            (self.config.failed, self.config.retry, self.config.differs) = Default::default();
            self.config.refused = Some(errors);
            self.show();
        }
    }

    async fn note(&mut self, file: Configuration) {
        let in_force = self.config.in_force();
        match Differs::between(&in_force, &self.book, &file) {
            None => self.note_in_force(&file),
            // While something is on trial nothing else comes by itself.
            Some(differs)
                if self.config.trial.is_none() && differs.may_come_unasked(in_force.settings.config.watch) =>
            {
                self.take_unasked(Ok(file)).await;
            }
            Some(differs) => {
                self.record(tell::differs(&differs));
                // What failed before is not tried again with another file.
                (self.config.refused, self.config.failed, self.config.retry) = Default::default();
                (self.config.tried, self.config.differs) = (Some(file.text), Some(Arc::new(differs)));
                self.show();
            }
        }
    }

    async fn take_unasked(&mut self, file: Result<Configuration, Refusal>) {
        let before = self.book.of_file.relays.clone();
        let said = self.take(file).await;
        let after = &self.book.of_file.relays;
        self.record(audit(&Who::File, &Ask::Reload, &before, after, &said));
    }

    /// The file says what is in force, whatever it said before.
    fn note_in_force(&mut self, file: &Configuration) {
        if self.config.not_in_force().is_some() && self.config.torn.is_none() {
            self.record(tell::differs_no_more());
        }
        (self.config.refused, self.config.failed, self.config.retry) = Default::default();
        (self.config.differs, self.config.last_good) = Default::default();
        self.config.tried = Some(Arc::clone(&file.text));
        self.runs(Arc::clone(&file.text));
        self.keep_what_runs();
        self.show();
    }
}
