//! `mcr relay ls`: the relays in a table.

use super::labels::{labels, said};
use super::which::{chosen, selector};
use crate::args::List;
use crate::client::{Client, Question};
use crate::exit::Exit;
use crate::number::{megabits, rate, span};
use crate::screen::{Screen, Tone};
use crate::table::{Cell, Table};
use relay_config::model::{Relay, RelayStatus, Relays};
use std::collections::BTreeSet;
use std::io::Write;

/// `mcr relay ls`.
pub(crate) async fn list<O: Write, E: Write>(asked: &List, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    let answer = client.ask(Question::get("/api/v1/relays")).await?;
    let selector = selector(&asked.patterns, &asked.labels)?;
    let is_all = selector.is_all() && asked.state.is_empty() && asked.origin.is_none();
    if asked.json && is_all {
        screen.json(&answer.body)?;
        return Ok(Exit::Done);
    }
    let mut relays: Relays = answer.read()?;
    let n_all = relays.relays.len();
    let meant = chosen(&relays.relays, &selector)?;
    relays.relays.retain(|relay| meant.contains(name(relay)) && is_wanted(relay, asked));
    if asked.json {
        screen.json(&serde_json::to_vec(&relays)?)?;
    } else if relays.relays.is_empty() && is_all {
        screen.note("there are no relays: mcr relay add NAME --in IFACE/GROUP:PORT --out IFACE/GROUP:PORT");
    } else if relays.relays.is_empty() {
        screen.note(&format!("none of {n_all} relays is meant"));
    } else {
        write!(screen.out, "{}", table(&relays.relays, asked.shows_labels).show(screen.paint))?;
    }
    Ok(Exit::Done)
}

/// A relay of which a part waits is pending, too, whatever else is first in its way.
fn is_wanted(relay: &Relay, asked: &List) -> bool {
    let status = &relay.status;
    let is_so = |state: &String| *state == status.state || state == "pending" && !status.pending.is_empty();
    (asked.state.is_empty() || asked.state.iter().any(is_so))
        && asked.origin.as_ref().is_none_or(|origin| *origin == relay.origin)
}

fn table(relays: &[Relay], shows_labels: bool) -> Table {
    let heads = ["NAME", "STATE", "FROM", "INPUT", ">PPS", ">MBIT/S", ">AGE", ">OUT", ">DROPS", "LABELS"];
    let n = if shows_labels { heads.len() } else { heads.len() - 1 };
    let mut table = Table::new(&heads[..n]);
    for relay in relays {
        let status = &relay.status;
        let (working, all) = outputs(status);
        let drops = drops(status);
        let cells = [
            name(relay).into(),
            Cell::new(&status.state, tone(&status.state)),
            (&relay.origin).into(),
            (&status.input.at).into(),
            rate(status.input.pps).into(),
            megabits(status.input.bps).into(),
            status.input.last_packet_age_s.map_or_else(|| "-".to_owned(), span).into(),
            Cell::new(format!("{working}/{all}"), if working < all { Tone::Warn } else { Tone::Plain }),
            Cell::new(drops.to_string(), if drops > 0 { Tone::Warn } else { Tone::Plain }),
            said(&labels(relay)).into(),
        ];
        table.row(cells.into_iter().take(n));
    }
    table
}

/// A relay's name.
pub(super) fn name(relay: &Relay) -> &str {
    crate::document::name_of(&relay.definition)
}

/// The colour of a state.
pub(crate) fn tone(state: &str) -> Tone {
    match state {
        "running" => Tone::Good,
        "silent" => Tone::Bad,
        "pending" | "muted" | "shadowed" => Tone::Warn,
        _ => Tone::Dim,
    }
}

/// How many outputs can work, and how many there are.
pub(super) fn outputs(status: &RelayStatus) -> (usize, usize) {
    let parts = status.pending.iter().map(|pending| pending.part.as_str());
    let pending: BTreeSet<&str> = parts.filter(|part| part.starts_with("outputs[")).collect();
    let all = status.outputs.len();
    (all.saturating_sub(pending.len()), all)
}

/// What was not passed on, at the input and all outputs.
pub(crate) fn drops(status: &RelayStatus) -> u64 {
    let ends = std::iter::once(&status.input).chain(&status.outputs);
    ends.flat_map(|end| end.drops.values()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::Paint;
    use serde_json::json;

    fn relays() -> Vec<Relay> {
        let end = |at: &str, pps: f64, age: Option<f64>, drops: u64| {
            let drops = if drops > 0 { json!({ "no_socket": drops }) } else { json!({}) };
            json!({ "at": at, "packets": 1, "bytes": 2, "pps": pps, "bps": pps * 10_528.0, "last_packet_age_s": age,
                    "drops": drops })
        };
        let pending =
            json!([{ "relay": "news-hd", "part": "outputs[1]", "reason": "link_down", "text": "ens1f2 is down" }]);
        let relay = |name: &str, origin: &str, state: &str, input, outputs, pending| {
            json!({ "name": name, "origin": origin, "tag": "t",
                    "status": { "state": state, "pending": pending, "input": input, "outputs": outputs } })
        };
        let out = end("ens1f1/239.2.1.1:5001", 1200.0, None, 2);
        let all = json!([
            relay(
                "ch1",
                "file",
                "running",
                end("ens1f0/239.1.1.1:5000", 1200.0, Some(0.01), 0),
                json!([out]),
                json!([])
            ),
            relay(
                "news-hd",
                "api",
                "pending",
                end("ens1f0/239.1.1.2:5000", 83_200.4, Some(0.0), 7),
                json!([out, out]),
                pending
            ),
            relay(
                "ch6",
                "api",
                "silent",
                end("ens1f0.100/[ff3e::1]:5000", 0.0, Some(7300.0), 0),
                json!([out]),
                json!([])
            ),
            relay("new", "api", "disabled", end("ens1f0/239.1.1.3:5000", 0.0, None, 0), json!([]), json!([])),
        ]);
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn the_table() {
        let text = table(&relays(), false).show(Paint::default());
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(text);
        let mut labelled = relays();
        labelled.truncate(2);
        labelled[1].definition.insert("labels".to_owned(), json!({ "group": "news", "site": "a" }));
        insta::assert_snapshot!(table(&labelled, true).show(Paint::default()));
    }

    #[test]
    fn filters_leave_what_all_of_them_mean() {
        let wanted = |patterns: &[&str], states: &[&str], origin: Option<&str>| {
            let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            let asked = List {
                patterns: owned(patterns),
                labels: Vec::new(),
                shows_labels: false,
                state: owned(states),
                origin: origin.map(str::to_owned),
                json: false,
                node: Default::default(),
            };
            let relays = relays();
            let meant = chosen(&relays, &selector(&asked.patterns, &asked.labels).unwrap()).unwrap();
            relays
                .iter()
                .filter(|relay| meant.contains(name(relay)) && is_wanted(relay, &asked))
                .map(|relay| name(relay).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(wanted(&["ch*"], &[], None), ["ch1", "ch6"]);
        assert_eq!(wanted(&["ch*", "new"], &["silent", "disabled"], None), ["ch6", "new"]);
        assert_eq!(wanted(&["ch*"], &[], Some("api")), ["ch6"]);
        assert_eq!(wanted(&[], &[], None).len(), 4);
    }
}
