//! Many relays at once: chosen by their names and labels, and changed all together or not at all.

use super::access::Asking;
use super::condition::unconditional;
use super::limits::BODY;
use super::problem::{Kind, Problem};
use super::relays::ask;
use super::request::{self, Params};
use super::shared::Api;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use relay_common::label::{is_key, is_value};
use relay_common::selector::Selector;
use relay_config::model::{Applied, RelayPatch};
use relay_control::desk::{Ask, Who};
use relay_control::edit::{Change, Edit};
use serde::Deserialize;
use utoipa::IntoParams;

/// The longest list of names, and of conditions: each is held against every relay.
const LONGEST: usize = 1024;

/// Which relays are meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only relays that are called so: names or patterns (`*`, `?`), with commas between.
    name: Option<String>,
    /// Only relays with such labels: `group=news`, `group!=news`, `group` or `!group`; with commas between, all of it.
    selector: Option<String>,
}

/// Which relays are meant, and how the change is to be made.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichAndHow {
    /// Relays that are called so: names or patterns (`*`, `?`), with commas between.
    name: Option<String>,
    /// Relays with such labels: `group=news`, `group!=news`, `group` or `!group`; with commas between, all of it.
    selector: Option<String>,
    /// Only say what would change.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
    /// Make it also where it cannot be kept, as on a full disk. It is kept as soon as that works; `not_kept` says why it is not.
    #[serde(default)]
    #[param(required = false)]
    volatile: bool,
}

impl Which {
    /// What is asked for, in one.
    pub(super) fn selector(&self) -> Result<Selector, Problem> {
        read(self.name.as_deref(), self.selector.as_deref())
    }
}

/// Reads names and conditions as they stand in an address.
pub(super) fn read(name: Option<&str>, selector: Option<&str>) -> Result<Selector, Problem> {
    if [name, selector].into_iter().flatten().any(|text| text.len() > LONGEST) {
        return Err(Problem::malformed(format!("name and selector have {LONGEST} characters at most")));
    }
    let list = |text: Option<&str>| text.map(str::to_owned).into_iter().collect::<Vec<_>>();
    Selector::parse(&list(name), &list(selector)).map_err(|wrong| Problem::malformed(format!("selector: {wrong}")))
}

/// What of a patch is not for a relay.
fn check(patch: RelayPatch) -> Result<Change, Problem> {
    let RelayPatch { enabled, muted, labels } = patch;
    for (key, value) in &labels {
        if !is_key(key) || !value.as_deref().is_none_or(is_value) {
            let label: String = format!("{key}={}", value.as_deref().unwrap_or_default()).chars().take(100).collect();
            let detail = format!("labels: {label:?} cannot be a label: config/relay.toml says what one is");
            return Err(Problem::new(Kind::Invalid, detail));
        }
    }
    let change = Change { enabled, muted, labels };
    if change.is_nothing() {
        return Err(Problem::new(Kind::Invalid, "the body changes nothing: send enabled, muted or labels"));
    }
    Ok(change)
}

/// Some relays are changed: all that are meant, at once, or none. Where nothing is meant, or a relay of the configuration
/// file, it is refused.
#[utoipa::path(patch, path = "/api/v1/relays", tag = "relays", params(WhichAndHow), request_body = RelayPatch,
    responses((status = 200, body = Applied)))]
pub(super) async fn change(
    State(api): State<Api>,
    Asking(who): Asking,
    Params(which): Params<WhichAndHow>,
    headers: HeaderMap,
    request: Request,
) -> Result<Json<Applied>, Problem> {
    unconditional(&headers)?;
    let patch = request::read(&api, request, BODY, request::json::<RelayPatch>).await?;
    many(&api, who, which, Edit::Change(check(patch)?)).await
}

/// No such relays any more: all that are meant, at once, or none.
#[utoipa::path(delete, path = "/api/v1/relays", tag = "relays", params(WhichAndHow), responses((status = 200, body = Applied)))]
pub(super) async fn remove(
    State(api): State<Api>,
    Asking(who): Asking,
    Params(which): Params<WhichAndHow>,
    headers: HeaderMap,
) -> Result<Json<Applied>, Problem> {
    unconditional(&headers)?;
    many(&api, who, which, Edit::Remove).await
}

async fn many(api: &Api, who: Who, which: WhichAndHow, edit: Edit) -> Result<Json<Applied>, Problem> {
    let selector = read(which.name.as_deref(), which.selector.as_deref())?;
    if selector.is_all() {
        return Err(Problem::malformed("say which relays by name or selector; name=* means all"));
    }
    let chosen = selector.clone();
    let names = api.apart(move |api| api.desk.view().choose(&chosen)).await??;
    ask(
        api,
        who,
        Ask::Many { selector, names, edit },
        request::Change { dry_run: which.dry_run, volatile: which.volatile },
    )
    .await
    .map(Json)
}
