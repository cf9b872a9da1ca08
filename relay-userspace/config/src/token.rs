//! Who may look and change over TCP, as the user wrote it.

use super::error::{At, Errors, Fault};
use super::file::name;
use super::section::{Section, choice, text};
use super::settings::{Access, Token};
use super::value::{Kind, Value};
use crate::time::unix_ms_of;
use relay_common::plan::MAX_NAME;

pub(super) const TOKEN: &[&str] = &["name", "sha256", "access", "relays", "expires"];

/// Tokens of one node: each wrong one is compared with all.
const MAX_TOKENS: usize = 64;
/// Patterns of one token: each change is compared with all.
const MAX_PATTERNS: usize = 64;

/// Reads `tokens` of `[http]`.
pub(super) fn read_tokens(section: &Section<'_>, errors: &mut Errors) -> Vec<Token> {
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
        let relays = read_relays(&token, access, errors);
        let expires = token.read("expires", expires, errors).map(|expires| expires.value);
        let (Some(At { value: name, place }), Some(hash)) = (name, hash) else { continue };
        if tokens.iter().any(|before| before.name == name) {
            errors.add(&place, Fault::new("there is another token of this name", "give one of them another name"));
        }
        if let Some(before) = tokens.iter().find(|before| before.hash == hash.value) {
            let problem = format!("is that of the token \"{}\" too", before.name);
            errors.add(&hash.place, Fault::new(problem, "make a token for each: openssl rand -hex 32"));
        }
        tokens.push(Token { name, hash: hash.value, access, relays, expires });
    }
    tokens
}

fn access(value: &Value) -> Result<Access, Fault> {
    choice(value, &Access::ALL.map(|access| (access.name(), access)))
}

/// The patterns of the relays that a token is for.
fn read_relays(token: &Section<'_>, access: Access, errors: &mut Errors) -> Vec<String> {
    let relays: Vec<String> = token.list("relays", pattern, errors).into_iter().map(|pattern| pattern.value).collect();
    let problem = match (token.value("relays").map(|value| &value.kind), access) {
        (None, _) => None,
        // Who reads [] as "none" must not find that it means all.
        (Some(Kind::List(all)), _) if all.is_empty() => {
            Some(("names no relay".to_owned(), "leave it out for all relays, or use access = \"read\"".to_owned()))
        }
        (Some(_), Access::Read) => Some((
            "limits what is changed and captured, and this token does neither".to_owned(),
            "leave it out, or use access = \"capture\" or \"write\"".to_owned(),
        )),
        _ if relays.len() > MAX_PATTERNS => {
            Some((format!("has {} patterns", relays.len()), format!("use at most {MAX_PATTERNS}")))
        }
        _ => None,
    };
    if let Some((problem, remedy)) = problem {
        errors.add(&token.place_of("relays"), Fault::new(problem, remedy));
    }
    relays
}

fn pattern(value: &Value) -> Result<String, Fault> {
    let pattern = text(value)?;
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '?' | '/');
    if pattern.is_empty() || pattern.len() > MAX_NAME || !pattern.chars().all(known) {
        let remedy = "write a relay's name, or a part of it with * for anything, as in \"sport-*\"";
        return Err(Fault::new(format!("\"{pattern}\" cannot be the name of a relay or a pattern for it"), remedy));
    }
    Ok(pattern.to_owned())
}

fn expires(value: &Value) -> Result<u64, Fault> {
    let remedy = "write a date with time and offset, without quotes, as in 2027-01-01T00:00:00Z";
    let Kind::Moment(moment) = &value.kind else {
        return Err(Fault::new(format!("is {}, not a date", value.kind_name()), remedy));
    };
    unix_ms_of(moment).ok_or_else(|| Fault::new(format!("{moment} is no moment"), remedy))
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
    use crate::parse;
    use crate::settings::Access;

    #[test]
    fn a_token_has_a_scope_and_an_end() {
        let hash = "0".repeat(64);
        let token = format!("name = 'sport', sha256 = '{hash}'");
        let text = format!(
            "[http]\ntokens = [{{ {token}, access = 'capture', relays = ['sport-*', 'news'], expires = 2027-01-01T01:00:00+01:00 }}]"
        );
        let tokens = parse("relay.toml", &text).unwrap().settings.http.tokens;
        assert_eq!(
            (tokens[0].access, &tokens[0].relays),
            (Access::Capture, &vec!["sport-*".to_owned(), "news".to_owned()])
        );
        let ends = 1_798_761_600_000;
        assert_eq!(tokens[0].expires, Some(ends));
        assert!(!tokens[0].is_expired(ends - 1) && tokens[0].is_expired(ends));
    }

    #[test]
    fn who_may_more_may_all_that_others_may() {
        assert!(Access::Read < Access::Capture && Access::Capture < Access::Write);
    }
}
