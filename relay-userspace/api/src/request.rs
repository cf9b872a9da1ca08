//! Bodies and parameters: read within their bounds, and every error in words.

use super::limits::SHORT;
use super::places::{Hearing, Place};
use super::problem::{Kind, Problem};
use super::shared::Api;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::{BoxError, RequestPartsExt as _};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use relay_common::plan::{MAX_NAME, Relay};
use relay_config as config;
use relay_config::relay_to_json;
use relay_control::desk::How;
use relay_control::view::{Origin, View};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use utoipa::IntoParams;

/// What every change can be asked.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Dry {
    /// Only say what would change.
    #[serde(default)]
    #[param(required = false)]
    pub(super) dry_run: bool,
}

/// What every change of a relay can be asked.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    /// Only say what would change.
    #[serde(default)]
    #[param(required = false)]
    pub(super) dry_run: bool,
    /// Make it also where it cannot be kept, as on a full disk. It is kept as soon as that works; `not_kept` says why it is not.
    #[serde(default)]
    #[param(required = false)]
    pub(super) volatile: bool,
}

impl From<Dry> for How {
    fn from(Dry { dry_run }: Dry) -> Self {
        Self { dry: dry_run, volatile: false }
    }
}

impl From<Change> for How {
    fn from(Change { dry_run, volatile }: Change) -> Self {
        Self { dry: dry_run, volatile }
    }
}

/// The parameters behind the question mark.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequestParts<Api> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let query = parts.extract::<Query<T>>().await;
        query.map(|Query(params)| Self(params)).map_err(|error| Problem::malformed(error.body_text()))
    }
}

/// The relay that an address names.
pub(super) struct Name(pub(super) String);

impl FromRequestParts<Api> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let path = parts.extract::<Path<String>>().await;
        let Path(name) = path.map_err(|error| Problem::malformed(error.body_text()))?;
        // A relay of a range has a number behind a slash, which stands as %2F in an address.
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if name.len() > MAX_NAME + "/65535".len() || !name.chars().all(known) {
            let remedy = format!("names are 1 to {MAX_NAME} letters, digits, '-', '_' and '.'");
            let name = name.chars().take(MAX_NAME).collect::<String>();
            return Err(Problem::malformed(format!("{name:?} cannot be the name of a relay: {remedy}")));
        }
        Ok(Self(name))
    }
}

/// Reads a body of at most so many bytes; a long one on a thread of its own.
pub(super) async fn read<T: Send + 'static>(
    api: &Api,
    request: Request,
    most: usize,
    parse: impl FnOnce(&Api, &[u8]) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    check_is_json(&parts.headers)?;
    let too_long = || Problem::new(Kind::TooLong, format!("the body is longer than {most} bytes: send less"));
    let says = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if says.is_some_and(|length| length > most as u64) {
        return Err(too_long());
    }
    let whole = hear(api, parts.extensions.get(), Limited::new(body, most));
    let too_slow = |within: Duration| Problem::new(Kind::TooSlow, format!("the body did not come within {within:?}"));
    let body = match timeout(api.limits.body_time, whole).await {
        Err(_) => return Err(too_slow(api.limits.body_time)),
        Ok(None) => return Err(too_slow(api.limits.body_silence)),
        Ok(Some(Err(error))) if error.is::<LengthLimitError>() => return Err(too_long()),
        Ok(Some(Err(error))) => return Err(Problem::malformed(format!("the body cannot be read: {error}"))),
        Ok(Some(Ok(body))) => body,
    };
    if body.len() <= SHORT {
        return parse(api, &body);
    }
    api.apart(move |api| parse(api, &body)).await?
}

/// All of a body; `None` when its client falls silent. Who does not send what it has begun to send keeps no place from others.
async fn hear(api: &Api, place: Option<&Arc<Place>>, mut body: Limited<Body>) -> Option<Result<Vec<u8>, BoxError>> {
    let hearing = place.map(|place| place.hears());
    let mut whole = Vec::new();
    loop {
        let data = match timeout(api.limits.body_silence, body.frame()).await.ok()? {
            None => return Some(Ok(whole)),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(error)) => return Some(Err(error)),
        };
        whole.extend_from_slice(&data);
        hearing.iter().for_each(Hearing::more);
    }
}

/// A body says that it is JSON, or nothing. A form that a browser sends unasked is none.
fn check_is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json")) {
        return Ok(());
    }
    let detail = "the body must be JSON and say so: add Content-Type: application/json (curl --json does)";
    Err(Problem::new(Kind::NotJson, detail))
}

/// JSON of a type of ours.
pub(super) fn json<T: DeserializeOwned>(_: &Api, body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::new(Kind::Invalid, format!("the body is not right: {error}")),
        _ if body.is_empty() => Problem::malformed("the body is empty: send JSON"),
        _ => Problem::malformed(format!("the body is not JSON: {error}")),
    })
}

/// One relay; its name may stand in the address alone.
pub(super) fn relay(api: &Api, body: &[u8], name: Option<&str>) -> Result<Relay, Problem> {
    let mut sent: Value = json(api, body)?;
    if let (Some(name), Value::Object(keys)) = (name, &mut sent) {
        let written = keys.entry("name").or_insert_with(|| name.into());
        if let Value::String(other) = written
            && other != name
        {
            let other = other.chars().take(MAX_NAME).collect::<String>();
            let detail = format!(
                "relay \"{name}\" name: is {other:?} in the body: leave it out; a relay cannot be renamed, only removed and made anew"
            );
            return Err(Problem::new(Kind::Invalid, detail));
        }
    }
    let relays = config::parse_relays(&[sent])?;
    relays.into_iter().next().ok_or_else(|| Problem::new(Kind::Invalid, "the body is no relay"))
}

/// All relays that the API is to hold: a list, or what `GET /api/v1/relays` shows. Relays of the file that are shown
/// there may be sent back as they are.
pub(super) fn relays(api: &Api, body: &[u8]) -> Result<Vec<Relay>, Problem> {
    let wrong = || {
        let detail = "the body is no set of relays: send a list, or { \"relays\": [ ] } as GET shows it";
        Problem::new(Kind::Invalid, detail)
    };
    let mut sent = match json(api, body)? {
        Value::Array(list) => list,
        Value::Object(mut keys) => {
            let relays = keys.remove("relays");
            keys.remove("tag");
            match (relays, keys.is_empty()) {
                (Some(Value::Array(list)), true) => list,
                _ => return Err(wrong()),
            }
        }
        _ => return Err(wrong()),
    };
    if sent.iter().any(|relay| relay["origin"] == Origin::File.name()) {
        let view = api.desk.view();
        sent.retain(|relay| !is_as_in_the_file(relay, &view));
    }
    Ok(config::parse_relays(&sent)?)
}

fn is_as_in_the_file(sent: &Value, view: &View) -> bool {
    let Some(name) = sent["name"].as_str() else { return false };
    if sent["origin"] != Origin::File.name() || view.origins.get(name) != Some(Origin::File) {
        return false;
    }
    let in_force = view.plan.relays.iter().find(|relay| relay.name == name);
    let Some(Value::Object(definition)) = in_force.map(relay_to_json) else { return false };
    definition.iter().all(|(key, value)| sent.get(key) == Some(value))
}
