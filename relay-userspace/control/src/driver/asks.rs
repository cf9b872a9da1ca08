//! What is asked for: the loop lets it wait, the worker carries it out, and what becomes of it is known by its number.

use super::worker::Worker;
use super::{Loop, Shown};
use crate::agenda::End;
use crate::desk::{Ask, Asked, Refusal};
use crate::event::Done;
use crate::events::audit::{audit, title};
use crate::progress::Progress;
use crate::urgent::Urgent;

impl Loop {
    /// Somebody asks for a change: it waits for its turn.
    pub(super) fn asked(&mut self, asked: Box<Asked>) {
        if self.agenda.is_ending() {
            return self.refuse(*asked, Refusal::ENDING);
        }
        let Some(Shown { desk, .. }) = &self.node else { return };
        let view = desk.view();
        if let Err(refused) = self.agenda.ask(asked, |name| view.origins.get(name).is_some()) {
            desk.changes.forget(refused.id);
            let _ = refused.answer.send(Err(Refusal::TOO_MANY));
        }
    }

    /// Relays were silenced by a change that did not wait: those before it do not undo that.
    pub(super) fn overtaken(&mut self, by: u64, urgent: &Urgent) {
        for (asked, relay) in self.agenda.overtaken(by, urgent) {
            self.refuse(*asked, Refusal::Overtaken { by, relay, how: urgent.how() });
        }
    }

    /// Whoever waits is told that nothing comes of it.
    pub(super) fn give_up(&mut self, refusal: &Refusal) {
        for asked in self.agenda.give_up() {
            self.refuse(*asked, refusal.clone());
        }
    }

    /// Nothing comes of a change that waits.
    fn refuse(&self, Asked { id, who, ask, how, answer }: Asked, refusal: Refusal) {
        let refused = Err(refusal);
        if !how.dry {
            self.record(audit(&who, &ask, &[], &[], &refused).with("change", id));
        }
        if let Some(Shown { desk, .. }) = &self.node {
            desk.changes.over(id, &refused);
        }
        // Whoever asked may have gone.
        let _ = answer.send(refused);
    }
}

impl Worker {
    pub(super) async fn carry_out_change(&mut self, asked: Asked, urgent: Option<Urgent>, progress: &Progress) -> Done {
        progress.begin(Some(asked.id), title(&asked.who, &asked.ask));
        self.desk.changes.begun(asked.id);
        if let Ask::Upgrade { binary } = &asked.ask {
            let end = self.upgrade(binary.clone(), asked, progress).await;
            return Done { end, silenced: None };
        }
        let Asked { id, who, ask, how, answer } = asked;
        let said = self.asked(id, &who, &ask, how).await;
        let end = (ask == Ask::Restart && said.is_ok() && !how.dry).then_some(End::Restarts);
        let silenced = urgent.filter(|_| said.is_ok()).map(|urgent| (id, urgent));
        self.desk.changes.over(id, &said);
        // Whoever asked may have gone.
        let _ = answer.send(said);
        Done { end, silenced }
    }
}
