//! One control per network namespace: two would fight over the same queues.

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Held as long as this control lives; the kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// Takes the lock, or says who has it.
pub fn take(folder: &Path) -> anyhow::Result<Lock> {
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot make {}: run mcr as root, or name another folder with --run-dir", folder.display())
    })?;
    let namespace = super::door::namespace()?;
    let path = folder.join(format!("control.{namespace}.lock"));
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
