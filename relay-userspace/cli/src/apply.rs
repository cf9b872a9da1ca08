//! `mcr apply`: the relays of a file become the relays of the API, all in one step.

use super::client::{Answer, Client, Question};
use super::document::{self, Definition, name_of};
use super::exit::Exit;
use super::relay::is_race;
use super::screen::{Screen, Tone, plain};
use super::{applied, difference, number};
use crate::args::Apply;
use hyper::Method;
use relay_config::model::{Applied, Relay, Relays};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;

/// `mcr apply`.
pub(super) async fn run<O: Write, E: Write>(asked: &Apply, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let document = document::read(&asked.file)?;
    for left_out in &document.left_out {
        screen.note(&format!("left out: {left_out}"));
    }
    let client = Client::new(&asked.node)?;
    let (before, answer) = match once(&client, asked, &document.relays).await {
        Err(error) if is_race(&error) => once(&client, asked, &document.relays).await?,
        other => other?,
    };
    let applied: Applied = answer.read()?;
    if asked.json {
        screen.json(&answer.body)?;
    } else {
        show(&applied, &before, &document.relays, screen)?;
        applied::end(&applied, screen)?;
    }
    Ok(if asked.exit_code && applied::is_nothing(&applied) { Exit::Nothing } else { Exit::Done })
}

/// Reads what there is, and puts the file in its place if that is still so. What there was is told for comparison.
async fn once(client: &Client, asked: &Apply, wanted: &[Definition]) -> anyhow::Result<(Vec<Relay>, Answer)> {
    let found: Relays = client.ask(Question::get("/api/v1/relays")).await?.read()?;
    let mut relays = wanted.to_vec();
    if asked.keep {
        let kept = found.relays.iter().filter(|relay| {
            relay.origin == "api" && !wanted.iter().any(|wanted| name_of(wanted) == name_of(&relay.definition))
        });
        relays.extend(kept.map(|relay| relay.definition.clone()));
    }
    let question = Question::of(Method::PUT, "/api/v1/relays").with(&json!({ "relays": relays }))?;
    let answer = client.ask(question.only_if(&found.tag).dry(asked.dry_run).volatile(asked.volatile)).await?;
    Ok((found.relays, answer))
}

fn show<O: Write, E: Write>(
    applied: &Applied,
    before: &[Relay],
    wanted: &[Definition],
    screen: &mut Screen<O, E>,
) -> anyhow::Result<()> {
    let before: BTreeMap<&str, &Definition> =
        before.iter().map(|relay| (name_of(&relay.definition), &relay.definition)).collect();
    let after: BTreeMap<&str, &Definition> = wanted.iter().map(|relay| (name_of(relay), relay)).collect();
    let paint = screen.paint;
    for name in &applied.created {
        let text = after.get(name.as_str()).map_or_else(String::new, |relay| difference::summary(relay));
        writeln!(screen.out, "{} {}  {}", paint.paint(Tone::Good, "+"), plain(name), plain(&text))?;
    }
    for name in &applied.changed {
        let both = before.get(name.as_str()).zip(after.get(name.as_str()));
        let text = both.map_or_else(String::new, |(before, after)| difference::between(before, after).join(", "));
        writeln!(screen.out, "{} {}  {}", paint.paint(Tone::Warn, "~"), plain(name), plain(&text))?;
    }
    for name in &applied.removed {
        let text = before.get(name.as_str()).map_or_else(String::new, |relay| difference::summary(relay));
        writeln!(screen.out, "{} {}  {}", paint.paint(Tone::Bad, "-"), plain(name), plain(&text))?;
    }
    let counts = [(&applied.created, "new"), (&applied.changed, "changed"), (&applied.removed, "removed")];
    if !applied::is_nothing(applied) {
        let counts = counts.map(|(names, word)| format!("{} {word}", names.len())).join(", ");
        writeln!(screen.out, "{}: {counts}", number::counted(wanted.len(), "relay"))?;
    }
    Ok(())
}
