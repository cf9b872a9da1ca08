//! `mcr relay`: adds, changes, removes and switches relays.

mod which; // which of them are meant
pub(super) mod labels; // what people sort them by
mod list; // all of them
mod show; // one of them

pub(super) use list::{drops, list, tone};
pub(super) use show::{show, text};
pub(super) use which::{chosen, meant, meant_alone, query, selector};

use super::client::{Answer, Client, Question, path_of};
use super::document::{self, Definition, name_of};
use super::exit::Exit;
use super::failure::Failure;
use super::screen::{Screen, plain};
use super::{applied, definition};
use crate::args::{Add, Names, Set};
use hyper::Method;
use relay_config::model::{Applied, Relay, RelayPatch, Relays};
use serde_json::Value;
use std::io::Write;

/// `mcr relay add`.
pub(super) async fn add<O: Write, E: Write>(asked: &Add, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.parts.node)?;
    let definition = definition::of(asked)?;
    let question = Question::of(Method::POST, "/api/v1/relays")
        .with(&definition)?
        .dry(asked.parts.dry_run)
        .volatile(asked.parts.volatile);
    let answer = client.ask(question).await?;
    applied::show(&answer, asked.parts.json, screen)?;
    if !asked.parts.dry_run && !asked.parts.json {
        tell_trouble(&client, &answer, screen).await;
    }
    Ok(Exit::Done)
}

/// What of the relays that were made or changed cannot work yet, or is probably not meant: a name that is mistyped is no
/// error, for a link may come.
async fn tell_trouble<O: Write, E: Write>(client: &Client, answer: &Answer, screen: &mut Screen<O, E>) {
    let Ok(Applied { created, changed, .. }) = answer.read() else { return };
    for name in created.iter().chain(&changed) {
        // It is done; that this could not be asked changes nothing of it.
        let Ok(found) = client.ask(Question::get(path_of(name))).await else { return };
        let Ok(Relay { status, .. }) = found.read() else { continue };
        for pending in &status.pending {
            screen.note(&plain(&format!("{name} {} is pending: {}", pending.part, pending.text)));
        }
        for warning in &status.warnings {
            screen.note(&plain(&format!("{name}: warning: {warning}")));
        }
    }
}

/// `mcr relay set`: reads, changes, and writes only if nobody else did meanwhile; once more if somebody did.
pub(super) async fn set<O: Write, E: Write>(asked: &Set, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    if !definition::says_something(asked) {
        let remedy = "give --in, --out, --add-out, --remove-out or another option of mcr relay set --help";
        return Err(Failure::usage(format!("nothing to change: {remedy}")).into());
    }
    let client = Client::new(&asked.parts.node)?;
    let given: Vec<String> = asked.name.iter().cloned().collect();
    let meant = meant(&client, &given, &asked.selector).await?;
    let [name] = meant.as_slice() else { return set_several(&client, asked, &given, &meant, screen).await };
    let of_file = asked.parts.file.as_deref().map(document::read_one).transpose()?;
    if let Some(other) = of_file.as_ref().map(name_of).filter(|other| !other.is_empty() && *other != name.as_str()) {
        let remedy = "name the same relay; a relay gets another name by mcr relay add and rm";
        return Err(Failure::usage(format!("the file's relay is \"{other}\", not \"{name}\": {remedy}")).into());
    }
    let answer = match set_once(&client, name, asked, of_file.as_ref()).await {
        // A number means the output that had it when the list was read.
        Err(error) if is_race(&error) && !asked.remove_outputs.iter().any(|which| which.parse::<usize>().is_ok()) => {
            set_once(&client, name, asked, of_file.as_ref()).await?
        }
        other => other?,
    };
    applied::show(&answer, asked.parts.json, screen)?;
    if !asked.parts.dry_run && !asked.parts.json {
        tell_trouble(&client, &answer, screen).await;
    }
    Ok(Exit::Done)
}

/// Whether somebody else was faster.
pub(super) fn is_race(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Failure>().and_then(Failure::status) == Some(412)
}

/// Changes several relays at once, or none: only what can mean the same for all of them.
async fn set_several<O: Write, E: Write>(
    client: &Client,
    asked: &Set,
    given: &[String],
    meant: &[String],
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    if !definition::is_for_several(asked) {
        let what = "several take --label, --disabled and --muted; name one for what else there is";
        return Err(which::too_many(meant, what).into());
    }
    let patch = RelayPatch {
        enabled: asked.parts.disabled.then_some(false),
        muted: asked.parts.muted.then_some(true),
        labels: labels::read(&asked.parts.labels)?,
    };
    let query = query(&selector(given, &asked.selector)?);
    let question = Question::of(Method::PATCH, format!("/api/v1/relays?{query}")).with(&patch)?;
    let answer = client.ask(question.dry(asked.parts.dry_run)).await?;
    applied::show(&answer, asked.parts.json, screen)?;
    Ok(Exit::Done)
}

async fn set_once(client: &Client, name: &str, asked: &Set, of_file: Option<&Definition>) -> anyhow::Result<Answer> {
    let path = path_of(name);
    let found = client.ask(Question::get(&path)).await?.read::<Relay>()?;
    let mut definition = of_file.cloned().unwrap_or(found.definition);
    definition.insert("name".to_owned(), name.into());
    definition::change(&mut definition, asked)?;
    let question = Question::of(Method::PUT, path).with(&Value::Object(definition))?;
    client.ask(question.only_if(&found.tag).dry(asked.parts.dry_run).volatile(asked.parts.volatile)).await
}

/// What is done to each of several relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Remove,
    Enable,
    Disable,
    Mute,
    Unmute,
    Adopt,
}

impl Deed {
    fn question(self, name: &str) -> Question {
        let path = path_of(name);
        let switch = match self {
            Self::Remove => return Question::of(Method::DELETE, path),
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Mute => "mute",
            Self::Unmute => "unmute",
            Self::Adopt => "adopt",
        };
        Question::of(Method::POST, format!("{path}/{switch}"))
    }

    /// The same of several relays at once, where that can be asked.
    fn of_many(self, query: &str) -> anyhow::Result<Option<Question>> {
        let path = format!("/api/v1/relays?{query}");
        let (enabled, muted) = match self {
            Self::Remove => return Ok(Some(Question::of(Method::DELETE, path))),
            Self::Enable => (Some(true), None),
            Self::Disable => (Some(false), None),
            Self::Mute => (None, Some(true)),
            Self::Unmute => (None, Some(false)),
            Self::Adopt => return Ok(None),
        };
        let patch = RelayPatch { enabled, muted, ..RelayPatch::default() };
        Question::of(Method::PATCH, path).with(&patch).map(Some)
    }

    const fn done(self) -> &'static str {
        match self {
            Self::Remove => "removed",
            Self::Enable => "enabled",
            Self::Disable => "disabled",
            Self::Mute => "muted",
            Self::Unmute => "unmuted",
            Self::Adopt => "the configuration file's alone",
        }
    }
}

/// Does the same to several relays. Those that are chosen by patterns or labels change together or not at all; where each is
/// called by its name, one that is refused does not keep the others from it.
pub(super) async fn several<O: Write, E: Write>(
    asked: &Names,
    deed: Deed,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    if !which::chooses(&asked.names, &asked.labels) {
        return each(asked, &asked.names, deed, screen).await;
    }
    let selector = selector(&asked.names, &asked.labels)?;
    let client = Client::new(&asked.node)?;
    let Some(question) = deed.of_many(&which::query(&selector))? else {
        let relays: Relays = client.ask(Question::get("/api/v1/relays")).await?.read()?;
        let names: Vec<String> = chosen(&relays.relays, &selector)?.into_iter().collect();
        return each(asked, &names, deed, screen).await;
    };
    let answer = client.ask(question.dry(asked.dry_run).volatile(asked.volatile)).await?;
    if asked.json {
        screen.json(&answer.body)?;
        return Ok(Exit::Done);
    }
    let applied: Applied = answer.read()?;
    for name in applied.changed.iter().chain(&applied.removed) {
        applied::line(&plain(name), deed.done(), &applied, screen)?;
    }
    applied::end(&applied, screen)?;
    Ok(Exit::Done)
}

async fn each<O: Write, E: Write>(
    asked: &Names,
    names: &[String],
    deed: Deed,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    let mut exit = Exit::Done;
    for name in names {
        match client.ask(deed.question(name).dry(asked.dry_run).volatile(asked.volatile)).await {
            Ok(answer) if asked.json => screen.json(&answer.body)?,
            Ok(answer) => applied::line(name, deed.done(), &answer.read::<Applied>()?, screen)?,
            Err(error) => match error.downcast_ref::<Failure>() {
                Some(Failure::Refused(_)) if names.len() > 1 => {
                    screen.note(&format!("{name}: {error:#}"));
                    exit = Exit::Failed;
                }
                _ => return Err(error),
            },
        }
    }
    Ok(exit)
}
