//! `mcr wait`: until the node is well, or streams flow; over any number of controls.

use super::client::{Client, Question};
use super::exit::Exit;
use super::failure::Failure;
use super::relay::{query, selector};
use super::screen::{Screen, plain};
use crate::args::Wait;
use crate::document::name_of;
use hyper::StatusCode;
use relay_common::selector::Selector;
use relay_config::model::{Health, Relay, Relays};
use std::io::Write;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(200);
/// An answer that takes longer is none: the next one is asked for.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many are told of what is missing.
const TOLD: usize = 3;

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Missing {
    /// An answer.
    Answer(String),
    /// What was asked for.
    Condition(String),
}

/// `mcr wait`.
pub(super) async fn run<O: Write, E: Write>(asked: &Wait, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let selector = selector(&asked.relay, &asked.labels)?;
    if !(asked.healthy || asked.ready || asked.flowing) {
        return Err(Failure::usage("wait for what? give --healthy, --ready, or --relay NAME --flowing").into());
    }
    if asked.flowing && selector.is_all() {
        return Err(Failure::usage("flowing of which relays? give --relay or -l; --relay '*' is all").into());
    }
    let client = Client::new(&asked.node)?.patient(PATIENCE.min(asked.timeout));
    let mut missing = None;
    let done = timeout(asked.timeout, until(&client, asked, &selector, &mut missing, screen)).await;
    let late = format!("not within {:?}", asked.timeout);
    match (done, missing) {
        (Ok(done), _) => done.map(|()| Exit::Done),
        (Err(_), Some(Missing::Condition(text))) => {
            say(asked, &format!("{late}: {text}"), screen);
            Ok(Exit::Failed)
        }
        (Err(_), Some(Missing::Answer(text))) => Err(Failure::Unreachable(format!("{late}: {text}")).into()),
        (Err(_), None) => Err(Failure::Unreachable(format!("{late}: mcr did not answer")).into()),
    }
}

async fn until<O: Write, E: Write>(
    client: &Client,
    asked: &Wait,
    selector: &Selector,
    missing: &mut Option<Missing>,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<()> {
    loop {
        let now = match look(client, asked, selector).await {
            Ok(now) => now.map(Missing::Condition),
            Err(error) => match error.downcast::<Failure>()? {
                Failure::Unreachable(text) | Failure::Silent(text) => Some(Missing::Answer(text)),
                other => return Err(other.into()),
            },
        };
        match &now {
            None => return Ok(()),
            Some(_) if now == *missing => {}
            Some(Missing::Answer(text) | Missing::Condition(text)) => say(asked, &format!("waiting: {text}"), screen),
        }
        *missing = now;
        sleep(LOOK).await;
    }
}

fn say<O: Write, E: Write>(asked: &Wait, text: &str, screen: &mut Screen<O, E>) {
    if !asked.quiet {
        screen.note(&plain(text));
    }
}

/// What is missing of all that is waited for.
async fn look(client: &Client, asked: &Wait, selector: &Selector) -> anyhow::Result<Option<String>> {
    for (is_asked, path) in [(asked.healthy, "/healthz"), (asked.ready, "/readyz")] {
        if is_asked && let Some(failing) = health(client, path).await? {
            return Ok(Some(failing));
        }
    }
    if asked.flowing { flowing(client, selector).await } else { Ok(None) }
}

async fn health(client: &Client, path: &str) -> anyhow::Result<Option<String>> {
    let answer = client.answer(Question::get(path)).await?;
    if answer.status != StatusCode::SERVICE_UNAVAILABLE {
        return answer.granted().map(|_| None);
    }
    let health: Health = answer.read()?;
    let failing = health.checks.iter().filter(|check| !check.ok).map(|check| format!("{}: {}", check.name, check.text));
    Ok(Some(first(failing.collect())))
}

async fn flowing(client: &Client, selector: &Selector) -> anyhow::Result<Option<String>> {
    let answer = client.ask(Question::get(format!("/api/v1/relays?{}", query(selector)))).await;
    let relays: Relays = match answer {
        Ok(answer) => answer.read()?,
        // It may come.
        Err(error) if error.downcast_ref().and_then(Failure::status) == Some(404) => {
            return Ok(Some(error.to_string()));
        }
        Err(error) => return Err(error),
    };
    let dark: Vec<String> = relays.relays.iter().filter_map(dark).collect();
    Ok((!dark.is_empty()).then(|| first(dark)))
}

/// Why the stream of a relay does not flow, or not to all that it should.
fn dark(relay: &Relay) -> Option<String> {
    let (name, status) = (name_of(&relay.definition), &relay.status);
    if let Some(pending) = status.pending.first() {
        return Some(format!("{name} {}: {}", pending.part, pending.text));
    }
    (status.state != "running").then(|| format!("{name} is {}", status.state))
}

/// The first of all, and how many more there are.
fn first(all: Vec<String>) -> String {
    let more = all.len().saturating_sub(TOLD);
    let told = all.into_iter().take(TOLD).collect::<Vec<_>>().join("; ");
    if more == 0 { told } else { format!("{told}; and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::{dark, first};
    use relay_config::model::Relay;
    use serde_json::{Value, json};

    #[test]
    fn a_stream_flows_when_it_comes_in_and_all_outputs_can_send() {
        let told = |state: &str, pending: Value| {
            let traffic = json!({ "at": "in0", "packets": 0, "bytes": 0, "pps": 0.0, "bps": 0.0, "last_packet_age_s": null,
                                  "drops": {} });
            let status = json!({ "state": state, "pending": pending, "input": traffic, "outputs": [] });
            let relay: Relay =
                serde_json::from_value(json!({ "name": "a", "origin": "api", "tag": "", "status": status })).unwrap();
            dark(&relay)
        };
        let pending = json!([{ "relay": "a", "part": "outputs[0]", "reason": "link_down", "text": "it is down" }]);
        assert_eq!(told("running", json!([])), None);
        assert_eq!(told("silent", json!([])).unwrap(), "a is silent");
        assert_eq!(told("running", pending).unwrap(), "a outputs[0]: it is down");
        let many = (0..5).map(|n| n.to_string()).collect();
        assert_eq!(first(many), "0; 1; 2; and 2 more");
    }
}
