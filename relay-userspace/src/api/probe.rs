//! Whether the node lives, is ready, is healthy, and its numbers. Nothing here changes anything or waits for control.

use super::model::Health;
use super::problem::Problem;
use super::request::Params;
use super::shared::Api;
use crate::observe::metrics;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const OPENMETRICS: HeaderValue = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Whether control's loop turns.
#[utoipa::path(get, path = "/livez", tag = "probes",
    responses((status = 200, body = Health), (status = 503, body = Health, description = "It does not.")))]
pub(super) async fn livez(State(api): State<Api>) -> Response {
    verdict(api.sight.live())
}

/// Whether packets can flow, this node is active and nothing is pending.
#[utoipa::path(get, path = "/readyz", tag = "probes",
    responses((status = 200, body = Health), (status = 503, body = Health, description = "Not all of that.")))]
pub(super) async fn readyz(State(api): State<Api>) -> Response {
    verdict(api.sight.ready())
}

/// Whether packets can flow.
#[utoipa::path(get, path = "/healthz", tag = "probes",
    responses((status = 200, body = Health), (status = 503, body = Health, description = "They cannot.")))]
pub(super) async fn healthz(State(api): State<Api>) -> Response {
    verdict(api.sight.health())
}

fn verdict(health: Health) -> Response {
    let is_well = health.checks.iter().all(|check| check.ok);
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
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
