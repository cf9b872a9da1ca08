//! `mcr changes` and `mcr change`: what became of what was asked for.

use super::client::{Answer, Client, Question};
use super::exit::Exit;
use super::number::span;
use super::screen::{Paint, Screen, Tone, plain};
use super::table::{Cell, Table};
use crate::args;
use relay_config::model::{Change, Progress};
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;
use tokio::time::sleep;

/// How often one that is not over is asked for again.
const LOOK: Duration = Duration::from_millis(200);

/// `mcr changes`.
pub(super) async fn list<O: Write, E: Write>(asked: &args::Changes, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let answer = Client::new(&asked.node)?.ask(Question::get("/api/v1/changes")).await?;
    if asked.json {
        screen.json(&answer.body)?;
        return Ok(Exit::Done);
    }
    let changes: Vec<Change> = answer.read()?;
    if changes.is_empty() {
        writeln!(screen.side, "nothing was changed since mcr was started")?;
    } else {
        write!(screen.out, "{}", table(&changes).show(screen.paint))?;
    }
    Ok(Exit::Done)
}

/// `mcr change`.
pub(super) async fn show<O: Write, E: Write>(asked: &args::Change, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    let path = format!("/api/v1/changes/{}", asked.id);
    let (answer, change): (Answer, Change) = loop {
        let answer = client.ask(Question::get(&path)).await?;
        let change: Change = answer.read()?;
        if !asked.wait || is_over(&change) {
            break (answer, change);
        }
        sleep(LOOK).await;
    };
    if asked.json {
        screen.json(&answer.body)?;
    } else {
        write!(screen.out, "{}", text(&change, screen.paint))?;
    }
    Ok(if change.state == "done" || !is_over(&change) { Exit::Done } else { Exit::Failed })
}

fn is_over(change: &Change) -> bool {
    !matches!(change.state.as_str(), "queued" | "running")
}

fn table(changes: &[Change]) -> Table {
    let mut table = Table::new(&[">CHANGE", "STATE", ">WAITED", ">TOOK", "WHO", "WHAT"]);
    for change in changes {
        table.row([
            change.id.to_string().into(),
            Cell::new(&change.state, tone(change)),
            span(change.waited_s).into(),
            change.took_s.map_or_else(|| "-".to_owned(), span).into(),
            (&change.who).into(),
            what(change).into(),
        ]);
    }
    table
}

/// Why it is in force and not on disk.
fn not_kept(change: &Change) -> Option<&str> {
    change.applied.as_ref()?.not_kept.as_deref()
}

fn tone(change: &Change) -> Tone {
    match change.state.as_str() {
        "done" if not_kept(change).is_some() => Tone::Warn,
        "done" => Tone::Good,
        "queued" | "running" => Tone::Warn,
        _ => Tone::Bad,
    }
}

/// What was asked for: `mute relay "ch1"`, and what of it is still to come.
fn what(change: &Change) -> String {
    let relay = change.relay.as_ref().map_or_else(String::new, |relay| format!(" relay \"{}\"", plain(relay)));
    let dry = if change.dry_run { " (dry run)" } else { "" };
    let kept = not_kept(change).map_or("", |_| " (NOT kept yet)");
    format!("{}{relay}{dry}{kept}", plain(&change.what))
}

fn text(change: &Change, paint: Paint) -> String {
    let mut text = format!("{}: {}\n", change.id, paint.paint(tone(change), &plain(&change.state)));
    // Writing to a String cannot fail.
    let mut line = |name: &str, value: &str| _ = writeln!(text, "{name:<9}{value}");
    line("what", &what(change));
    line("who", &plain(&change.who));
    line("asked", &plain(&change.asked));
    line("waited", &span(change.waited_s));
    if let Some(took) = change.took_s {
        line("took", &span(took));
    }
    if let Some(step) = &change.step {
        line("at", &step_of(step));
    }
    if let Some(done) = &change.applied {
        let said = if change.dry_run { "would be".to_owned() } else { format!("generation {}", done.generation) };
        line("result", &format!("{said}: {} new, {} changed, {} gone", done.created, done.changed, done.removed));
        done.changes.iter().for_each(|change| line("", &plain(change)));
    }
    if let Some(why) = not_kept(change) {
        line("kept", &format!("NOT yet, it is written as soon as that works: {}", plain(why)));
    }
    if let Some(problem) = &change.problem {
        line("because", &plain(&problem.detail));
        let faults = problem.errors.iter().skip(usize::from(problem.errors.len() == 1));
        faults.for_each(|fault| line("", &plain(&fault.to_string())));
    }
    text
}

/// The step of what is being done, and how far it has come: `joining groups 2048 of 4096, since 0.4s`.
pub(super) fn step_of(step: &Progress) -> String {
    let of = if step.total > 0 { format!(" {} of {}", step.done, step.total) } else { String::new() };
    format!("{}{of}, since {}", plain(&step.what), span(step.since_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changes() -> Vec<Change> {
        let change = |id: u64, more: serde_json::Value| {
            let mut all = json!({ "id": 28_771_200_000_u64 + id, "who": "uid 0", "what": "mute", "relay": "ch1",
                "dry_run": false, "asked": "2026-01-02T03:04:05Z", "waited_s": 0.01 });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value(all).unwrap()
        };
        vec![
            change(3, json!({ "state": "queued", "what": "replace", "relay": null, "waited_s": 3.4 })),
            change(
                2,
                json!({ "state": "running", "what": "reload", "relay": null, "took_s": 2.1,
                "step": { "what": "joining groups", "done": 2048, "total": 4096, "since_s": 0.4 } }),
            ),
            change(
                1,
                json!({ "state": "done", "took_s": 0.004,
                "applied": { "generation": 7, "changes": ["change relay \"ch1\""], "created": 0, "changed": 1, "removed": 0 } }),
            ),
            change(
                0,
                json!({ "state": "refused", "took_s": 0.001, "problem": { "type": "/problems/no-such-relay",
                "title": "There is no such relay", "status": 404, "detail": "there is no relay \"ch1\": see mcr relay ls" } }),
            ),
        ]
    }

    #[test]
    fn all_of_them_fit_a_terminal() {
        let text = table(&changes()).show(Paint::default());
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn each_tells_what_became_of_it() {
        let all: Vec<String> = changes().iter().map(|change| text(change, Paint::default())).collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
