//! What the worker is to do next. The loop notes what is due here and never waits: the worker has one job at a time.
//! Nothing here has an effect.

use super::desk::{Asked, QUEUE};
use super::urgent::Urgent;
use crate::link::event::LinkEvent;
use std::collections::VecDeque;

/// More notices than this are as good as lost: everything is read again.
const MOST_NOTICES: usize = 4096;

/// One thing for the worker to do.
#[derive(Debug)]
pub enum Job {
    /// Carry out a change, or say what it would do. One that did not wait for others is told apart.
    Change(Box<Asked>, Option<Urgent>),
    /// Take the configuration file as it is. Nobody waits for the answer: what comes of it is told.
    Reload,
    /// Look at the links again, because of these notices.
    FollowLinks {
        /// What the kernel has told.
        notices: Vec<LinkEvent>,
        /// Whether to look whatever they say.
        anyway: bool,
    },
    /// Give lanes that were started again the sockets that they could not take up.
    GiveSocketsAgain,
    /// Have a lane take back the frames of a socket that is gone.
    Reclaim {
        /// The lane.
        lane: u32,
        /// The socket's number within the lane.
        number: u16,
    },
    /// Look whether the kernel holds what it should, and mend it.
    Inspect,
    /// End: see [`End`].
    End(End),
}

/// How the node ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is taken down.
    Stops,
    /// Control begins anew; the lanes relay on.
    Restarts,
    /// The control that has proved itself beside this one follows; the lanes relay on.
    HandsOver,
}

/// What is due.
#[derive(Debug, Default)]
pub struct Agenda {
    end: Option<End>,
    /// What does not wait for the others: relays that are silenced. Draining a node and a change of its role belong here.
    urgent: VecDeque<(Urgent, Box<Asked>)>,
    changes: VecDeque<Box<Asked>>,
    reclaims: VecDeque<(u32, u16)>,
    sockets_due: bool,
    notices: Vec<LinkEvent>,
    /// The notices have settled.
    links_due: bool,
    /// The links are looked at whatever the notices say.
    links_anyway: bool,
    inspection_due: bool,
    /// Links were looked at after what the kernel holds was.
    links_last: bool,
    /// The configuration file is to be taken, because of a signal or of what was found; nobody waits for the answer.
    reload_due: bool,
    /// That was the last of what was asked for.
    reload_last: bool,
    /// What is done for the node itself and what others ask for take turns, so that neither waits for long.
    asked_last: bool,
}

impl Agenda {
    /// Somebody asks for a change. When too many wait it is given back. `is_there` says whether there is a relay of a name:
    /// one that is yet to come is silenced in its turn.
    ///
    /// # Errors
    /// What was asked.
    pub fn ask(&mut self, asked: Box<Asked>, is_there: impl Fn(&str) -> bool) -> Result<(), Box<Asked>> {
        match Urgent::of(&asked).filter(|urgent| urgent.relays.iter().all(|name| is_there(name))) {
            Some(urgent) if self.urgent.len() < QUEUE => self.urgent.push_back((urgent, asked)),
            None if self.changes.len() < QUEUE => self.changes.push_back(asked),
            _ => return Err(asked),
        }
        Ok(())
    }

    /// Relays were silenced by a change that did not wait. Takes out those that were asked for before it and would undo
    /// that, each with the relay of which it would.
    pub fn overtaken(&mut self, by: u64, urgent: &Urgent) -> Vec<(Box<Asked>, String)> {
        let (mut undo, mut rest) = (Vec::new(), VecDeque::new());
        for asked in self.changes.drain(..) {
            let relay = if asked.id < by && !asked.how.dry { urgent.undone_by(&asked.ask) } else { None };
            match relay {
                Some(relay) => undo.push((asked, relay)),
                None => rest.push_back(asked),
            }
        }
        self.changes = rest;
        undo
    }

    /// Takes out all that wait: nothing is begun any more.
    pub fn give_up(&mut self) -> Vec<Box<Asked>> {
        self.urgent.drain(..).map(|(_, asked)| asked).chain(self.changes.drain(..)).collect()
    }

    /// The configuration file is to be taken as it is then. However many changes wait, this is not refused.
    pub const fn reload(&mut self) {
        self.reload_due = true;
    }

    /// Whether that is still to be done.
    #[must_use]
    pub const fn is_reload_due(&self) -> bool {
        self.reload_due
    }

    /// The kernel has told something about links. Says whether it is the first since they were last looked at: they come in
    /// bursts, and are let settle.
    pub fn note(&mut self, notice: LinkEvent) -> bool {
        let is_first = self.notices.is_empty();
        match self.notices.last() {
            Some(LinkEvent::Lost) => {}
            Some(last) if *last == notice => {}
            _ if self.notices.len() < MOST_NOTICES => self.notices.push(notice),
            _ => self.notices = vec![LinkEvent::Lost],
        }
        is_first
    }

    /// The notices have settled.
    pub const fn links_settled(&mut self) {
        self.links_due = true;
    }

    /// The links are to be looked at whether there were notices or not.
    pub const fn look_at_links(&mut self) {
        self.links_anyway = true;
    }

    /// What the kernel holds is to be looked at.
    pub const fn inspect(&mut self) {
        self.inspection_due = true;
    }

    /// A lane may lack sockets.
    pub const fn give_sockets_again(&mut self) {
        self.sockets_due = true;
    }

    /// Frames can be had back.
    pub fn reclaim(&mut self, lane: u32, number: u16) {
        self.reclaims.push_back((lane, number));
    }

    /// The node is to end: nothing else is begun any more.
    pub fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// Whether the node is to end.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        self.end.is_some()
    }

    /// What comes next: the end; then what must not wait; then what lanes need, which is short; then what is due and what
    /// was asked for in turns.
    pub fn take_next(&mut self) -> Option<Job> {
        if let Some(end) = &self.end {
            return Some(Job::End(end.clone()));
        }
        if let Some((urgent, asked)) = self.urgent.pop_front() {
            return Some(Job::Change(asked, Some(urgent)));
        }
        if std::mem::take(&mut self.sockets_due) {
            return Some(Job::GiveSocketsAgain);
        }
        if let Some((lane, number)) = self.reclaims.pop_front() {
            return Some(Job::Reclaim { lane, number });
        }
        let is_due = self.links_due || self.links_anyway || self.inspection_due;
        let is_asked = self.reload_due || !self.changes.is_empty();
        if self.asked_last && is_due || !is_asked {
            self.asked_last = false;
            return self.due();
        }
        self.asked_last = true;
        self.asked()
    }

    /// The file and those who ask take turns too.
    fn asked(&mut self) -> Option<Job> {
        self.reload_last = self.reload_due && (!self.reload_last || self.changes.is_empty());
        if self.reload_last {
            self.reload_due = false;
            return Some(Job::Reload);
        }
        self.changes.pop_front().map(|asked| Job::Change(asked, None))
    }

    /// A look at the links that nothing has asked for comes after the look at what the kernel holds: it puts back what that
    /// one tells of. One that notices have asked for comes first, but not twice: where each takes so long that the next
    /// notices have settled, nothing else would be looked at.
    fn due(&mut self) -> Option<Job> {
        let may_wait = self.inspection_due && (!self.links_due || self.links_last);
        if (self.links_due || self.links_anyway) && !may_wait {
            (self.links_due, self.links_last) = (false, true);
            let (notices, anyway) = (std::mem::take(&mut self.notices), std::mem::take(&mut self.links_anyway));
            return Some(Job::FollowLinks { notices, anyway });
        }
        self.links_last = false;
        std::mem::take(&mut self.inspection_due).then_some(Job::Inspect)
    }
}

#[cfg(test)]
mod tests;
