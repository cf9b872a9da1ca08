//! The sockets that clients come by.

use crate::config::Http;
use crate::control::handover::Listening;
use anyhow::{Context as _, bail};
use nix::unistd::Group;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// Whoever is in the socket's group may change relays; nobody else.
const MODE: u32 = 0o660;

/// The open sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) unix: UnixListener,
    pub(super) place: Place,
    pub(super) tcp: Option<TcpListener>,
}

/// Where the Unix socket lies.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    inode: (u64, u64),
    /// Another control has the socket by now.
    stays: Arc<AtomicBool>,
}

impl Drop for Place {
    /// Removes the socket, unless another mcr has it, or has put its own there meanwhile.
    fn drop(&mut self) {
        if !self.stays.load(Relaxed) && inode(&self.path).is_some_and(|inode| inode == self.inode) {
            let _ = fs::remove_file(&self.path); // Gone already is gone.
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl Sockets {
    /// The same sockets, for the control that follows in this process.
    pub(super) fn to_give(&self) -> io::Result<Listening> {
        let tcp = self.tcp.as_ref().map(TcpListener::try_clone).transpose()?;
        let Place { path, inode, stays } = &self.place;
        Ok(Listening {
            unix: self.unix.try_clone()?.into(),
            place: (path.clone(), *inode),
            tcp: tcp.map(Into::into),
            stays: Arc::clone(stays),
        })
    }
}

/// Opens them. Nothing answers yet. Those that the control before this one listened at go on where the configuration still
/// names them, so that nobody is refused meanwhile.
pub(super) fn open(http: &Http, given: Option<&Listening>) -> anyhow::Result<Sockets> {
    let tcp = http.listen.map(|address| tcp(address, given)).transpose()?;
    let (unix, place) = unix(http, given)?;
    Ok(Sockets { unix, place, tcp })
}

fn tcp(address: SocketAddr, given: Option<&Listening>) -> anyhow::Result<TcpListener> {
    let given = given.and_then(|given| given.tcp.as_ref()).and_then(|given| given.try_clone().ok());
    let Some(given) = given.map(TcpListener::from) else { return open_tcp(address) };
    let at = given.local_addr().context("http.listen")?;
    if at == address {
        return Ok(given);
    }
    open_tcp(address).or_else(|error| {
        // Rights that this takes may be given up: better there than nowhere.
        tracing::error!("{error:#}; the API answers at {at} as before, until mcr is stopped and started");
        Ok(given)
    })
}

fn unix(http: &Http, given: Option<&Listening>) -> anyhow::Result<(UnixListener, Place)> {
    let group = http.socket_group.as_deref();
    let Some(Listening { unix, place: (path, file), stays, .. }) = given else { return open_unix(&http.socket, group) };
    if inode(path) != Some(*file) {
        return open_unix(&http.socket, group);
    }
    let unix = UnixListener::from(unix.try_clone().context("http.socket")?);
    let place = Place { path: path.clone(), inode: *file, stays: Arc::clone(stays) };
    if *path == http.socket {
        let (own, has) = (nix::unistd::getegid().as_raw(), fs::symlink_metadata(path).map(|file| file.gid()));
        let changed = group.map_or(Ok(own), group_id).and_then(|group| match has {
            // To change nothing, too, takes a right in some places.
            Ok(has) if has == group => Ok(()),
            _ => Ok(chown(path, None, Some(group))?),
        });
        if let Err(error) = changed {
            tracing::error!("http.socket_group: the group of {} stays as it is: {error:#}", path.display());
        }
        return Ok((unix, place));
    }
    match open_unix(&http.socket, group) {
        // What lay elsewhere goes with its place.
        Ok(opened) => Ok(opened),
        Err(error) => {
            tracing::error!("{error:#}; the API answers at {} as before", path.display());
            Ok((unix, place))
        }
    }
}

fn open_tcp(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::AddrInUse => "end what listens there (ss -ltnp), or use another port, or \"off\"",
            ErrorKind::AddrNotAvailable => "use an address that this machine has (ip address), or \"off\"",
            ErrorKind::PermissionDenied => "use a port from 1024 on",
            _ => "use another address, or \"off\"",
        };
        anyhow::anyhow!("http.listen: cannot listen on {address}: {error}: {remedy}")
    })?;
    listener.set_nonblocking(true).context("http.listen")?;
    Ok(listener)
}

/// Opens the Unix socket beside its place, with its rights, and then puts it there: nobody ever finds it with other
/// rights or deaf, and a dead one is replaced.
fn open_unix(path: &Path, group: Option<&str>) -> anyhow::Result<(UnixListener, Place)> {
    let shown = path.display();
    let remedy = "let the user that runs mcr write there, or name another place in http.socket";
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("http.socket: cannot make the folder of {shown}: {remedy}"))?;
    }
    check_free(path)?;
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}", std::process::id()));
    let aside = PathBuf::from(aside);
    let _ = fs::remove_file(&aside); // Only an mcr of our number can have left one, and it is gone.
    let made = || -> anyhow::Result<(UnixListener, Place)> {
        let listener =
            UnixListener::bind(&aside).with_context(|| format!("http.socket: cannot make {shown}: {remedy}"))?;
        let restrict = || fs::set_permissions(&aside, Permissions::from_mode(MODE));
        restrict().with_context(|| format!("http.socket: cannot restrict {shown} to its group"))?;
        if let Some(group) = group {
            let id = group_id(group)?;
            chown(&aside, None, Some(id)).with_context(|| {
                format!(
                    "http.socket_group: cannot give {shown} to group {group}: run mcr as root, or as a member of it"
                )
            })?;
        }
        listener.set_nonblocking(true).context("http.socket")?;
        let inode =
            inode(&aside).with_context(|| format!("http.socket: {shown} is gone while it is made: {remedy}"))?;
        fs::rename(&aside, path).with_context(|| format!("http.socket: cannot put {shown} in its place: {remedy}"))?;
        Ok((listener, Place { path: path.to_owned(), inode, stays: Arc::default() }))
    };
    made().inspect_err(|_| {
        let _ = fs::remove_file(&aside);
    })
}

/// Refuses a place where somebody answers, or where something else lies.
fn check_free(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !std::os::unix::fs::FileTypeExt::is_socket(&found.file_type()) {
        bail!("http.socket: {shown} is there and is no socket: remove it, or name another place");
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!(
            "http.socket: another mcr answers at {shown}: give this one a folder of its own (--run-dir), or name another place"
        ),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => bail!("http.socket: cannot tell whether somebody answers at {shown} ({error}): remove it if not"),
    }
}

/// The number of the group that the socket is to have.
pub(super) fn group_id(group: &str) -> anyhow::Result<u32> {
    if let Ok(id) = group.parse() {
        return Ok(id);
    }
    let found = Group::from_name(group).with_context(|| format!("http.socket_group: cannot look for group {group}"))?;
    let found = found.with_context(|| {
        format!(
            "http.socket_group: there is no group \"{group}\": make it (groupadd --system {group}), or name another"
        )
    })?;
    Ok(found.gid.as_raw())
}
