//! `mcr events`: what happened, and what happens.

use super::client::{Client, Question, encoded};
use super::exit::Exit;
use super::failure::Failure;
use super::screen::{Paint, Screen, Tone, plain};
use super::sse::{Message, Reader};
use crate::args::Events;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::HeaderName;
use relay_common::pattern;
use relay_config::model::Event;
use std::io::{self, Write};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Where to go on, in the words of server-sent events.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What stands where events are missing.
const LOST: &str = "events.lost";
/// What is kept comes in one go; so long a silence means that it was all.
const QUIET: Duration = Duration::from_millis(500);
/// Even when nothing happens something comes every few seconds; a connection that is silent for so long is dead.
const DEAD: Duration = Duration::from_secs(60);
/// So many characters of a time say the second: `2026-01-02T03:04:05`.
const SECONDS: usize = 19;
/// How long the first try to get a lost connection back waits, and the later ones at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// `mcr events`.
pub(super) async fn run<O: Write, E: Write>(asked: &Events, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    let first = Question::get(path(asked, true));
    let mut last = asked.after.clone();
    // A control that is not there from the beginning is an error; one that goes is waited for.
    show(client.stream(first).await?, asked, &mut last, screen).await?;
    if asked.follow { go_on(&client, asked, last, screen).await } else { Ok(Exit::Done) }
}

/// Connects again and again, after the last event that was seen; only an error ends it.
async fn go_on<O: Write, E: Write>(
    client: &Client,
    asked: &Events,
    mut last: Option<String>,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    let (mut pause, longest) = PAUSES;
    loop {
        let after = last.as_ref().map(|last| format!(" after event {}", plain(last))).unwrap_or_default();
        screen.note(&format!("the connection to {} was lost{after}: connecting again", client.target().name()));
        let stream = loop {
            sleep(pause).await;
            let again = Question::get(path(asked, last.is_none()));
            let again = match &last {
                Some(last) => again.header(LAST_EVENT_ID, last.clone()),
                None => again,
            };
            match client.stream(again).await {
                Ok(stream) => break stream,
                Err(error)
                    if matches!(
                        error.downcast_ref::<Failure>(),
                        Some(Failure::Unreachable(_) | Failure::Silent(_))
                    ) =>
                {
                    pause = (pause * 2).min(longest);
                }
                Err(error) => return Err(error),
            }
        };
        screen.note("connected again");
        let before = last.clone();
        show(stream, asked, &mut last, screen).await?;
        // A control that breaks off at once is not asked in a mad rush.
        pause = if last == before { (pause * 2).min(longest) } else { PAUSES.0 };
    }
}

/// Where to ask. Kinds without a star are chosen over there too, which refuses those that it does not know. Who comes again
/// does not begin anew.
fn path(asked: &Events, begins: bool) -> String {
    let mut path = "/api/v1/events?".to_owned();
    if begins {
        let last = asked.last.as_ref().map(ToString::to_string);
        for (name, value) in [("after", &asked.after), ("since", &asked.since), ("last", &last)] {
            if let Some(value) = value {
                path.push_str(&format!("{name}={}&", encoded(value)));
            }
        }
    }
    if !asked.kind.is_empty() && !asked.kind.iter().any(|kind| kind.contains(['*', '?'])) {
        path.push_str(&format!("kind={}&", encoded(&asked.kind.join(","))));
    }
    if !asked.labels.is_empty() {
        path.push_str(&format!("selector={}&", encoded(&asked.labels.join(","))));
    }
    path.truncate(path.trim_end_matches(['?', '&']).len());
    path
}

/// Shows what comes until it ends.
async fn show<O: Write, E: Write>(
    mut stream: Incoming,
    asked: &Events,
    last: &mut Option<String>,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<()> {
    let mut reader = Reader::default();
    let patience = if asked.follow { DEAD } else { QUIET };
    // Silence, an end and a broken connection are one thing here: whoever follows connects again.
    while let Ok(Some(Ok(frame))) = timeout(patience, stream.frame()).await {
        let Ok(bytes) = frame.into_data() else { continue };
        for message in reader.feed(&bytes) {
            tell(&message, asked, screen)?;
            *last = message.id.or_else(|| last.take());
        }
        screen.out.flush()?;
    }
    Ok(())
}

fn tell<O: Write, E: Write>(message: &Message, asked: &Events, screen: &mut Screen<O, E>) -> io::Result<()> {
    let Ok(event) = serde_json::from_str::<Event>(&message.data) else { return Ok(()) };
    if !is_wanted(&event, asked) {
        return Ok(());
    }
    if asked.json {
        return screen.json(message.data.as_bytes());
    }
    writeln!(screen.out, "{}", line(&event, screen.paint))
}

fn is_wanted(event: &Event, asked: &Events) -> bool {
    // That something is missing concerns whoever reads the rest.
    if event.event == LOST {
        return true;
    }
    let kind = |kind: &String| {
        pattern::matches(kind, &event.event)
            || event.event.strip_prefix(kind.as_str()).is_some_and(|rest| rest.starts_with('.'))
    };
    let relay = event.fields.get("relay").and_then(serde_json::Value::as_str);
    (asked.kind.is_empty() || asked.kind.iter().any(kind))
        && (asked.relay.is_empty() || relay.is_some_and(|relay| pattern::any(&asked.relay, relay)))
}

fn line(event: &Event, paint: Paint) -> String {
    if event.event == LOST {
        return paint.paint(Tone::Warn, &format!("---------- {} ----------", plain(&event.text)));
    }
    let tone = match event.level.as_str() {
        "error" => Tone::Bad,
        "warn" => Tone::Warn,
        _ => Tone::Plain,
    };
    let level = paint.paint(tone, &format!("{:<5}", plain(&event.level)));
    let time = paint.paint(Tone::Dim, &plain(&event.time));
    // Who looks for the order in which things happened must see where it is another than that of the lines.
    let told_late = event.told_at.get(..SECONDS).is_some_and(|told| Some(told) != event.time.get(..SECONDS));
    let late =
        if told_late { paint.paint(Tone::Dim, &format!(" (told {})", plain(&event.told_at))) } else { String::new() };
    format!("{time} {level} {} {}{late}", paint.paint(Tone::Head, &plain(&event.event)), plain(&event.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(kinds: &[&str], relays: &[&str]) -> Events {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Events {
            follow: false,
            after: None,
            since: None,
            last: None,
            kind: owned(kinds),
            relay: owned(relays),
            labels: Vec::new(),
            json: false,
            node: Default::default(),
        }
    }

    #[test]
    fn kinds_are_asked_for_unless_they_are_patterns() {
        assert_eq!(path(&asked(&[], &[]), true), "/api/v1/events");
        assert_eq!(path(&asked(&["stream", "a b&c"], &[]), true), "/api/v1/events?kind=stream%2Ca%20b%26c");
        assert_eq!(path(&asked(&["stream", "lane.*"], &[]), true), "/api/v1/events");
        let some = Events {
            after: Some("0123456789ab-7".to_owned()),
            since: Some("10m".to_owned()),
            last: Some(5),
            ..asked(&["lane"], &[])
        };
        assert_eq!(path(&some, true), "/api/v1/events?after=0123456789ab-7&since=10m&last=5&kind=lane");
        assert_eq!(path(&some, false), "/api/v1/events?kind=lane");
        let labelled = Events { labels: vec!["group=news".to_owned(), "!tier".to_owned()], ..asked(&[], &["a*"]) };
        assert_eq!(path(&labelled, false), "/api/v1/events?selector=group%3Dnews%2C%21tier");
    }

    #[test]
    fn kinds_and_relays_choose() {
        let event: Event = serde_json::from_value(json!({
            "id": 1, "time": "2026-01-02T03:04:05.678Z", "event": "stream.interrupted", "level": "warn",
            "text": "ch1: nothing for 1 s\u{7}", "fields": { "relay": "ch1" }
        }))
        .unwrap();
        for kind in ["stream", "stream.interrupted", "stream.*", "*.interrupted"] {
            assert!(is_wanted(&event, &asked(&["other", kind], &[])), "{kind}");
        }
        for kind in ["str", "interrupted", "stream.interrupted.more"] {
            assert!(!is_wanted(&event, &asked(&[kind], &[])), "{kind}");
        }
        assert!(is_wanted(&event, &asked(&[], &["ch*"])) && !is_wanted(&event, &asked(&["stream"], &["ch2"])));
        let without = Event { fields: Default::default(), ..event.clone() };
        assert!(!is_wanted(&without, &asked(&[], &["*"])) && is_wanted(&without, &asked(&[], &[])));
        assert_eq!(
            line(&event, Paint::default()),
            "2026-01-02T03:04:05.678Z warn  stream.interrupted ch1: nothing for 1 s "
        );
        assert!(!line(&told(&event, "2026-01-02T03:04:05.999Z"), Paint::default()).contains("told"));
        let late = line(&told(&event, "2026-01-02T03:05:05.678Z"), Paint::default());
        assert!(late.ends_with(" (told 2026-01-02T03:05:05.678Z)"), "{late}");
    }

    fn told(event: &Event, at: &str) -> Event {
        Event { told_at: at.to_owned(), ..event.clone() }
    }

    #[test]
    fn a_gap_is_marked_whatever_was_asked_for() {
        let lost: Event = serde_json::from_value(json!({
            "id": "0123456789ab-300", "time": "2026-01-02T03:04:05.678Z", "event": "events.lost", "level": "warn",
            "text": "300 events are lost", "fields": { "from": "0123456789ab-1", "to": "0123456789ab-300" }
        }))
        .unwrap();
        assert!(is_wanted(&lost, &asked(&["stream"], &["ch1"])));
        assert_eq!(line(&lost, Paint::default()), "---------- 300 events are lost ----------");
    }
}
