//! Where the memo is written: two copies that take turns, line by line.

use super::{Memo, RelayMemo};
use crate::origins::Origins;
use crate::view::Origin;
use nix::sys::uio::{pread, pwrite};
use relay_common::table::{SlotOutput, SlotRelay, Table};
use relay_engine::memory;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A relay as it was written last.
#[derive(Debug)]
struct Noted {
    at: SlotRelay,
    of_api: bool,
    line: Line,
}

/// A line of a copy, with its end, and its hash without.
#[derive(Debug)]
struct Line {
    text: Box<str>,
    hash: [u8; 32],
}

impl Line {
    fn of(value: &impl Serialize) -> io::Result<Self> {
        let mut text = serde_json::to_string(value)?;
        let length = (text.len() + 1).next_multiple_of(PADDED);
        text.extend(std::iter::repeat_n(' ', length - 1 - text.len()));
        text.push('\n');
        Ok(Self { hash: Sha256::digest(text.trim_end_matches('\n')).into(), text: text.into() })
    }
}

impl Noted {
    fn of(slot: u32, at: &SlotRelay, of_api: bool) -> io::Result<Self> {
        Ok(Self { at: at.clone(), of_api, line: Line::of(&RelayMemo::of(slot, at, of_api))? })
    }

    /// Whether it would be written the same again.
    fn says(&self, at: &SlotRelay, of_api: bool) -> bool {
        let outputs = |output: &SlotOutput| (output.counter, output.pending.is_some());
        let (before, now) = (&self.at.outputs, &at.outputs);
        self.of_api == of_api
            && self.at.key.is_none() == at.key.is_none()
            && (before == now || before.iter().map(outputs).eq(now.iter().map(outputs)))
            && self.at.relay == at.relay
    }
}

/// In front of a copy: its number, its length, and a hash of the hashes of its lines. The first line is all but the relays, each
/// of the others one of them: so of thousands only those are written and hashed anew that have changed.
pub(super) const HEAD: usize = 8 + 8 + 32;
/// So many bytes are written at once.
const PART: usize = 256 << 10;
/// A line is as long as a multiple of this, so that a word more in one mostly leaves the others where they are.
const PADDED: usize = 128;

/// The two copies.
#[derive(Debug)]
pub struct Pages {
    pub(super) copies: [OwnedFd; 2],
    /// The same, to be read: what is held by others.
    held: [OwnedFd; 2],
    /// The number of the newest whole copy; copy `n % 2` holds it.
    newest: u64,
    /// The relays by slots. Most are as they were, and to write each anew takes longer than all else of a change.
    noted: Vec<Option<Noted>>,
    /// What stands in each copy: where each line begins, and its hash. Nothing as long as that is not known.
    there: [Vec<(usize, [u8; 32])>; 2],
}

impl Pages {
    /// Two empty copies.
    pub fn new() -> io::Result<Self> {
        let copies = [memory::create_resizable(c"mcr-memo")?, memory::create_resizable(c"mcr-memo")?];
        let held = [memory::read_only(&copies[0])?, memory::read_only(&copies[1])?];
        Ok(Self { copies, held, newest: 0, noted: Vec::new(), there: Default::default() })
    }

    /// The copies that a predecessor left, and what stands in the newest whole one.
    ///
    /// # Errors
    /// When this user may not write them.
    pub fn taken_over(held: [OwnedFd; 2]) -> io::Result<(Self, Option<Memo>)> {
        let found = held.iter().filter_map(|copy| read(copy.as_fd())).max_by_key(|(number, _)| *number);
        let newest = found.as_ref().map_or(0, |(number, _)| *number);
        let copies = [memory::writable(&held[0])?, memory::writable(&held[1])?];
        let pages = Self { copies, held, newest, noted: Vec::new(), there: Default::default() };
        Ok((pages, found.and_then(|(_, bytes)| memo(&bytes))))
    }

    /// Writes a memo over the older copy, with the relays of its table: those lines that are not there already.
    pub fn write(&mut self, memo: &Memo, table: &Table, origins: &Origins) -> io::Result<()> {
        self.note(table, origins)?;
        let first = Line::of(memo)?;
        let lines = || std::iter::once(&first).chain(self.noted.iter().flatten().map(|noted| &noted.line));
        let length: usize = lines().map(|line| line.text.len()).sum();
        let number = self.newest + 1;
        let which = usize::from(number % 2 == 1);
        let copy = &self.copies[which];
        // Whoever fails on the way does not know what is there.
        let before = std::mem::take(&mut self.there[which]);
        nix::unistd::ftruncate(copy, i64::try_from(HEAD + length).map_err(io::Error::other)?)?;
        let (mut part, mut at, mut there) = (Vec::new(), HEAD, Vec::with_capacity(before.len()));
        for (i, line) in lines().enumerate() {
            let is_there = before.get(i) == Some(&(at, line.hash));
            if is_there || part.len() >= PART {
                write_all(copy.as_fd(), &part, (at - part.len()) as i64)?;
                part.clear();
            }
            if !is_there {
                part.extend(line.text.as_bytes());
            }
            there.push((at, line.hash));
            at += line.text.len();
        }
        write_all(copy.as_fd(), &part, (at - part.len()) as i64)?;
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&number.to_le_bytes());
        head[8..16].copy_from_slice(&(length as u64).to_le_bytes());
        head[16..].copy_from_slice(&hash_of(lines().map(|line| line.hash)));
        write_all(copy.as_fd(), &head, 0)?;
        (self.newest, self.there[which]) = (number, there);
        Ok(())
    }

    /// Notes the relays of a table; those that are as they were have their lines.
    fn note(&mut self, table: &Table, origins: &Origins) -> io::Result<()> {
        self.noted.resize_with(table.relays.len(), || None);
        for ((slot, noted), at) in (0..).zip(&mut self.noted).zip(&table.relays) {
            let Some(at) = at else {
                *noted = None;
                continue;
            };
            let of_api = origins.get(&at.relay.name) == Some(Origin::Api);
            match noted {
                // From now on it is the same without a look.
                Some(noted) if noted.says(at, of_api) => noted.at.clone_from(at),
                noted => *noted = Some(Noted::of(slot, at, of_api)?),
            }
        }
        Ok(())
    }

    /// The copies, to be held by others: they cannot write them.
    #[must_use]
    pub const fn held(&self) -> &[OwnedFd; 2] {
        &self.held
    }
}

pub(super) fn write_all(file: BorrowedFd<'_>, mut bytes: &[u8], mut at: i64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = pwrite(file, bytes, at)?;
        bytes = &bytes[n..];
        at += n as i64;
    }
    Ok(())
}

/// The number and the contents of a copy, if it is whole. The head is written last, and whoever dies between leaves one
/// whose hash does not fit.
pub(super) fn read(copy: BorrowedFd<'_>) -> Option<(u64, Vec<u8>)> {
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
    let hash = hash_of(lines(&bytes).map(|line| Sha256::digest(line).into()));
    (hash == head[16..]).then_some((number, bytes))
}

fn hash_of(lines: impl Iterator<Item = [u8; 32]>) -> [u8; 32] {
    lines.fold(Sha256::new(), |all, line| all.chain_update(line)).finalize().into()
}

/// The lines of a copy, each of which ends.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n')
}

fn memo(bytes: &[u8]) -> Option<Memo> {
    let mut lines = lines(bytes);
    let memo: Memo = serde_json::from_slice(lines.next()?).ok()?;
    let relays: Result<Vec<RelayMemo>, _> = lines.map(serde_json::from_slice).collect();
    Some(Memo { relays: relays.ok()?, ..memo })
}
