//! What concerns control alone and no packet: where it answers, what it keeps, what it says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Everything of a configuration file besides the plan.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// Where the API answers.
    pub http: Http,
    /// What control keeps on disk.
    pub state: State,
}

/// Where the API answers, and whom it lets write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// The TCP address; none closes TCP.
    pub listen: Option<SocketAddr>,
    /// The Unix socket, whose permissions are its access control.
    pub socket: PathBuf,
    /// The group that may use the Unix socket besides its owner; the owner's own without.
    pub socket_group: Option<String>,
    /// Who may look and write over TCP.
    pub tokens: Vec<Token>,
    /// Whether it takes a token to look, too.
    pub reads: Reads,
    /// What TCP is encrypted with; plain without.
    pub tls: Option<Tls>,
    /// Whether a TCP address that others can reach is allowed without a token.
    pub insecure: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9280)),
            socket: PathBuf::from("/run/mcr/mcr.sock"),
            socket_group: None,
            tokens: Vec::new(),
            reads: Reads::Open,
            tls: None,
            insecure: false,
        }
    }
}

/// A bearer token, of which only the hash is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Whose it is: the name in the audit lines.
    pub name: String,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// What its holder may do.
    pub access: Access,
}

/// What the holder of a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Look.
    Read,
    /// Look and change.
    Write,
}

/// Who may look over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Everybody who reaches the address.
    Open,
    /// Who has a token; health is told to everybody.
    Token,
}

/// The files of a certificate, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, and those between it and its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What control keeps on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The relays that were made through the API; `relays.toml` in the state folder without.
    pub file: Option<PathBuf>,
}
