//! What of `[http]` would not work on this machine, found out without anybody noticing.

use super::listen;
use relay_config::Http;
use relay_control::certificate::Certificate;
use relay_control::events::rfc3339;
use relay_engine::clock::unix_ms;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// What `mcr run` would begin without. `is_ours` says of an address whether the mcr that runs here listens at it.
#[must_use]
pub fn doubts(http: &Http, is_ours: impl Fn(SocketAddr) -> bool) -> Vec<String> {
    let listen = http.listen.filter(|address| !is_ours(*address)).and_then(|address| listen::open_tcp(address).err());
    let group = http.socket_group.as_deref().map(listen::group_id).and_then(Result::err);
    let certificate = http.tls.as_ref().map(Certificate::open);
    let expired = certificate.as_ref().and_then(|certificate| expired(certificate.as_ref().ok()?, unix_ms()));
    let tls = certificate.and_then(Result::err);
    [listen, group, tls].into_iter().flatten().map(|error| format!("{error:#}")).chain(expired).collect()
}

/// Why the Unix socket cannot be put in its place, as far as what lies there tells.
#[must_use]
pub fn place_doubt(path: &Path) -> Option<String> {
    listen::check_free(path).err().map(|error| format!("{error:#}"))
}

fn expired(certificate: &Certificate, now: u64) -> Option<String> {
    let (file, end) = (certificate.files().certificate.display(), certificate.expires().filter(|end| *end <= now)?);
    Some(format!("http.tls.certificate: {file} expired at {}: have another made", rfc3339(end)))
}

/// Whether that process listens at an address, or one that it is part of. 0 is a process that nobody can look into.
#[must_use]
pub fn is_heard_by(pid: i32, address: SocketAddr) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return true };
    let inode = |path: &Path| path.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok();
    let sockets = open.flatten().filter_map(|fd| inode(&fs::read_link(fd.path()).ok()?)).collect::<BTreeSet<u64>>();
    let tables = ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default());
    tables
        .iter()
        .flat_map(|table| listeners(table))
        .any(|(port, inode)| port == address.port() && sockets.contains(&inode))
}

/// The ports that are listened at in a table of the kernel, with the numbers of their sockets.
fn listeners(table: &str) -> impl Iterator<Item = (u16, u64)> {
    const LISTENS: &str = "0A";
    table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (_, port) = local.rsplit_once(':')?;
        (*state == LISTENS).then_some((u16::from_str_radix(port, 16).ok()?, inode.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::{doubts, is_heard_by};
    use relay_config::Http;
    use std::net::TcpListener;

    #[test]
    fn an_address_that_somebody_has_is_told_unless_it_is_ours() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let http = Http { listen: Some(address), ..Http::default() };
        let said = doubts(&http, |_| false);
        assert!(said[0].starts_with(&format!("http.listen: cannot listen on {address}")), "{said:?}");
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(doubts(&http, |address| is_heard_by(own, address)), [""; 0]);
        assert!(!is_heard_by(1, address) || !nix::unistd::geteuid().is_root());
        drop(taken);
        assert!(!is_heard_by(own, address));
        assert_eq!(doubts(&http, |_| false), [""; 0]);
    }
}
