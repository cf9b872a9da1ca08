//! Where the API answers, and whom it lets in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the API answers, and whom it lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Http {
    /// The TCP address; none where TCP is closed.
    pub listen: Option<String>,
    /// The Unix socket.
    pub socket: String,
    /// `open`: everybody who reaches the address may look; `token`: who has one.
    pub reads: String,
    /// The certificate, where TCP speaks TLS.
    pub certificate: Option<Certificate>,
    /// Those who may look or change over TCP.
    pub tokens: Vec<Token>,
    /// Keys of the configuration file that say something else than is in force: they count from the next start of mcr on.
    pub restart_keys: Vec<String>,
}

/// The certificate that is in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// Its file.
    pub file: String,
    /// When it ends, as RFC 3339 in UTC.
    pub expires: Option<String>,
}

/// A token; what it is nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// Its name, as it stands in audit lines.
    pub name: String,
    /// `read`, `capture` or `write`.
    pub access: String,
    /// The relays that it may change and capture, as patterns; all where there is none.
    #[serde(default)]
    pub relays: Vec<String>,
    /// When it ends, as RFC 3339 in UTC.
    pub expires: Option<String>,
    /// Whether it has ended.
    #[serde(default)]
    pub expired: bool,
}
