//! What is asked of relays: to see them, and to change them.

use super::access::{Asking, check_change};
use super::condition::{etag, expected, is_known, of_list, of_set, unconditional};
use super::limits::{BODY, SET};
use super::many::Which;
use super::problem::{Kind, Problem};
use super::request::{self, Change, Name, Params};
use super::shared::Api;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use relay_common::selector::Selector;
use relay_config::definition;
use relay_config::model::{Applied, Relay, Relays, Why};
use relay_control::desk::{self, Ask, How, Refusal, Switch, Who};
use relay_control::tag;
use relay_control::view::Origin;
use tokio::time::timeout;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// All relays, from the file and from the API, and how each does; or those that are chosen. A choice has a tag of its own,
/// by which it replaces nothing: send changes of several relays with `PATCH`.
#[utoipa::path(get, path = "/api/v1/relays", tag = "relays", params(Which),
    responses((status = 200, body = Relays, headers(("ETag" = String))), (status = 304, description = "No definition has changed.")))]
pub(super) async fn list(
    State(api): State<Api>,
    Params(which): Params<Which>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let selector = which.selector()?;
    let relays = api.apart(move |api| chosen(api, &selector)).await??;
    let of_file = relays.relays.iter().filter(|relay| relay.origin == Origin::File.name());
    let tag = of_list(&relays.tag, of_file.map(|relay| relay.tag.clone()));
    let known = is_known(&headers, &tag)?;
    let mut answer = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        api.long_answer(JSON, &headers, move |_, to| Ok(serde_json::to_writer(to, &relays)?)).await?
    };
    answer.headers_mut().insert(header::ETAG, etag(&tag));
    Ok(answer)
}

/// The relays that are meant.
fn chosen(api: &Api, selector: &Selector) -> Result<Relays, Problem> {
    let mut relays = api.sight.relays();
    if !selector.is_all() {
        let names = api.desk.view().choose(selector)?;
        let is_meant = |relay: &Relay| {
            let name = relay.definition.get("name").and_then(serde_json::Value::as_str);
            name.is_some_and(|name| names.contains(name))
        };
        relays.relays.retain(is_meant);
        let of_api = relays.relays.iter().filter(|relay| relay.origin == Origin::Api.name());
        relays.tag = tag::of_tags(of_api.map(|relay| format!("chosen {}", relay.tag)).collect());
    }
    Ok(relays)
}

/// One relay, and how it does.
#[utoipa::path(get, path = "/api/v1/relays/{name}", tag = "relays", params(("name" = String, Path)),
    responses((status = 200, body = Relay, headers(("ETag" = String))), (status = 304, description = "Its definition has not changed.")))]
pub(super) async fn show(State(api): State<Api>, Name(name): Name, headers: HeaderMap) -> Result<Response, Problem> {
    let asked = name.clone();
    let relay = api.apart(move |api| api.sight.relay(&asked)).await?.ok_or(Refusal::NotFound(name))?;
    let tag = etag(&relay.tag);
    let known = is_known(&headers, &relay.tag)?;
    let mut answer = if known { StatusCode::NOT_MODIFIED.into_response() } else { Json(relay).into_response() };
    answer.headers_mut().insert(header::ETAG, tag);
    Ok(answer)
}

/// Why a relay's stream is dark, or that it is not: its way step by step, the first broken one with its remedy. The
/// answer takes about a second, because its link is watched meanwhile.
#[utoipa::path(get, path = "/api/v1/relays/{name}/why", tag = "relays", params(("name" = String, Path)),
    responses((status = 200, body = Why)))]
pub(super) async fn why(State(api): State<Api>, Name(name): Name) -> Result<Json<Why>, Problem> {
    let look = api.sight.why(&name).ok_or(Refusal::NotFound(name))?;
    Ok(Json(look.await))
}

/// A new relay.
#[utoipa::path(post, path = "/api/v1/relays", tag = "relays", params(Change), request_body = definition::Relay,
    responses((status = 201, body = Applied, headers(("Location" = String), ("ETag" = String))), (status = 200, body = Applied, description = "Asked dry: nothing was changed.")))]
pub(super) async fn create(
    State(api): State<Api>,
    Asking(who): Asking,
    Params(how): Params<Change>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    unconditional(&headers)?;
    let relay = request::read(&api, request, BODY, |api, body| request::relay(api, body, None)).await?;
    let (location, tag) = (location(&relay.name), tag::of_relay(&relay));
    let applied = ask(&api, who, Ask::Create(relay), how).await?;
    let mut answer = (StatusCode::CREATED, [(header::ETAG, etag(&tag))], Json(applied)).into_response();
    if how.dry_run {
        *answer.status_mut() = StatusCode::OK;
    } else {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

/// A relay in the place of the one of its name, or a new one. `If-Match` names the one it replaces; `If-None-Match: *`
/// replaces none.
#[utoipa::path(put, path = "/api/v1/relays/{name}", tag = "relays", params(("name" = String, Path), Change), request_body = definition::Relay,
    responses((status = 200, body = Applied, headers(("ETag" = String))), (status = 201, body = Applied, description = "It is new.", headers(("Location" = String), ("ETag" = String)))))]
pub(super) async fn put(
    State(api): State<Api>,
    Asking(who): Asking,
    Name(name): Name,
    Params(how): Params<Change>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let expected = expected(&headers)?;
    // A relay of a range has a name that cannot be sent, and it is the file's.
    let view = api.desk.view();
    if view.origins.get(&name) == Some(Origin::File) {
        return Err(Refusal::OfFile { name, file: view.config.path.clone() }.into());
    }
    drop(view);
    let asked = name.clone();
    let relay = request::read(&api, request, BODY, move |api, body| request::relay(api, body, Some(&asked))).await?;
    let tag = tag::of_relay(&relay);
    let applied = ask(&api, who, Ask::Put { relay, expected }, how).await?;
    let is_new = !how.dry_run && applied.created.contains(&name);
    let mut answer = ([(header::ETAG, etag(&tag))], Json(applied)).into_response();
    if is_new {
        *answer.status_mut() = StatusCode::CREATED;
        answer.headers_mut().insert(header::LOCATION, location(&name));
    }
    Ok(answer)
}

/// These relays in the place of all that came through the API, all at once or none. What `GET` shows can be sent
/// back; relays of the file are then left out if they are as they were shown.
#[utoipa::path(put, path = "/api/v1/relays", tag = "relays", params(Change), request_body = definition::Set,
    responses((status = 200, body = Applied)))]
pub(super) async fn replace(
    State(api): State<Api>,
    Asking(who): Asking,
    Params(how): Params<Change>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Applied>, Problem> {
    let expected = of_set(expected(&headers)?);
    let room = timeout(api.limits.answer_time, api.sets.acquire()).await;
    let Ok(Ok(room)) = room else {
        return Err(Problem::new(Kind::Unavailable, "too many clients replace all relays already: ask again"));
    };
    let relays = request::read(&api, request, SET, request::relays).await?;
    let applied = ask(&api, who, Ask::PutAll { relays, expected }, how).await?;
    drop(room);
    Ok(Json(applied))
}

/// No such relay any more. `If-Match` names the one that is meant.
#[utoipa::path(delete, path = "/api/v1/relays/{name}", tag = "relays", params(("name" = String, Path), Change),
    responses((status = 200, body = Applied)))]
pub(super) async fn remove(
    State(api): State<Api>,
    Asking(who): Asking,
    Name(name): Name,
    Params(how): Params<Change>,
    headers: HeaderMap,
) -> Result<Json<Applied>, Problem> {
    let expected = expected(&headers)?;
    ask(&api, who, Ask::Remove { name, expected }, how).await.map(Json)
}

/// The relay is the configuration file's alone: what the API has of it is forgotten.
#[utoipa::path(post, path = "/api/v1/relays/{name}/adopt", tag = "relays", params(("name" = String, Path), Change),
    responses((status = 200, body = Applied)))]
pub(super) async fn adopt(
    State(api): State<Api>,
    Asking(who): Asking,
    Name(name): Name,
    Params(how): Params<Change>,
    headers: HeaderMap,
) -> Result<Json<Applied>, Problem> {
    unconditional(&headers)?;
    ask(&api, who, Ask::Adopt { name }, how).await.map(Json)
}

macro_rules! switches {
    ($($(#[doc = $doc:literal])+ $name:ident at $path:literal is $switch:expr;)*) => {$(
        $(#[doc = $doc])+
        #[utoipa::path(post, path = $path, tag = "relays", params(("name" = String, Path), Change),
            responses((status = 200, body = Applied)))]
        pub(super) async fn $name(
            State(api): State<Api>,
            Asking(who): Asking,
            Name(name): Name,
            Params(how): Params<Change>,
            headers: HeaderMap,
        ) -> Result<Json<Applied>, Problem> {
            unconditional(&headers)?;
            ask(&api, who, Ask::Switch { name, switch: $switch }, how).await.map(Json)
        }
    )*};
}

switches! {
    /// The relay runs.
    enable at "/api/v1/relays/{name}/enable" is Switch::Enabled(true);
    /// The relay joins nothing and sends nothing, but keeps its place.
    disable at "/api/v1/relays/{name}/disable" is Switch::Enabled(false);
    /// The relay is received and measured but not sent.
    mute at "/api/v1/relays/{name}/mute" is Switch::Muted(true);
    /// The relay is sent again.
    unmute at "/api/v1/relays/{name}/unmute" is Switch::Muted(false);
}

/// Asks control, and waits until every lane has confirmed.
pub(super) async fn ask(api: &Api, who: Who, ask: Ask, how: impl Into<How>) -> Result<Applied, Problem> {
    check_change(&who, &ask)?;
    let how = how.into();
    let waiting = api.desk.ask(who, ask, how)?;
    let change = waiting.id;
    let answered = timeout(api.limits.answer_time, waiting.answer()).await;
    let late = |_| {
        let seconds = api.limits.answer_time.as_secs();
        let detail = format!(
            "change {change} is not over after {seconds} seconds and goes on: mcr change {change} (GET \
             /api/v1/changes/{change}) tells what becomes of it"
        );
        Problem::new(Kind::NoAnswer, detail).of_change(change)
    };
    let answered = answered.map_err(late)?.map_err(|refusal| Problem::from(refusal).of_change(change))?;
    let desk::Applied { generation, changes, created, changed, removed, not_kept, keys, not_in_effect } = answered;
    let dry_run = how.dry;
    Ok(Applied { change, generation, dry_run, changes, created, changed, removed, not_kept, keys, not_in_effect })
}

fn location(name: &str) -> HeaderValue {
    HeaderValue::try_from(format!("/api/v1/relays/{name}")).unwrap_or(HeaderValue::from_static("/api/v1/relays"))
}
