//! `mcr export` and `mcr import`: a whole node as one document.

mod aside; // a configuration file that is not in its place yet

use super::applied;
use super::client::{Client, Question};
use super::diff;
use super::document::{self, Definition, name_of};
use super::exit::Exit;
use super::screen::{Screen, plain};
use crate::args;
use anyhow::Context as _;
use aside::Aside;
use hyper::Method;
use relay_common::plan::Relay;
use relay_config as config;
use relay_config::model::{self, Applied, ChangedKey, ChangedRelay, Diff, Status};
use relay_config::{export_to_toml, keys, parse_export, relay_to_json};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

/// `mcr export`.
pub(super) async fn export<O: Write, E: Write>(
    asked: &args::Export,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    let answer = client.ask(Question::get("/api/v1/export")).await?;
    let export: model::Export = answer.read()?;
    for name in &export.shadowed {
        screen.note(&format!("left out: relay {}, which the configuration file shadows", plain(name)));
    }
    if asked.json {
        screen.json(&answer.body)?;
    } else {
        write!(screen.out, "{}", export_to_toml(&export.file.text, &export.relays)?)?;
    }
    Ok(Exit::Done)
}

/// `mcr import`.
pub(super) async fn import<O: Write, E: Write>(
    asked: &args::Import,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    let (name, text) = document::text_of(&asked.file)?;
    let wanted = parse_export(&name, &text)?;
    let client = Client::new(&asked.node)?;
    let running: model::Export = client.ask(Question::get("/api/v1/export")).await?.read()?;
    let relays: Vec<Value> = wanted.relays.iter().map(relay_to_json).collect();
    let body = serde_json::json!({ "file": { "text": &*wanted.file.text }, "relays": relays });
    let question = Question::of(Method::POST, "/api/v1/import").with(&body)?;
    let mut answer = client.ask(question.clone().dry(true)).await?;
    if !asked.json {
        write!(screen.out, "{}", diff::lines(&difference(&running, &wanted)?, screen.paint))?;
    }
    if !asked.dry_run {
        let file = if running.file.text == *wanted.file.text { None } else { Some(place(&client).await?) };
        // Whole on the disk before anything changes, and in its place when it is in force.
        let aside = file.as_deref().map(|file| Aside::write(Path::new(file), &wanted.file.text)).transpose()?;
        answer = client.ask(question).await?;
        aside.map_or(Ok(()), Aside::put).with_context(|| {
            let file = file.unwrap_or_default();
            format!("it is in force, and {file} is as it was: write it (mcr export --json | jq -r .file.text)")
        })?;
    }
    if asked.json {
        screen.json(&answer.body)?;
    } else {
        applied::end(&answer.read::<Applied>()?, screen)?;
    }
    Ok(Exit::Done)
}

/// Where the node's configuration file is.
async fn place(client: &Client) -> anyhow::Result<String> {
    let status: Status = client.ask(Question::get("/api/v1/status")).await?.read()?;
    Ok(status.config.file)
}

/// What a document says otherwise than what runs.
fn difference(running: &model::Export, wanted: &config::Export) -> anyhow::Result<Diff> {
    let file = config::parse("", &running.file.text)?;
    let before =
        by_name(file.plan.relays.iter().map(|relay| definition(relay, "file")), running.relays.iter().cloned());
    let after = by_name(
        wanted.file.plan.relays.iter().map(|relay| definition(relay, "file")),
        wanted.relays.iter().map(|relay| definition(relay, "api")),
    );
    let missing = |of: &BTreeMap<String, Definition>, other: &BTreeMap<String, Definition>| -> Vec<Definition> {
        of.iter().filter(|(name, _)| !other.contains_key(*name)).map(|(_, relay)| relay.clone()).collect()
    };
    let changed = after.iter().filter_map(|(name, relay)| {
        let running = before.get(name).filter(|running| *running != relay)?.clone();
        Some(ChangedRelay { name: name.clone(), running, file: relay.clone() })
    });
    let (old, new) = (keys(&file), keys(&wanted.file));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let value = |keys: &BTreeMap<String, Value>, key: &String| keys.get(key).cloned().unwrap_or_default();
    let keys = names.into_iter().filter(|key| old.get(*key) != new.get(*key));
    Ok(Diff {
        added: missing(&after, &before),
        removed: missing(&before, &after),
        changed: changed.collect(),
        keys: keys
            .map(|key| ChangedKey { key: key.clone(), running: value(&old, key), file: value(&new, key) })
            .collect(),
        ..Diff::default()
    })
}

fn definition(relay: &Relay, origin: &str) -> Definition {
    let mut definition = if let Value::Object(known) = relay_to_json(relay) { known } else { Map::new() };
    definition.insert("origin".to_owned(), origin.into());
    definition
}

fn by_name(
    of_file: impl Iterator<Item = Definition>,
    of_api: impl Iterator<Item = Definition>,
) -> BTreeMap<String, Definition> {
    of_file.chain(of_api).map(|relay| (name_of(&relay).to_owned(), relay)).collect()
}

#[cfg(test)]
mod tests {
    use super::difference;
    use crate::diff;
    use crate::screen::Paint;
    use relay_config::model::{Export, ExportedFile};
    use relay_config::parse_export;

    fn relay(name: &str, group: u8) -> String {
        format!(
            "[[relay]]\nname = '{name}'\ninput = {{ interface = 'in0', group = '239.1.1.{group}', port = 5 }}\n\
             outputs = [{{ interface = 'out0', group = '239.2.1.{group}', port = 6 }}]\n"
        )
    }

    #[test]
    fn what_differs_is_told_with_where_it_stands() {
        let running = Export { file: ExportedFile { text: relay("one", 1) + &relay("old", 2) }, ..Export::default() };
        let file = format!("[health]\nhold_down = '7s'\n{}", relay("new", 3));
        let document = format!("[file]\ntext = '''\n{file}'''\n{}", relay("one", 1));
        let wanted = parse_export("node.toml", &document).unwrap();
        let told = diff::lines(&difference(&running, &wanted).unwrap(), Paint::default());
        assert_eq!(
            told,
            "+ relay new  in0/239.1.1.3:5 -> out0/239.2.1.3:6\n~ relay one  origin file -> api\n\
             - relay old  in0/239.1.1.2:5 -> out0/239.2.1.2:6\n~ health.hold_down  \"10000ms\" -> \"7000ms\"\n"
        );
    }
}
