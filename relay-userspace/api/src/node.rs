//! The node as a whole: its state, its links, its log, its file, its binary.

use super::access::{Asking, Peer};
use super::limits::BODY;
use super::problem::{Kind, Problem};
use super::relays::ask;
use super::request::{self, Dry, Params};
use super::shared::Api;
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::response::Response;
use axum::{Extension, Json};
use relay_config::model::{Applied, Diff, Link, Log, Status, Upgrade};
use relay_config::trial_length;
use relay_control::desk::{Ask, Refusal};
use relay_control::events::audit;
use relay_control::handover;
use serde::Deserialize;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;
use utoipa::IntoParams;

/// A control that has not answered for so long is looked at: it hangs, or is busy.
const LOOKED_AT: Duration = Duration::from_secs(5);
/// And from then on so often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const HANGING: &str = "control hangs: mcr is started in its place without asking it";

/// The node at a glance.
#[utoipa::path(get, path = "/api/v1/status", tag = "node", responses((status = 200, body = Status)))]
pub(super) async fn status(State(api): State<Api>) -> Result<Json<Status>, Problem> {
    api.apart(|api| api.sight.status()).await.map(Json)
}

/// The links of this node, and what is made of each.
#[utoipa::path(get, path = "/api/v1/links", tag = "node", responses((status = 200, body = Vec<Link>)))]
pub(super) async fn links(State(api): State<Api>) -> Result<Json<Vec<Link>>, Problem> {
    api.apart(|api| api.sight.links()).await.map(Json)
}

/// The configuration file as it is now against what runs: what a reload would change. 422 when the file is wrong.
#[utoipa::path(get, path = "/api/v1/diff", tag = "node", responses((status = 200, body = Diff)))]
pub(super) async fn diff(State(api): State<Api>) -> Result<Json<Diff>, Problem> {
    Ok(Json(api.with_files("reading the configuration file", |api| api.sight.diff()).await??))
}

/// How to take the configuration file.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Reload {
    /// Only say what would change.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
    /// Take it on trial: it is given up after so long (`5m`, `90s`, up to `24h`) unless it is confirmed.
    #[serde(default)]
    #[param(required = false)]
    confirm: Option<String>,
}

/// The configuration file as it is now; with `confirm` on trial, which survives restarts of control and of the machine.
#[utoipa::path(post, path = "/api/v1/reload", tag = "node", params(Reload), responses((status = 200, body = Applied)))]
pub(super) async fn reload(
    State(api): State<Api>,
    Asking(who): Asking,
    Params(asked): Params<Reload>,
) -> Result<Json<Applied>, Problem> {
    let wanted = match asked.confirm.as_deref().map(trial_length) {
        None => Ask::Reload,
        Some(Ok(length_ms)) => Ask::Try { length_ms },
        Some(Err(wrong)) => return Err(Problem::malformed(format!("confirm: {wrong}"))),
    };
    ask(&api, who, wanted, Dry { dry_run: asked.dry_run }).await.map(Json)
}

/// What is on trial stays. 409 when nothing is.
#[utoipa::path(post, path = "/api/v1/confirm", tag = "node", params(Dry), responses((status = 200, body = Applied)))]
pub(super) async fn confirm(
    State(api): State<Api>,
    Asking(who): Asking,
    Params(dry): Params<Dry>,
) -> Result<Json<Applied>, Problem> {
    ask(&api, who, Ask::Confirm, dry).await.map(Json)
}

/// The configuration that ran before the last reload. The file is not touched, and no start takes it again as it is. 409
/// when none is known.
#[utoipa::path(post, path = "/api/v1/rollback", tag = "node", params(Dry), responses((status = 200, body = Applied)))]
pub(super) async fn rollback(
    State(api): State<Api>,
    Asking(who): Asking,
    Params(dry): Params<Dry>,
) -> Result<Json<Applied>, Problem> {
    ask(&api, who, Ask::Rollback, dry).await.map(Json)
}

/// Control anew, in the same process, and nothing else: the lanes relay on, and no packet is lost. Whoever asks meanwhile
/// waits for the answer of the new one. The answer comes before that is in charge: its `started_ns` is another. What was
/// asked for before is carried out first: 504 with the number of the change says that this takes long. A control that hangs,
/// as /livez tells, is replaced all the same.
#[utoipa::path(post, path = "/api/v1/restart", tag = "node", params(Dry), responses((status = 200, body = Applied)))]
pub(super) async fn restart(
    State(api): State<Api>,
    Asking(who): Asking,
    Params(dry): Params<Dry>,
) -> Result<Json<Applied>, Problem> {
    let mut asked = pin!(ask(&api, who.clone(), Ask::Restart, dry));
    let mut patience = LOOKED_AT;
    loop {
        match timeout(patience, asked.as_mut()).await {
            Ok(answered) => return answered.map(Json),
            Err(_) if api.sight.live().status == "ok" => patience = LOOK_AGAIN,
            Err(_) => break,
        }
    }
    if dry.dry_run {
        return Err(Problem::new(Kind::NoAnswer, HANGING));
    }
    // Whoever asked for one of these finds what became of it: nothing else is told of it any more.
    for record in api.desk.changes.list() {
        audit::cut_off(&record).into_iter().for_each(|event| api.desk.events.record(event));
    }
    let refused = Refusal::Unavailable(HANGING);
    api.desk.events.record(audit::audit(&who, &Ask::Restart, &[], &[], &Err(refused)));
    let error = api.desk.handover.become_binary(&handover::own_path(), false);
    Err(Problem::new(Kind::Failed, format!("control hangs, and mcr cannot be started in its place: {error}")))
}

/// A newer binary in the place of this one, without losing a packet. Only root and the user that mcr runs as may, and
/// only by the Unix socket: whatever stands there is run with mcr's rights.
#[utoipa::path(post, path = "/api/v1/upgrade", tag = "node", params(Dry), request_body = Upgrade, responses((status = 200, body = Applied)))]
pub(super) async fn upgrade(
    State(api): State<Api>,
    Asking(who): Asking,
    Extension(peer): Extension<Peer>,
    Params(dry): Params<Dry>,
    request: Request,
) -> Result<Json<Applied>, Problem> {
    let own = nix::unistd::geteuid().as_raw();
    if !matches!(peer, Peer::Unix { uid, .. } if uid == 0 || uid == own) {
        let detail = "mcr upgrade is for root at the Unix socket: the binary that is named runs with mcr's rights";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let Upgrade { binary } = request::read(&api, request, BODY, request::json).await?;
    if !binary.starts_with('/') || binary.contains('\0') {
        let detail = format!("binary: {binary:?} is not a whole path: write it as in /usr/bin/mcr");
        return Err(Problem::new(Kind::Invalid, detail));
    }
    ask(&api, who, Ask::Upgrade { binary: PathBuf::from(binary) }, dry).await.map(Json)
}

/// What the log says now.
#[utoipa::path(get, path = "/api/v1/log", tag = "node", responses((status = 200, body = Log)))]
pub(super) async fn log(State(api): State<Api>) -> Json<Log> {
    Json(api.sight.log())
}

/// Changes what the log says, until mcr starts again. By the Unix socket only: who comes over TCP does not make this node
/// silent. It is audited before it takes effect.
#[utoipa::path(put, path = "/api/v1/log", tag = "node", params(Dry), request_body = Log, responses((status = 200, body = Log)))]
pub(super) async fn set_log(
    State(api): State<Api>,
    Asking(who): Asking,
    Extension(peer): Extension<Peer>,
    Params(dry): Params<Dry>,
    request: Request,
) -> Result<Json<Log>, Problem> {
    if !matches!(peer, Peer::Unix { .. }) {
        let detail = "the log's level is set at the Unix socket only: use mcr log on that machine";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let log: Log = request::read(&api, request, BODY, request::json).await?;
    if dry.dry_run {
        return Err(Problem::malformed("the log's level has no dry run: nothing that is relayed depends on it"));
    }
    let wrong = |wrong| Problem::new(Kind::Invalid, format!("level: {wrong}"));
    api.sight.check_log(&log).map_err(wrong)?;
    api.desk.events.record(audit::log_level(&who, &api.sight.log().level, &log.level));
    api.sight.set_log(&log).map_err(wrong)?;
    Ok(Json(log))
}

/// What a kind of problem means.
#[utoipa::path(get, path = "/problems/{kind}", tag = "node", params(("kind" = String, Path)),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn problem(path: axum::extract::Path<String>) -> Result<Response, Problem> {
    let kind = Kind::ALL.iter().find(|kind| kind.name() == *path);
    let kind = kind.ok_or_else(|| Problem::new(Kind::NoSuchAddress, "there is no such kind of problem"))?;
    let text = format!("{} ({})\n", kind.title(), kind.status());
    let mut answer = Response::new(text.into());
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(axum::http::header::CONTENT_TYPE, plain);
    Ok(answer)
}
