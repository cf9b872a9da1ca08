//! Strangers come in by the door: they are shown out, keep nobody out, and hold up no packets.

use super::{PATIENCE_NS, Stage, is_shown_out};
use crate::lane::handoff::{self, Message, WAITING, kind};
use crate::sys::fd_passing::Waits;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, setsockopt, socketpair, sockopt};
use std::os::fd::{AsFd as _, AsRawFd as _};

#[test]
fn strangers_are_shown_out_and_do_not_keep_others_out() {
    let mut stage = Stage::new();
    let (gone, _) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    stage.control = gone;
    stage.look();
    let silent = stage.come_in();
    stage.look();
    stage.now += PATIENCE_NS;
    stage.look();
    assert!(!is_shown_out(&silent), "it has a second");
    stage.now += 1;
    stage.look();
    assert!(is_shown_out(&silent));
    for words in [&[0_u8; 3][..], &[0; 500], &[8; 128], &[]] {
        let stranger = stage.come_in();
        stage.look();
        send(stranger.as_raw_fd(), words, MsgFlags::empty()).unwrap();
        stage.look();
        assert!(is_shown_out(&stranger), "{words:?}");
    }
    for kind in [kind::STOP_AT_EDGE, kind::FORGET, kind::DROP] {
        let stranger = stage.come_in();
        stage.look();
        handoff::send(stranger.as_fd(), &Message::of(kind), &[], Waits::No).unwrap();
        assert!(!stage.look(), "a stranger ends the lane");
        assert!(is_shown_out(&stranger), "{kind}");
    }
    // One that asks and does not read is not waited for.
    let deaf = stage.come_in();
    setsockopt(&deaf, sockopt::RcvBuf, &0).unwrap();
    stage.look();
    handoff::send(deaf.as_fd(), &Message::of(kind::SHOW), &[], Waits::No).unwrap();
    stage.look();
    stage.now += 2 * PATIENCE_NS;
    stage.look();
    let next = stage.come_in();
    drop(deaf);
    assert_eq!(stage.show(&next).len(), 6);
}

/// Whoever looks again and again, while control is in charge, must not keep the lane at the door.
#[test]
fn no_more_guests_are_heard_at_once_than_can_stand_at_the_door() {
    let mut stage = Stage::new();
    let most = usize::try_from(WAITING).unwrap();
    let guests: Vec<_> = (0..2 * most + 1).map(|_| stage.come_in()).collect();
    for looks in 1..=3 {
        stage.look();
        // Who was heard was told that another is in charge.
        let told = guests.iter().filter(|guest| {
            let mut fds = [PollFd::new(guest.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::ZERO).unwrap() > 0
        });
        assert_eq!(told.count(), (looks * most).min(guests.len()), "after {looks} looks");
    }
}
