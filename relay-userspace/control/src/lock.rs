//! One control per network namespace: two would fight over the same queues.

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// A process that was killed lets go of the lock so soon, on the worst of machines.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Held as long as this lives, in this process or in another that was given it; the kernel lets go of it however they end.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// This process is the one that holds it: whoever wants mcr to end asks this one.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn sign(&self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(std::process::id().to_string().as_bytes(), 0)
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether a control of this network namespace has ever had this run folder.
///
/// # Errors
/// When the namespace cannot be told.
pub fn was_taken(folder: &Path) -> anyhow::Result<bool> {
    Ok(file(folder)?.exists())
}

/// The process that holds the lock, if any does.
pub fn holder(folder: &Path) -> anyhow::Result<Option<i32>> {
    let path = file(folder)?;
    let mut opened = match File::open(&path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}: run mcr as root", path.display())),
    };
    let mut holder = String::new();
    opened.read_to_string(&mut holder)?;
    match Flock::lock(opened, FlockArg::LockSharedNonblock) {
        Ok(_) => Ok(None),
        Err((_, Errno::EWOULDBLOCK)) => Ok(holder.trim().parse().ok()),
        Err((_, errno)) => Err(errno).with_context(|| format!("cannot look at {}", path.display())),
    }
}

fn file(folder: &Path) -> anyhow::Result<PathBuf> {
    Ok(folder.join(format!("control.{}.lock", super::door::namespace()?)))
}

/// Takes the lock, or says who has it. One that was given by the control before this one is held already.
pub fn take(folder: &Path, given: Option<OwnedFd>) -> anyhow::Result<Lock> {
    fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
    let path = file(folder)?;
    // Whoever can open the file can lock it and keep mcr from starting: nobody else may.
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = opened.map_err(|error| cannot("open", &path, &error))?;
    if let Some(given) = given.map(File::from).filter(|given| is_same(given, &file)) {
        // The one that gave it may be the one for a while.
        given.try_lock().with_context(|| format!("cannot lock {}", path.display()))?;
        return Ok(Lock { file: given });
    }
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        // Who holds it is for the message only; an unreadable file names nobody.
        let holder = fs::read_to_string(&path).unwrap_or_default();
        // One that was killed with a newer one beside it, which ends with it.
        if is_alive(holder.trim()) || waited > GONE_WITHIN {
            bail!("another mcr (pid {}) runs in this network namespace: end it first", holder.trim());
        }
        sleep(LOOK_AGAIN);
        waited += LOOK_AGAIN;
    }
    let lock = Lock { file };
    lock.sign().map_err(|error| cannot("write", &path, &error))?;
    Ok(lock)
}

/// What cannot be done with what lies in the run folder, and the remedy.
pub(super) fn cannot(what: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room there (df, df -i), or name another with --run-dir"
        }
        io::ErrorKind::ReadOnlyFilesystem => "make it writable, or name another with --run-dir",
        _ => "run mcr as root, or name another with --run-dir",
    };
    anyhow::anyhow!("cannot {what} {} in the run folder: {error}: {remedy}", path.display())
}

/// Whether a process is there, and not dead and not yet waited for.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

fn is_same(one: &File, other: &File) -> bool {
    let inode = |file: &File| file.metadata().ok().map(|file| (file.dev(), file.ino()));
    inode(one).is_some_and(|found| Some(found) == inode(other))
}

#[cfg(test)]
mod tests {
    use super::{LOOK_AGAIN, file, take};
    use std::fs::{self, File};
    use std::thread;

    #[test]
    fn whoever_died_is_waited_for_and_whoever_lives_is_not() {
        let folder = std::env::temp_dir().join(format!("mcr-lock-{}", std::process::id()));
        let lock = take(&folder, None).unwrap();
        let refused = format!("{:#}", take(&folder, None).unwrap_err());
        assert!(refused.contains(&format!("another mcr (pid {})", std::process::id())), "{refused}");
        drop(lock);

        // Something of it is still there.
        let path = file(&folder).unwrap();
        let rest = File::open(&path).unwrap();
        rest.try_lock().unwrap();
        fs::write(&path, "4194305").unwrap();
        let goes = thread::spawn(move || {
            thread::sleep(10 * LOOK_AGAIN);
            drop(rest);
        });
        drop(take(&folder, None).unwrap());
        goes.join().unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), std::process::id().to_string());
        fs::remove_dir_all(folder).unwrap();
    }
}
