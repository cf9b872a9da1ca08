//! Who asks, and whether they may. The Unix socket's permissions are its access control; over TCP everybody may look,
//! unless that takes a token too, but not into packets; the holder of a token that may write may change. A browser is not
//! let into it by a stranger's page.

use super::problem::{Kind, Problem};
use super::shared::Api;
use crate::config::{Access, Reads, Token};
use crate::control::desk::Who;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use subtle::ConstantTimeEq as _;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Peer {
    /// A process on this machine, by the Unix socket.
    Unix {
        /// Its user.
        uid: u32,
        /// Its number; 0 if it is in a namespace that we cannot see.
        pid: i32,
    },
    /// Somebody by TCP.
    Tcp {
        /// Who.
        peer: SocketAddr,
        /// At which of our addresses.
        local: SocketAddr,
    },
}

/// Who asks for a change, after it was found that they may.
#[derive(Clone, Debug)]
pub(super) struct Asking(pub(super) Who);

impl FromRequestParts<Api> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let asking = parts.extensions.get::<Self>().cloned();
        asking.ok_or_else(|| Problem::new(Kind::Forbidden, "nobody was found who asks for this"))
    }
}

/// Stands before every address.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let method = parts.method.clone();
    let mut response = match admit(&api, &parts).await {
        Ok(asking) => {
            if let Some(who) = asking {
                parts.extensions.insert(Asking(who));
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    api.counts.answered(method.as_str(), response.status().as_u16());
    response
}

/// Says who asks for a change, or that somebody only looks.
async fn admit(api: &Api, parts: &Parts) -> Result<Option<Who>, Problem> {
    let Some(peer) = parts.extensions.get::<Peer>() else {
        return Err(Problem::new(Kind::Forbidden, "nobody was found who asks for this"));
    };
    if let Peer::Tcp { local, .. } = peer
        && local.ip().to_canonical().is_loopback()
    {
        let host = parts.headers.get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
        check_host(host.or_else(|| parts.uri.authority().map(Authority::as_str)))?;
    }
    let looks = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    if !looks {
        check_origin(&parts.headers)?;
    }
    match *peer {
        Peer::Unix { .. } | Peer::Tcp { .. } if looks && is_open(api, peer, parts) => Ok(None),
        Peer::Unix { uid, pid } => Ok(Some(Who::User { uid, pid })),
        Peer::Tcp { peer, .. } => {
            let Token { name, access, .. } = holder(api, peer, &parts.headers).await?;
            match (looks, access) {
                (true, _) => Ok(None),
                (false, Access::Write) => Ok(Some(Who::Token { name })),
                (false, Access::Read) => {
                    let detail = format!("the token \"{name}\" may only look: use one with access = \"write\"");
                    Err(Problem::new(Kind::Forbidden, detail))
                }
            }
        }
    }
}

/// Whether whoever asks may look without a token. Probes have none: health tells nothing that is worth hiding from whoever
/// can reach the address. A capture shows what is in the packets, which is never everybody's.
fn is_open(api: &Api, peer: &Peer, parts: &Parts) -> bool {
    let path = parts.uri.path();
    let is_capture =
        || parts.extensions.get::<MatchedPath>().is_some_and(|route| route.as_str() == super::capture::ROUTE);
    match peer {
        Peer::Unix { .. } => true,
        Peer::Tcp { .. } if matches!(path, "/livez" | "/readyz" | "/healthz") => true,
        Peer::Tcp { .. } => api.reads == Reads::Open && !is_capture(),
    }
}

/// A name that a stranger's name server made to mean this machine gets no answer. Machines that are to be reached by
/// name are not reached at their loopback address.
fn check_host(host: Option<&str>) -> Result<(), Problem> {
    // Only HTTP/1.0 leaves it out, which no browser speaks.
    let Some(host) = host else { return Ok(()) };
    let name = host.parse::<Authority>().map(|authority| authority.host().to_ascii_lowercase()).unwrap_or_default();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if address.is_ok() || name == "localhost" || name.ends_with(".localhost") {
        return Ok(());
    }
    let detail = "here only localhost and plain addresses are answered to: use http://127.0.0.1, or let the proxy send that as Host";
    Err(Problem::new(Kind::OtherHost, detail))
}

/// A browser says from which page a change comes. A change that comes from another's page is no wish of its user.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    let of_other_site = text(&SITE).is_some_and(|site| site != "same-origin" && site != "none");
    let of_other_origin = text(&header::ORIGIN).is_some_and(|origin| {
        let page = origin.split_once("://").map(|(_, authority)| authority.to_owned());
        page.is_none() || page != text(&header::HOST)
    });
    if of_other_site || of_other_origin {
        let detail =
            "this change comes from the page of another site: changes are made from here or from no page at all";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    Ok(())
}

/// Whose token this is.
async fn holder(api: &Api, peer: SocketAddr, headers: &HeaderMap) -> Result<Token, Problem> {
    let tokens = api.desk.tokens.load_full();
    if tokens.is_empty() {
        let detail = "over TCP this takes a token, and there is none: use the Unix socket, or add a token to http.tokens in the configuration";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let needed = || {
        Problem::new(Kind::TokenNeeded, "send Authorization: Bearer TOKEN, with a token whose hash is in http.tokens")
    };
    let line = headers.get(header::AUTHORIZATION).ok_or_else(needed)?.as_bytes();
    let (scheme, token) = line.split_at_checked("Bearer ".len()).ok_or_else(needed)?;
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return Err(needed());
    }
    if let Some(token) = find(&tokens, token.trim_ascii()) {
        return Ok(token.clone());
    }
    let before = api.counts.requests.wrong_tokens.fetch_add(1, Relaxed);
    if before.is_power_of_two() || before == 0 {
        // Said less and less often: whoever tries a million tokens must not fill the disk.
        tracing::warn!(%peer, tried = before + 1, "somebody came over TCP with a wrong token");
    }
    // Guessing takes time; where too many guess at once, nobody is held back but told to come again.
    let Ok(_slot) = api.wrong_tokens.try_acquire() else {
        return Err(Problem::new(Kind::TooMany, "too many wrong tokens at once: come again later"));
    };
    tokio::time::sleep(api.limits.wrong_token).await;
    Err(Problem::new(Kind::TokenNeeded, "this token is not known: its hash must be in http.tokens"))
}

/// Looks at all tokens, and at all of each: the time it takes tells nothing.
fn find<'a>(tokens: &'a [Token], token: &[u8]) -> Option<&'a Token> {
    let hash = Sha256::digest(token);
    let mut found = None;
    for token in tokens {
        if bool::from(token.hash.ct_eq(hash.as_slice())) {
            found = Some(token);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{check_host, check_origin, find};
    use crate::config::{Access, Token};
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use sha2::{Digest as _, Sha256};

    #[test]
    fn a_token_is_known_by_its_hash() {
        let token = |name: &str, text: &str| Token {
            name: name.to_owned(),
            hash: Sha256::digest(text).into(),
            access: Access::Write,
        };
        let tokens = [token("a", "one"), token("b", "two")];
        let name_of = |tokens: &[Token], token: &[u8]| find(tokens, token).map(|token| token.name.clone());
        assert_eq!(name_of(&tokens, b"one").as_deref(), Some("a"));
        assert_eq!(name_of(&tokens, b"two").as_deref(), Some("b"));
        assert_eq!(name_of(&tokens, b""), None);
        assert_eq!(name_of(&[], b"one"), None);
    }

    #[test]
    fn at_the_loopback_address_a_name_from_outside_is_nobodys() {
        for host in
            ["127.0.0.1:9280", "127.0.0.1", "[::1]:9280", "localhost", "LOCALHOST:1", "mcr.localhost:9280", "10.0.0.1"]
        {
            assert!(check_host(Some(host)).is_ok(), "{host}");
        }
        for host in
            ["evil.example", "evil.example:9280", "localhost.evil.example", "", "?", "127.0.0.1.evil.example", "a b"]
        {
            assert!(check_host(Some(host)).is_err(), "{host}");
        }
        assert!(check_host(None).is_ok());
    }

    #[test]
    fn a_page_changes_only_what_it_came_from() {
        let check = |lines: &[(&'static str, &'static str)]| {
            let line = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            check_origin(&lines.iter().map(line).collect::<HeaderMap>()).is_ok()
        };
        assert!(check(&[("host", "a:1")]));
        assert!(check(&[("host", "a:1"), ("origin", "http://A:1")]));
        assert!(check(&[("host", "a:1"), ("origin", "http://a:1"), ("sec-fetch-site", "same-origin")]));
        assert!(!check(&[("host", "a:1"), ("origin", "http://b:1")]));
        assert!(!check(&[("host", "a:1"), ("origin", "null")]));
        assert!(!check(&[("origin", "http://a:1")]));
        assert!(!check(&[("host", "a:1"), ("sec-fetch-site", "cross-site")]));
        assert!(!check(&[("host", "a:1"), ("sec-fetch-site", "same-site")]));
    }
}
