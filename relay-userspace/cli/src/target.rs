//! Where control answers, and with which token it is asked.

use super::failure::Failure;
use crate::args::Node;
use hyper::Uri;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the socket is unless told otherwise.
pub(super) const SOCKET: &str = "/run/mcr/mcr.sock";
/// The port of an address that names none.
const PORT: u16 = 9280;

/// Where control answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// At a Unix socket.
    Unix(PathBuf),
    /// At a TCP address.
    Tcp {
        /// Its host, without brackets.
        host: String,
        /// Its port.
        port: u16,
        /// Whether it is spoken to by TLS.
        tls: bool,
    },
}

impl Target {
    /// What the options say, else the environment, else the socket of this machine.
    ///
    /// # Errors
    /// When an address is none.
    pub(super) fn choose(node: &Node, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Failure> {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        match (&node.socket, &node.url) {
            (Some(path), _) => Ok(Self::Unix(path.clone())),
            (None, Some(url)) => Self::of_url(url),
            (None, None) => match (variable("MCR_SOCKET"), variable("MCR_URL")) {
                (Some(path), _) => Ok(Self::Unix(path.into())),
                (None, Some(url)) => Self::of_url(&url.to_string_lossy()),
                (None, None) => Ok(Self::Unix(SOCKET.into())),
            },
        }
    }

    fn of_url(url: &str) -> Result<Self, Failure> {
        const FORM: &str = "write it as in http://node1:9280 or https://node1:9280";
        let wrong = || Failure::usage(format!("\"{url}\" is not an address: {FORM}"));
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
        let host = authority.host();
        let port = match authority.as_str().get(host.len()..).and_then(|rest| rest.strip_prefix(':')) {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None => PORT,
        };
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        if !is_bare || host.is_empty() {
            return Err(wrong());
        }
        Ok(Self::Tcp { host: host.trim_start_matches('[').trim_end_matches(']').to_owned(), port, tls })
    }

    /// The folder of a Unix socket: that of lanes' doors too, unless the configuration has put the socket elsewhere.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => path.parent(),
            Self::Tcp { .. } => None,
        }
    }

    /// What stands in the Host header.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Unix(path) => path.display().to_string(),
            Self::Tcp { tls, .. } => format!("http{}://{}", if *tls { "s" } else { "" }, self.host()),
        }
    }

    /// The token that goes with it: over TCP that of the file, else that of the environment; over a Unix socket none.
    ///
    /// # Errors
    /// When the file cannot be read, or holds nothing that can be a token.
    pub(super) fn token(&self, node: &Node, variable: Option<OsString>) -> Result<Option<String>, Failure> {
        if matches!(self, Self::Unix(_)) {
            return Ok(None);
        }
        let (text, place) = match (&node.token_file, variable) {
            (Some(file), _) => {
                let read = std::fs::read_to_string(file);
                let failed = |error| Failure::usage(format!("{}: the token cannot be read: {error}", file.display()));
                (read.map_err(failed)?, file.display().to_string())
            }
            (None, Some(text)) => (text.to_string_lossy().into_owned(), "MCR_TOKEN".to_owned()),
            (None, None) => return Ok(None),
        };
        let token = text.trim();
        if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Failure::usage(format!("{place} holds no token: put it there alone, on one line")));
        }
        Ok(Some(token.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(socket: Option<&str>, url: Option<&str>) -> Node {
        Node { socket: socket.map(Into::into), url: url.map(Into::into), ..Node::default() }
    }

    #[test]
    fn options_come_before_the_environment() {
        let both = |name: &str| Some(OsString::from(if name == "MCR_SOCKET" { "/s" } else { "http://n" }));
        let none = |_: &str| None;
        let url_only = |name: &str| (name == "MCR_URL").then(|| OsString::from("http://n:1"));
        let empty = |_: &str| Some(OsString::new());
        let unix = |path: &str| Target::Unix(path.into());
        let tcp = |host: &str, port| Target::Tcp { host: host.into(), port, tls: false };
        assert_eq!(Target::choose(&node(Some("/o"), None), both).unwrap(), unix("/o"));
        assert_eq!(Target::choose(&node(None, Some("http://o")), both).unwrap(), tcp("o", 9280));
        assert_eq!(Target::choose(&node(None, None), both).unwrap(), unix("/s"));
        assert_eq!(Target::choose(&node(None, None), url_only).unwrap(), tcp("n", 1));
        assert_eq!(Target::choose(&node(None, None), none).unwrap(), unix(SOCKET));
        assert_eq!(Target::choose(&node(None, None), empty).unwrap(), unix(SOCKET));
    }

    #[test]
    fn addresses_are_read_or_refused() {
        let v6 = Target::of_url("http://[::1]:80/").unwrap();
        assert_eq!(
            (v6.name().as_str(), &v6),
            ("http://[::1]:80", &Target::Tcp { host: "::1".into(), port: 80, tls: false })
        );
        assert_eq!(Target::of_url("https://n").unwrap().name(), "https://n:9280");
        for url in [
            "",
            "node1",
            "node1:9280",
            "ftp://n",
            "http://",
            "http://n/api",
            "http://n/?a",
            "http://a:b@n",
            "http://n:x",
        ] {
            let failure = Target::of_url(url).unwrap_err().to_string();
            assert_eq!(
                failure,
                format!("\"{url}\" is not an address: write it as in http://node1:9280 or https://node1:9280")
            );
        }
    }

    #[test]
    fn a_token_goes_over_tcp_only_and_is_one_word() {
        let tcp = Target::Tcp { host: "n".into(), port: 1, tls: false };
        let token = |target: &Target, text: &str| target.token(&Node::default(), Some(text.into()));
        assert_eq!(token(&tcp, " secret\n").unwrap().as_deref(), Some("secret"));
        assert_eq!(token(&Target::Unix("/s".into()), "secret").unwrap(), None);
        for wrong in ["", " \n", "two words", "caf\u{e9}"] {
            let failure = token(&tcp, wrong).unwrap_err().to_string();
            assert_eq!(failure, "MCR_TOKEN holds no token: put it there alone, on one line");
        }
        let missing = Node { token_file: Some("/nonexistent/token".into()), ..Node::default() };
        assert!(tcp.token(&missing, None).unwrap_err().to_string().starts_with("/nonexistent/token: the token cannot"));
    }
}
