//! A lane waits at the edge of a batch for another process to go on in its place. It holds everything meanwhile, and
//! whoever takes the turn first has the lane: that other one, or this one if control is gone or takes too long.

use super::{Desk, Next};
use crate::clock::now_ns;
use crate::lane::handoff::said::Done;
use crate::lane::handoff::{self, Message, kind};
use crate::lane::round::Lane;
use crate::sys::fd_passing::Waits;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd as _;

/// So long the other process may take. On a quiet machine it is a few milliseconds.
const PATIENCE_NS: u64 = 1_000_000_000;

impl Desk {
    /// Waits. Everything is committed: a successor finds all as it needs it.
    pub(super) fn pause(&mut self, lane: &mut Lane, serial: u32) -> Next {
        let turn = lane.log.turn();
        if self.say(Message::of(kind::DONE).saying(Done::with(turn)), serial, &[]).is_err() {
            return go_on_from(lane, turn, Next::HangUp);
        }
        let until = now_ns().saturating_add(PATIENCE_NS);
        loop {
            let Some(channel) = &self.channel else { return go_on_from(lane, turn, Next::HangUp) };
            match handoff::receive(channel.socket.as_fd(), Waits::No) {
                Ok(Some((message, descriptors))) => match message.kind {
                    kind::RESUME => {
                        let next = go_on_from(lane, turn, Next::GoOn);
                        let _ = self.say(Message::of(kind::DONE), message.serial, &[]);
                        return next;
                    }
                    kind::HOLD | kind::FORGET | kind::STOP_AT_EDGE => {
                        match self.serve(lane, &message, descriptors, now_ns()) {
                            Next::GoOn => {}
                            Next::HangUp => return go_on_from(lane, turn, Next::HangUp),
                            Next::StopAtEdge => return Next::StopAtEdge,
                        }
                    }
                    _ => _ = self.say(Message::of(kind::UNKNOWN), message.serial, &[]),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = until.saturating_sub(now_ns()).div_ceil(1_000_000);
                    if left == 0 {
                        return go_on_from(lane, turn, Next::GoOn);
                    }
                    let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                    // A signal may come in between: it is looked again.
                    let _ = poll(&mut [PollFd::new(channel.socket.as_fd(), PollFlags::POLLIN)], wait);
                }
                // Control is gone, or says what makes no sense.
                Ok(None) | Err(_) => return go_on_from(lane, turn, Next::HangUp),
            }
        }
    }
}

/// Goes on if nobody has begun in this one's place.
fn go_on_from(lane: &mut Lane, turn: u32, next: Next) -> Next {
    if lane.log.take_turn(Some(turn)) { next } else { Next::StopAtEdge }
}
