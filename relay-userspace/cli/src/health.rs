//! `mcr health`: whether packets can flow, as an exit code, within a time.

use super::client::{Client, Question, encoded};
use super::exit::Exit;
use super::failure::Failure;
use super::local::{Away, LocalNode};
use super::relay::selector;
use super::screen::{Paint, Screen, Tone, plain};
use crate::args;
use anyhow::Context as _;
use hyper::StatusCode;
use hyper::body::Bytes;
use relay_common::selector::Selector;
use relay_config::model::{Check, Health};
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Lanes have so long to answer, however long it took to find out that control is away.
const LEAST: Duration = Duration::from_millis(50);
/// What keepalived takes for a fault: less than any priority can be lowered by.
const FAULT: i64 = -254;

/// `mcr health`.
pub(super) async fn run<O: Write, E: Write>(
    asked: &args::Health,
    local: &dyn LocalNode,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    let found = find(asked, local).await;
    if asked.weight {
        let weight = found.as_ref().map_or(FAULT, |(health, _)| weight(health));
        writeln!(screen.out, "{weight}")?;
    }
    let (health, body) = found?;
    if asked.json {
        screen.json(&body)?;
    } else if !asked.quiet && !asked.weight {
        writeln!(screen.out, "{}", paint_status(&health, screen.paint))?;
        write!(screen.out, "{}", failing(&health, screen.paint))?;
    }
    Ok(if health.status == "ok" { Exit::Done } else { Exit::Failed })
}

/// How the node is, and the same as it came. Where control is away or does not answer its lanes are asked, within the same
/// time.
async fn find(asked: &args::Health, local: &dyn LocalNode) -> anyhow::Result<(Health, Bytes)> {
    let meant = relays(asked)?;
    let client = Client::new(&asked.node)?;
    let folder = asked.run_dir.clone().or_else(|| client.target().folder().map(Path::to_owned));
    // One that stands still must leave its lanes the time to answer, where there are any.
    let has_lanes = folder.as_deref().is_some_and(|folder| local.has_lanes(folder));
    let client = client.patient(if has_lanes { asked.timeout / 2 } else { asked.timeout });
    let begun = Instant::now();
    let (away, is_silent) = match of_control(&client, asked).await {
        Err(error) => match error.downcast_ref() {
            Some(Failure::Unreachable(_)) => (error, false),
            Some(Failure::Silent(_)) => (error, true),
            _ => return Err(error),
        },
        answered => return answered,
    };
    let Some(folder) = folder else { return Err(away) };
    let left = asked.timeout.saturating_sub(begun.elapsed()).max(LEAST);
    let question = Away { patience: left, is_silent, relays: &meant, min: asked.min, limit: asked.away_limit };
    match local.health(&folder, question).await {
        Ok(Some(health)) => {
            let body = serde_json::to_vec(&health).context("cannot write JSON")?;
            Ok((health, body.into()))
        }
        Ok(None) => Err(away),
        Err(why) => Err(Failure::Unreachable(format!("{away:#}; {why:#}")).into()),
    }
}

async fn of_control(client: &Client, asked: &args::Health) -> anyhow::Result<(Health, Bytes)> {
    let answer = client.answer(Question::get(path(asked))).await?;
    if !matches!(answer.status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE) {
        answer.granted()?;
        anyhow::bail!("the answer is none of a health check: are both mcr of one version?");
    }
    Ok((answer.read()?, answer.body))
}

/// The relays that count.
fn relays(asked: &args::Health) -> Result<Selector, Failure> {
    selector(&asked.relay, &asked.labels)
}

/// Who asks for a minimum chooses between nodes, whichever sends now; only readiness takes that into account.
fn path(asked: &args::Health) -> String {
    let list = |key: &str, of: &[String]| {
        let parts: Vec<String> = of.iter().map(|part| encoded(part)).collect();
        (!parts.is_empty()).then(|| format!("{key}={}", parts.join(",")))
    };
    let (relay, labels) = (list("relay", &asked.relay), list("selector", &asked.labels));
    let min = asked.min.map(|min| format!("min={}", min.percent()));
    let query: Vec<String> = relay.into_iter().chain(labels).chain(min).collect();
    let path = if asked.ready { "/readyz" } else { "/healthz" };
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// What a track_file of keepalived, of weight 1, takes from the priority of this node.
fn weight(health: &Health) -> i64 {
    let missing = health.partial.as_ref().map_or(0, |partial| i64::from(partial.missing));
    if health.status == "ok" { -missing } else { FAULT }
}

/// The status in its colour, with the verdicts that are given: `ok`, `ok (drift)`, `failing (fault, partial)`.
pub(super) fn paint_status(health: &Health, paint: Paint) -> String {
    let tone = match (health.status.as_str(), health.verdicts.is_empty()) {
        ("ok", true) => Tone::Good,
        ("ok", false) => Tone::Warn,
        _ => Tone::Bad,
    };
    let verdicts =
        if health.verdicts.is_empty() { String::new() } else { format!(" ({})", health.verdicts.join(", ")) };
    paint.paint(tone, &plain(&format!("{}{verdicts}", health.status)))
}

/// A line for each check that fails, after the verdict that it gives.
pub(super) fn failing(health: &Health, paint: Paint) -> String {
    let line = |check: &Check| {
        let verdict = check.verdict.as_deref().map_or_else(String::new, |verdict| format!("{}: ", plain(verdict)));
        format!("  {verdict}{}: {}\n", paint.paint(tone(check), &plain(&check.name)), plain(&check.text))
    };
    health.checks.iter().filter(|check| !check.ok).map(line).collect()
}

/// Only a fault is a reason to get up at night.
pub(super) fn tone(check: &Check) -> Tone {
    if matches!(check.verdict.as_deref(), Some("fault") | None) { Tone::Bad } else { Tone::Warn }
}
