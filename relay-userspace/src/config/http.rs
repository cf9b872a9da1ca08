//! Where the API answers and what control keeps, as the user wrote it.

use super::error::{At, Errors, Fault};
use super::file::{name, set};
use super::section::{Section, boolean, choice, text};
use super::settings::{Access, Http, Reads, State, Tls, Token};
use super::value::{Kind, Value};
use std::net::SocketAddr;
use std::path::PathBuf;

pub(super) const HTTP: &[&str] = &["listen", "socket", "socket_group", "tokens", "reads", "tls", "insecure"];
pub(super) const TOKEN: &[&str] = &["name", "sha256", "access"];
pub(super) const TLS: &[&str] = &["certificate", "key"];
pub(super) const STATE: &[&str] = &["file"];

/// Characters that the path of a Unix socket can have (`sun_path`), less the closing zero and what the name has
/// while the socket is made ready beside its place.
const MAX_SOCKET_PATH: usize = 99;
/// Tokens of one node: each wrong one is compared with all.
const MAX_TOKENS: usize = 64;

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

fn access(value: &Value) -> Result<Access, Fault> {
    choice(value, &[("read", Access::Read), ("write", Access::Write)])
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

fn read_tokens(section: &Section<'_>, errors: &mut Errors) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let elements = section.elements("tokens", errors);
    if elements.len() > MAX_TOKENS {
        let fault = Fault::new(format!("names {} tokens", elements.len()), format!("name at most {MAX_TOKENS}"));
        errors.add(&section.place_of("tokens"), fault);
        return tokens;
    }
    for (i, value) in elements.iter().enumerate() {
        let path = format!("{}[{i}]", section.path("tokens"));
        let Some(token) = Section::open(value, &path, TOKEN, errors) else { continue };
        let name = token.require("name", name, "\"ops\"", errors);
        let hash = token.require("sha256", sha256, "\"…\", as printf %s TOKEN | sha256sum says", errors);
        let access = token.read("access", access, errors).map_or(Access::Write, |access| access.value);
        let (Some(At { value: name, place }), Some(hash)) = (name, hash) else { continue };
        if tokens.iter().any(|before| before.name == name) {
            errors.add(&place, Fault::new("there is another token of this name", "give one of them another name"));
        }
        tokens.push(Token { name, hash: hash.value, access });
    }
    tokens
}

fn sha256(value: &Value) -> Result<[u8; 32], Fault> {
    let remedy = "write the 64 hexadecimal digits that printf %s TOKEN | sha256sum says";
    // What is wrong may be the token itself, so it is not repeated.
    let Kind::Text(text) = &value.kind else {
        return Err(Fault::new(format!("is {}, not a text", value.kind_name()), remedy));
    };
    let wrong = || Fault::new("is not a SHA-256", remedy);
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use crate::config::settings::{Access, Reads, Tls};
    use crate::config::{Http, parse};
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
        let hash = "Ab".repeat(32);
        let text = format!(
            "[http]\nlisten = '[::]:80'\nsocket = '/tmp/x'\nsocket_group = '107'\n\
             tokens = [{{ name = 'ops', sha256 = '{hash}' }}, {{ name = 'eyes', sha256 = '{hash}', access = 'read' }}]\n\
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
    fn an_address_that_others_reach_needs_a_token_or_the_word() {
        assert!(parse("relay.toml", "[http]\nlisten = '0.0.0.0:9280'").is_err());
        assert!(http("[http]\nlisten = '0.0.0.0:9280'\ninsecure = true").insecure);
        http("[http]\nlisten = '[::ffff:127.0.0.2]:9280'");
        http("[http]\nlisten = '[::1]:9280'");
    }
}
