//! A whole node: all that is in force as one document, and such a document in the place of all that is in force.

use super::access::{Admitted, Asking, Peer, check_export};
use super::limits::SET;
use super::problem::{Kind, Problem};
use super::relays::ask;
use super::request::{self, Dry, Params};
use super::shared::Api;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::{Extension, Json};
use relay_common::plan::Relay;
use relay_config as config;
use relay_config::Configuration;
use relay_config::model::{self, Applied};
use relay_control::desk::Ask;
use serde_json::Value;
use std::sync::Arc;
use tokio::time::timeout;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Where all of it is shown.
pub(super) const ROUTE: &str = "/api/v1/export";

/// All that is in force: the text of the configuration file and the relays that came through the API. Over TCP for whoever has
/// a token that may change every relay.
#[utoipa::path(get, path = "/api/v1/export", tag = "node", responses((status = 200, body = model::Export)))]
pub(super) async fn export(
    State(api): State<Api>,
    Extension(admitted): Extension<Admitted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    check_export(&admitted)?;
    let export = api.apart(|api| relay_control::observe::export(&api.desk)).await?;
    let export = export.map_err(|why| Problem::new(Kind::DoesNotFit, why))?;
    api.long_answer(JSON, &headers, move |_, to| Ok(serde_json::to_writer(to, &export)?)).await
}

/// What was exported in the place of all that is in force: all of it in one step, or nothing. The text counts as the
/// configuration file from then on, and whoever asks writes it there: that takes somebody on the node, so that over TCP
/// it must be the text that is in force.
#[utoipa::path(post, path = "/api/v1/import", tag = "node", params(Dry), request_body = model::Export,
    responses((status = 200, body = Applied)))]
pub(super) async fn import(
    State(api): State<Api>,
    Asking(who): Asking,
    Extension(peer): Extension<Peer>,
    Params(dry): Params<Dry>,
    request: Request,
) -> Result<Json<Applied>, Problem> {
    let room = timeout(api.limits.answer_time, api.sets.acquire()).await;
    let Ok(Ok(room)) = room else {
        return Err(Problem::new(Kind::Unavailable, "too many clients replace all relays already: ask again"));
    };
    let export = request::read(&api, request, SET, request::json::<model::Export>).await?;
    // Its users are looked for in lists that may lie where nobody answers.
    let (file, relays) = api.with_files("looking for the users of an import", move |api| sent(api, export)).await??;
    if !matches!(peer, Peer::Unix { .. }) && api.desk.view().config.in_force().text != file.text {
        let detail = "the configuration file is another, and that is written on the node: use mcr import there; mcr apply \
                      takes the relays of the API alone";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let applied = ask(&api, who, Ask::Import { file, relays }, dry).await?;
    drop(room);
    Ok(Json(applied))
}

fn sent(api: &Api, export: model::Export) -> Result<(Arc<Configuration>, Vec<Relay>), Problem> {
    let model::Export { file, relays, shadowed: _ } = export;
    let path = api.desk.view().config.path.display().to_string();
    let file = config::parse_here(&path, &file.text)?;
    let relays: Vec<Value> = relays.into_iter().map(Value::Object).collect();
    Ok((Arc::new(file), config::parse_relays(&relays)?))
}
