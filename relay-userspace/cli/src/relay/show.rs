//! `mcr relay show`: one relay, with all that is known of it.

use super::labels::{labels, said};
use super::list::{name, tone};
use super::which::{chooses, chosen, selector};
use crate::args;
use crate::client::{Client, Question, path_of};
use crate::exit::Exit;
use crate::number::{bytes, megabits, rate, span};
use crate::screen::{Paint, Screen, Tone, plain};
use relay_config::model::{Relay, Relays, Traffic};
use relay_config::short;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write;

/// `mcr relay show`.
pub(crate) async fn show<O: Write, E: Write>(asked: &args::Show, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    if let ([one], false) = (asked.names.as_slice(), chooses(&asked.names, &asked.labels)) {
        let answer = client.ask(Question::get(path_of(one))).await?;
        if asked.json {
            screen.json(&answer.body)?;
        } else {
            write!(screen.out, "{}", text(&answer.read()?, screen.paint))?;
        }
        return Ok(Exit::Done);
    }
    let mut relays: Relays = client.ask(Question::get("/api/v1/relays")).await?.read()?;
    let meant = chosen(&relays.relays, &selector(&asked.names, &asked.labels)?)?;
    relays.relays.retain(|relay| meant.contains(name(relay)));
    if asked.json {
        screen.json(&serde_json::to_vec(&relays)?)?;
    } else {
        let pages: Vec<String> = relays.relays.iter().map(|relay| text(relay, screen.paint)).collect();
        write!(screen.out, "{}", pages.join("\n"))?;
    }
    Ok(Exit::Done)
}

/// The page of a relay.
pub(crate) fn text(relay: &Relay, paint: Paint) -> String {
    let status = &relay.status;
    let from = if relay.origin == "file" { "the configuration file" } else { "the API" };
    let state = paint.paint(tone(&status.state), &plain(&status.state));
    let mut text = format!("{}: {state}, from {from}\n", paint.paint(Tone::Head, &plain(name(relay))));
    // Writing to a String cannot fail.
    if let Some(description) = relay.definition.get("description").and_then(Value::as_str).filter(|d| !d.is_empty()) {
        let _ = writeln!(text, "{:<14}{}", "description", plain(description));
    }
    let labels = labels(relay);
    if !labels.is_empty() {
        let _ = writeln!(text, "{:<14}{}", "labels", plain(&said(&labels)));
    }
    let none = Vec::new();
    let outputs = relay.definition.get("outputs").and_then(Value::as_array).unwrap_or(&none);
    end(&mut text, "input", relay.definition.get("input"), &status.input, paint);
    for (i, traffic) in status.outputs.iter().enumerate() {
        end(&mut text, &format!("outputs[{i}]"), outputs.get(i), traffic, paint);
    }
    for key in ["muted", "silence_after", "meters", "allow_link_local"] {
        match relay.definition.get(key) {
            None | Some(Value::Bool(false)) => {}
            Some(Value::String(value)) => _ = writeln!(text, "{key:<14}{}", plain(value)),
            Some(value) => _ = writeln!(text, "{key:<14}{value}"),
        }
    }
    if !status.pending.is_empty() {
        let _ = writeln!(text, "{}", paint.paint(Tone::Warn, "cannot work yet:"));
    }
    for pending in &status.pending {
        let _ = writeln!(text, "  {}: {}: {}", plain(&pending.part), plain(&pending.reason), plain(&pending.text));
    }
    for warning in &status.warnings {
        let _ = writeln!(text, "{} {}", paint.paint(Tone::Warn, "warning:"), plain(warning));
    }
    text
}

/// One end of the relay: how it is defined, and what went through.
fn end(text: &mut String, part: &str, defined: Option<&Value>, traffic: &Traffic, paint: Paint) {
    let place = defined.map_or_else(|| traffic.at.clone(), short::show);
    let _ = writeln!(text, "{part:<14}{}", plain(&place));
    let age = match traffic.last_packet_age_s {
        Some(age) => format!(", last {} ago", span(age)),
        None if part == "input" && traffic.packets == 0 => ", never a packet".to_owned(),
        None => String::new(),
    };
    let flow = format!("{} pps, {} Mb/s", rate(traffic.pps), megabits(traffic.bps));
    let _ = writeln!(text, "{:14}{flow}; {} packets, {} in all{age}", "", traffic.packets, bytes(traffic.bytes));
    let dropped = traffic.drops.iter().filter(|(_, n)| **n > 0).map(|(reason, n)| format!("{reason} {n}"));
    let dropped = dropped.collect::<Vec<_>>().join(", ");
    if !dropped.is_empty() {
        let _ = writeln!(text, "{:14}{}", "", paint.paint(Tone::Warn, &format!("dropped: {}", plain(&dropped))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_page() {
        let traffic = |at: &str, age: Option<f64>| {
            json!({ "at": at, "packets": 1_234_567, "bytes": 1_625_000_000, "pps": 1200.4, "bps": 12.6e6,
                    "last_packet_age_s": age, "drops": { "wrong_source": 3, "ttl": 0 } })
        };
        let relay: Relay = serde_json::from_value(json!({
            "name": "ch1", "description": "News HD\u{1b}[2J", "labels": { "group": "news", "site": "a" }, "enabled": true, "muted": false, "silence_after": "2s", "allow_link_local": false,
            "input": { "interface": "ens1f0", "group": "239.1.1.1", "port": 5000, "sources": ["10.0.0.5"], "vlan": "none" },
            "outputs": [
                { "interface": "ens1f1", "group": "239.2.1.1", "port": 5001, "ttl": 16, "dscp": 34, "source": "keep" },
                { "interface": "ens1f2", "address": "10.1.1.9", "port": 6000, "vlan": [100, 7] },
            ],
            "origin": "api", "tag": "t",
            "status": {
                "state": "running",
                "pending": [{ "relay": "ch1", "part": "outputs[1]", "reason": "neighbour_unknown",
                              "text": "10.1.1.9 does not answer: is it on?\u{1b}[2J" }],
                "warnings": ["outputs[0] and relay \"ch2\" both send there\u{1b}[2J"],
                "input": traffic("ens1f0/239.1.1.1:5000", Some(0.02)),
                "outputs": [traffic("ens1f1/239.2.1.1:5001", None), traffic("ens1f2/10.1.1.9:6000", None)],
            },
        }))
        .unwrap();
        insta::assert_snapshot!(text(&relay, Paint::default()));
    }
}
