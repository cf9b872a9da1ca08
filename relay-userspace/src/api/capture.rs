//! A relay's packets as a pcapng file that grows while it is read.

use super::problem::{Kind, Problem};
use super::request::{Name, Params};
use super::shared::Api;
use super::sight::Captured;
use crate::capture::Limits;
use crate::control::desk::Refusal;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde::Deserialize;
use std::convert::Infallible;
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
    let seconds = asked.seconds.unwrap_or(LONGEST_S).min(LONGEST_S);
    let (packets, snap) = (asked.packets, asked.snap.filter(|snap| *snap > 0));
    let limits = Limits { packets, bytes: None, time_ns: Some(seconds * 1_000_000_000), snap };
    let begun = api.sight.capture(&name, Captured { incoming, outgoing, limits }).ok_or(Refusal::NotFound(name))?;
    let pieces = begun.map_err(|busy| Problem::new(Kind::Unavailable, busy))?;
    // Between pieces it is asked whether the API ends: a capture must not hold that up.
    let next = |(mut pieces, mut ending): (tokio::sync::mpsc::Receiver<_>, tokio::sync::watch::Receiver<bool>)| async {
        let piece = tokio::select! {
            piece = pieces.recv() => piece?,
            _ = ending.changed() => return None,
        };
        Some((Ok::<_, Infallible>(piece), (pieces, ending)))
    };
    let body = Body::from_stream(stream::unfold((pieces, api.ending.clone()), next));
    const PCAPNG: HeaderValue = HeaderValue::from_static("application/x-pcapng");
    Ok(([(header::CONTENT_TYPE, PCAPNG)], body).into_response())
}
