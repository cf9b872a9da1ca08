//! The doors of lanes: where a control that follows a dead one comes in.
//!
//! A door is a listening socket in the run folder, made by control and handed to the lane, which alone answers it.
//! Nobody but this user can open the file, and the lane asks who came.

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use nix::sys::stat::{Mode, fchmod};
use relay_engine::lane::handoff::WAITING;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The number of the network namespace that this thread is in.
pub fn namespace() -> anyhow::Result<u64> {
    Ok(fs::metadata("/proc/thread-self/ns/net").context("cannot tell the network namespace")?.ino())
}

/// Where a lane's door is.
#[must_use]
pub fn path(run_dir: &Path, namespace: u64, lane: u32) -> PathBuf {
    run_dir.join(format!("lane.{namespace}.{lane}.door"))
}

/// Makes a lane's door. One that nobody stands behind any more is replaced; one that somebody does is not touched.
pub fn make(path: &Path) -> anyhow::Result<OwnedFd> {
    let door = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
        .context("no socket for a lane's door")?;
    // Before it is bound, so that at no moment anybody else can open it.
    fchmod(&door, Mode::S_IRUSR | Mode::S_IWUSR)?;
    let address = address(path)?;
    let mut bound = bind(door.as_raw_fd(), &address);
    if bound == Err(Errno::EADDRINUSE) {
        if open(path)?.is_some() {
            bail!("a lane of an earlier mcr stands behind {}: end that lane first", path.display());
        }
        bound = bind(door.as_raw_fd(), &address);
    }
    bound.map_err(|errno| super::lock::cannot("make", path, &errno.into()))?;
    listen(&door, Backlog::new(WAITING)?).with_context(|| format!("cannot listen at {}", path.display()))?;
    Ok(door)
}

/// What is behind a door.
#[derive(Debug)]
pub enum Knocked {
    /// Somebody, who hears what is said here.
    Open(OwnedFd),
    /// Nobody.
    Nobody,
    /// Somebody who lets nobody in: too many wait.
    Crowded,
}

/// Goes to a door, and leaves it as it is.
pub fn knock(path: &Path) -> anyhow::Result<Knocked> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let connection = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).context("no socket")?;
    match connect(connection.as_raw_fd(), &address(path)?) {
        Ok(()) => Ok(Knocked::Open(connection)),
        Err(Errno::ENOENT | Errno::ECONNREFUSED) => Ok(Knocked::Nobody),
        Err(Errno::EAGAIN) => Ok(Knocked::Crowded),
        Err(errno) => Err(errno).with_context(|| format!("cannot go to {}", path.display())),
    }
}

/// Goes to a door, if this user made it: only control makes doors, and only lanes are given them. `None` when nobody stands
/// behind it; the file is removed then.
pub fn open(path: &Path) -> anyhow::Result<Option<OwnedFd>> {
    match knock(path)? {
        Knocked::Open(connection) => {
            // Who listens there may be a lane, which is another user.
            let uid = fs::symlink_metadata(path).with_context(|| format!("cannot look at {}", path.display()))?.uid();
            if uid != nix::unistd::geteuid().as_raw() {
                bail!("this door was made by user {uid}: start mcr as that user, or end what stands behind it");
            }
            Ok(Some(connection))
        }
        Knocked::Nobody => {
            remove(path)?;
            Ok(None)
        }
        Knocked::Crowded => bail!("nobody answers at {}: too many wait there", path.display()),
    }
}

/// Removes a door's file when nobody stands behind it.
pub fn remove_stale(path: &Path) -> anyhow::Result<()> {
    open(path).map(drop)
}

/// Removes a door's file. That it is gone already is no error.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The doors that are there, by the numbers of their lanes. Whether anybody stands behind them is not asked.
pub fn find(run_dir: &Path, namespace: u64) -> anyhow::Result<Vec<(u32, PathBuf)>> {
    let (before, after) = (format!("lane.{namespace}."), ".door");
    let entries = match fs::read_dir(run_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot look into {}", run_dir.display())),
    };
    let mut doors = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot look into {}", run_dir.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix(&before)?.strip_suffix(after)?.parse().ok());
        doors.extend(number.map(|number| (number, path)));
    }
    doors.sort_unstable();
    Ok(doors)
}

/// The address of a door.
///
/// # Errors
/// When its folder has too long a name.
pub fn address(path: &Path) -> anyhow::Result<UnixAddr> {
    UnixAddr::new(path).with_context(|| {
        format!("{} is too long for a socket's name: name a shorter folder with --run-dir", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::{find, make, open, path};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    /// A folder that goes when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("mcr-door-{}-{name}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_door_is_for_this_user_only_and_is_found_again() {
        let folder = Folder::new("mode");
        let doors: Vec<_> = [10, 2].map(|lane| make(&path(&folder.0, 77, lane)).unwrap()).into();
        fs::write(folder.0.join("lane.77.x.door"), "").unwrap();
        let _other = make(&path(&folder.0, 78, 0)).unwrap();
        let found = find(&folder.0, 77).unwrap();
        assert_eq!(found, [2, 10].map(|lane| (lane, path(&folder.0, 77, lane))));
        assert_eq!(fs::metadata(&found[0].1).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(open(&found[0].1).unwrap().is_some());
        drop(doors);
        assert!(find(&folder.0.join("nowhere"), 77).unwrap().is_empty());
    }

    #[test]
    fn a_door_that_nobody_stands_behind_is_replaced_and_no_other() {
        let folder = Folder::new("stale");
        let path = path(&folder.0, 1, 0);
        drop(make(&path).unwrap());
        assert!(path.exists());
        assert!(open(&path).unwrap().is_none());
        assert!(!path.exists(), "a stale door stays");
        drop(make(&path).unwrap());
        let door = make(&path).unwrap();
        assert!(make(&path).is_err(), "somebody's door is taken away");
        assert!(open(&path).unwrap().is_some());
        drop(door);
    }

    #[test]
    fn a_folder_whose_name_is_too_long_is_told() {
        let error = make(&PathBuf::from(format!("/tmp/{}", "x".repeat(200)))).unwrap_err();
        assert!(format!("{error:#}").contains("--run-dir"), "{error:#}");
    }
}
