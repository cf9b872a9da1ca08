//! Changes that are in force though the disk has not taken them, because somebody wanted it so (`--volatile`). They are
//! written down as soon as that works; until then the lanes hold them for whichever control comes next.

use super::changes::carry_out;
use super::worker::Worker;
use crate::book::Book;
use crate::desk::{Applied, Refusal};
use crate::tell;
use crate::view::{Retry, Unkept};
use relay_config::relay_to_json;
use relay_engine::clock::{now_ns, unix_ms};
use serde_json::Value;

impl Worker {
    /// Makes a change of the API's relays, and keeps it if that can be done.
    pub(super) async fn change_at_once(&mut self, after: Book) -> Result<Applied, Refusal> {
        if self.store.is_damaged() {
            // What nobody could read is nobody's to overwrite, now or later.
            return self.store.draft([]).map_or_else(Err, |_| Err(Refusal::Unavailable("the state file is damaged")));
        }
        let before = self.node.unkept.replace(definitions(&after));
        if let Err(refusal) = carry_out(&mut self.node, &mut self.config, after.plan(), after.origins()).await {
            self.node.unkept = before;
            self.remember();
            return Err(refusal);
        }
        let before = self.take_book(after);
        // Names and switches that no lane reads are remembered all the same.
        self.remember();
        let applied = self.in_force(&before);
        self.keep_api_relays().await;
        let not_kept = self.config.unkept.as_ref().map(|unkept| unkept.problem.clone());
        Ok(Applied { not_kept, ..applied })
    }

    /// Tries again to write down what is not yet, when it is time.
    pub(super) async fn keep_what_waits(&mut self) {
        let is_due = self.keep_at.is_none_or(|retry| now_ns() >= retry.at);
        if self.config.unkept.is_some() && is_due {
            self.keep_api_relays().await;
        }
        // It says so itself.
        let _ = self.settle_what_waits(false).await;
    }

    /// Everything of the API is on disk, by whatever way it came there.
    pub(super) fn is_kept(&mut self) {
        self.keep_at = None;
        if self.node.unkept.take().is_some() {
            self.remember();
        }
        if self.config.unkept.take().is_some() {
            self.desk.changes.all_kept();
            self.record(tell::kept(self.store.file()));
            self.show();
        }
    }

    async fn keep_api_relays(&mut self) {
        // It may bring more relays.
        let opened = self.open_store().await;
        let book = self.book.clone();
        let prepared = match opened {
            Ok(()) => self.prepare(&book).await,
            Err(refusal) => Err(refusal),
        };
        let kept = match prepared {
            Ok(prepared) => self.commit(prepared).await,
            Err(refusal) => Err(refusal),
        };
        let problem = match kept {
            Ok(None) => return self.is_kept(),
            Ok(Some(Refusal::InDoubt { problem, .. })) | Err(Refusal::NotKept { problem, .. }) => problem,
            Ok(Some(refusal)) | Err(refusal) => refusal.to_string(),
        };
        self.keep_at = Some(Retry::of_a_disk(self.keep_at, now_ns()));
        let since_ms = match &self.config.unkept {
            Some(unkept) => unkept.since_ms,
            None => {
                self.record(tell::not_kept(self.store.file(), &problem));
                unix_ms()
            }
        };
        self.config.unkept = Some(Unkept { file: self.store.file().to_owned(), since_ms, problem });
        self.show();
    }

    /// As long as the disk has not what is in force the lanes are to hold what will be.
    pub(super) fn will_hold(&mut self, after: &Book) {
        self.node.unkept = self.node.unkept.as_ref().map(|_| definitions(after));
    }

    /// A change has come to nothing: they hold what the book says.
    pub(super) fn holds_the_book(&mut self) {
        if self.node.unkept.is_some() {
            self.node.unkept = Some(definitions(&self.book));
            self.remember();
        }
    }

    /// Has the lanes hold what a successor needs as it is now.
    fn remember(&mut self) {
        if let Err(error) = self.node.remember(self.book.origins()) {
            tracing::error!("a control that follows may undo what is not kept: {error:#}");
        }
    }
}

/// The relays that came through the API, in the file's own form.
pub(super) fn definitions(book: &Book) -> Vec<Value> {
    book.of_api.values().map(relay_to_json).collect()
}
