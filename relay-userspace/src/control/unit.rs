//! How lanes learn that the unit was stopped while no control was there to tell them.
//!
//! They hold one end of a pipe, and systemd keeps the other for the unit (FDSTORE=1). It closes what it keeps when the unit
//! stops, also where it runs no command at all, and never while the unit is to be started again:
//! `docs/decisions/0027-systemctl-stop-is-a-fence.md`.

use crate::kernel::passing::has_hung_up;
use crate::notify;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use relay_common::health::RENEW_CONTROL;
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
    /// Asks systemd, if it runs us. Does not wait.
    #[must_use]
    pub fn ask() -> Self {
        let mut unit = Self { state: State::Alone, warning: None };
        unit.ask_again();
        unit
    }

    /// What lanes are to hold, if that is known within a moment.
    pub fn wait(&mut self) -> Option<Arc<OwnedFd>> {
        if let State::Asked { until_read, .. } = &self.state {
            // A look says what has become of it, whether or not this could wait.
            let _ = poll(&mut [PollFd::new(until_read.as_fd(), PollFlags::POLLIN)], PollTimeout::from(PATIENCE_MS));
        }
        match (self.look(), &self.state) {
            (Some(Told::Hold(ours)), _) => Some(ours),
            (None, State::Kept(ours)) => Some(Arc::clone(ours)),
            _ => None,
        }
    }

    /// What has become of it since the last look.
    pub fn look(&mut self) -> Option<Told> {
        match std::mem::replace(&mut self.state, State::Alone) {
            State::Alone => None,
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
                None
            }
            State::Asked { ours, .. } => {
                let ours = Arc::new(ours);
                self.state = State::Kept(Arc::clone(&ours));
                self.warning = None;
                Some(Told::Hold(ours))
            }
            // systemd has let go while mcr runs: lanes would take the unit for stopped as soon as control dies.
            State::Kept(ours) if has_hung_up(ours.as_fd()) => {
                self.ask_again();
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

    fn ask_again(&mut self) {
        if !notify::is_wanted() {
            return;
        }
        match keep_one_end() {
            Ok((ours, until_read)) => self.state = State::Asked { ours, until_read },
            Err(error) => self.warn(&format!(
                "if the unit is stopped while mcr itself is down, its lanes go on relaying: systemd could not be asked to keep \
                 a descriptor for the unit: {error}"
            )),
        }
    }

    fn warn(&mut self, text: &str) {
        tracing::warn!("{text}");
        self.warning = Some(text.to_owned());
    }
}

/// Makes a pipe and has systemd keep one end of it. What it keeps from before it lets go of by itself, as soon as nobody has
/// the other end any more.
fn keep_one_end() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    notify::keep(NAME, theirs.as_fd())?;
    Ok((ours, notify::until_read()?))
}
