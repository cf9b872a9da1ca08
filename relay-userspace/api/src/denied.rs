//! Who asked for what they may not have: an audit event for each, at the rate that each client has.

use super::access::{Admitted, Peer};
use axum::http::Method;
use axum::http::request::Parts;
use relay_control::events::{Event, EventLog, Kind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// So much of an address is told: whoever sends a long one must not fill the log.
const LONGEST: usize = 200;

/// Marks the answer to somebody who may not have what they asked for.
#[derive(Clone, Debug)]
pub(super) struct Denied {
    /// Why not.
    pub(super) detail: String,
    /// Whose token they have, if it is known.
    pub(super) token: Option<String>,
}

/// What was asked for, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    path: String,
    peer: Option<Peer>,
}

impl Asked {
    /// What is asked for here.
    pub(super) fn of(parts: &Parts) -> Self {
        let path = parts.uri.path().chars().take(LONGEST).collect();
        Self { method: parts.method.clone(), path, peer: parts.extensions.get().copied() }
    }
}

/// Tells that somebody was not given what they asked for, or no longer.
pub(super) fn record(log: &EventLog, asked: &Asked, status: u16, detail: String, token: Option<String>) {
    let method: String = asked.method.as_str().chars().take(16).collect();
    let mut event = Event::new(Kind::AuditDenied, String::new());
    let (mut who, client) = match asked.peer {
        Some(Peer::Tcp { peer, .. }) => {
            event = event.with("from", peer.to_string());
            (peer.ip().to_canonical().to_string(), client(peer))
        }
        Some(Peer::Unix { uid, pid }) => {
            event = event.with("uid", uid).with("pid", pid);
            (format!("uid {uid}"), format!("uid {uid}"))
        }
        None => ("nobody".to_owned(), String::new()),
    };
    if let Some(token) = token {
        who = format!("token \"{token}\" from {who}");
        event = event.with("token", token);
    }
    event.text = format!("{who}: {method} {}: denied: {detail}", asked.path);
    let event = event.with("who", who).with("method", method).with("path", asked.path.as_str());
    log.record(event.with("status", status).with("error", detail).paced(client));
}

/// Tells that somebody is shown no more of what they were let in to.
pub(super) fn record_end(log: &EventLog, asked: &Asked, admitted: &Admitted, why: &str) {
    let token = match admitted {
        Admitted::Token(token) => Some(token.name.clone()),
        Admitted::Unix { .. } | Admitted::Open => None,
    };
    record(log, asked, 401, format!("{why}: what was shown ends"), token);
}

/// Whom requests of an address are counted for: one who has a network of IPv6 addresses is one.
pub(super) fn client(peer: SocketAddr) -> String {
    match peer.ip().to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::client;

    #[test]
    fn who_has_a_network_is_one_client() {
        let client = |peer: &str| client(peer.parse().unwrap());
        assert_eq!(client("10.0.0.1:7"), client("[::ffff:10.0.0.1]:9"));
        assert_eq!(client("[2001:db8:1:2::7]:7"), client("[2001:db8:1:2:a:b:c:d]:9"));
        assert_ne!(client("[2001:db8:1:2::7]:7"), client("[2001:db8:1:3::7]:7"));
        assert_ne!(client("10.0.0.1:7"), client("10.0.0.2:7"));
    }
}
