//! How lanes learn that the unit was stopped while no control was there to tell them.
//!
//! They hold one end of a pipe, and systemd keeps the other for the unit (FDSTORE=1). It closes what it keeps when the unit
//! stops, also where it runs no command at all, and never while the unit is to be started again:
//! `docs/decisions/0027-systemctl-stop-is-a-fence.md`.

use crate::notify;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use relay_common::health::RENEW_CONTROL;
use relay_engine::sys::fd_passing::has_hung_up;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

/// By what systemd knows the end that it keeps.
const NAME: &str = "mcr-unit";
/// systemd answers within milliseconds. Streams do not wait longer for others who are told of units and never answer.
const PATIENCE_MS: u8 = 250;

/// The unit that this control belongs to.
#[derive(Debug)]
pub struct Unit {
    state: State,
    warning: Option<String>,
}

#[derive(Debug)]
enum State {
    /// Nobody keeps anything for us.
    Alone,
    /// systemd is to be asked: it does not listen to this control yet, or could not be told.
    Unasked,
    /// Whether systemd keeps the other end is known when it has let go of what came after it.
    Asked { ours: OwnedFd, until_read: OwnedFd },
    /// It does.
    Kept(Arc<OwnedFd>),
}

/// What lanes are to do.
#[derive(Debug)]
pub enum Told {
    /// Hold this.
    Hold(Arc<OwnedFd>),
    /// Let go of what they hold.
    Forget,
}

impl Unit {
    /// Goes on with what the control before this one gave, as long as that is good: systemd keeps the other end for the unit,
    /// whoever asked it to. Else systemd is asked, if it runs us. Does not wait.
    #[must_use]
    pub fn of(given: Option<Arc<OwnedFd>>) -> Self {
        let mut unit = Self { state: State::Alone, warning: None };
        match given.filter(|given| !has_hung_up(given.as_fd())) {
            Some(given) => unit.state = State::Kept(given),
            None => unit.ask(),
        }
        unit
    }

    /// What hangs up when the unit is stopped, where systemd keeps the other end.
    #[must_use]
    pub fn kept(&self) -> Option<Arc<OwnedFd>> {
        match &self.state {
            State::Kept(ours) => Some(Arc::clone(ours)),
            State::Alone | State::Unasked | State::Asked { .. } => None,
        }
    }

    /// Whether nobody keeps anything, and nobody is being asked to.
    #[must_use]
    pub const fn is_alone(&self) -> bool {
        matches!(self.state, State::Alone)
    }

    /// Asks systemd where that is still to be done, and gives it a moment to answer.
    pub fn wait(&mut self) {
        if matches!(self.state, State::Unasked) {
            self.ask();
        }
        if let State::Asked { until_read, .. } = &self.state {
            // A look says what has become of it, whether or not this could wait.
            let _ = poll(&mut [PollFd::new(until_read.as_fd(), PollFlags::POLLIN)], PollTimeout::from(PATIENCE_MS));
        }
    }

    /// What has become of it since the last look.
    pub fn look(&mut self) -> Option<Told> {
        match std::mem::replace(&mut self.state, State::Alone) {
            State::Alone => None,
            State::Unasked => {
                self.ask();
                None
            }
            State::Asked { ours, until_read } if !has_hung_up(until_read.as_fd()) => {
                self.state = State::Asked { ours, until_read };
                None
            }
            State::Asked { ours, .. } if has_hung_up(ours.as_fd()) => {
                self.warn(&format!(
                    "if the unit is stopped while mcr itself is down, its lanes go on relaying: systemd keeps no descriptor \
                     for the unit; remedy: set FileDescriptorStoreMax=16 in the unit, as deploy/mcr.service does, then \
                     systemctl daemon-reload; {RENEW_CONTROL} (no packet is lost)"
                ));
                // They may still hold what an earlier control had.
                Some(Told::Forget)
            }
            State::Asked { ours, .. } => {
                let ours = Arc::new(ours);
                self.state = State::Kept(Arc::clone(&ours));
                self.warning = None;
                Some(Told::Hold(ours))
            }
            // systemd has let go while mcr runs: lanes would take the unit for stopped as soon as control dies.
            State::Kept(ours) if has_hung_up(ours.as_fd()) => {
                self.ask();
                Some(Told::Forget)
            }
            State::Kept(ours) => {
                self.state = State::Kept(ours);
                None
            }
        }
    }

    /// What an operator should know of it.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    fn ask(&mut self) {
        if !notify::is_there() {
            return;
        }
        self.state = State::Unasked;
        if !notify::is_wanted() {
            return;
        }
        match keep_one_end() {
            Ok((ours, until_read)) => self.state = State::Asked { ours, until_read },
            Err(error) => self.warn(&format!(
                "if the unit is stopped while mcr itself is down, its lanes may go on relaying: systemd cannot be asked to keep \
                 a descriptor for the unit: {error}; trying again"
            )),
        }
    }

    fn warn(&mut self, text: &str) {
        if self.warning.as_deref() != Some(text) {
            tracing::warn!("{text}");
            self.warning = Some(text.to_owned());
        }
    }
}

/// Makes a pipe and has systemd keep one end of it. What it keeps from before it lets go of by itself, as soon as nobody has
/// the other end any more.
fn keep_one_end() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    notify::keep(NAME, theirs.as_fd())?;
    Ok((ours, notify::until_read()?))
}
