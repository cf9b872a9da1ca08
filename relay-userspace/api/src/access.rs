//! Who asks, and whether they may. The Unix socket's permissions are its access control; over TCP everybody may look,
//! unless that takes a token too, but not into packets; what the holder of a token may is written beside its hash. A browser
//! is not let into it by a stranger's page.

mod scope; // which relays a token is for
mod token; // whose token this is

pub(super) use scope::{check_capture, check_change, check_export};

use super::denied::{self, Denied};
use super::host::{check_is_local, check_origin, check_target};
use super::problem::{Kind, Problem};
use super::shared::Api;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use relay_config::{Access, Http, Reads, Token};
use relay_control::desk::Who;
use relay_engine::clock::unix_ms;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A clock that is set leaps: the end of a token is looked for at least so often.
const LOOK: Duration = Duration::from_secs(5);

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

/// By what somebody was let in.
#[derive(Clone, Debug)]
pub(super) enum Admitted {
    /// By the Unix socket.
    Unix {
        /// Their user.
        uid: u32,
        /// Their process.
        pid: i32,
    },
    /// Because everybody may look.
    Open,
    /// By a token.
    Token(Token),
}

/// Who asks for a change, after it was found that they may.
#[derive(Clone, Debug)]
pub(super) struct Asking(pub(super) Who);

impl FromRequestParts<Api> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        match parts.extensions.get::<Admitted>() {
            Some(Admitted::Unix { uid, pid }) => Ok(Self(Who::User { uid: *uid, pid: *pid })),
            Some(Admitted::Token(Token { name, relays, .. })) => {
                Ok(Self(Who::Token { name: name.clone(), relays: relays.clone() }))
            }
            Some(Admitted::Open) | None => Err(nobody()),
        }
    }
}

fn nobody() -> Problem {
    Problem::new(Kind::Forbidden, "nobody was found who asks for this")
}

/// Stands before every address.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let asked = denied::Asked::of(&parts);
    let mut response = match admit(&api, &parts).await {
        Ok(admitted) => {
            parts.extensions.insert(admitted);
            parts.extensions.insert(asked.clone());
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    };
    let status = response.status();
    if let Some(Denied { detail, token }) = response.extensions_mut().remove() {
        denied::record(&api.desk.events, &asked, status.as_u16(), detail, token);
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    api.counts.answered(asked.method.as_str(), status.as_u16());
    response
}

/// Says by what whoever asks is let in.
async fn admit(api: &Api, parts: &Parts) -> Result<Admitted, Problem> {
    let peer = parts.extensions.get::<Peer>().ok_or_else(nobody)?;
    let host = check_target(parts, matches!(peer, Peer::Unix { .. }))?;
    if let Peer::Tcp { local, .. } = peer
        && local.ip().to_canonical().is_loopback()
    {
        check_is_local(host.as_ref())?;
    }
    let looks = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    if !looks {
        check_origin(&parts.headers)?;
    }
    let http = api.desk.http.in_force();
    match *peer {
        Peer::Unix { uid, pid } => Ok(Admitted::Unix { uid, pid }),
        Peer::Tcp { .. } if looks && is_open(&http, parts) => Ok(Admitted::Open),
        Peer::Tcp { .. } => {
            let token = token::holder(api, &http.tokens, &parts.headers).await?;
            if !looks && token.access < Access::Write {
                let detail = format!("the token \"{}\" may only look: use one with access = \"write\"", token.name);
                return Err(Problem::of_token(Kind::Forbidden, detail, &token.name));
            }
            Ok(Admitted::Token(token))
        }
    }
}

/// Whether everybody may look at this over TCP. Probes have no token: health tells nothing that is worth hiding from whoever
/// can reach the address. A capture shows what is in the packets, and an export whose tokens there are, which is never everybody's.
fn is_open(http: &Http, parts: &Parts) -> bool {
    let is_closed = |route: &MatchedPath| [super::capture::ROUTE, super::whole::ROUTE].contains(&route.as_str());
    let is_closed = || parts.extensions.get::<MatchedPath>().is_some_and(is_closed);
    is_probe(parts.uri.path()) || (http.reads == Reads::Open && !is_closed())
}

/// Whether this is an address of a probe.
pub(super) fn is_probe(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/healthz")
}

/// What is shown for as long as its reader likes.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    /// Events.
    Events,
    /// The packets of a relay.
    Packets(String),
}

/// Waits until whoever was let in would not be any more, and says why.
pub(super) async fn revoked(api: Api, admitted: Admitted, shown: Shown) -> String {
    let mut changes = api.desk.http.follow();
    loop {
        let http = Arc::clone(&changes.borrow_and_update());
        let now = unix_ms();
        match still_may(&http, &admitted, &shown, now) {
            Err(why) => return why,
            Ok(None) => {
                if changes.changed().await.is_err() {
                    return "mcr is ending".to_owned();
                }
            }
            Ok(Some(expires)) => {
                let left = Duration::from_millis(expires.saturating_sub(now)).min(LOOK);
                let _ = timeout(left, changes.changed()).await; // Either way it is looked again.
            }
        }
    }
}

/// Whether somebody who was let in would be now; and until when, if there is an end.
fn still_may(http: &Http, admitted: &Admitted, shown: &Shown, unix_ms: u64) -> Result<Option<u64>, String> {
    let held = match admitted {
        Admitted::Unix { .. } => return Ok(None),
        Admitted::Open if http.reads == Reads::Open => return Ok(None),
        Admitted::Open => return Err("looking takes a token now".to_owned()),
        Admitted::Token(held) => held,
    };
    let name = &held.name;
    let Some(token) = http.tokens.iter().find(|token| token.hash == held.hash) else {
        return Err(format!("the token \"{name}\" is known no more"));
    };
    if token.is_expired(unix_ms) {
        return Err(token::expired(token));
    }
    if let Shown::Packets(relay) = shown {
        scope::may_capture(token, relay)?;
    }
    Ok(token.expires)
}
