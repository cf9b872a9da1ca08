//! Events as they outlive control: two files of lines in the folder that is made anew when the machine boots, the newer one
//! being written, the older one read. Whatever dies in mid-writing leaves the lines before. Two controls may write for a
//! moment, while one takes over from another: each reads what the other wrote before it gives a number.

use super::logged::{LONGEST, Logged};
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use relay_config::event_id::{History, Id};
use relay_engine::clock::{now_ns, unix_ns};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A file that is longer is followed by another: some six thousand events.
const SEGMENT: u64 = 2 << 20;
/// No file of ours is longer: the last event may be.
const LONGEST_FILE: u64 = SEGMENT + 2 * LONGEST as u64;
/// For how long a lock that another control has is tried: it holds it for microseconds.
const PATIENCE_NS: u64 = 2_000_000;

/// The files.
#[derive(Debug)]
pub(super) struct Journal {
    newer: PathBuf,
    older: PathBuf,
    file: File,
    /// So much of the file is known.
    read_to: u64,
    /// The last event of all.
    last: Id,
}

/// Returns a history that nobody has seen before.
pub(super) fn new_history() -> History {
    let mut bytes = [0; 8];
    let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    History::of(if random.is_ok() { u64::from_le_bytes(bytes) } else { unix_ns() })
}

impl Journal {
    /// Opens the files of that name in a folder, and gives what stands in them.
    ///
    /// # Errors
    /// When events cannot be kept there, with the remedy.
    pub(super) fn open(folder: &Path, name: &str) -> io::Result<(Self, Vec<Logged>)> {
        let newer = folder.join(format!("{name}.jsonl"));
        let older = folder.join(format!("{name}.old.jsonl"));
        let mut found = match open(&older, false) {
            Ok(mut file) => read(&mut file, 0)?.0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let file = open(&newer, true)?;
        let none = Id { history: new_history(), number: 0 };
        let mut journal = Self { newer, older, file, read_to: 0, last: none };
        journal.lock()?;
        let caught_up = journal.catch_up();
        journal.file.unlock()?;
        found.extend(caught_up?);
        let found = last_row(found);
        journal.last = found.last().map_or(none, |logged| logged.id);
        Ok((journal, found))
    }

    /// The last event of all.
    pub(super) const fn last(&self) -> Id {
        self.last
    }

    /// Writes the next event down, and gives what others wrote before it, and itself.
    ///
    /// # Errors
    /// When it could not be written. Its number was given to nobody.
    pub(super) fn append(&mut self, make: impl FnOnce(Id) -> Logged) -> io::Result<Vec<Logged>> {
        self.lock()?;
        let written = self.append_locked(make);
        self.file.unlock()?;
        written
    }

    /// What others wrote meanwhile.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub(super) fn news(&mut self) -> io::Result<Vec<Logged>> {
        if self.file.metadata()?.len() == self.read_to && self.is_newest() {
            return Ok(Vec::new());
        }
        self.lock()?;
        let news = self.catch_up();
        self.file.unlock()?;
        news
    }

    fn append_locked(&mut self, make: impl FnOnce(Id) -> Logged) -> io::Result<Vec<Logged>> {
        let mut told = self.catch_up()?;
        if self.read_to >= SEGMENT {
            self.begin_another()?;
        }
        let id = Id { history: self.last.history, number: self.last.number + 1 };
        let logged = make(id);
        // Whoever died in mid-writing left a part of a line, which was told to nobody.
        if self.file.metadata()?.len() > self.read_to {
            self.file.set_len(self.read_to)?;
        }
        let mut line = logged.json.clone().into_bytes();
        line.push(b'\n');
        if let Err(error) = self.file.write_all_at(&line, self.read_to) {
            // Half a line would spoil the next one.
            self.file.set_len(self.read_to)?;
            return Err(error);
        }
        self.read_to += line.len() as u64;
        self.last = id;
        told.push(logged);
        Ok(told)
    }

    /// Reads what others have written, over the end of this file if they have begun another.
    fn catch_up(&mut self) -> io::Result<Vec<Logged>> {
        let mut news = Vec::new();
        loop {
            let (more, to) = read(&mut self.file, self.read_to)?;
            (self.read_to, news) = (to, [news, more].concat());
            if self.is_newest() {
                break;
            }
            self.file.unlock()?;
            (self.file, self.read_to) = (open(&self.newer, true)?, 0);
            self.lock()?;
        }
        let last = self.last;
        news.retain(|logged| logged.id.history == last.history && logged.id.number > last.number || last.number == 0);
        self.last = news.last().map_or(last, |logged| logged.id);
        Ok(news)
    }

    /// Whether the open file is the one that is written.
    fn is_newest(&self) -> bool {
        let of = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let newest = fs::metadata(&self.newer).map(of);
        newest.is_ok_and(|newest| self.file.metadata().map(of).is_ok_and(|own| own == newest))
    }

    fn begin_another(&mut self) -> io::Result<()> {
        fs::rename(&self.newer, &self.older)?;
        let full = std::mem::replace(&mut self.file, open(&self.newer, true)?);
        self.lock()?;
        full.unlock()?;
        self.read_to = 0;
        Ok(())
    }

    /// Takes the lock, which another control holds for no longer than a line takes.
    fn lock(&self) -> io::Result<()> {
        let begun = now_ns();
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(()),
                Err(fs::TryLockError::WouldBlock) if now_ns() - begun < PATIENCE_NS => std::thread::yield_now(),
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(io::Error::other("another mcr holds its lock, and does not let go of it"));
                }
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

/// Opens one of the files, which is this user's and nobody else's.
fn open(path: &Path, make: bool) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(make)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.uid() != nix::unistd::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::other(format!("{} is another's: remove it", path.display())));
    }
    if make && found.len() == 0 {
        // The room is taken now: a full disk is not to be met in the middle of the night.
        match fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, LONGEST_FILE.cast_signed()) {
            Ok(()) | Err(nix::errno::Errno::EOPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(file)
}

/// Reads the whole lines from there on, and says where they end. What is no event is left out, however it came there.
fn read(file: &mut File, from: u64) -> io::Result<(Vec<Logged>, u64)> {
    file.seek(io::SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE.saturating_sub(from)).read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = bytes[..whole].split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    Ok((lines.filter_map(Logged::read).collect(), from + whole as u64))
}

/// The events of the last history, each with a higher number than the one before.
fn last_row(found: Vec<Logged>) -> Vec<Logged> {
    let Some(history) = found.last().map(|logged| logged.id.history) else { return found };
    let mut row: Vec<Logged> = Vec::with_capacity(found.len());
    for logged in found.into_iter().filter(|logged| logged.id.history == history) {
        if row.last().is_none_or(|last| last.id.number < logged.id.number) {
            row.push(logged);
        }
    }
    row
}

#[cfg(test)]
mod tests;
