//! Whether the node lives, is ready, is healthy, and its numbers. Nothing here changes anything or waits for control.

use super::problem::Problem;
use super::request::Params;
use super::shared::Api;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use relay_common::health::Share;
use relay_common::selector::Selector;
use relay_config::model::Health;
use relay_control::observe::health::Minimum;
use relay_control::observe::metrics;
use serde::Deserialize;
use utoipa::IntoParams;

/// The longest list of patterns: each is held against the name of every relay.
const LONGEST: usize = 256;
const MIN: &str = "min: is no percentage: send 0 to 100, as in 90 or 99.5";
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const OPENMETRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Whether control's loop turns.
#[utoipa::path(get, path = "/livez", tag = "probes",
    responses((status = 200, body = Health), (status = 503, body = Health, description = "It does not.")))]
pub(super) async fn livez(State(api): State<Api>) -> Response {
    verdict(api.sight.live())
}

/// How much of which relays must work besides.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Only these relays count: names or patterns (`*`, `?`), with commas between.
    relay: Option<String>,
    /// Only relays with such labels count: `group=news`, `group!=news`, `group` or `!group`; with commas between, all of it.
    selector: Option<String>,
    /// How much of them must work, in percent: `90`, `99.5`. As much as `health.ready_min` says where this does not.
    min: Option<String>,
}

impl Asked {
    /// Nothing where nothing is asked.
    fn minimum(self) -> Result<Option<Minimum>, Problem> {
        if self.relay.is_none() && self.selector.is_none() && self.min.is_none() {
            return Ok(None);
        }
        if [&self.relay, &self.selector].into_iter().flatten().any(|all| all.len() > LONGEST) {
            let detail = format!("relay and selector: with commas between, {LONGEST} characters at most");
            return Err(Problem::malformed(detail));
        }
        let list = |text: &Option<String>| text.iter().cloned().collect::<Vec<_>>();
        let relays = Selector::parse(&list(&self.relay), &list(&self.selector));
        let relays = relays.map_err(|wrong| Problem::malformed(format!("relay and selector: {wrong}")))?;
        let min = self.min.map(|min| Share::parse(&min).ok_or_else(|| Problem::malformed(MIN))).transpose()?;
        Ok(Some(Minimum { relays, min }))
    }
}

/// Whether packets can flow, this node is the one to send, and enough of its relays works.
///
/// All of them, or as much as `health.ready_min` says, or what is asked for.
#[utoipa::path(get, path = "/readyz", tag = "probes", params(Asked),
    responses((status = 200, body = Health), (status = 503, body = Health, description = "Not all of that.")))]
pub(super) async fn readyz(State(api): State<Api>, Params(asked): Params<Asked>) -> Result<Response, Problem> {
    match asked.minimum()? {
        None => Ok(verdict(api.sight.ready(None))),
        Some(minimum) => Ok(verdict(api.apart(move |api| api.sight.ready(Some(&minimum))).await?)),
    }
}

/// Whether packets can flow.
///
/// Asked for a minimum of some relays, also whether so much of them works, whoever sends now: what chooses between nodes.
#[utoipa::path(get, path = "/healthz", tag = "probes", params(Asked),
    responses((status = 200, body = Health), (status = 503, body = Health, description = "They cannot.")))]
pub(super) async fn healthz(State(api): State<Api>, Params(asked): Params<Asked>) -> Result<Response, Problem> {
    match asked.minimum()? {
        None => Ok(verdict(api.sight.health(None))),
        Some(minimum) => Ok(verdict(api.apart(move |api| api.sight.health(Some(&minimum))).await?)),
    }
}

fn verdict(health: Health) -> Response {
    let status = if health.status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}

/// Numbers, for Prometheus; as OpenMetrics for who asks for that first. They are at most a second old. `family` chooses some
/// of them by name, with commas between and `*` for anything; all without.
#[utoipa::path(get, path = "/metrics", tag = "probes", params(("family" = Option<String>, Query)),
    responses((status = 200, content((String = "text/plain"), (String = "application/openmetrics-text")))))]
pub(super) async fn metrics(
    State(api): State<Api>,
    Params(asked): Params<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut words = Vec::new();
    for (key, value) in &asked {
        if key != "family" {
            let key: String = key.chars().take(64).collect();
            return Err(Problem::malformed(format!("{key:?} is not known here: only family chooses numbers")));
        }
        words.extend(value.split(',').map(str::trim));
    }
    let families = metrics::chosen(&words).map_err(Problem::malformed)?;
    let openmetrics = headers.get_all(header::ACCEPT).iter().any(wants_openmetrics);
    let kind = if openmetrics { OPENMETRICS } else { TEXT };
    let name = format!("{openmetrics} {}", families.iter().map(|family| family.name).collect::<Vec<_>>().join(","));
    api.shared_answer(name, kind, &headers, move |api, to| api.sight.metrics(openmetrics, &families, &api.counts, to))
        .await
}

/// Whether OpenMetrics is asked for at all: who knows it wants it more than the old text.
fn wants_openmetrics(accept: &HeaderValue) -> bool {
    let accept = accept.to_str().unwrap_or_default();
    accept.split(',').any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        parts.next() == Some("application/openmetrics-text")
            && !parts.any(|part| matches!(part.replace(' ', "").as_str(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}
