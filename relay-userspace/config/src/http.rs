//! Where the API answers and what control keeps, as the user wrote it.

use super::error::{Errors, Fault};
use super::file::set;
use super::section::{Section, boolean, choice, text};
use super::settings::{Http, Reads, State, Tls};
use super::token::read_tokens;
use super::value::Value;
use std::net::SocketAddr;
use std::path::PathBuf;

pub(super) const HTTP: &[&str] = &["listen", "socket", "socket_group", "tokens", "reads", "tls", "insecure"];
pub(super) const TLS: &[&str] = &["certificate", "key"];
pub(super) const STATE: &[&str] = &["file"];

/// Characters that the path of a Unix socket can have (`sun_path`), less the closing zero and what the name has
/// while the socket is made ready beside its place.
const MAX_SOCKET_PATH: usize = 99;

/// Reads `[http]`.
pub(super) fn read_http(section: &Section<'_>, errors: &mut Errors) -> Http {
    let mut http = Http::default();
    let listen = section.read("listen", listen, errors);
    set(&mut http.listen, listen);
    set(&mut http.socket, section.read("socket", socket, errors));
    http.socket_group = section.read("socket_group", group, errors).map(|group| group.value);
    set(&mut http.insecure, section.read("insecure", boolean, errors));
    let before = errors.errors.len();
    http.tokens = read_tokens(section, errors);
    http.tls = read_tls(section, errors);
    let no_token = http.tokens.is_empty() && errors.errors.len() == before;
    if let Some(reads) = section.read("reads", reads, errors) {
        http.reads = reads.value;
        if no_token && http.reads == Reads::Token {
            let fault = Fault::new("asks for a token, and there is none", "add tokens, or write \"open\"");
            errors.add(&reads.place, fault);
        }
    }
    if let Some(address) = http.listen.filter(|address| no_token && !http.insecure && !is_loopback(*address)) {
        let problem = format!("{address} can be reached from other machines, and there is no token");
        let remedy = "add tokens = [{ name = \"ops\", sha256 = \"…\" }], listen on 127.0.0.1, or set insecure = true";
        errors.add(&section.place_of("listen"), Fault::new(problem, remedy));
    }
    http
}

/// Reads `[state]`.
pub(super) fn read_state(section: &Section<'_>, errors: &mut Errors) -> State {
    State { file: section.read("file", path, errors).map(|file| file.value) }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

fn listen(value: &Value) -> Result<Option<SocketAddr>, Fault> {
    let text = text(value)?;
    if text == "off" {
        return Ok(None);
    }
    let remedy = "write it as in \"127.0.0.1:9280\" or \"[::1]:9280\", or \"off\"";
    text.parse().map(Some).map_err(|_| Fault::new(format!("\"{text}\" is not an address with a port"), remedy))
}

fn reads(value: &Value) -> Result<Reads, Fault> {
    choice(value, &[("open", Reads::Open), ("token", Reads::Token)])
}

fn read_tls(section: &Section<'_>, errors: &mut Errors) -> Option<Tls> {
    let (value, path) = (section.value("tls")?, section.path("tls"));
    let tls = Section::open(value, &path, TLS, errors)?;
    let certificate = tls.require("certificate", self::path, "\"/etc/mcr/tls.pem\"", errors);
    let key = tls.require("key", self::path, "\"/etc/mcr/tls.key\"", errors);
    Some(Tls { certificate: certificate?.value, key: key?.value })
}

fn path(value: &Value) -> Result<PathBuf, Fault> {
    let text = text(value)?;
    if !text.starts_with('/') || text.ends_with('/') || text.contains('\0') {
        let remedy = "write it whole, from the first \"/\" to the file's name";
        return Err(Fault::new(format!("\"{text}\" is not the whole path of a file"), remedy));
    }
    Ok(PathBuf::from(text))
}

fn socket(value: &Value) -> Result<PathBuf, Fault> {
    let path = path(value)?;
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        let problem = format!("has {} characters", path.as_os_str().len());
        return Err(Fault::new(problem, format!("use a path of at most {MAX_SOCKET_PATH}")));
    }
    Ok(path)
}

fn group(value: &Value) -> Result<String, Fault> {
    let remedy = "write the name of a group, or its number in quotes";
    match text(value)? {
        "" => Err(Fault::new("is empty", remedy)),
        text if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':') => {
            Err(Fault::new(format!("\"{text}\" cannot be a group"), remedy))
        }
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::{Access, Reads, Tls, Token};
    use crate::{Http, parse};
    use std::path::Path;

    fn http(text: &str) -> Http {
        parse("relay.toml", text).unwrap_or_else(|errors| panic!("{errors}")).settings.http
    }

    #[test]
    fn nothing_said_is_the_default() {
        assert_eq!(http(""), Http::default());
        assert_eq!(http("[http]"), Http::default());
        assert_eq!(parse("relay.toml", "").unwrap().settings.state.file, None);
    }

    #[test]
    fn everything_can_be_said() {
        let (hash, other) = ("Ab".repeat(32), "Cd".repeat(32));
        let text = format!(
            "[http]\nlisten = '[::]:80'\nsocket = '/tmp/x'\nsocket_group = '107'\n\
             tokens = [{{ name = 'ops', sha256 = '{hash}' }}, {{ name = 'eyes', sha256 = '{other}', access = 'read' }}]\n\
             reads = 'token'\ntls = {{ certificate = '/c.pem', key = '/k.pem' }}\n[state]\nfile = '/tmp/relays.toml'"
        );
        let settings = parse("relay.toml", &text).unwrap().settings;
        assert_eq!(settings.http.listen, Some("[::]:80".parse().unwrap()));
        assert_eq!(settings.http.socket, Path::new("/tmp/x"));
        assert_eq!(settings.http.socket_group.as_deref(), Some("107"));
        assert_eq!((settings.http.tokens[0].name.as_str(), settings.http.tokens[0].hash), ("ops", [0xab; 32]));
        assert_eq!(
            settings.http.tokens.iter().map(|token| token.access).collect::<Vec<_>>(),
            [Access::Write, Access::Read]
        );
        let tls = Tls { certificate: "/c.pem".into(), key: "/k.pem".into() };
        assert_eq!((settings.http.reads, settings.http.tls), (Reads::Token, Some(tls)));
        assert_eq!(settings.state.file.as_deref(), Some(Path::new("/tmp/relays.toml")));
        assert_eq!(http("[http]\nlisten = 'off'").listen, None);
    }

    #[test]
    fn what_counts_from_a_reload_on_and_what_from_the_next_start_is_told_apart() {
        let before = http("");
        let hash = "0".repeat(64);
        let after = http(&format!(
            "[http]\nlisten = 'off'\nsocket_group = 'mcr'\nreads = 'token'\ntokens = [{{ name = 'a', sha256 = '{hash}' }}]"
        ));
        assert_eq!(before.restart_keys(&after), ["http.listen", "http.socket_group"]);
        assert_eq!(before.changes(&after), ["add token \"a\"", "set http.reads to \"token\""]);
        assert_eq!((after.restart_keys(&after), after.changes(&after)), (vec![], vec![]));
        let token = |token: Token| Http { tokens: vec![token], ..after.clone() };
        let other = token(Token { expires: Some(7), ..after.tokens[0].clone() });
        assert_eq!(after.changes(&other), ["change token \"a\""]);
        assert_eq!(after.changes(&Http { tokens: vec![], ..after.clone() }), ["remove token \"a\""]);
    }

    #[test]
    fn an_address_that_others_reach_needs_a_token_or_the_word() {
        assert!(parse("relay.toml", "[http]\nlisten = '0.0.0.0:9280'").is_err());
        assert!(http("[http]\nlisten = '0.0.0.0:9280'\ninsecure = true").insecure);
        http("[http]\nlisten = '[::ffff:127.0.0.2]:9280'");
        http("[http]\nlisten = '[::1]:9280'");
    }
}
