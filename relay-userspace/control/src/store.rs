//! The state file: the relays that came through the API. It is written aside, flushed and renamed, so that a crash at
//! any point leaves the old one or the new one.

use super::chaos;
use super::desk::Refusal;
use nix::fcntl::{Flock, FlockArg};
use relay_common::plan::Relay;
use relay_config as config;
use relay_config::{Errors, relay_to_json};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// What stands above the relays.
const HEAD: &str = "# Relays that were made through mcr's API. mcr writes this file anew with each change:\n\
                    # change them with `mcr relay`, or end mcr before you edit here.\n\n";

/// A process that was killed lets go of the lock so soon.
const GONE_WITHIN: Duration = Duration::from_millis(500);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The state file of one node.
#[derive(Debug)]
pub struct Store {
    file: PathBuf,
    /// Held as long as this node may write; without it, why it may not.
    lock: Result<Flock<File>, Unlocked>,
    /// Why the file is not touched: it holds what nobody could read.
    damage: Option<String>,
    /// Whether anybody could look at it so far.
    is_open: bool,
    /// What was written of each relay last: of thousands a change touches one.
    written: Written,
}

/// Relays by name, as they are written.
type Written = BTreeMap<String, (Relay, String)>;

/// What a new state file is to say. Nothing has been written.
#[derive(Debug)]
pub struct Draft {
    file: PathBuf,
    text: String,
}

/// A new state file, whole on the disk but not in force yet. Dropped, it is gone.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    file: PathBuf,
    aside: Option<PathBuf>,
}

impl Store {
    /// Opens the state file of a node and keeps others from it.
    #[must_use]
    pub fn open(file: &Path) -> Self {
        // Whoever has it be a symbolic link finds it so again: what is replaced is the file that it leads to.
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        Self { lock: lock(&file), file, damage: None, is_open: true, written: Written::new() }
    }

    /// The state file of a node that nobody could look at, and why not. It is not written to.
    #[must_use]
    pub fn unopened(file: &Path, why: String) -> Self {
        Self {
            file: file.to_owned(),
            lock: Err(Unlocked { why: why.clone(), is_anothers: false }),
            damage: Some(why),
            is_open: false,
            written: Written::new(),
        }
    }

    /// Whether anybody could look at it so far.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// It can be looked at now: others are kept from it. What it holds is as unknown as before.
    pub fn opened(&mut self, now: Self) {
        (self.file, self.lock, self.is_open) = (now.file, now.lock, now.is_open);
    }

    /// Where it is.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The relays in it; none when there is no file yet. A file that cannot be read is not written to until it can.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&mut self) -> Result<Vec<Relay>, Errors> {
        let loaded = read(&self.file);
        self.damage = loaded.as_ref().err().map(|errors| {
            format!("it is damaged ({errors}): mend it or move it away, then send mcr a SIGHUP (mcr reload)")
        });
        loaded
    }

    /// Whether this node may write beside the file: no other uses it.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        self.lock.is_ok()
    }

    /// Whether another mcr has the file.
    #[must_use]
    pub const fn is_anothers(&self) -> bool {
        matches!(self.lock, Err(Unlocked { is_anothers: true, .. }))
    }

    /// Why nothing can be written, as far as that is known without trying.
    #[must_use]
    pub fn unwritable(&self) -> Option<&str> {
        self.lock.as_ref().err().map(|unlocked| unlocked.why.as_str())
    }

    /// Whether the file holds what nobody could read.
    #[must_use]
    pub const fn is_damaged(&self) -> bool {
        self.damage.is_some()
    }

    /// Whether it can be written, as far as that is known without trying.
    #[must_use]
    pub const fn may_be_written(&self) -> bool {
        self.is_ours() && !self.is_damaged()
    }

    /// Takes the file for written by us, whatever it holds: its relays are known from elsewhere.
    pub fn forget_damage(&mut self) {
        self.damage = None;
    }

    /// What the file is to say of relays. Nothing is written.
    ///
    /// # Errors
    /// Why they cannot be kept.
    pub fn draft<'a>(&mut self, relays: impl IntoIterator<Item = &'a Relay>) -> Result<Draft, Refusal> {
        if let Some(problem) = self.unwritable().or(self.damage.as_deref()) {
            return Err(self.not_kept(problem.to_owned()));
        }
        let mut before = std::mem::take(&mut self.written);
        let mut text = HEAD.to_owned();
        for relay in relays {
            let as_before = before.remove(&relay.name).filter(|(as_it_was, _)| as_it_was == relay);
            let (relay, written) = match as_before {
                Some(as_before) => as_before,
                None => (relay.clone(), to_toml(relay).map_err(|error| self.not_kept(error.to_string()))?),
            };
            if text.len() > HEAD.len() {
                text.push('\n');
            }
            text.push_str(&written);
            self.written.insert(relay.name.clone(), (relay, written));
        }
        Ok(Draft { file: self.file.clone(), text })
    }

    /// Nothing was kept, and why.
    #[must_use]
    pub fn not_kept(&self, problem: String) -> Refusal {
        Refusal::NotKept { file: self.file.clone(), problem }
    }

    /// Writes relays aside, whole and flushed.
    ///
    /// # Errors
    /// Why they cannot be kept; nothing has changed then.
    pub fn prepare<'a>(&mut self, relays: impl IntoIterator<Item = &'a Relay>) -> Result<Prepared, Refusal> {
        self.draft(relays)?.write()
    }
}

/// A relay as the file says it: a section of an array, which goes on with the next.
fn to_toml(relay: &Relay) -> Result<String, toml::ser::Error> {
    toml::to_string(&json!({ "relay": [relay_to_json(relay)] }))
}

/// The relays in a state file; none when there is no file yet.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(file: &Path) -> Result<Vec<Relay>, Errors> {
    let is_gone = |error: io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    if fs::metadata(file).is_err_and(is_gone) {
        return Ok(Vec::new());
    }
    config::load(file).map(|configuration| configuration.plan.relays)
}

/// Tries whether a file could be written beside that one, by one that has no name and comes to no disk.
///
/// # Errors
/// Why it could not.
pub fn try_to_write(file: &Path) -> io::Result<()> {
    let nameless = OpenOptions::new().write(true).mode(0o600).custom_flags(libc::O_TMPFILE).open(folder_of(file));
    let is_unknown = |error: &io::Error| matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR));
    match nameless {
        Err(error) if is_unknown(&error) => {
            let named = beside(file, "probe");
            let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&named)?;
            let written = fill_a_page(opened);
            fs::remove_file(&named).and(written)
        }
        nameless => fill_a_page(nameless?),
    }
}

fn fill_a_page(mut file: File) -> io::Result<()> {
    file.write_all(&[0; 4096])
}

impl Draft {
    /// Writes it aside, whole and flushed.
    ///
    /// # Errors
    /// Why it cannot be kept; nothing has changed then.
    pub fn write(self) -> Result<Prepared, Refusal> {
        let Self { file, text } = self;
        let aside = beside(&file, "new");
        match write_flushed(&aside, &text) {
            Ok(()) => Ok(Prepared { file, aside: Some(aside) }),
            Err(error) => {
                let _ = fs::remove_file(&aside);
                Err(Refusal::NotKept { file, problem: format!("{error}{}", remedy(&error)) })
            }
        }
    }
}

impl Prepared {
    /// Puts the new file in the place of the old one. From then on it counts, also where its folder could not be flushed:
    /// what went wrong with that is said, because a machine that loses power may have the old one.
    ///
    /// # Errors
    /// When that failed: the old one is still there.
    pub fn commit(self) -> Result<Option<String>, Refusal> {
        self.commit_with(|file| chaos::fails("store.flush").and_then(|()| flush_folder(file)))
    }

    fn commit_with(mut self, flush: impl FnOnce(&Path) -> io::Result<()>) -> Result<Option<String>, Refusal> {
        let file = &self.file;
        if let Some(aside) = &self.aside {
            let not_kept = |error: io::Error| Refusal::NotKept {
                file: file.clone(),
                problem: format!("{error}{}", remedy(&error)),
            };
            fs::rename(aside, file).map_err(not_kept)?;
        }
        let doubt = flush(file).err().map(|error| {
            let file = file.display();
            format!(
                "{file} has the last change, which a loss of power can take back: its folder cannot be flushed: {error}"
            )
        });
        self.aside = None;
        Ok(doubt)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(aside) = &self.aside {
            let _ = fs::remove_file(aside);
        }
    }
}

/// Why the file is not ours to write.
#[derive(Debug)]
struct Unlocked {
    why: String,
    is_anothers: bool,
}

fn lock(file: &Path) -> Result<Flock<File>, Unlocked> {
    let unlocked = |why: String| Unlocked { why, is_anothers: false };
    let folder = folder_of(file);
    let made = fs::DirBuilder::new().recursive(true).mode(0o750).create(folder);
    made.map_err(|error| unlocked(format!("cannot make {}: {error}; make it, or set [state] file", folder.display())))?;
    let path = beside(file, "lock");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let opened =
        opened.map_err(|error| unlocked(format!("cannot open {}: {error}; set [state] file", path.display())))?;
    let mut waited = Duration::ZERO;
    let mut opened = opened;
    loop {
        match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            // A control that was killed lets go of one thing after the other.
            Err((file, _)) if waited < GONE_WITHIN => opened = file,
            Err(_) => break,
        }
        sleep(LOOK_AGAIN);
        waited += LOOK_AGAIN;
    }
    let why = "another mcr uses it: give each its own file ([state] file, or --state-dir)".to_owned();
    Err(Unlocked { why, is_anothers: true })
}

/// Whether another mcr uses that state file now.
#[must_use]
pub fn is_locked(file: &Path) -> bool {
    let opened = File::open(beside(file, "lock"));
    opened.is_ok_and(|lock| Flock::lock(lock, FlockArg::LockSharedNonblock).is_err())
}

/// The file of that name with another ending, in the same folder: a rename within it is atomic.
pub(super) fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    file.with_file_name(name)
}

/// Writes a file aside, flushes it, and puts it in the place of the one before.
pub(super) fn write_in_place(path: &Path, text: &str) -> io::Result<()> {
    let aside = beside(path, "new");
    let written = write_flushed(&aside, text).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written.and_then(|()| flush_folder(path))
}

fn write_flushed(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

pub(super) fn flush_folder(file: &Path) -> io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}

const fn remedy_of(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": make room on that disk",
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            ": let mcr write there, or set [state] file"
        }
        _ => "",
    }
}

/// What to do about it, as the end of a sentence.
pub(super) fn remedy(error: &io::Error) -> &'static str {
    remedy_of(error.kind())
}

#[cfg(test)]
mod tests;
