//! Changes: how control answers a wish and takes the configuration file anew.

use super::Control;
use crate::clock::now_ns;
use crate::config::{self, Configuration};
use crate::control::book::{Book, differences};
use crate::control::desk::{Applied, Ask, Refusal, Who};
use crate::control::node::Node;
use crate::control::reach::Unreached;
use crate::control::store::Prepared;
use crate::control::view::{ConfigState, Origin};
use crate::control::{tell, upgrade};
use crate::events::audit::audit;
use relay_common::plan::{Lanes, Plan, Relay};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Control {
    pub(super) async fn asked(&mut self, who: &Who, ask: &Ask, dry: bool) -> Result<Applied, Refusal> {
        let before = self.touched(ask);
        let said = match ask {
            Ask::Reload => self.reload(dry).await,
            Ask::Upgrade { binary } => self.upgrade(binary),
            _ => self.change(ask, dry).await,
        };
        if !dry {
            let after = self.touched(ask);
            self.record(audit(who, ask, &before, &after, &said));
        }
        said
    }

    /// The relays that are asked about, as they are now.
    fn touched(&self, ask: &Ask) -> Vec<Relay> {
        let one = |name: &str| self.book.relay(name).cloned().into_iter().collect();
        match ask {
            Ask::Create(relay) | Ask::Put { relay, .. } => one(&relay.name),
            Ask::Remove { name, .. } | Ask::Switch { name, .. } | Ask::Adopt { name } => one(name),
            Ask::PutAll { .. } => self.book.of_api.values().cloned().collect(),
            Ask::Reload => self.book.of_file.relays.clone(),
            Ask::Upgrade { .. } => Vec::new(),
        }
    }

    fn upgrade(&self, binary: &std::path::Path) -> Result<Applied, Refusal> {
        let layouts = upgrade::check(binary).map_err(|error| Refusal::Conflict(vec![format!("{error:#}")]))?;
        // The newer control begins with the file as it is now; one that it refuses would leave the lanes without any.
        config::load(&self.config.path).map_err(Refusal::Invalid)?;
        let change = format!("upgrade from mcr {} to mcr {}", env!("CARGO_PKG_VERSION"), layouts.version);
        let plan = &self.node.plan;
        Ok(Applied { changes: vec![change], ..differences(plan, plan, self.node.table.generation) })
    }

    /// A change of the API's relays: kept on disk before it is in force, in force before anybody hears of it.
    async fn change(&mut self, ask: &Ask, dry: bool) -> Result<Applied, Refusal> {
        let after = self.book.after(ask)?;
        let (old, new) = (self.book.plan(), after.plan());
        if dry {
            self.node.would_fit(&new).map_err(Refusal::Conflict)?;
            return Ok(self.book.differences(&after, self.node.table.generation));
        }
        let store = &self.store;
        let prepared = store.prepare(after.of_api.values())?;
        carry_out(&mut self.node, &mut self.config, new, &after.origins()).await?;
        if let Err(refusal) = prepared.commit() {
            let back = self.node.change(old, &self.book.origins()).await;
            self.config.torn = back.err().map(|error| error.to_string());
            self.show();
            return Err(refusal);
        }
        let before = self.take_book(after);
        // What could not be read before is written anew.
        self.config.damaged = None;
        Ok(self.in_force(&before))
    }

    /// The configuration file as it is now; and a state file that could not be read before.
    pub(super) async fn reload(&mut self, dry: bool) -> Result<Applied, Refusal> {
        let taken = self.take_file(dry).await;
        if dry {
            return taken;
        }
        self.file.seen();
        match &taken {
            Ok(applied) => {
                (self.config.refused, self.config.failed, self.config.last_good) = (None, None, None);
                self.config.taken += 1;
                self.record(tell::applied(applied));
                self.keep_what_runs();
            }
            Err(refusal) => {
                self.config.refusals += 1;
                if let Refusal::Invalid(errors) = refusal {
                    (self.config.refused, self.config.failed) = (Some(errors.clone()), None);
                } else {
                    (self.config.refused, self.config.failed) = (None, Some(refusal.to_string()));
                }
                self.record(tell::refused(refusal));
            }
        }
        self.show();
        taken
    }

    async fn take_file(&mut self, dry: bool) -> Result<Applied, Refusal> {
        let Configuration { mut plan, settings, text } = config::load(&self.config.path).map_err(Refusal::Invalid)?;
        keep_lanes(&mut plan, self.book.lanes())?;
        let mut book = self.book.clone();
        // While it cannot be read, the file of the configuration counts all the same.
        let kept = self.store.is_damaged().then(|| self.store.read().ok()).flatten();
        let is_mended = kept.is_some();
        if let Some(kept) = kept {
            book.of_api = kept.into_iter().map(|relay| (relay.name.clone(), relay)).collect();
        }
        let after = book.with_file(plan);
        let http = self.desk.http.prepare(&settings.http).map_err(|problem| Refusal::Conflict(vec![problem]))?;
        let new = after.plan();
        if dry {
            self.node.would_fit(&new).map_err(Refusal::Conflict)?;
            return Ok(self.book.differences(&after, self.node.table.generation).with(http.changes));
        }
        carry_out(&mut self.node, &mut self.config, new, &after.origins()).await?;
        let of_http = self.desk.http.take(http);
        self.desk.health.store(Arc::new(settings.health));
        self.text = text;
        let before = self.take_book(after);
        if is_mended {
            // Not before: a file whose relays are not in force is nobody's to overwrite.
            self.store.forget_damage();
            self.config.damaged = None;
        } else if self.config.damaged.is_some() && !self.store.is_damaged() {
            // What could not be read at the start was known from the lanes: it is written anew.
            let written = self.store.prepare(self.book.of_api.values()).and_then(Prepared::commit);
            self.config.damaged = written.err().map(|refusal| refusal.to_string());
        }
        Ok(self.in_force(&before).with(of_http))
    }

    /// Another book is in force; gives back the one before. Tells which relays of the API it does not let run.
    fn take_book(&mut self, book: Book) -> Book {
        for (name, why) in book.shadowed.iter().filter(|one| self.book.shadowed.get(one.0) != Some(one.1)) {
            self.record(tell::shadowed(name, why));
        }
        std::mem::replace(&mut self.book, book)
    }

    fn in_force(&mut self, before: &Book) -> Applied {
        self.config.torn = None;
        self.desk.pulse.applied.record(self.config.last_apply_ns);
        let applied = before.differences(&self.book, self.node.table.generation);
        tell::relays(&self.desk.events, &applied);
        self.show();
        applied
    }
}

/// Brings a plan into force. What could not be taken back is told to whoever asks for health.
async fn carry_out(
    node: &mut Node,
    config: &mut ConfigState,
    plan: Plan,
    origins: &BTreeMap<String, Origin>,
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
fn keep_lanes(plan: &mut Plan, running: &Lanes) -> Result<(), Refusal> {
    if plan.lanes == *running { Ok(()) } else { Err(Refusal::Conflict(vec![lanes_differ()])) }
}

pub(super) fn lanes_differ() -> String {
    "the keys of [lanes] count from the start of the lanes on: end mcr (mcr stop) and start it, or put them back"
        .to_owned()
}
