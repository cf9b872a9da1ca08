//! The sockets that clients come by.

use anyhow::{Context as _, bail};
use nix::unistd::Group;
use relay_config::Http;
use relay_control::handover::{Begins, Listening};
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
    pub(super) unix: Unix,
    pub(super) tcp: Tcp,
}

/// Where those of this machine come.
#[derive(Debug)]
pub(super) enum Unix {
    /// Here.
    Open(Placed),
    /// Nowhere yet, and why.
    Wanted(String),
}

/// Where everybody else comes.
#[derive(Debug)]
pub(super) enum Tcp {
    /// Nowhere.
    Off,
    /// Here.
    Open(TcpListener),
    /// Nowhere yet, because the address cannot be had, and why.
    Wanted(SocketAddr, String),
}

/// A Unix socket in its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) listener: UnixListener,
    pub(super) place: Place,
    /// Why it does not have the group that it is to have. Fewer may come until it has.
    pub(super) group: Option<String>,
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

impl Place {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl Sockets {
    /// The same sockets, for the control that follows in this process.
    pub(super) fn to_give(&self) -> io::Result<Option<Listening>> {
        let Unix::Open(unix) = &self.unix else { return Ok(None) };
        let tcp = match &self.tcp {
            Tcp::Open(tcp) => Some(tcp.try_clone()?.into()),
            Tcp::Off | Tcp::Wanted(..) => None,
        };
        Ok(Some(Listening { tcp, ..unix.to_give()? }))
    }
}

impl Placed {
    pub(super) fn to_give(&self) -> io::Result<Listening> {
        let Place { path, inode, stays } = &self.place;
        let (unix, place) = (self.listener.try_clone()?.into(), (path.clone(), *inode));
        Ok(Listening { unix, place, tcp: None, stays: Arc::clone(stays) })
    }
}

/// Opens them. Nothing answers yet. Those that the control before this one listened at go on where the configuration still
/// names them, so that nobody is refused meanwhile.
pub(super) fn open(http: &Http, given: Option<&Listening>, begins: Begins) -> anyhow::Result<Sockets> {
    let unix = match unix(http, given) {
        Ok(placed) => Unix::Open(placed),
        Err(error) if begins == Begins::InCharge => Unix::Wanted(format!("{error:#}")),
        Err(error) => return Err(error),
    };
    // Packets flow without it.
    let tcp = match http.listen.map(|address| (address, tcp(address, given))) {
        None => Tcp::Off,
        Some((_, Ok(listener))) => Tcp::Open(listener),
        Some((address, Err(error))) => Tcp::Wanted(address, format!("{error:#}")),
    };
    Ok(Sockets { unix, tcp })
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

fn unix(http: &Http, given: Option<&Listening>) -> anyhow::Result<Placed> {
    let group = http.socket_group.as_deref();
    let Some(Listening { unix, place: (path, file), stays, .. }) = given else { return open_unix(&http.socket, group) };
    if inode(path) != Some(*file) {
        return open_unix(&http.socket, group);
    }
    let unix = UnixListener::from(unix.try_clone().context("http.socket")?);
    let place = Place { path: path.clone(), inode: *file, stays: Arc::clone(stays) };
    if *path == http.socket {
        let group = give_to(path, group).err().map(|error| format!("{error:#}"));
        return Ok(Placed { listener: unix, place, group });
    }
    match open_unix(&http.socket, group) {
        // What lay elsewhere goes with its place.
        Ok(opened) => Ok(opened),
        Err(error) => {
            tracing::error!("{error:#}; the API answers at {} as before", path.display());
            Ok(Placed { listener: unix, place, group: None })
        }
    }
}

/// Gives a socket to the group that is named, or to our own.
pub(super) fn give_to(path: &Path, group: Option<&str>) -> anyhow::Result<()> {
    let wanted = group.map_or_else(|| Ok(nix::unistd::getegid().as_raw()), group_id)?;
    // To change nothing, too, takes a right in some places.
    if fs::symlink_metadata(path).is_ok_and(|file| file.gid() == wanted) {
        return Ok(());
    }
    chown(path, None, Some(wanted)).with_context(|| {
        let group = group.unwrap_or("of mcr");
        format!("http.socket_group: cannot give the socket to group {group}: run mcr as root, or as a member of it")
    })
}

pub(super) fn open_tcp(address: SocketAddr) -> anyhow::Result<TcpListener> {
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
pub(super) fn open_unix(path: &Path, group: Option<&str>) -> anyhow::Result<Placed> {
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
    let made = || -> anyhow::Result<Placed> {
        let listener =
            UnixListener::bind(&aside).with_context(|| format!("http.socket: cannot make {shown}: {remedy}"))?;
        let restrict = || fs::set_permissions(&aside, Permissions::from_mode(MODE));
        restrict().with_context(|| format!("http.socket: cannot restrict {shown} to its group"))?;
        let group = group.and_then(|group| give_to(&aside, Some(group)).err()).map(|error| format!("{error:#}"));
        listener.set_nonblocking(true).context("http.socket")?;
        let inode =
            inode(&aside).with_context(|| format!("http.socket: {shown} is gone while it is made: {remedy}"))?;
        fs::rename(&aside, path).with_context(|| format!("http.socket: cannot put {shown} in its place: {remedy}"))?;
        Ok(Placed { listener, place: Place { path: path.to_owned(), inode, stays: Arc::default() }, group })
    };
    made().inspect_err(|_| {
        let _ = fs::remove_file(&aside);
    })
}

/// Refuses a place where somebody answers, or where something else lies.
pub(super) fn check_free(path: &Path) -> anyhow::Result<()> {
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
