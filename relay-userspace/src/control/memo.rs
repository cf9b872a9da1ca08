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
use relay_common::table::{Placement, SlotOutput, SlotRelay, Table};
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
    /// The relays with their numbers. They are written from the table: see [`Pages::write`].
    #[serde(default, skip_serializing)]
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
    /// The relays that came through the API in the file's own form, those that do not run among them, as long as the state
    /// file says something else.
    #[serde(default)]
    pub unkept: Option<Vec<serde_json::Value>>,
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
    /// What is to be remembered of a table, but for its relays.
    #[must_use]
    pub fn of(table: &Table, place: &Placement) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: table.generation,
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

    /// The relays that came through the API, where the state file does not have them.
    #[must_use]
    pub fn unkept(&self) -> Option<Vec<Relay>> {
        let all = self.unkept.as_ref()?;
        Some(all.iter().filter_map(|definition| parse_relay(definition).ok()).flatten().collect())
    }

    /// The relays that came through the API.
    #[must_use]
    pub fn of_api(&self) -> Vec<Relay> {
        self.relays.iter().filter(|memo| memo.of_api).filter_map(RelayMemo::relay).collect()
    }
}

impl RelayMemo {
    fn of(slot: u32, at: &SlotRelay, of_api: bool) -> Self {
        Self {
            slot,
            counters: at.outputs.iter().map(|output| output.counter).collect(),
            of_api,
            definition: relay_to_json(&at.relay),
            dark: at.key.is_none(),
            waits: (0..).zip(&at.outputs).filter(|(_, output)| output.pending.is_some()).map(|(i, _)| i).collect(),
        }
    }

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

/// A relay as it was written last.
#[derive(Debug)]
struct Noted {
    at: SlotRelay,
    of_api: bool,
    text: String,
}

impl Noted {
    fn of(slot: u32, at: &SlotRelay, of_api: bool) -> io::Result<Self> {
        let text = serde_json::to_string(&RelayMemo::of(slot, at, of_api))?;
        Ok(Self { at: at.clone(), of_api, text })
    }

    /// Whether it would be written the same again.
    fn says(&self, at: &SlotRelay, of_api: bool) -> bool {
        let outputs = |output: &SlotOutput| (output.counter, output.pending.is_some());
        self.of_api == of_api
            && self.at.key.is_none() == at.key.is_none()
            && self.at.outputs.iter().map(outputs).eq(at.outputs.iter().map(outputs))
            && self.at.relay == at.relay
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
    /// The relays by slots. Most are as they were, and to write each anew takes longer than all else of a change.
    noted: Vec<Option<Noted>>,
}

impl Pages {
    /// Two empty copies.
    pub fn new() -> io::Result<Self> {
        let copies = [memory::create_resizable(c"mcr-memo")?, memory::create_resizable(c"mcr-memo")?];
        let held = [memory::read_only(&copies[0])?, memory::read_only(&copies[1])?];
        Ok(Self { copies, held, newest: 0, noted: Vec::new() })
    }

    /// The copies that a predecessor left, and what stands in the newest whole one.
    ///
    /// # Errors
    /// When this user may not write them.
    pub fn taken_over(held: [OwnedFd; 2]) -> io::Result<(Self, Option<Memo>)> {
        let found = held.iter().filter_map(|copy| read(copy.as_fd())).max_by_key(|(number, _)| *number);
        let newest = found.as_ref().map_or(0, |(number, _)| *number);
        let copies = [memory::writable(&held[0])?, memory::writable(&held[1])?];
        Ok((
            Self { copies, held, newest, noted: Vec::new() },
            found.and_then(|(_, bytes)| serde_json::from_slice(&bytes).ok()),
        ))
    }

    /// Writes a memo over the older copy, with the relays of its table.
    pub fn write(&mut self, memo: &Memo, table: &Table, origins: &BTreeMap<String, Origin>) -> io::Result<()> {
        let bytes = self.text(memo, table, origins)?;
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

    /// The memo as JSON: its relays are the last key.
    fn text(&mut self, memo: &Memo, table: &Table, origins: &BTreeMap<String, Origin>) -> io::Result<Vec<u8>> {
        self.noted.resize_with(table.relays.len(), || None);
        for ((slot, noted), at) in (0..).zip(&mut self.noted).zip(&table.relays) {
            let Some(at) = at else {
                *noted = None;
                continue;
            };
            let of_api = origins.get(&at.relay.name) == Some(&Origin::Api);
            if !noted.as_ref().is_some_and(|noted| noted.says(at, of_api)) {
                *noted = Some(Noted::of(slot, at, of_api)?);
            }
        }
        let mut text = serde_json::to_vec(memo)?;
        text.pop(); // The brace.
        text.reserve(self.noted.iter().flatten().map(|noted| noted.text.len() + 1).sum::<usize>() + 16);
        text.extend(b",\"relays\":[");
        for (i, noted) in self.noted.iter().flatten().enumerate() {
            if i > 0 {
                text.push(b',');
            }
            text.extend(noted.text.as_bytes());
        }
        text.extend(b"]}");
        Ok(text)
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
mod tests;
