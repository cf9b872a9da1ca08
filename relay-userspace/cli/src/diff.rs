//! `mcr diff`: the configuration file against what runs.

use super::client::{Client, Question};
use super::difference::{between, summary};
use super::document::name_of;
use super::exit::Exit;
use super::screen::{Paint, Screen, Tone, plain};
use crate::args;
use relay_config::model::{ChangedKey, ChangedRelay, Diff, is_of_lanes};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write;

/// `mcr diff`. As with diff, whatever keeps it from telling is 2.
pub(super) async fn run<O: Write, E: Write>(asked: &args::Diff, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    match told(asked, screen).await {
        Ok(true) => Ok(Exit::Done),
        Ok(false) => Ok(Exit::Failed),
        Err(error) => {
            screen.note(&format!("{error:#}"));
            Ok(Exit::Usage)
        }
    }
}

/// Says whether they are the same.
async fn told<O: Write, E: Write>(asked: &args::Diff, screen: &mut Screen<O, E>) -> anyhow::Result<bool> {
    let client = Client::new(&asked.node)?;
    let answer = client.ask(Question::get("/api/v1/diff")).await?;
    let diff: Diff = answer.read()?;
    if asked.json {
        screen.json(&answer.body)?;
    } else if !asked.quiet {
        write!(screen.out, "{}", text(&diff, screen.paint))?;
    }
    Ok(diff.same)
}

/// Each difference, in a line.
pub(super) fn lines(diff: &Diff, paint: Paint) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut line = |tone: Tone, sign: &str, what: &str| _ = writeln!(text, "{} {what}", paint.paint(tone, sign));
    for relay in &diff.added {
        line(Tone::Good, "+", &format!("relay {}  {}", plain(name_of(relay)), plain(&summary(relay))));
    }
    for ChangedRelay { name, running, file } in &diff.changed {
        line(Tone::Warn, "~", &format!("relay {}  {}", plain(name), plain(&between(running, file).join(", "))));
    }
    for relay in &diff.removed {
        line(Tone::Bad, "-", &format!("relay {}  {}", plain(name_of(relay)), plain(&summary(relay))));
    }
    for name in &diff.displaced {
        line(Tone::Bad, "-", &format!("relay {} of the API, whose name or place the file has", plain(name)));
    }
    for ChangedKey { key, running, file } in &diff.keys {
        line(Tone::Warn, "~", &format!("{}  {} -> {}", plain(key), value(running), value(file)));
    }
    for ChangedKey { key, running, file } in &diff.not_in_effect {
        let both = format!("{}  {} -> {}", plain(key), value(running), value(file));
        line(Tone::Warn, "!", &format!("{both} was taken and is not in effect: it takes mcr restart"));
    }
    text
}

fn text(diff: &Diff, paint: Paint) -> String {
    let mut text = lines(diff, paint);
    let Diff { added, changed, removed, displaced, keys, .. } = diff;
    let n = added.len() + changed.len() + removed.len() + displaced.len() + keys.len();
    let end = match n {
        0 if diff.same => format!("{} is what runs", plain(&diff.file)),
        0 => format!("{} is taken; what is not in effect waits for mcr restart", plain(&diff.file)),
        _ if keys.iter().any(|key| is_of_lanes(&key.key)) => {
            "mcr reload refuses this while these lanes run: put [lanes] back, or end mcr (mcr stop) and start it"
                .to_owned()
        }
        1 => "1 difference: mcr reload takes it".to_owned(),
        n => format!("{n} differences: mcr reload takes them"),
    };
    let _ = writeln!(text, "{end}");
    text
}

/// A value as it is written in the file; what is not written is the default.
fn value(value: &Value) -> String {
    if value.is_null() { "(default)".to_owned() } else { plain(&value.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::text;
    use crate::screen::Paint;
    use relay_config::model::Diff;
    use serde_json::json;

    fn shown(diff: serde_json::Value) -> String {
        let mut whole = serde_json::to_value(Diff { file: "/etc/mcr/relay.toml".into(), ..Diff::default() }).unwrap();
        whole.as_object_mut().unwrap().extend(diff.as_object().unwrap().clone());
        text(&serde_json::from_value(whole).unwrap(), Paint::default())
    }

    #[test]
    fn each_difference_is_a_line() {
        let relay = |name: &str, ttl: u8| {
            json!({ "name": name, "input": { "interface": "in0", "group": "239.1.1.1", "port": 5000 },
                    "outputs": [{ "interface": "out0", "group": "239.2.1.1", "port": 5001, "ttl": ttl }] })
        };
        let diff = json!({
            "added": [relay("new", 16)],
            "changed": [{ "name": "one", "running": relay("one", 16), "file": relay("one", 8) }],
            "removed": [relay("old\u{1b}[2J", 16)],
            "displaced": ["made"],
            "keys": [{ "key": "health.hold_down", "running": "10s", "file": null }],
            "not_in_effect": [{ "key": "http.listen", "running": "127.0.0.1:9280", "file": "off" }],
        });
        insta::assert_snapshot!(shown(diff));
    }

    #[test]
    fn what_is_the_same_is_said_to_be() {
        assert_eq!(shown(json!({ "same": true })), "/etc/mcr/relay.toml is what runs\n");
        let waits = json!([{ "key": "http.listen", "running": "127.0.0.1:9280", "file": "off" }]);
        let waits = shown(json!({ "not_in_effect": waits }));
        assert!(waits.ends_with("is taken; what is not in effect waits for mcr restart\n"), "{waits}");
    }
}
