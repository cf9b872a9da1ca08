//! A relay's packets as a pcapng file that grows while it is read.

use super::access::{self, Admitted, Shown, check_capture};
use super::denied;
use super::problem::{Kind, Problem};
use super::request::{Name, Params};
use super::shared::Api;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use relay_control::capture::{Captured, Limits, Pieces};
use relay_control::desk::Refusal;
use serde::Deserialize;
use std::io;
use tokio::sync::watch;
use utoipa::IntoParams;

/// A capture that is given no end has one: whoever forgets it does not fill a disk for ever.
const LONGEST_S: u64 = 24 * 3600;

/// Which packets, and how many.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// It ends after so many packets.
    packets: Option<u64>,
    /// It ends after so many seconds; a day at most.
    seconds: Option<u64>,
    /// So many bytes of each packet are kept; all without.
    snap: Option<u32>,
    /// `in`, `out` or `both`.
    direction: Option<String>,
}

/// Where it is asked for.
pub(super) const ROUTE: &str = "/api/v1/relays/{name}/capture";

/// A relay's packets, as they come in and as they are sent, in pcapng. There can be one capture at a time.
#[utoipa::path(get, path = "/api/v1/relays/{name}/capture", tag = "relays", params(("name" = String, Path), Asked),
    responses((status = 200, body = [u8], content_type = "application/x-pcapng")))]
pub(super) async fn capture(
    State(api): State<Api>,
    Extension(admitted): Extension<Admitted>,
    Extension(asked_for): Extension<denied::Asked>,
    Name(name): Name,
    Params(asked): Params<Asked>,
) -> Result<Response, Problem> {
    let (incoming, outgoing) = match asked.direction.as_deref() {
        None | Some("both") => (true, true),
        Some("in") => (true, false),
        Some("out") => (false, true),
        Some(other) => {
            let detail = format!("direction={other:?} is not known: write in, out or both");
            return Err(Problem::malformed(&detail));
        }
    };
    check_capture(&admitted, &name)?;
    let seconds = asked.seconds.unwrap_or(LONGEST_S).min(LONGEST_S);
    let (packets, snap) = (asked.packets, asked.snap.filter(|snap| *snap > 0));
    let limits = Limits { packets, bytes: None, time_ns: Some(seconds * 1_000_000_000), snap };
    let begun = api.sight.capture(&name, Captured { incoming, outgoing, limits });
    let begun = begun.ok_or_else(|| Refusal::NotFound(name.clone()))?;
    let pieces = begun.map_err(|busy| Problem::new(Kind::Unavailable, busy))?;
    let revoked = access::revoked(api.clone(), admitted.clone(), Shown::Packets(name)).boxed();
    let reader = Reader { pieces, ending: api.ending.clone(), revoked, api, admitted, asked_for, over: false };
    let body = Body::from_stream(stream::unfold(reader, Reader::next));
    const PCAPNG: HeaderValue = HeaderValue::from_static("application/x-pcapng");
    Ok(([(header::CONTENT_TYPE, PCAPNG)], body).into_response())
}

/// One who reads packets.
struct Reader {
    pieces: Pieces,
    ending: watch::Receiver<bool>,
    revoked: BoxFuture<'static, String>,
    api: Api,
    admitted: Admitted,
    asked_for: denied::Asked,
    over: bool,
}

impl Reader {
    /// A file that ends before its time must not look whole: its reader is hung up on.
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.over {
            return None;
        }
        // Between pieces it is asked whether the API ends: a capture must not hold that up.
        tokio::select! {
            piece = self.pieces.recv() => Some((piece?.map(Bytes::from), self)),
            _ = self.ending.changed() => {
                self.over = true;
                Some((Err(io::Error::new(io::ErrorKind::ConnectionAborted, "control ends")), self))
            }
            why = &mut self.revoked => {
                denied::record_end(&self.api.desk.events, &self.asked_for, &self.admitted, &why);
                self.over = true;
                Some((Err(io::Error::new(io::ErrorKind::PermissionDenied, why)), self))
            }
        }
    }
}
