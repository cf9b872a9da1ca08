//! One control per network namespace: two would fight over the same queues.

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Held as long as this lives, in this process or in another that was given it; the kernel lets go of it however they end.
#[derive(Debug)]
pub struct Lock {
    file: Flock<File>,
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
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
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot make {}: run mcr as root, or name another folder with --run-dir", folder.display())
    })?;
    let path = file(folder)?;
    // Whoever can open the file can lock it and keep mcr from starting: nobody else may.
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).with_context(
            || format!("cannot open {}: run mcr as root, or name another folder with --run-dir", path.display()),
        )?;
    if let Some(given) = given.map(File::from).filter(|given| is_same(given, &file)) {
        file = given;
        file.rewind()?;
    }
    let mut holder = String::new();
    // Who holds it is for the message only; an unreadable file names nobody.
    let _ = file.read_to_string(&mut holder);
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut file) => {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())?;
            Ok(Lock { file })
        }
        Err((_, Errno::EWOULDBLOCK)) => {
            bail!("another mcr (pid {}) runs in this network namespace: end it first", holder.trim())
        }
        Err((_, errno)) => Err(errno).with_context(|| format!("cannot lock {}", path.display())),
    }
}

fn is_same(one: &File, other: &File) -> bool {
    let inode = |file: &File| file.metadata().ok().map(|file| (file.dev(), file.ino()));
    inode(one).is_some_and(|found| Some(found) == inode(other))
}
