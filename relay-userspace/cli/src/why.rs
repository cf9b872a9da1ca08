//! `mcr why`: a stream's way, step by step.

use super::client::{Client, Question, path_of};
use super::exit::Exit;
use super::relay::meant;
use super::screen::{Paint, Screen, Tone, plain};
use super::table::{Cell, Table};
use crate::args;
use relay_config::model::{Step, Why};
use std::fmt::Write as _;
use std::io::Write;

/// `mcr why`.
pub(super) async fn run<O: Write, E: Write>(asked: &args::Why, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    let mut exit = Exit::Done;
    for (i, name) in meant(&client, &asked.names, &asked.labels).await?.iter().enumerate() {
        let answer = client.ask(Question::get(path_of(name) + "/why")).await?;
        let why: Why = answer.read()?;
        if asked.json {
            screen.json(&answer.body)?;
        } else {
            let between = if i == 0 { "" } else { "\n" };
            write!(screen.out, "{between}{}", text(&why, screen.paint))?;
        }
        if why.verdict != "flows" {
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

fn text(why: &Why, paint: Paint) -> String {
    let tone = match why.verdict.as_str() {
        "flows" => Tone::Good,
        "partly" => Tone::Warn,
        _ => Tone::Bad,
    };
    let mut table = Table::new(&["", "PART", "STEP", "FOUND"]);
    for step in &why.steps {
        let (mark, tone) = mark(step);
        let quiet = if step.state == "not_reached" { Tone::Dim } else { Tone::Plain };
        table.row([
            Cell::new(mark, tone),
            Cell::new(&step.part, quiet),
            Cell::new(&step.name, quiet),
            Cell::new(&step.text, quiet),
        ]);
    }
    let verdict = if why.verdict == "partly" { "flows to some of its outputs" } else { &why.verdict };
    let mut text = format!("{}: {}\n\n", plain(&why.relay), paint.paint(tone, &plain(verdict)));
    text.push_str(&table.show(paint));
    for step in why.steps.iter().filter(|step| step.state == "broken") {
        let remedy = step.remedy.as_deref().unwrap_or("none is known: mcr events tells what happened");
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{}: {}\n", paint.paint(Tone::Head, &plain(&step.part)), plain(&step.text));
        let _ = writeln!(text, "  what to do: {}", plain(remedy));
    }
    for warning in &why.warnings {
        let _ = writeln!(text, "\n{}: {}", paint.paint(Tone::Warn, "note"), plain(warning));
    }
    text
}

/// How a step is marked.
pub(super) fn mark(step: &Step) -> (&'static str, Tone) {
    match step.state.as_str() {
        "ok" => ("ok", Tone::Good),
        "broken" => ("BROKEN", Tone::Bad),
        "unknown" => ("?", Tone::Warn),
        _ => ("-", Tone::Dim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broken_step_stands_out_with_its_remedy() {
        let step = |part: &str, name: &str, state: &str, text: &str, remedy: Option<&str>| Step {
            name: name.into(),
            part: part.into(),
            state: state.into(),
            text: text.into(),
            remedy: remedy.map(str::to_owned),
        };
        let why = Why {
            warnings: vec!["pid 7 (vlc) waits in vain".into()],
            relay: "ch1".into(),
            verdict: "partly".into(),
            steps: vec![
                step("input", "link", "ok", "ens1f0 is up, with carrier", None),
                step("input", "seen", "ok", "1200 packets a second come in", None),
                step("outputs[0]", "sent", "ok", "1200 packets a second go out", None),
                step("outputs[1]", "neighbour", "broken", "10.1.1.9 does not answer", Some("is it on? ip neigh show")),
                step("outputs[1]", "sent", "not_reached", "", None),
            ],
        };
        insta::assert_snapshot!(text(&why, Paint::default()));
    }
}
