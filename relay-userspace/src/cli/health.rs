//! `mcr health`: whether packets can flow, as an exit code, within a time.

use super::client::{Client, Question};
use super::exit::Exit;
use super::screen::{Paint, Screen, Tone, plain};
use crate::api::model::{Check, Health};
use crate::args;
use hyper::StatusCode;
use std::io::Write;

/// `mcr health`.
pub(super) async fn run<O: Write, E: Write>(asked: &args::Health, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?.patient(asked.timeout);
    let answer = client.answer(Question::get(if asked.ready { "/readyz" } else { "/healthz" })).await?;
    if !matches!(answer.status, StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE) {
        answer.granted()?;
        anyhow::bail!("the answer is none of a health check: are both mcr of one version?");
    }
    let well = answer.status == StatusCode::OK;
    if asked.json {
        screen.json(&answer.body)?;
    } else if !asked.quiet {
        let health: Health = answer.read()?;
        writeln!(screen.out, "{}", paint_status(&health, screen.paint))?;
        write!(screen.out, "{}", failing(&health, screen.paint))?;
    }
    Ok(if well { Exit::Done } else { Exit::Failed })
}

/// The status in its colour.
pub(super) fn paint_status(health: &Health, paint: Paint) -> String {
    let tone = if health.status == "ok" { Tone::Good } else { Tone::Bad };
    paint.paint(tone, &plain(&health.status))
}

/// A line for each check that fails.
pub(super) fn failing(health: &Health, paint: Paint) -> String {
    let line = |check: &Check| format!("  {}: {}\n", paint.paint(Tone::Bad, &plain(&check.name)), plain(&check.text));
    health.checks.iter().filter(|check| !check.ok).map(line).collect()
}
