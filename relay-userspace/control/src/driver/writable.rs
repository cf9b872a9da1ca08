//! Whether the state file could be written, asked now and then: on a disk that is full or takes nothing any more that is told
//! before somebody's change is refused for it.

use super::worker::Worker;
use crate::progress::Progress;
use crate::store::{self, Store};
use crate::tell;
use relay_engine::clock::now_ns;

/// How often. Where it cannot be written, whoever mends it sees so at the next look.
const TRIED_EVERY_NS: u64 = 10_000_000_000;

impl Worker {
    /// Tries whether the state file could be written, when it is time.
    pub(super) async fn try_to_write(&mut self, progress: &Progress) {
        let now = now_ns();
        let is_due = self.config.unwritable.is_some() || now.saturating_sub(self.tried_to_write) >= TRIED_EVERY_NS;
        // What another node has, or nobody could look at yet, is told already.
        if !is_due || self.store.is_anothers() || !self.store.is_open() {
            return;
        }
        self.tried_to_write = now;
        progress.begin(None, "a look whether the state file can be written");
        let (file, is_ours) = (self.store.file().to_owned(), self.store.is_ours());
        let tries = move || -> Result<Option<Store>, String> {
            let opened = (!is_ours).then(|| Store::open(&file));
            if let Some(why) = opened.as_ref().and_then(Store::unwritable) {
                return Err(why.to_owned());
            }
            let tried = store::try_to_write(&file).map_err(|error| format!("{error}{}", store::remedy(&error)));
            tried.map(|()| opened)
        };
        let what = "trying to write beside the state file";
        // A disk that is busy does not say that it takes nothing.
        let Some(tried) = self.disk.ask_in_passing(&self.node.progress, what, tries).await else { return };
        match tried {
            Ok(opened) => {
                if let Some(opened) = opened {
                    self.store.opened(opened);
                    self.keep_what_runs();
                }
                self.note_unwritable(None);
            }
            Err(why) => self.note_unwritable(Some(why)),
        }
    }

    /// Told once, and once more when it is over.
    fn note_unwritable(&mut self, why: Option<String>) {
        if self.config.unwritable == why {
            return;
        }
        match (&self.config.unwritable, &why) {
            (None, Some(why)) => self.record(tell::unwritable(self.store.file(), why)),
            (Some(_), None) => self.record(tell::writable(self.store.file())),
            _ => {}
        }
        self.config.unwritable = why;
        self.show();
    }
}
