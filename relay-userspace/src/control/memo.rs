//! The memo: what control writes down for a successor that it will not meet. It lies in memory that the lanes hold, in
//! two copies that take turns, so that a death in mid-writing leaves the one before. A lane cannot write it.

mod known; // what tells how the node is while control is away

pub use known::{At, Definition, Known, KnownRelay};

use super::view::Origin;
use crate::config::{parse_relay, relay_to_json};
use crate::memory;
use nix::sys::uio::{pread, pwrite};
use relay_common::abi::MAX_LINKS;
use relay_common::plan::Relay;
use relay_common::table::{Placement, Table};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a successor must know that it cannot find in the kernel, in the lanes or on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memo {
    /// The version of the mcr that wrote this.
    pub version: String,
    /// The eBPF object that is loaded, as a hash.
    pub object: String,
    /// Where its parts are held: one of [`tag::PROGRAM`](super::vault::tag::PROGRAM).
    #[serde(default)]
    pub program_place: usize,
    /// The binary that the lanes run, as a hash.
    pub binary: String,
    /// The table's generation.
    pub generation: u64,
    /// The relays with their numbers.
    pub relays: Vec<RelayMemo>,
    /// The input links with their numbers in the socket map.
    pub inputs: BTreeMap<String, u32>,
    /// The output links with their transmit numbers.
    pub outputs: BTreeMap<String, u16>,
    /// The links with the lane that has their queue 0.
    #[serde(default)]
    pub first_lanes: BTreeMap<String, u32>,
    /// How often each lane was started again.
    pub restarts: Vec<u64>,
    /// What each lane is started with: the numbers of its start message.
    pub starts: Vec<[u32; 8]>,
    /// The pipes that lanes write to, by inode and in the order of the lanes.
    #[serde(default)]
    pub pipes: Vec<u64>,
    /// The users that lanes are, by number.
    #[serde(default)]
    pub lane_users: BTreeSet<u32>,
}

/// A relay and its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RelayMemo {
    /// Its slot.
    pub slot: u32,
    /// The counters of its outputs, in the order of its definition.
    pub counters: Vec<u32>,
    /// Whether it came through the API.
    pub of_api: bool,
    /// The relay in the file's own form.
    pub definition: serde_json::Value,
    /// Whether its input cannot take in; for whoever wants to know how the node is while control is away.
    #[serde(default)]
    pub dark: bool,
    /// The outputs that cannot send, by their numbers.
    #[serde(default)]
    pub waits: Vec<usize>,
}

impl Memo {
    /// What is to be remembered of a table.
    #[must_use]
    pub fn of(table: &Table, place: &Placement, origins: &BTreeMap<String, Origin>) -> Self {
        let one = |(slot, at): (u32, &relay_common::table::SlotRelay)| RelayMemo {
            slot,
            counters: at.outputs.iter().map(|output| output.counter).collect(),
            of_api: origins.get(&at.relay.name) == Some(&Origin::Api),
            definition: relay_to_json(&at.relay),
            dark: at.key.is_none(),
            waits: (0..).zip(&at.outputs).filter(|(_, output)| output.pending.is_some()).map(|(i, _)| i).collect(),
        };
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: table.generation,
            relays: table.slots().map(one).collect(),
            inputs: place.inputs().map(|(link, place)| (link.to_owned(), place.number)).collect(),
            outputs: place.outputs().map(|(link, number)| (link.to_owned(), number)).collect(),
            first_lanes: place.first_lanes().map(|(link, lane)| (link.to_owned(), lane)).collect(),
            ..Self::default()
        }
    }

    /// The table, as far as its numbers go. A relay that this version cannot read has lost its numbers, no more.
    #[must_use]
    pub fn table(&self, room: (u32, u32)) -> Table {
        let mut taken = BTreeSet::new();
        // Only control writes this; a number that cannot be, or that two have, would end in a lane all the same.
        let mut is_sound = |memo: &&RelayMemo| {
            memo.slot < room.0
                && memo.counters.iter().all(|counter| *counter < room.1 && taken.insert((false, *counter)))
                && taken.insert((true, memo.slot))
        };
        let sound = self.relays.iter().filter(|memo| is_sound(memo));
        let known = sound.filter_map(|memo| Some((memo.slot, memo.relay()?, memo.counters.clone())));
        Table::remembered(self.generation, room, known)
    }

    /// The numbers of the links, and their lanes.
    #[must_use]
    pub fn place(&self) -> Placement {
        let (mut inputs, mut outputs) = (BTreeSet::new(), BTreeSet::new());
        let is_sound = |numbers: &mut BTreeSet<u32>, number: u32| number < MAX_LINKS && numbers.insert(number);
        Placement::remembered(
            self.inputs.clone().into_iter().filter(|(_, number)| is_sound(&mut inputs, *number)),
            self.outputs.clone().into_iter().filter(|(_, number)| is_sound(&mut outputs, u32::from(*number))),
            self.first_lanes.clone(),
        )
    }

    /// The relays of the configuration file.
    #[must_use]
    pub fn of_file(&self) -> Vec<Relay> {
        self.relays.iter().filter(|memo| !memo.of_api).filter_map(RelayMemo::relay).collect()
    }

    /// The relays that came through the API.
    #[must_use]
    pub fn of_api(&self) -> Vec<Relay> {
        self.relays.iter().filter(|memo| memo.of_api).filter_map(RelayMemo::relay).collect()
    }
}

impl RelayMemo {
    fn relay(&self) -> Option<Relay> {
        let mut definition = self.definition.clone();
        // A relay of a range has a name that nobody may write.
        let name = definition.get("name")?.as_str()?.to_owned();
        definition["name"] = "x".into();
        let mut relay = parse_relay(&definition).ok()?.pop()?;
        relay.name = name;
        Some(relay)
    }
}

/// In front of a copy: its number, its length, and the hash of what follows.
const HEAD: usize = 8 + 8 + 32;

/// The two copies.
#[derive(Debug)]
pub struct Pages {
    copies: [OwnedFd; 2],
    /// The same, to be read: what is held by others.
    held: [OwnedFd; 2],
    /// The number of the newest whole copy; copy `n % 2` holds it.
    newest: u64,
}

impl Pages {
    /// Two empty copies.
    pub fn new() -> io::Result<Self> {
        let copies = [memory::create_resizable(c"mcr-memo")?, memory::create_resizable(c"mcr-memo")?];
        let held = [memory::read_only(&copies[0])?, memory::read_only(&copies[1])?];
        Ok(Self { copies, held, newest: 0 })
    }

    /// The copies that a predecessor left, and what stands in the newest whole one.
    ///
    /// # Errors
    /// When this user may not write them.
    pub fn taken_over(held: [OwnedFd; 2]) -> io::Result<(Self, Option<Memo>)> {
        let found = held.iter().filter_map(|copy| read(copy.as_fd())).max_by_key(|(number, _)| *number);
        let newest = found.as_ref().map_or(0, |(number, _)| *number);
        let copies = [memory::writable(&held[0])?, memory::writable(&held[1])?];
        Ok((Self { copies, held, newest }, found.and_then(|(_, bytes)| serde_json::from_slice(&bytes).ok())))
    }

    /// Writes a memo over the older copy.
    pub fn write(&mut self, memo: &Memo) -> io::Result<()> {
        let bytes = serde_json::to_vec(memo)?;
        let number = self.newest + 1;
        let copy = &self.copies[usize::from(number % 2 == 1)];
        nix::unistd::ftruncate(copy, i64::try_from(HEAD + bytes.len()).map_err(io::Error::other)?)?;
        write_all(copy.as_fd(), &bytes, HEAD as i64)?;
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&number.to_le_bytes());
        head[8..16].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        head[16..].copy_from_slice(&Sha256::digest(&bytes));
        write_all(copy.as_fd(), &head, 0)?;
        self.newest = number;
        Ok(())
    }

    /// The copies, to be held by others: they cannot write them.
    #[must_use]
    pub const fn held(&self) -> &[OwnedFd; 2] {
        &self.held
    }
}

fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8], mut at: i64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = pwrite(file, bytes, at)?;
        bytes = &bytes[n..];
        at += n as i64;
    }
    Ok(())
}

/// The number and the contents of a copy, if it is whole. The head is written last, and whoever dies between leaves one
/// whose hash does not fit.
fn read(copy: BorrowedFd<'_>) -> Option<(u64, Vec<u8>)> {
    let mut head = [0; HEAD];
    (pread(copy, &mut head, 0).ok()? == HEAD).then_some(())?;
    let word = |at: usize| head[at..at + 8].try_into().map(u64::from_le_bytes).ok();
    let (number, length) = (word(0)?, usize::try_from(word(8)?).ok()?);
    let size = File::from(copy.try_clone_to_owned().ok()?).metadata().ok()?.len();
    (number > 0 && (length + HEAD) as u64 == size).then_some(())?;
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match pread(copy, &mut bytes[filled..], (HEAD + filled) as i64).ok()? {
            0 => return None,
            n => filled += n,
        }
    }
    (Sha256::digest(&bytes)[..] == head[16..]).then_some((number, bytes))
}

#[cfg(test)]
mod tests {
    use super::{HEAD, Memo, Pages, write_all};
    use std::os::fd::AsFd;

    #[test]
    fn numbers_that_cannot_be_are_not_remembered() {
        let links = |numbers: &[u32]| numbers.iter().map(|number| (format!("link{number}"), *number)).collect();
        let relay = |slot: u32, counters: &[u32]| super::RelayMemo {
            slot,
            counters: counters.to_vec(),
            of_api: false,
            definition: serde_json::json!({
                "name": format!("relay-{slot}"),
                "input": { "interface": "in0", "group": format!("239.1.1.{}", slot % 200), "port": 5000 },
                "outputs": [{ "interface": "out0", "group": "239.2.1.1", "port": 5001 }]
            }),
            dark: false,
            waits: Vec::new(),
        };
        let memo = Memo {
            inputs: links(&[3, 64, u32::MAX]),
            outputs: [("a", 63), ("b", 64), ("c", 65_535), ("d", 63)].map(|(l, n)| (l.to_owned(), n)).into(),
            relays: vec![
                relay(1, &[5]),
                relay(2, &[9, 8]),
                relay(8, &[1]),
                relay(3, &[10]),
                relay(4, &[5]),
                relay(1, &[0]),
            ],
            ..Memo::default()
        };
        let place = memo.place();
        assert_eq!(place.inputs().map(|(link, _)| link).collect::<Vec<_>>(), ["link3"]);
        assert_eq!(place.outputs().collect::<Vec<_>>(), [("a", 63)]);
        let table = memo.table((8, 10));
        assert_eq!(table.slots().map(|(slot, _)| slot).collect::<Vec<_>>(), [1, 2]);
    }

    fn memo(generation: u64) -> Memo {
        let inputs = [("a-rather-long-name".repeat(usize::try_from(generation % 3).unwrap()), 1)].into();
        Memo { version: "1".to_owned(), generation, inputs, ..Memo::default() }
    }

    fn again(pages: &Pages) -> Option<Memo> {
        Pages::taken_over(pages.held().each_ref().map(|copy| copy.try_clone().unwrap())).unwrap().1
    }

    #[test]
    fn the_newest_memo_is_found() {
        let mut pages = Pages::new().unwrap();
        assert_eq!(again(&pages), None);
        for generation in 1..7 {
            pages.write(&memo(generation)).unwrap();
            assert_eq!(again(&pages), Some(memo(generation)));
        }
    }

    #[test]
    fn death_in_mid_writing_leaves_the_memo_before() {
        let mut pages = Pages::new().unwrap();
        pages.write(&memo(1)).unwrap();
        pages.write(&memo(2)).unwrap();
        // The third goes over the first: half of it is there, under the first one's head.
        let copy = &pages.copies[1];
        write_all(copy.as_fd(), b"half of something new", HEAD as i64).unwrap();
        assert_eq!(again(&pages), Some(memo(2)));
        nix::unistd::ftruncate(copy, 3).unwrap();
        assert_eq!(again(&pages), Some(memo(2)));
    }

    #[test]
    fn whoever_takes_over_goes_on_writing() {
        let mut pages = Pages::new().unwrap();
        pages.write(&memo(1)).unwrap();
        let held = pages.held().each_ref().map(|copy| copy.try_clone().unwrap());
        let (mut next, found) = Pages::taken_over(held).unwrap();
        assert_eq!(found, Some(memo(1)));
        next.write(&memo(2)).unwrap();
        assert_eq!(again(&pages), Some(memo(2)));
    }
}
