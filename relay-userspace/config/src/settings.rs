//! What concerns control alone and no packet: where it answers, what it keeps, what it says.

use relay_common::health::Share;
use relay_common::unasked::Watch;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Everything of a configuration file besides the plan.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// How the file itself is taken.
    pub config: ConfigFile,
    /// Where the API answers.
    pub http: Http,
    /// What control keeps on disk.
    pub state: State,
    /// How health is judged.
    pub health: Health,
}

/// How the configuration file is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigFile {
    /// What of it comes into force by itself when it has changed.
    pub watch: Watch,
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
    /// The relays whose packets its holder may see and that it may change, as patterns; none: all.
    pub relays: Vec<String>,
    /// When it ends, in milliseconds since 1970.
    pub expires: Option<u64>,
}

impl Token {
    /// A token without limits.
    #[must_use]
    pub fn new(name: &str, hash: [u8; 32], access: Access) -> Self {
        Self { name: name.to_owned(), hash, access, relays: Vec::new(), expires: None }
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_expired(&self, unix_ms: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= unix_ms)
    }
}

/// What the holder of a token may do: each may what those before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Look.
    Read,
    /// See packets too.
    Capture,
    /// Change too.
    Write,
}

impl Access {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Capture, Self::Write];

    /// The word in the configuration and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Capture => "capture",
            Self::Write => "write",
        }
    }
}

/// Who may look over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Everybody who reaches the address.
    Open,
    /// Who has a token; health is told to everybody.
    Token,
}

impl Reads {
    /// The word in the configuration and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Token => "token",
        }
    }
}

impl Http {
    /// The keys that another configuration has otherwise, and that count from the next start of mcr on: sockets are opened
    /// once. Everything else of `[http]` takes effect at a reload.
    #[must_use]
    pub fn restart_keys(&self, other: &Self) -> Vec<&'static str> {
        let differ = [
            ("http.listen", self.listen != other.listen),
            ("http.socket", self.socket != other.socket),
            ("http.socket_group", self.socket_group != other.socket_group),
        ];
        differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }

    /// What is another after a reload, one line each, for people.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<String> {
        let find = |tokens: &[Token], name: &str| tokens.iter().find(|token| token.name == name).cloned();
        let gone = self.tokens.iter().filter(|token| find(&other.tokens, &token.name).is_none());
        let gone = gone.map(|token| format!("remove token \"{}\"", token.name));
        let new = other.tokens.iter().filter_map(|token| match find(&self.tokens, &token.name) {
            None => Some(format!("add token \"{}\"", token.name)),
            Some(before) if before != *token => Some(format!("change token \"{}\"", token.name)),
            Some(_) => None,
        });
        let reads = (self.reads != other.reads).then(|| format!("set http.reads to \"{}\"", other.reads.name()));
        let tls = (self.tls != other.tls).then(|| "set http.tls anew".to_owned());
        gone.chain(new).chain(reads).chain(tls).collect()
    }
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

/// How health is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// A node is healthy again only when it was without a fault for so long, in milliseconds; at once with 0.
    pub hold_down_ms: u32,
    /// How much of its relays must work for a node to be ready.
    pub ready_min: Share,
}

impl Default for Health {
    fn default() -> Self {
        Self { hold_down_ms: 10_000, ready_min: Share::ALL }
    }
}
