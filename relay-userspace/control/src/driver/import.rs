//! A whole node is taken in, as another was exported: its configuration file and the relays of its API come into force in
//! one step, or nothing changes.

use super::changes::{carry_out, keep_lanes, on_trial};
use super::worker::Worker;
use crate::book::Book;
use crate::desk::{Applied, Refusal};
use crate::http;
use crate::notify;
use crate::previous::Outcome;
use crate::tell;
use relay_common::plan::{Plan, Relay};
use relay_config as config;
use relay_config::{Configuration, Errors};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Worker {
    /// The file's text counts as the configuration file: whoever asks writes it there.
    pub(super) async fn import(
        &mut self,
        file: &Arc<Configuration>,
        relays: &[Relay],
        dry: bool,
    ) -> Result<Applied, Refusal> {
        if !dry && let Some(trial) = &self.config.trial {
            return Err(Refusal::Conflict(vec![on_trial(trial)]));
        }
        let after = self.imported(file, relays)?;
        let http = self.read_http(file.settings.http.clone()).await?;
        if dry {
            self.node.would_fit(&after.plan()).map_err(Refusal::Conflict)?;
            let differences = self.book.differences(&after, self.node.table.generation).with(http.changes);
            return Ok(differences.of_keys(self.config.changed_by(file), self.config.not_in_effect_of(file)));
        }
        notify::reloading();
        let said = self.take_in(file, after, http).await;
        self.show();
        notify::notify("READY=1");
        said
    }

    fn imported(&self, file: &Configuration, relays: &[Relay]) -> Result<Book, Refusal> {
        let plan = file.plan.clone();
        keep_lanes(&plan, self.book.lanes())?;
        let mut names = BTreeSet::new();
        if let Some(twice) = relays.iter().find(|relay| !names.insert(&relay.name)) {
            return Err(Refusal::Twice(twice.name.clone()));
        }
        config::check(&Plan { relays: relays.to_vec(), ..plan.clone() }).map_err(Refusal::Invalid)?;
        let book = Book::new(self.book.file.clone(), plan, relays.iter().cloned());
        if book.shadowed.is_empty() {
            return Ok(book);
        }
        Err(Refusal::Invalid(Errors::of(book.shadowed.into_values().collect())))
    }

    async fn take_in(
        &mut self,
        file: &Arc<Configuration>,
        after: Book,
        http: http::Prepared,
    ) -> Result<Applied, Refusal> {
        let running = self.text_that_runs().filter(|text| *text != file.text);
        let prepared = self.prepare(&after).await?;
        self.will_hold(&after);
        if let Err(refusal) = carry_out(&mut self.node, &mut self.config, after.plan(), after.origins()).await {
            self.holds_the_book();
            return Err(refusal);
        }
        let doubt = self.keep(prepared).await?;
        let (keys, not_in_effect) = (self.config.changed_by(file), self.config.not_in_effect_of(file));
        let of_http = self.desk.http.take(http);
        self.desk.health.store(Arc::new(file.settings.health));
        self.runs(Arc::clone(&file.text));
        let config = &mut self.config;
        (config.refused, config.failed, config.retry) = Default::default();
        (config.differs, config.last_good) = Default::default();
        (config.tried, config.read) = (Some(Arc::clone(&file.text)), Some(Arc::clone(file)));
        config.taken += 1;
        // It is looked soon whether the file says that, too.
        self.file.took(None);
        let before = self.take_book(after);
        let applied = self.in_force(&before).with(of_http).of_keys(keys, not_in_effect);
        self.record(tell::applied(&applied));
        self.settle(Outcome { standing: None, before: running }).await;
        self.keep_what_runs();
        if doubt.is_none() {
            self.is_kept();
        }
        doubt.map_or(Ok(applied), Err)
    }
}
