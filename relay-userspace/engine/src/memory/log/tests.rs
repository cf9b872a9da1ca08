//! A commit that is cut short and repeated is the whole commit.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use super::{Died, Log};
use crate::memory::{Mapping, PAGE, create, whole_pages};
use proptest::prelude::*;
use relay_common::journal::{COMMITTED, LAYOUT};
use relay_common::rewrite::NewHeader;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

const FRAMES: u32 = 32;
const FRAME: usize = 256;
const RINGS: u32 = 12;

/// Everything a commit stores to, and the journal: what outlives a lane.
struct Memory {
    journal: OwnedFd,
    ledger: Mapping,
    area: Mapping,
    rings: Vec<AtomicU32>,
}

/// All that can be seen of it afterwards.
type Seen = (Vec<u32>, Vec<u8>, Vec<u32>);

impl Memory {
    fn new() -> Self {
        let mut area = Mapping::anonymous(FRAMES as usize * FRAME).unwrap();
        area.bytes_mut(0, FRAMES as usize * FRAME).fill(0xa5);
        Self {
            journal: create(c"journal", Log::BYTES).unwrap(),
            ledger: Mapping::anonymous(whole_pages(FRAMES as usize * 4)).unwrap(),
            area,
            rings: (0..RINGS).map(|_| AtomicU32::new(77)).collect(),
        }
    }

    fn log(&self) -> Log {
        Log::open(Mapping::shared(&self.journal, Log::BYTES).unwrap()).unwrap()
    }

    /// Commits, or dies at a point; says whether it died.
    fn commit(&mut self, batch: &Batch, death: Option<u64>) -> bool {
        let mut log = self.log();
        batch.write_down(&mut log);
        log.die_after(death);
        let Self { ledger, area, rings, .. } = self;
        dies(|| log.commit(ledger, area, |ring, to| rings[ring as usize].store(to, Relaxed)))
    }

    /// Takes up after a lane that died, and may die as well.
    fn redo(&mut self, death: Option<u64>) -> bool {
        let mut log = self.log();
        log.die_after(death);
        let Self { ledger, area, rings, .. } = self;
        log.was_interrupted() && dies(|| log.redo(ledger, area, |ring, to| rings[ring as usize].store(to, Relaxed)))
    }

    fn seen(&self) -> Seen {
        let words = self.ledger.words32(0, FRAMES as usize).iter().map(|word| word.load(Relaxed)).collect();
        let bytes = self.area.bytes(0, FRAMES as usize * FRAME).to_vec();
        (words, bytes, self.rings.iter().map(|ring| ring.load(Relaxed)).collect())
    }
}

fn dies(work: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => false,
        Err(panic) => panic.is::<Died>() || std::panic::resume_unwind(panic),
    }
}

#[derive(Clone, Debug)]
struct Batch {
    words: Vec<(u32, u32)>,
    headers: Vec<(u32, u8, u16)>,
    rings: Vec<(u32, u32)>,
}

impl Batch {
    fn write_down(&self, log: &mut Log) {
        self.words.iter().for_each(|&(frame, owner)| log.word(frame, owner));
        for &(frame, byte, len) in &self.headers {
            let place = log.header();
            place.at = u64::from(frame) * FRAME as u64 + 7;
            place.header = NewHeader { bytes: [byte; _], len };
        }
        self.rings.iter().for_each(|&(ring, to)| log.ring(ring, to));
    }

    /// A copy of half a header, as a lane that is killed in it leaves one.
    fn tear_headers(&self, memory: &mut Memory) {
        for &(frame, byte, len) in &self.headers {
            memory.area.bytes_mut(frame as usize * FRAME + 7, usize::from(len / 2)).fill(byte);
        }
    }
}

fn batch() -> impl Strategy<Value = Batch> {
    (
        // The same frame may stand there twice: two of its rings are completed in one commit.
        prop::collection::vec((0..FRAMES, any::<u32>()), 0..20),
        prop::collection::btree_map(0..FRAMES, (any::<u8>(), 42..128_u16), 0..8),
        prop::collection::vec((0..RINGS, any::<u32>()), 0..8),
    )
        .prop_map(|(words, headers, rings)| {
            let headers = headers.into_iter().map(|(frame, (byte, len))| (frame, byte, len)).collect();
            Batch { words, headers, rings }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_commit_that_is_cut_off_anywhere_happens_wholly_or_not_at_all(batch in batch()) {
        let untouched = Memory::new().seen();
        let mut whole = Memory::new();
        prop_assert!(!whole.commit(&batch, None));
        let whole = whole.seen();
        for point in 0.. {
            let mut memory = Memory::new();
            if !memory.commit(&batch, Some(point)) {
                // As many points as there are stores, and before, after and behind the seal.
                prop_assert_eq!(point as usize, batch.words.len() + batch.headers.len() + batch.rings.len() + 3);
                break;
            }
            let is_sealed = memory.log().was_interrupted();
            prop_assert_eq!(is_sealed, point > 0);
            if is_sealed {
                batch.tear_headers(&mut memory);
            }
            // The successor dies at the same store.
            memory.redo(Some(point));
            memory.redo(None);
            prop_assert!(!memory.log().was_interrupted());
            prop_assert_eq!(&memory.seen(), if is_sealed { &whole } else { &untouched });
        }
    }

    #[test]
    fn what_a_dead_lane_only_wrote_down_is_forgotten(dead in batch(), next in batch()) {
        let mut expected = Memory::new();
        expected.commit(&next, None);
        let mut memory = Memory::new();
        dead.write_down(&mut memory.log());
        memory.redo(None);
        memory.commit(&next, None);
        prop_assert_eq!(memory.seen(), expected.seen());
    }
}

#[test]
fn fresh_memory_gets_this_layout_and_another_layout_is_refused() {
    let journal = create(c"journal", Log::BYTES).unwrap();
    let map = || Mapping::shared(&journal, Log::BYTES).unwrap();
    assert!(!Log::open(map()).unwrap().was_interrupted());
    let layout = &map();
    assert_eq!(layout.words32(4, 1)[0].load(Relaxed), LAYOUT);
    layout.words32(4, 1)[0].store(LAYOUT + 1, Relaxed);
    assert!(Log::open(map()).unwrap_err().to_string().contains(&format!("layout {}", LAYOUT + 1)));
}

#[test]
fn an_interrupted_journal_is_told_by_its_first_word() {
    let journal = create(c"journal", Log::BYTES).unwrap();
    let map = || Mapping::shared(&journal, Log::BYTES).unwrap();
    map().words32(0, 1)[0].store(COMMITTED, Relaxed);
    assert!(Log::open(map()).unwrap().was_interrupted());
}

#[test]
fn a_header_that_was_forgotten_is_not_stored() {
    let mut memory = Memory::new();
    let untouched = memory.seen();
    let mut log = memory.log();
    log.header().header = NewHeader { bytes: [1; _], len: 50 };
    log.forget_header();
    log.commit(&memory.ledger, &mut memory.area, |_, _| {});
    assert_eq!(memory.seen(), untouched);
}

const _: () = assert!(Log::BYTES.is_multiple_of(PAGE));

#[test]
fn of_two_that_go_on_from_the_same_turn_one_does() {
    let memory = crate::memory::create(c"ledger", Log::BYTES).unwrap();
    let open = || Log::open(Mapping::shared(&memory, Log::BYTES).unwrap()).unwrap();
    let (mut first, mut second, mut third) = (open(), open(), open());
    assert!(first.take_turn(None));
    let turn = first.turn();
    assert!(second.take_turn(Some(turn)));
    assert!(!third.take_turn(Some(turn)) && !first.take_turn(Some(turn)));
    assert_eq!((first.turn(), second.turn()), (turn, turn.wrapping_add(1)));
    // A dead one is followed whoever it was.
    assert!(third.take_turn(None));
    assert_eq!(third.turn(), second.turn().wrapping_add(1));
}
