//! One control per network namespace: two would fight over the same queues.

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Held as long as this control lives; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
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

/// Takes the lock, or says who has it.
pub fn take(folder: &Path) -> anyhow::Result<Lock> {
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot make {}: run mcr as root, or name another folder with --run-dir", folder.display())
    })?;
    let path = file(folder)?;
    // Whoever can open the file can lock it and keep mcr from starting: nobody else may.
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).with_context(
            || format!("cannot open {}: run mcr as root, or name another folder with --run-dir", path.display()),
        )?;
    let mut holder = String::new();
    // Who holds it is for the message only; an unreadable file names nobody.
    let _ = file.read_to_string(&mut holder);
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut file) => {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())?;
            Ok(Lock { _file: file })
        }
        Err((_, Errno::EWOULDBLOCK)) => {
            bail!("another mcr (pid {}) runs in this network namespace: end it first", holder.trim())
        }
        Err((_, errno)) => Err(errno).with_context(|| format!("cannot lock {}", path.display())),
    }
}
