//! Control talks to a lane, dies, and another comes in by the door; strangers do not.

use super::{CONVERSATION_NS, Desk, LOOK_AGAIN_NS, LOOK_NS, PATIENCE_NS};
use crate::lane::handoff::{self, MEMO, Message, Outfit, Refusal, kind, receive, said};
use crate::lane::round::Lane;
use crate::lane::world::{RING, World};
use crate::sys::fd_passing::Waits;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockname, listen, socket, socketpair,
};
use nix::unistd::pipe;
use relay_common::journal::LAYOUT;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

struct Stage {
    world: World,
    lane: Lane,
    desk: Desk,
    control: OwnedFd,
    address: UnixAddr,
    now: u64,
}

impl Stage {
    fn new() -> Self {
        let world = World::new(0);
        let lane = world.start_lane();
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (control, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        let door = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        // A name that the kernel chooses.
        bind(door.as_raw_fd(), &UnixAddr::new_unnamed()).unwrap();
        // Room for more than are let in at once.
        listen(&door, Backlog::new(64).unwrap()).unwrap();
        let address = getsockname(door.as_raw_fd()).unwrap();
        let part = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let outfit = Outfit {
            frames: part(),
            ledger: part(),
            table: part(),
            counters: part(),
            doorbell: part(),
            door,
            tap: part(),
        };
        let start = said::Start { ring_size: RING, ..said::Start::default() };
        let start = Message { number: 3, ..Message::of(kind::START).saying(start) };
        let uid = nix::unistd::geteuid().as_raw();
        Self { world, lane, desk: Desk::new(theirs, uid, start, outfit, 0), control, address, now: 0 }
    }

    fn look(&mut self) -> bool {
        self.desk.look(&mut self.lane, self.now)
    }

    fn say(&self, kind: u32) {
        handoff::send(self.control.as_fd(), &Message::of(kind), &[], Waits::No).unwrap();
    }

    fn hear(&self) -> Message {
        receive(self.control.as_fd(), Waits::No).unwrap().unwrap().0
    }

    fn come_in(&self) -> OwnedFd {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let guest = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        connect(guest.as_raw_fd(), &self.address).unwrap();
        guest
    }

    /// Asks as control; what is answered.
    fn ask(&mut self, message: Message, descriptors: &[&OwnedFd]) -> Message {
        let fds: Vec<_> = descriptors.iter().map(|descriptor| descriptor.as_raw_fd()).collect();
        handoff::send(self.control.as_fd(), &Message { serial: 7, ..message }, &fds, Waits::No).unwrap();
        assert!(!self.look());
        let (answer, _) = receive(self.control.as_fd(), Waits::No).unwrap().unwrap();
        assert_eq!(answer.serial, 7);
        answer
    }

    /// Everything that whoever is there is shown.
    fn show(&mut self, socket: &OwnedFd) -> Vec<(Message, Vec<OwnedFd>)> {
        handoff::send(socket.as_fd(), &Message { serial: 9, ..Message::of(kind::SHOW) }, &[], Waits::No).unwrap();
        let mut shown = Vec::new();
        for _ in 0..10_000 {
            self.look();
            match receive(socket.as_fd(), Waits::No) {
                Ok(heard) => shown.push(heard.expect("shown out")),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            if shown.last().is_some_and(|(message, _)| message.kind == kind::DONE) {
                assert!(shown.iter().all(|(message, _)| message.serial == 9));
                return shown;
            }
        }
        panic!("it is not shown to the end");
    }
}

fn is_shown_out(socket: &OwnedFd) -> bool {
    match receive(socket.as_fd(), Waits::No) {
        Ok(None) => true,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => true,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_held_is_shown_and_what_is_forgotten_is_closed() {
    let mut stage = Stage::new();
    // More than a socket's buffer takes at once.
    let (ours, theirs): (Vec<_>, Vec<_>) = (0..400).map(|_| pipe().unwrap()).unzip();
    for (tag, descriptor) in (0..).zip(&theirs) {
        let note = format!("pipe {tag}");
        assert_eq!(stage.ask(Message::hold(tag, note.as_bytes()), &[descriptor]).kind, kind::DONE);
    }
    drop(theirs);
    let (read, write) = pipe().unwrap();
    assert_eq!(stage.ask(Message::hold(8, b"another"), &[&write]).kind, kind::DONE);
    drop(write);
    assert_eq!(stage.ask(Message { tag: 9, ..Message::of(kind::FORGET) }, &[]).kind, kind::DONE);
    assert_eq!(stage.ask(Message { tag: 1 << 40, ..Message::of(kind::FORGET) }, &[]).kind, kind::DONE);
    let control = stage.control.try_clone().unwrap();
    let shown = stage.show(&control);
    let kinds: Vec<u32> = shown.iter().map(|(message, _)| message.kind).collect();
    assert_eq!(kinds[..5], [kind::SHOWN, kind::START, kind::TAKE, kind::TAKE, kind::TAKE]);
    let first = &shown[0].0;
    let said::Shown { pid, layout, sockets, held, .. } = first.says();
    assert_eq!((first.number, pid, layout, sockets, held), (3, std::process::id(), LAYOUT, 3, 399));
    assert_eq!((shown[1].1.len(), shown[1].0.says::<said::Start>().ring_size), (handoff::OUTFIT, RING));
    let held = &shown[5..shown.len() - 1];
    assert_eq!(held.len(), 399);
    assert!(held.iter().all(|(message, fds)| fds.len() == 1 && message.tag != 9));
    assert_eq!(held[8].0.note(), b"another");
    // Whoever reads a pipe sees its end when nobody holds it.
    drop(shown);
    let closed = |end: &OwnedFd| {
        let mut fds = [nix::poll::PollFd::new(end.as_fd(), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut fds, 0_u8).unwrap() > 0
    };
    let ends: Vec<usize> = (0..400).filter(|place| closed(&ours[*place])).collect();
    assert_eq!(ends, [8, 9], "replaced and forgotten");
    assert!(!closed(&read));
}

#[test]
fn what_cannot_be_done_is_refused_with_its_reason() {
    let mut stage = Stage::new();
    let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let refused = |answer: Message| (answer.kind == kind::REFUSED).then(|| Refusal::of(&answer));
    assert_eq!(refused(stage.ask(Message::hold(1, b""), &[])), Some(Refusal::NoDescriptor));
    assert_eq!(refused(stage.ask(Message::hold(1, b""), &[&file, &file])), Some(Refusal::NoDescriptor));
    let take = Message { number: 9, ..Message::of(kind::TAKE) };
    let reason = refused(stage.ask(take, &[&file]));
    assert_eq!(reason, Some(Refusal::Unmappable(nix::errno::Errno::ENOTSOCK)));
    assert_eq!(refused(stage.ask(take, &[])), Some(Refusal::NoDescriptor));
    for kind in [kind::TAKE, kind::DROP, kind::RECLAIM] {
        for number in [128, u32::MAX] {
            let reason = refused(stage.ask(Message { number, ..Message::of(kind) }, &[&file]));
            assert_eq!(reason, Some(Refusal::NoSuchNumber));
        }
    }
    assert_eq!(refused(stage.ask(Message::of(kind::RECLAIM), &[])), Some(Refusal::Occupied));
    assert_eq!(stage.ask(Message { number: 77, ..Message::of(kind::DROP) }, &[]).kind, kind::DONE);
    assert_eq!(stage.ask(Message::of(kind::GO), &[]).kind, kind::UNKNOWN);
    assert_eq!(stage.ask(Message { protocol: 99, ..Message::of(kind::DROP) }, &[]).kind, kind::UNKNOWN);
    assert_eq!(stage.lane.ports.iter().count(), 3, "another version's wish was carried out");
    assert_eq!(stage.ask(Message { protocol: 99, ..Message::hold(5, b"") }, &[&file]).kind, kind::DONE);
    let dropped = stage.ask(Message { number: 1, ..Message::of(kind::DROP) }, &[]);
    assert_eq!((dropped.kind, stage.lane.ports.iter().count()), (kind::DONE, 2));
    let reclaimed = stage.ask(Message { number: 1, ..Message::of(kind::RECLAIM) }, &[]);
    assert_eq!((reclaimed.kind, reclaimed.says::<said::Done>().number), (kind::DONE, RING));
}

#[test]
fn a_dead_controls_successor_comes_in_and_others_find_it_busy() {
    let mut stage = Stage::new();
    let early = stage.come_in();
    stage.look();
    let (told, _) = receive(early.as_fd(), Waits::No).unwrap().unwrap();
    assert_eq!(told.kind, kind::BUSY);
    assert!(is_shown_out(&early));
    // It dies with its last words unread: what it asked for is done, and the door is open at once.
    let last = Message { tag: 4, ..Message::of(kind::FORGET) };
    handoff::send(stage.control.as_fd(), &last, &[], Waits::No).unwrap();
    let (gone, _) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    stage.control = gone;
    let next = stage.come_in();
    assert_eq!(stage.show(&next).len(), 6);
    assert!(!stage.desk.is_showing());
    // From now on it is control like the first.
    stage.control = next;
    stage.now += 100 * PATIENCE_NS;
    assert_eq!(stage.ask(last, &[]).kind, kind::DONE);
    let late = stage.come_in();
    stage.look();
    assert_eq!(receive(late.as_fd(), Waits::No).unwrap().unwrap().0.kind, kind::BUSY);
    handoff::send(stage.control.as_fd(), &Message::of(kind::STOP_AT_EDGE), &[], Waits::No).unwrap();
    assert!(stage.look(), "it does not end");
    assert_eq!(receive(stage.control.as_fd(), Waits::No).unwrap().unwrap().0.kind, kind::DONE);
}

#[test]
fn a_conversation_is_quick_and_silence_costs_little() {
    let mut stage = Stage::new();
    stage.now = 10 * CONVERSATION_NS;
    stage.look();
    assert!(!stage.desk.is_due(stage.now + LOOK_NS - 1) && stage.desk.is_due(stage.now + LOOK_NS));
    stage.ask(Message::of(kind::FORGET), &[]);
    assert!(stage.desk.is_due(stage.now + LOOK_AGAIN_NS), "a hundred questions take a second");
    stage.now += CONVERSATION_NS;
    stage.look();
    assert!(!stage.desk.is_due(stage.now + LOOK_NS - 1));
}

#[test]
fn a_lane_that_pauses_goes_on_when_it_is_told_to() {
    let mut stage = Stage::new();
    let turn = stage.lane.log.turn();
    stage.say(kind::PAUSE);
    stage.say(kind::DROP);
    stage.say(kind::RESUME);
    assert!(!stage.look(), "it ends");
    let paused = stage.hear();
    assert_eq!((paused.kind, paused.says::<said::Done>().number), (kind::DONE, turn));
    assert_eq!([stage.hear().kind, stage.hear().kind], [kind::UNKNOWN, kind::DONE], "nothing else is done meanwhile");
    assert_ne!(stage.lane.log.turn(), turn, "whoever was to follow finds its turn gone");
    assert_eq!(stage.ask(Message::of(kind::FORGET), &[]).kind, kind::DONE);
}

#[test]
fn a_lane_that_pauses_goes_on_when_control_dies_or_says_nothing_more() {
    let mut stage = Stage::new();
    stage.say(kind::PAUSE);
    assert!(!stage.look(), "it ends");
    assert_eq!(stage.hear().kind, kind::DONE);
    stage.say(kind::PAUSE);
    let (gone, _) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    stage.control = gone;
    assert!(!stage.look(), "it ends");
    let next = stage.come_in();
    assert_eq!(stage.show(&next).len(), 6, "the next control is let in");
}

#[test]
fn a_lane_whose_place_was_taken_ends() {
    for resumes in [true, false] {
        let mut stage = Stage::new();
        let next = stage.world.start_lane();
        assert_ne!(next.log.turn(), stage.lane.log.turn());
        stage.say(kind::PAUSE);
        if resumes {
            stage.say(kind::RESUME);
        } else {
            let (gone, _) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
            stage.control = gone;
        }
        assert!(stage.look(), "two would relay");
    }
}

#[test]
fn a_lane_that_is_alone_ends_with_the_unit() {
    for control_goes_first in [true, false] {
        let mut stage = Stage::new();
        let (ours, systemds) = pipe().unwrap();
        assert_eq!(stage.ask(Message::hold(handoff::UNIT, b"unit"), &[&ours]).kind, kind::DONE);
        let n_descriptors = |stage: &Stage| stage.desk.descriptors(stage.now).count();
        assert_eq!(n_descriptors(&stage), 2);
        let control = std::mem::replace(&mut stage.control, ours);
        if control_goes_first {
            drop(control);
            assert!(!stage.look(), "the unit is to be started again");
            // It wakes a lane that sleeps.
            assert_eq!(n_descriptors(&stage), 2);
            drop(systemds);
        } else {
            drop(systemds);
            assert!(!stage.look(), "control is there to say what is to be done");
            drop(control);
        }
        assert!(stage.look());
    }
}

#[test]
fn whoever_looks_is_told_since_when_no_control_is_in_charge() {
    let mut stage = Stage::new();
    let memo: [OwnedFd; 2] = pipe().unwrap().into();
    for (tag, copy) in MEMO.into_iter().zip(&memo) {
        assert_eq!(stage.ask(Message::hold(tag, b"memo"), &[copy]).kind, kind::DONE);
    }
    let look = |stage: &mut Stage| -> (Message, Vec<OwnedFd>) {
        let guest = stage.come_in();
        handoff::send(guest.as_fd(), &Message { serial: 5, ..Message::of(kind::LOOK) }, &[], Waits::No).ok();
        stage.look();
        // One that is shown out with its question unread is told of that first.
        let heard = receive(guest.as_fd(), Waits::No).or_else(|_| receive(guest.as_fd(), Waits::No));
        assert!(is_shown_out(&guest), "it stays");
        heard.unwrap().unwrap()
    };
    let (busy, _) = look(&mut stage);
    assert_eq!((busy.kind, busy.tag), (kind::BUSY, 0), "a control is in charge");
    stage.control = pipe().unwrap().0;
    stage.now = 5_000;
    stage.look();
    for now in [7_000, 8_000] {
        stage.now = now;
        let (looked, descriptors) = look(&mut stage);
        assert_eq!((looked.kind, looked.serial, looked.number, looked.tag), (kind::LOOKED, 5, 3, 5_000));
        assert_eq!(descriptors.len(), 2);
    }
    // One that asks what is here and dies was never in charge.
    let next = stage.come_in();
    stage.show(&next);
    assert_eq!((look(&mut stage).0.kind, look(&mut stage).0.tag), (kind::BUSY, 5_000));
    drop(next);
    stage.look();
    assert_eq!(look(&mut stage).0.tag, 5_000);
    stage.control = stage.come_in();
    let control = stage.control.try_clone().unwrap();
    stage.show(&control);
    assert_eq!(stage.ask(Message { tag: 77, ..Message::of(kind::FORGET) }, &[]).kind, kind::DONE);
    assert_eq!(look(&mut stage).0.tag, 0);
    (stage.control, stage.now) = (pipe().unwrap().0, 9_000);
    drop(control);
    stage.look();
    assert_eq!(look(&mut stage).0.tag, 9_000);
}

#[test]
fn a_control_that_comes_while_somebody_looks_is_let_in() {
    let mut stage = Stage::new();
    stage.control = pipe().unwrap().0;
    stage.look();
    let looker = stage.come_in();
    stage.look();
    let next = stage.come_in();
    stage.look();
    handoff::send(looker.as_fd(), &Message::of(kind::LOOK), &[], Waits::No).unwrap();
    stage.look();
    assert_eq!(receive(looker.as_fd(), Waits::No).unwrap().unwrap().0.kind, kind::LOOKED);
    assert_eq!(stage.show(&next).len(), 6, "it believes that another control is there");
}

mod door; // who comes in, and who does not
