//! No frame is ever in two places, and none is believed that was not given.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use super::{BROUGHT_AT_ONCE, Census, Frame, Frames};
use crate::memory::{Mapping, PAGE, create, log::Log, whole_pages};
use proptest::prelude::*;
use relay_common::journal::MAX_SOCKETS;
use relay_common::owner::Owner;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering::Relaxed;

const N: usize = 24;
const SIZE: u32 = 2048;
const SOCKETS: u16 = 3;

/// What outlives a lane: frames, owner words, journal.
struct Memory {
    area: OwnedFd,
    ledger: OwnedFd,
    journal: OwnedFd,
}

impl Memory {
    fn new() -> Self {
        Self {
            area: create(c"area", N * SIZE as usize).unwrap(),
            ledger: create(c"ledger", whole_pages(N * 4)).unwrap(),
            journal: create(c"journal", Log::BYTES).unwrap(),
        }
    }

    fn words(&self) -> Mapping {
        Mapping::shared(&self.ledger, whole_pages(N * 4)).unwrap()
    }

    fn owners(&self) -> Vec<u32> {
        self.words().words32(0, N).iter().map(|word| word.load(Relaxed)).collect()
    }

    fn take_stock(&self) -> (Frames, usize) {
        let area = Mapping::shared(&self.area, N * SIZE as usize).unwrap();
        Frames::take_stock(area, self.words(), SIZE)
    }

    fn log(&self) -> Log {
        Log::open(Mapping::shared(&self.journal, Log::BYTES).unwrap()).unwrap()
    }
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Fill(u16, usize),
    Receive(usize, u16),
    Reserve,
    Send(usize, u8),
    Release(usize),
    Complete(usize),
    Commit,
    /// The lane dies and another takes up: what was not committed has not happened.
    Die,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0..SOCKETS, 0..4_usize).prop_map(|(socket, most)| Operation::Fill(socket, most)),
        4 => (0..N, 0..SOCKETS).prop_map(|(frame, socket)| Operation::Receive(frame, socket)),
        2 => Just(Operation::Reserve),
        4 => (0..N, 1..4_u8).prop_map(|(nth, rings)| Operation::Send(nth, rings)),
        1 => (0..N).prop_map(Operation::Release),
        4 => (0..N).prop_map(Operation::Complete),
        2 => Just(Operation::Commit),
        1 => Just(Operation::Die),
    ]
}

/// What a lane believes, and what is committed.
struct Oracle {
    now: [Option<Owner>; N],
    /// Free, but only from the next commit on.
    freed: [bool; N],
    /// Completed since the last commit: only a fill ring may have it before the next one.
    spent: [bool; N],
    /// What the next commit stores.
    written_down: [Option<Owner>; N],
    committed: [Owner; N],
}

impl Oracle {
    const fn new() -> Self {
        let (freed, spent, written_down) = ([false; N], [false; N], [None; N]);
        Self { now: [Some(Owner::Free); N], freed, spent, written_down, committed: [Owner::Free; N] }
    }

    const fn set(&mut self, frame: usize, owner: Owner) {
        self.now[frame] = Some(owner);
        self.written_down[frame] = Some(owner);
    }

    fn commit(&mut self) {
        // The word of a frame whose token is alive stays what it was: a successor starts from there.
        for (written, committed) in self.written_down.iter_mut().zip(&mut self.committed) {
            *committed = written.take().unwrap_or(*committed);
        }
        (self.freed, self.spent) = ([false; N], [false; N]);
    }

    fn die(&mut self) {
        self.now = self.committed.map(Some);
        (self.freed, self.spent, self.written_down) = ([false; N], [false; N], [None; N]);
    }

    fn count(&self, owner: Owner) -> usize {
        self.now.iter().filter(|now| **now == Some(owner)).count()
    }

    fn census(&self) -> Census {
        let count = |is: fn(&Owner) -> bool| self.committed.iter().filter(|owner| is(owner)).count() as u64;
        Census {
            free: count(|owner| matches!(owner, Owner::Free)),
            fill: count(|owner| matches!(owner, Owner::Fill { .. })),
            transmit: count(|owner| matches!(owner, Owner::Transmit { .. })),
            lost: 0,
        }
    }

    fn usable(&self) -> usize {
        self.count(Owner::Free) - self.freed.iter().filter(|freed| **freed).count() - self.n_spent()
    }

    fn n_spent(&self) -> usize {
        self.spent.iter().filter(|spent| **spent).count()
    }
}

fn at(frame: usize) -> u64 {
    frame as u64 * u64::from(SIZE)
}

fn fill(
    (socket, most): (u16, usize),
    frames: &mut Frames,
    log: &mut Log,
    oracle: &mut Oracle,
) -> Result<(), TestCaseError> {
    let mut given = Vec::new();
    frames.fill_each(socket, most, log, |at| given.push((at / u64::from(SIZE)) as usize));
    prop_assert_eq!(given.len(), most.min(oracle.usable() + oracle.n_spent()));
    for frame in given {
        prop_assert_eq!(oracle.now[frame], Some(Owner::Free));
        prop_assert!(!oracle.freed[frame]);
        prop_assert!(oracle.spent[frame] || oracle.n_spent() == 0, "those that were just completed come first");
        oracle.spent[frame] = false;
        oracle.set(frame, Owner::Fill { socket });
    }
    Ok(())
}

fn run(memory: &Memory, operations: &[Operation]) -> Result<(), TestCaseError> {
    let (mut frames, mut log) = (memory.take_stock().0, memory.log());
    let mut held: Vec<Frame> = Vec::new();
    let mut oracle = Oracle::new();
    for &operation in operations {
        match operation {
            Operation::Fill(socket, most) => fill((socket, most), &mut frames, &mut log, &mut oracle)?,
            Operation::Receive(frame, socket) => {
                let token = frames.receive(socket, at(frame) + 256, 1000);
                prop_assert_eq!(token.is_some(), oracle.now[frame] == Some(Owner::Fill { socket }));
                if let Some((token, offset)) = token {
                    prop_assert_eq!((token.number() as usize, offset), (frame, 256));
                    oracle.now[frame] = None;
                    held.push(token);
                }
            }
            Operation::Reserve => {
                let token = frames.reserve();
                prop_assert_eq!(token.is_some(), oracle.usable() > 0);
                if let Some(token) = token {
                    let frame = token.number() as usize;
                    prop_assert_eq!(oracle.now[frame].take(), Some(Owner::Free));
                    prop_assert!(!oracle.freed[frame] && !oracle.spent[frame]);
                    held.push(token);
                }
            }
            Operation::Send(nth, rings) if nth < held.len() => {
                let token = held.swap_remove(nth);
                oracle.set(token.number() as usize, Owner::Transmit { rings });
                frames.send(token, rings, &mut log);
            }
            Operation::Release(nth) if nth < held.len() => {
                let token = held.swap_remove(nth);
                oracle.set(token.number() as usize, Owner::Free);
                oracle.freed[token.number() as usize] = true;
                frames.release(token, &mut log);
            }
            Operation::Send(..) | Operation::Release(_) => {}
            Operation::Complete(frame) => {
                let after = oracle.now[frame].and_then(completed);
                prop_assert_eq!(frames.complete(at(frame) + 300, &mut log), after.is_some());
                if let Some(after) = after {
                    oracle.set(frame, after);
                    oracle.spent[frame] = after == Owner::Free;
                }
            }
            Operation::Commit => {
                frames.commit(&mut log, |_, _| {});
                oracle.commit();
            }
            Operation::Die => {
                held.clear();
                let (successor, lost) = memory.take_stock();
                prop_assert_eq!(lost, 0);
                (frames, log) = (successor, memory.log());
                oracle.die();
            }
        }
        agree(memory, &frames, &oracle)?;
    }
    Ok(())
}

/// Whose a frame is after one completion; nobody's business unless it is being transmitted.
fn completed(owner: Owner) -> Option<Owner> {
    match owner {
        Owner::Transmit { rings: 1 } => Some(Owner::Free),
        Owner::Transmit { rings } => Some(Owner::Transmit { rings: rings - 1 }),
        _ => None,
    }
}

fn agree(memory: &Memory, frames: &Frames, oracle: &Oracle) -> Result<(), TestCaseError> {
    prop_assert_eq!(memory.owners(), oracle.committed.map(Owner::word));
    prop_assert_eq!(Census::of(memory.words().words32(0, N)), oracle.census());
    prop_assert_eq!(frames.n_free(), oracle.usable());
    for socket in 0..SOCKETS {
        prop_assert_eq!(frames.n_filled(socket) as usize, oracle.count(Owner::Fill { socket }));
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_frame_is_in_one_place_and_a_successor_knows_which(operations in prop::collection::vec(operation(), 1..150)) {
        run(&Memory::new(), &operations)?;
    }

    #[test]
    fn no_word_and_no_descriptor_gives_a_frame_that_is_not_there(
        words in prop::collection::vec(prop_oneof![any::<u32>(), 0..4_u32, Just(1 | 2 << 16), Just(2 | 1 << 8)], N),
        descriptors in prop::collection::vec((any::<u16>(), 0..at(N + 2), any::<u32>()), 20),
    ) {
        let memory = Memory::new();
        memory.words().words32(0, N).iter().zip(&words).for_each(|(place, word)| place.store(*word, Relaxed));
        let (mut frames, lost) = memory.take_stock();
        let known = |word: &u32| match Owner::from_word(*word) {
            Some(Owner::Fill { socket }) => usize::from(socket) < MAX_SOCKETS,
            owner => owner.is_some(),
        };
        prop_assert_eq!(lost, words.iter().filter(|word| !known(word)).count());
        prop_assert_eq!(frames.n_free(), words.iter().filter(|word| **word == 0).count());
        for (socket, at, len) in descriptors {
            let (frame, offset) = ((at / u64::from(SIZE)) as usize, at % u64::from(SIZE));
            let given = usize::from(socket) < MAX_SOCKETS && words.get(frame) == Some(&Owner::Fill { socket }.word());
            let fits = offset + u64::from(len) <= u64::from(SIZE);
            if let Some((token, _)) = frames.receive(socket, at, len) {
                prop_assert!(given && fits);
                prop_assert_eq!(token.number() as usize, frame);
            }
        }
    }
}

/// One frame given to the fill ring of socket 1, and committed.
fn one_given() -> (Frames, Log, u64) {
    let memory = Memory::new();
    let (mut frames, mut log) = (memory.take_stock().0, memory.log());
    let mut given = None;
    frames.fill_each(1, 1, &mut log, |at| given = Some(at));
    let given = given.unwrap();
    frames.commit(&mut log, |_, _| {});
    (frames, log, given)
}

#[test]
fn a_descriptor_is_good_for_one_frame_once() {
    let (mut frames, _, given) = one_given();
    assert!(frames.receive(1, given + 256, 1792).is_some());
    assert!(frames.receive(1, given + 256, 1792).is_none(), "claimed twice");
}

#[test]
fn descriptors_that_make_no_sense_are_refused() {
    let (mut frames, mut log, given) = one_given();
    assert!(frames.receive(0, given, 60).is_none(), "given to another socket");
    assert!(frames.receive(7, given, 60).is_none(), "no such socket");
    assert!(frames.receive(1, given + 256, 1793).is_none(), "crosses into the next frame");
    assert!(frames.receive(1, given + 1, u32::MAX).is_none(), "longer than any frame");
    assert!(frames.receive(1, at(N), 60).is_none(), "behind the area");
    assert!(frames.receive(1, u64::MAX, 60).is_none(), "far behind the area");
    let other = if given == 0 { at(1) } else { 0 };
    assert!(frames.receive(1, other, 60).is_none(), "never given");
    assert!(!frames.complete(given, &mut log), "not being sent");
    assert!(!frames.complete(at(N), &mut log), "behind the area");
    assert!(!frames.complete(u64::MAX, &mut log), "far behind the area");
    assert_eq!(frames.n_filled(1), 1);
    assert!(frames.receive(1, given, 2048).is_some(), "the right one is still good");
}

#[test]
fn a_frame_comes_home_after_its_last_ring() {
    let (mut frames, mut log, given) = one_given();
    let (frame, _) = frames.receive(1, given, 60).unwrap();
    frames.send(frame, 3, &mut log);
    frames.commit(&mut log, |_, _| {});
    assert!((0..3).all(|_| frames.complete(given, &mut log)));
    assert!(!frames.complete(given, &mut log), "a fourth ring");
    assert_eq!(frames.n_free(), N - 1, "its bytes may still be needed");
    frames.commit(&mut log, |_, _| {});
    assert_eq!(frames.n_free(), N);
}

/// Pages of it that this process has mapped, as the kernel says.
fn pages_there(mapping: &Mapping) -> usize {
    let mut entries = vec![0; mapping.len() / PAGE * 8];
    let first = mapping.start().as_ptr() as usize / PAGE * 8;
    File::open("/proc/self/pagemap").unwrap().read_exact_at(&mut entries, first as u64).unwrap();
    entries.chunks(8).filter(|entry| entry[7] & 0x80 != 0).count()
}

/// Whoever follows a dead lane begins at once, and has all pages of its frames a little later.
#[test]
fn pages_of_frames_come_in_pieces() {
    const PIECES: usize = 3;
    let len = PIECES * BROUGHT_AT_ONCE - PAGE;
    let (fd, n) = (create(c"area", len).unwrap(), len / SIZE as usize);
    let area = Mapping::shared_bare(&fd, len).unwrap();
    assert_eq!(pages_there(&area), 0);
    let words = Mapping::anonymous(whole_pages(n * 4)).unwrap();
    let (mut frames, _) = Frames::take_stock(area, words, SIZE);
    assert!((0..PIECES).all(|_| frames.bring_some()));
    assert_eq!(pages_there(&frames.area), len / PAGE);
    assert!(!frames.bring_some(), "there are no more");
}
