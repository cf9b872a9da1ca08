//! The changes that were asked for lately, and what became of each.

use super::problem::{Kind, Problem};
use super::shared::Api;
use axum::Json;
use axum::extract::{Path, State};
use relay_config::model;
use relay_control::desk::Refusal;
use relay_control::events::rfc3339;
use relay_control::history::{Outcome, Record, Summary};
use relay_control::progress::{Doing, StepView};

/// The changes that wait or are being carried out, and the last 64 that are over: newest first.
#[utoipa::path(get, path = "/api/v1/changes", tag = "changes", responses((status = 200, body = Vec<model::Change>)))]
pub(super) async fn list(State(api): State<Api>) -> Json<Vec<model::Change>> {
    let (now, doing) = (relay_engine::clock::now_ns(), doing(&api));
    Json(api.desk.changes.list().iter().map(|record| shown(record, doing.as_ref(), now)).collect())
}

/// One change, by the number that its answer has: also when that came too late for whoever asked.
#[utoipa::path(get, path = "/api/v1/changes/{id}", tag = "changes", params(("id" = u64, Path)),
    responses((status = 200, body = model::Change)))]
pub(super) async fn show(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<model::Change>, Problem> {
    let number = id.parse().map_err(|_| {
        let id = id.chars().take(32).collect::<String>();
        Problem::malformed(format!("{id:?} is no number of a change: GET /api/v1/changes lists them"))
    })?;
    let record =
        api.desk.changes.get(number).map_err(|unknown| Problem::new(Kind::NoSuchChange, unknown.to_string()))?;
    Ok(Json(shown(&record, doing(&api).as_ref(), relay_engine::clock::now_ns())))
}

fn doing(api: &Api) -> Option<Doing> {
    api.desk.pulse.progress.doing(relay_engine::clock::now_ns())
}

fn shown(record: &Record, doing: Option<&Doing>, now: u64) -> model::Change {
    let Record { id, who, what, relay, dry, asked_ms, asked, begun, over } = record;
    let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e9;
    let (state, applied, problem) = match over {
        Some((_, Outcome::Done(summary))) => ("done", Some(done(summary)), None),
        Some((_, Outcome::Refused(refusal))) => {
            (refused(refusal), None, Some(Problem::from((**refusal).clone()).document()))
        }
        None if begun.is_some() => ("running", None, None),
        None => ("queued", None, None),
    };
    let ended = over.as_ref().map_or(now, |(at, _)| *at);
    let doing = doing.filter(|doing| doing.change == Some(*id) && state == "running");
    model::Change {
        id: *id,
        who: who.clone(),
        what: (*what).to_owned(),
        relay: relay.clone(),
        dry_run: *dry,
        state: state.to_owned(),
        asked: rfc3339(*asked_ms),
        waited_s: seconds(*asked, begun.unwrap_or(ended)),
        took_s: begun.map(|begun| seconds(begun, ended)),
        step: doing.and_then(|doing| doing.step.clone()).map(step),
        applied,
        problem,
    }
}

/// How it ended: nobody is to look for the reason to know what is in force.
const fn refused(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::InDoubt { .. } => "unkept",
        Refusal::Failed(_) | Refusal::NotKept { .. } => "failed",
        _ => "refused",
    }
}

fn step(StepView { what, done, total, age }: StepView) -> model::Progress {
    model::Progress { what, done, total, since_s: age as f64 / 1e9 }
}

fn done(summary: &Summary) -> model::Done {
    let Summary { generation, changes, created, changed, removed, not_kept } = summary;
    let count = |n: &usize| *n as u64;
    model::Done {
        generation: *generation,
        changes: changes.clone(),
        created: count(created),
        changed: count(changed),
        removed: count(removed),
        not_kept: not_kept.clone(),
    }
}
