//! What systemd is told (sd_notify): nothing happens without it.

use std::env;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells systemd that control lives, if it watches.
pub fn alive() {
    if env::var_os("WATCHDOG_USEC").is_some() {
        notify("WATCHDOG=1");
    }
}

/// Tells systemd a state such as `READY=1`, if it wants to know.
pub fn notify(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, "cannot tell systemd {state}");
    }
}
