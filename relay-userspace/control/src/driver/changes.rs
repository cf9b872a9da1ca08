//! Changes: how control answers a wish and takes the configuration file anew.

use super::worker::Worker;
use crate::book::{Book, differences};
use crate::desk::{Applied, Ask, How, Refusal, Who};
use crate::events::audit::audit;
use crate::node::Node;
use crate::not_in_effect::other_lanes;
use crate::notify;
use crate::origins::Origins;
use crate::previous::Outcome;
use crate::reach::Unreached;
use crate::store::{self, Prepared, Store};
use crate::view::{ConfigState, Retry};
use crate::{http, previous, sources, tell};
use relay_common::plan::{Lanes, Plan, Relay};
use relay_common::trial::Trial;
use relay_config::{Configuration, Http};
use relay_engine::clock::now_ns;
use std::collections::BTreeSet;
use std::sync::Arc;

const WRITING: &str = "writing the state file";

impl Worker {
    pub(super) async fn asked(&mut self, id: u64, who: &Who, ask: &Ask, how: How) -> Result<Applied, Refusal> {
        let How { dry, .. } = how;
        let before = self.touched(ask);
        let said = match ask {
            Ask::Reload => self.reload(dry).await,
            Ask::Import { file, relays } => self.import(file, relays, dry).await,
            Ask::Try { length_ms } => self.try_file(*length_ms, dry).await,
            Ask::Confirm => self.confirm(dry).await,
            Ask::Rollback => self.roll_back(who, dry).await,
            Ask::Restart => Ok(self.restart()),
            _ => self.change(ask, how).await,
        };
        if !dry {
            let after = self.touched(ask);
            self.record(audit(who, ask, &before, &after, &said).with("change", id));
        }
        said
    }

    /// The relays that are asked about, as they are now.
    fn touched(&self, ask: &Ask) -> Vec<Relay> {
        let one = |name: &str| self.book.relay(name).cloned().into_iter().collect();
        match ask {
            Ask::Create(relay) | Ask::Put { relay, .. } => one(&relay.name),
            Ask::Remove { name, .. } | Ask::Switch { name, .. } | Ask::Adopt { name } => one(name),
            Ask::Many { names, .. } => names.iter().filter_map(|name| self.book.of_api.get(name)).cloned().collect(),
            Ask::PutAll { .. } => self.book.of_api.values().cloned().collect(),
            Ask::Import { .. } => self.book.of_file.relays.iter().chain(self.book.of_api.values()).cloned().collect(),
            Ask::Reload | Ask::Try { .. } | Ask::Rollback => self.book.of_file.relays.clone(),
            Ask::Confirm | Ask::Restart | Ask::Upgrade { .. } => Vec::new(),
        }
    }

    fn restart(&self) -> Applied {
        let change = format!("restart control (mcr {})", env!("CARGO_PKG_VERSION"));
        let plan = &self.node.plan;
        Applied { changes: vec![change], ..differences(plan, plan, self.node.table.generation) }
    }

    /// A change of the API's relays: kept on disk before it is in force, in force before anybody hears of it.
    async fn change(&mut self, ask: &Ask, how: How) -> Result<Applied, Refusal> {
        if !how.dry && !how.volatile {
            self.open_store().await.map_err(|refusal| self.or_volatile(refusal))?;
        }
        let after = self.book.after(ask)?;
        let new = after.plan();
        if how.dry {
            self.node.would_fit(&new).map_err(Refusal::Conflict)?;
            return Ok(self.book.differences(&after, self.node.table.generation));
        }
        if how.volatile {
            return self.change_at_once(after).await;
        }
        let prepared = self.prepare(&after).await.map_err(|refusal| self.or_volatile(refusal))?;
        self.will_hold(&after);
        if let Err(refusal) = carry_out(&mut self.node, &mut self.config, new, after.origins()).await {
            self.holds_the_book();
            return Err(refusal);
        }
        let doubt = self.keep(prepared).await?;
        let before = self.take_book(after);
        let applied = self.in_force(&before);
        if doubt.is_none() {
            self.is_kept();
        }
        doubt.map_or(Ok(applied), Err)
    }

    /// What was written down counts, now that it is in force; where it cannot, what the book says is in force again.
    pub(super) async fn keep(&mut self, prepared: Prepared) -> Result<Option<Refusal>, Refusal> {
        let refusal = match self.commit(prepared).await {
            Ok(doubt) => return Ok(doubt),
            Err(refusal) => refusal,
        };
        let back = self.node.change(self.book.plan(), self.book.origins()).await;
        self.config.torn = back.err().map(|error| error.to_string());
        self.holds_the_book();
        self.show();
        Err(refusal)
    }

    /// What cannot be kept can be had all the same, unless it would be written over what nobody could read.
    fn or_volatile(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::NotKept { file, problem } if !self.store.is_damaged() => {
                let all_the_same =
                    "or take it unkept: --volatile (volatile=true); it is written down as soon as that works";
                Refusal::NotKept { file, problem: format!("{problem}, {all_the_same}") }
            }
            refusal => refusal,
        }
    }

    /// Writes down what the API's relays are to be, beside what they are.
    pub(super) async fn prepare(&mut self, book: &Book) -> Result<Prepared, Refusal> {
        self.open_store().await?;
        let draft = self.store.draft(book.of_api.values())?;
        let written = self.disk.ask(&self.node.progress, WRITING, move || draft.write()).await;
        written.unwrap_or_else(|hangs| Err(self.store.not_kept(hangs.to_string())))
    }

    /// A state file that nobody could look at when control began is opened as soon as the disk answers. Over lanes what it has
    /// beside what they know is taken in before anything is written over it.
    pub(super) async fn open_store(&mut self) -> Result<(), Refusal> {
        if !self.store.is_open() {
            let file = self.store.file().to_owned();
            let opened = self.disk.ask(&self.node.progress, "opening the state file", move || Store::open(&file)).await;
            let opened = opened.map_err(|hangs| self.store.not_kept(hangs.to_string()))?;
            self.store.opened(opened);
            self.keep_what_runs();
        }
        match self.config.unread.clone() {
            Some(known) if !self.store.is_anothers() => self.read_unread(&known).await,
            _ => Ok(()),
        }
    }

    /// Takes in the relays of the state file that the lanes do not know, as those that are shadowed. What was asked for since
    /// then counts.
    async fn read_unread(&mut self, known: &BTreeSet<String>) -> Result<(), Refusal> {
        let file = self.store.file().to_owned();
        let read = self.disk.ask(&self.node.progress, "reading the state file", move || store::read(&file)).await;
        // One that is damaged is written anew, as at a start over lanes.
        let kept = read.map_err(|hangs| self.store.not_kept(hangs.to_string()))?.unwrap_or_default();
        let is_new = |relay: &Relay| !known.contains(&relay.name) && !self.book.of_api.contains_key(&relay.name);
        let new: Vec<Relay> = kept.into_iter().filter(is_new).collect();
        if !new.is_empty() {
            let after = self.book.with_more(new);
            carry_out(&mut self.node, &mut self.config, after.plan(), after.origins()).await?;
            let before = self.take_book(after);
            self.holds_the_book();
            self.in_force(&before);
        }
        self.config.unread = None;
        Ok(())
    }

    /// The relays of a state file that could not be read before, if it can be now.
    async fn read_store(&mut self) -> Option<Vec<Relay>> {
        self.open_store().await.ok()?;
        let file = self.store.file().to_owned();
        let read = self.disk.ask(&self.node.progress, "reading the state file", move || store::read(&file)).await;
        read.ok()?.ok()
    }

    /// What was written down counts from now on, for whoever starts mcr again. What is in force stays in force on a disk
    /// that has taken everything and does not say that it counts: that is told, for nobody must take it for kept.
    pub(super) async fn commit(&mut self, prepared: Prepared) -> Result<Option<Refusal>, Refusal> {
        let committed = self.disk.ask(&self.node.progress, WRITING, move || prepared.commit()).await;
        let (damaged, said) = match committed {
            // What could not be read before is written anew.
            Ok(Ok(doubt)) => (doubt, Ok(None)),
            Ok(Err(refusal)) => (self.config.damaged.take(), Err(refusal)),
            Err(hangs) => {
                let in_doubt = Refusal::InDoubt { file: self.store.file().to_owned(), problem: hangs.to_string() };
                (Some(in_doubt.to_string()), Ok(Some(in_doubt)))
            }
        };
        self.config.damaged = damaged;
        said
    }

    /// The configuration file as it is now; and a state file that could not be read before.
    pub(super) async fn reload(&mut self, dry: bool) -> Result<Applied, Refusal> {
        if !dry && let Some(trial) = &self.config.trial {
            return Err(Refusal::Conflict(vec![on_trial(trial)]));
        }
        let file = self.read_file(dry).await;
        if dry { self.take_file(file?, true).await } else { self.take(file).await }
    }

    /// A configuration file that was read comes into force, or is refused.
    pub(super) async fn take(&mut self, file: Result<Configuration, Refusal>) -> Result<Applied, Refusal> {
        notify::reloading();
        let running = self.text_that_runs();
        self.config.differs = None;
        self.config.tried = file.as_ref().ok().map(|file| Arc::clone(&file.text));
        let taken = match file {
            Ok(file) => self.take_file(file, false).await,
            Err(refusal) => Err(refusal),
        };
        match &taken {
            Ok(applied) => {
                (self.config.refused, self.config.failed) = (None, None);
                (self.config.retry, self.config.last_good) = (None, None);
                self.config.taken += 1;
                self.record(tell::applied(applied));
                if self.config.trial.is_none() {
                    // Nobody doubts the file any more, and what ran before is a way back.
                    self.settle(Outcome { standing: None, before: running.filter(|_| !applied.is_nothing()) }).await;
                }
                self.keep_what_runs();
            }
            Err(refusal) => self.not_taken(refusal),
        }
        self.show();
        notify::notify("READY=1");
        taken
    }

    /// Why a file is not in force. What failed may work in a moment; what was refused is refused until somebody changes it.
    pub(super) fn not_taken(&mut self, refusal: &Refusal) {
        self.config.refusals += 1;
        let again = matches!(refusal, Refusal::Failed(_)).then(|| Retry::after(self.config.retry, now_ns()));
        self.config.retry = again;
        if let Refusal::Invalid(errors) = refusal {
            (self.config.refused, self.config.failed) = (Some(errors.clone()), None);
        } else {
            (self.config.refused, self.config.failed) = (None, Some(refusal.to_string()));
        }
        self.record(tell::refused(refusal));
    }

    pub(super) async fn take_file(&mut self, file: Configuration, dry: bool) -> Result<Applied, Refusal> {
        let read = Arc::new(file.clone());
        let Configuration { plan, settings, text } = file;
        keep_lanes(&plan, self.book.lanes())?;
        let (keys, not_in_effect) = (self.config.changed_by(&read), self.config.not_in_effect_of(&read));
        if !dry && self.config.unread.is_some() {
            // It is tried again with the next change.
            let _ = self.open_store().await;
        }
        let mut book = self.book.clone();
        // While it cannot be read, the file of the configuration counts all the same.
        let kept = if self.store.is_damaged() { self.read_store().await } else { None };
        let is_mended = kept.is_some();
        if let Some(kept) = kept {
            book.of_api = kept.into_iter().map(|relay| (relay.name.clone(), relay)).collect();
        }
        let after = book.with_file(plan);
        let http = self.read_http(settings.http).await?;
        let new = after.plan();
        if dry {
            self.node.would_fit(&new).map_err(Refusal::Conflict)?;
            let differences = self.book.differences(&after, self.node.table.generation).with(http.changes);
            return Ok(differences.of_keys(keys, not_in_effect));
        }
        carry_out(&mut self.node, &mut self.config, new, after.origins()).await?;
        let of_http = self.desk.http.take(http);
        self.desk.health.store(Arc::new(settings.health));
        self.runs(text);
        self.config.read = Some(read);
        let before = self.take_book(after);
        if is_mended {
            // Not before: a file whose relays are not in force is nobody's to overwrite.
            self.store.forget_damage();
            self.config.damaged = None;
        } else if self.config.damaged.is_some() && self.config.unread.is_none() && self.store.may_be_written() {
            // What could not be read at the start was known from the lanes: it is written anew.
            let book = self.book.clone();
            match self.prepare(&book).await {
                Ok(prepared) => _ = self.commit(prepared).await,
                Err(refusal) => self.config.damaged = Some(refusal.to_string()),
            }
        }
        Ok(self.in_force(&before).with(of_http).of_keys(keys, not_in_effect))
    }

    /// What the configuration file says now. What was read counts as taken, whatever lies there by the time that it is in
    /// force; unless it is only looked at.
    pub(super) async fn read_file(&mut self, dry: bool) -> Result<Configuration, Refusal> {
        let path = self.config.path.clone();
        let read =
            self.disk.ask(&self.node.progress, "reading the configuration file", move || sources::read(&path)).await;
        let (signature, configuration) =
            read.map_err(|hangs| Refusal::Failed(format!("{} cannot be read: {hangs}", self.config.path.display())))?;
        if !dry {
            self.file.took(signature);
        }
        configuration.map_err(Refusal::Invalid)
    }

    /// What of `[http]` can be taken, with the certificate as it is now.
    pub(super) async fn read_http(&self, http: Http) -> Result<http::Prepared, Refusal> {
        let desk = self.desk.http.clone();
        let read = self.disk.ask(&self.node.progress, "reading the certificate", move || desk.prepare(&http)).await;
        let read = read.map_err(|hangs| Refusal::Failed(format!("the files of http.tls cannot be read: {hangs}")))?;
        read.map_err(|problem| Refusal::Conflict(vec![problem]))
    }

    /// Another book is in force; gives back the one before. Tells which relays of the API it does not let run.
    pub(super) fn take_book(&mut self, book: Book) -> Book {
        for (name, why) in book.shadowed.iter().filter(|one| self.book.shadowed.get(one.0) != Some(one.1)) {
            self.record(tell::shadowed(name, why));
        }
        std::mem::replace(&mut self.book, book)
    }

    pub(super) fn in_force(&mut self, before: &Book) -> Applied {
        self.config.torn = None;
        self.desk.pulse.applied.record(self.config.last_apply_ns);
        let applied = before.differences(&self.book, self.node.table.generation);
        tell::relays(&self.desk.events, &applied);
        self.show();
        applied
    }
}

/// Brings a plan into force. What could not be taken back is told to whoever asks for health.
pub(super) async fn carry_out(
    node: &mut Node,
    config: &mut ConfigState,
    plan: Plan,
    origins: &Origins,
) -> Result<(), Refusal> {
    let begun = now_ns();
    let changed = node.change(plan, origins).await;
    config.last_apply_ns = now_ns() - begun;
    changed.map_err(|unreached| match unreached {
        Unreached::Conflict(texts) => Refusal::Conflict(texts),
        Unreached::Failed(error) => Refusal::Failed(format!("{error:#}")),
        torn @ Unreached::Torn { .. } => {
            config.torn = Some(torn.to_string());
            Refusal::Failed(torn.to_string())
        }
    })
}

/// How the lanes run is fixed at the start.
pub(super) fn keep_lanes(plan: &Plan, running: &Lanes) -> Result<(), Refusal> {
    other_lanes(running, &plan.lanes).map_or(Ok(()), |problem| Err(Refusal::Conflict(vec![problem])))
}

pub(super) fn on_trial(trial: &Trial) -> String {
    let until = previous::until(trial);
    format!("what runs is on trial until {until}: mcr confirm keeps it, mcr rollback gives it up; then reload")
}
