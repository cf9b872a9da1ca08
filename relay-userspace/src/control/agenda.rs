//! What the worker is to do next. The loop notes what is due here and never waits: the worker has one job at a time.
//! Nothing here has an effect.

use super::desk::{Ask, Asked, QUEUE, Who};
use crate::link::event::LinkEvent;
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// More notices than this are as good as lost: everything is read again.
const MOST_NOTICES: usize = 4096;

/// One thing for the worker to do.
#[derive(Debug)]
pub enum Job {
    /// Carry out a change, or say what it would do.
    Change(Box<Asked>),
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
    /// Somebody asks for a change. When too many wait it is given back.
    ///
    /// # Errors
    /// What was asked.
    pub fn ask(&mut self, asked: Box<Asked>) -> Result<(), Box<Asked>> {
        if self.changes.len() >= QUEUE {
            return Err(asked);
        }
        self.changes.push_back(asked);
        Ok(())
    }

    /// The configuration file is to be taken as it is then. However many changes wait, this is not refused.
    pub const fn reload(&mut self) {
        self.reload_due = true;
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

    /// What comes next: the end; then what lanes need, which is short; then what is due and what was asked for in turns.
    pub fn take_next(&mut self) -> Option<Job> {
        if let Some(end) = &self.end {
            return Some(Job::End(end.clone()));
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
            // What comes of it is told.
            let (answer, _) = oneshot::channel();
            return Some(Job::Change(Box::new(Asked { who: Who::File, ask: Ask::Reload, dry: false, answer })));
        }
        self.changes.pop_front().map(Job::Change)
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
mod tests {
    use super::{Agenda, End, Job, MOST_NOTICES};
    use crate::control::desk::{Ask, Asked, QUEUE, Who};
    use crate::link::event::LinkEvent;
    use tokio::sync::oneshot;

    fn asked() -> Box<Asked> {
        let who = Who::User { uid: 0, pid: 1 };
        Box::new(Asked { who, ask: Ask::Reload, dry: false, answer: oneshot::channel().0 })
    }

    /// What comes next, in a letter.
    fn next(agenda: &mut Agenda) -> char {
        match agenda.take_next() {
            None => '-',
            Some(Job::Change(_)) => 'c',
            Some(Job::FollowLinks { .. }) => 'l',
            Some(Job::GiveSocketsAgain) => 's',
            Some(Job::Reclaim { .. }) => 'r',
            Some(Job::Inspect) => 'i',
            Some(Job::End(_)) => 'e',
        }
    }

    #[test]
    fn changes_and_what_is_due_take_turns_and_lanes_come_first() {
        let mut agenda = Agenda::default();
        assert_eq!(next(&mut agenda), '-');
        for _ in 0..3 {
            agenda.ask(asked()).unwrap();
        }
        agenda.note(LinkEvent::RouteChanged);
        agenda.links_settled();
        agenda.inspect();
        agenda.reclaim(0, 1);
        agenda.give_sockets_again();
        let order: String = (0..8).map(|_| next(&mut agenda)).collect();
        assert_eq!(order, "srclcic-");
    }

    #[test]
    fn what_is_wrong_is_told_before_a_look_at_the_links_puts_it_back() {
        let mut agenda = Agenda::default();
        agenda.look_at_links();
        agenda.inspect();
        assert_eq!((next(&mut agenda), next(&mut agenda), next(&mut agenda)), ('i', 'l', '-'));
    }

    #[test]
    fn links_that_change_all_the_time_keep_nobody_waiting() {
        let mut agenda = Agenda::default();
        let mut order = String::new();
        for _ in 0..3 {
            agenda.ask(asked()).unwrap();
        }
        for _ in 0..6 {
            agenda.note(LinkEvent::RouteChanged);
            agenda.links_settled();
            order.push(next(&mut agenda));
        }
        assert_eq!(order, "clclcl");
    }

    #[test]
    fn links_that_change_all_the_time_keep_nothing_else_from_being_looked_at() {
        let mut agenda = Agenda::default();
        let mut order = String::new();
        for _ in 0..6 {
            agenda.note(LinkEvent::RouteChanged);
            agenda.links_settled();
            agenda.inspect();
            order.push(next(&mut agenda));
        }
        assert_eq!(order, "lilili");
    }

    #[test]
    fn a_reload_that_nobody_waits_for_is_not_refused_and_starves_nobody() {
        let mut agenda = Agenda::default();
        for _ in 0..QUEUE {
            agenda.ask(asked()).unwrap();
        }
        agenda.reload();
        agenda.reload();
        let file = |agenda: &mut Agenda| {
            let Some(Job::Change(asked)) = agenda.take_next() else { panic!("a change") };
            asked.who == Who::File
        };
        assert!(file(&mut agenda), "it comes first");
        agenda.reload();
        assert!(!file(&mut agenda) && file(&mut agenda) && !file(&mut agenda), "in turns, and once each");
        while !agenda.changes.is_empty() {
            assert!(!file(&mut agenda));
        }
        agenda.reload();
        assert!(file(&mut agenda));
        assert_eq!(next(&mut agenda), '-');
    }

    #[test]
    fn notices_are_read_once_they_have_settled_and_have_a_bound() {
        let mut agenda = Agenda::default();
        assert!(
            agenda.note(LinkEvent::RouteChanged) && !agenda.note(LinkEvent::LinkChanged { ifindex: 1, gone: false })
        );
        assert_eq!(next(&mut agenda), '-', "they settle");
        agenda.links_settled();
        let Some(Job::FollowLinks { notices, anyway: false }) = agenda.take_next() else { panic!("links") };
        assert_eq!(notices, [LinkEvent::RouteChanged, LinkEvent::LinkChanged { ifindex: 1, gone: false }]);
        for ifindex in 0..2 * u32::try_from(MOST_NOTICES).unwrap() {
            agenda.note(LinkEvent::AddressChanged { ifindex });
        }
        agenda.look_at_links();
        let Some(Job::FollowLinks { notices, anyway: true }) = agenda.take_next() else { panic!("links") };
        assert_eq!(notices, [LinkEvent::Lost]);
        assert!(agenda.note(LinkEvent::RouteChanged), "the first again");
    }

    #[test]
    fn only_so_many_wait_and_the_end_comes_before_all() {
        let mut agenda = Agenda::default();
        for _ in 0..QUEUE {
            agenda.ask(asked()).unwrap();
        }
        agenda.ask(asked()).unwrap_err();
        agenda.end(End::Stops);
        agenda.end(End::Restarts);
        assert!(matches!(agenda.take_next(), Some(Job::End(End::Stops))));
        assert_eq!(agenda.changes.len(), QUEUE);
    }
}
