//! Events: what is kept, then what comes, and nothing twice.

use super::client::request;
use super::stage::Stage;
use crate::limits::Limits;
use axum::body::Bytes;
use http_body_util::BodyExt as _;
use relay_control::events::{Event, Id, KEPT, Kind};
use serde_json::Value;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::timeout;

const SLACK: Duration = Duration::from_secs(60);

pub(super) struct Follower {
    body: hyper::body::Incoming,
    text: String,
}

impl Follower {
    pub(super) async fn new(stage: &Stage, path: &str, headers: &[(&str, &str)]) -> Self {
        let answer = stage.tcp.open(request("GET", path, headers, "")).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        Self { body: answer.into_body(), text: String::new() }
    }

    /// The next block of lines; none at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let frame = timeout(SLACK, self.body.frame()).await.expect("nothing comes")?.unwrap();
            let bytes: Bytes = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event, its id and name checked against its data; and its number.
    pub(super) async fn event(&mut self) -> Option<(u64, Value)> {
        loop {
            let block = self.block().await?;
            let line = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let Some(data) = line("data:") else { continue };
            let event: Value = serde_json::from_str(data).unwrap();
            let id = event["id"].as_str().unwrap();
            assert_eq!((line("id:").unwrap(), line("event:").unwrap()), (id, event["event"].as_str().unwrap()));
            let id: Id = id.parse().unwrap();
            return Some((id.number, event));
        }
    }
}

pub(super) fn record(stage: &Stage, kind: Kind, relay: &str) {
    stage.desk.events.record(Event::new(kind, "two\nlines").with("relay", relay));
}

/// The event that was recorded last.
fn last(stage: &Stage) -> Id {
    stage.desk.events.follow(None).since.last().unwrap().id
}

#[tokio::test]
async fn what_is_kept_comes_first_and_then_what_happens() {
    let stage = Stage::new();
    for i in 0..3 {
        record(&stage, Kind::RelayCreated, &format!("ch{i}"));
    }
    let first = last(&stage).number - 2;
    let mut follower = Follower::new(&stage, "/api/v1/events", &[]).await;
    assert_eq!(follower.block().await.unwrap(), "retry: 2000");
    for i in 0..3 {
        let (id, event) = follower.event().await.unwrap();
        assert_eq!((id, event["fields"]["relay"].as_str().unwrap()), (first + i, format!("ch{i}").as_str()));
        assert_eq!(event["text"], "two\nlines");
    }
    record(&stage, Kind::RelayRemoved, "ch0");
    assert_eq!(follower.event().await.unwrap().1["event"], "relay.removed");
}

#[tokio::test]
async fn who_comes_again_misses_nothing_and_sees_nothing_twice() {
    let stage = Stage::new();
    for i in 0..5 {
        record(&stage, Kind::RelayCreated, &format!("ch{i}"));
    }
    let Id { history, number: last } = last(&stage);
    let seen = format!("{history}-{}", last - 2);
    let mut again = Follower::new(&stage, "/api/v1/events", &[("last-event-id", &seen)]).await;
    assert_eq!(again.event().await.unwrap().0, last - 1);
    for after in [format!("{history}-{}", last - 1), (last - 1).to_string()] {
        let mut after = Follower::new(&stage, &format!("/api/v1/events?after={after}"), &[]).await;
        assert_eq!(after.event().await.unwrap().0, last);
    }
    // The header is the stronger: a browser keeps the address and sends what it saw.
    let mut both = Follower::new(&stage, "/api/v1/events?after=0", &[("last-event-id", &seen)]).await;
    assert_eq!(both.event().await.unwrap().0, last - 1);
}

#[tokio::test]
async fn who_comes_again_too_late_is_told_what_is_missing() {
    let stage = Stage::new();
    for i in 0..KEPT + 300 {
        stage.desk.events.record(Event::new(Kind::Audit, i.to_string()));
    }
    // Whatever is asked for, and wherever it was seen.
    let history = last(&stage).history;
    for (seen, from, count) in [
        (format!("{history}-1"), format!("{history}-2"), Some(299)),
        ("0123456789ab-7".to_owned(), "0123456789ab-8".to_owned(), None),
    ] {
        let mut again = Follower::new(&stage, "/api/v1/events?kind=audit&relay=x", &[("last-event-id", &seen)]).await;
        let (number, event) = again.event().await.unwrap();
        assert_eq!((number, &event["event"]), (300, &"events.lost".into()));
        let fields = &event["fields"];
        assert_eq!((&fields["from"], fields["count"].as_u64()), (&from.as_str().into(), count));
        assert_eq!(fields["to"], format!("{history}-300"));
    }
    let mut all = Follower::new(&stage, "/api/v1/events", &[]).await;
    assert_eq!(all.event().await.unwrap().0, 301, "who has seen nothing has missed nothing");
}

#[tokio::test]
async fn of_what_is_kept_only_so_much_or_so_old_comes() {
    let stage = Stage::new();
    for i in 0..5 {
        stage.desk.events.record(Event::new(Kind::Audit, i.to_string()));
        stage.desk.events.record(Event::new(Kind::ConfigApplied, i.to_string()));
    }
    let first = async |query: &str| {
        Follower::new(&stage, &format!("/api/v1/events?{query}"), &[]).await.event().await.unwrap().0
    };
    assert_eq!(first("last=3").await, 8);
    assert_eq!(first("last=3&kind=audit").await, 5);
    assert_eq!(first("last=30").await, 1);
    assert_eq!(first("since=10m").await, 1);
    assert_eq!(first("since=2020-01-01T00:00:00Z").await, 1);
    // None that is kept is of the future.
    let mut none = Follower::new(&stage, "/api/v1/events?since=2100-01-01T00:00:00Z", &[]).await;
    assert_eq!(none.block().await.unwrap(), "retry: 2000");
    let mut live = Follower::new(&stage, "/api/v1/events?last=0", &[]).await;
    record(&stage, Kind::RelayCreated, "ch9");
    assert_eq!(live.event().await.unwrap().0, 11);
}

#[tokio::test]
async fn only_what_is_asked_for_comes() {
    let stage = Stage::new();
    record(&stage, Kind::RelayCreated, "ch1");
    record(&stage, Kind::StreamInterrupted, "ch1");
    record(&stage, Kind::StreamInterrupted, "ch2");
    record(&stage, Kind::StreamRestored, "ch2");
    record(&stage, Kind::RelayRemoved, "ch2");
    let names = async |query: &str, n: usize| {
        let mut follower = Follower::new(&stage, &format!("/api/v1/events?{query}"), &[]).await;
        let mut names = Vec::new();
        for _ in 0..n {
            names.push(follower.event().await.unwrap().1["event"].as_str().unwrap().to_owned());
        }
        names
    };
    assert_eq!(names("kind=stream.restored,relay.removed", 2).await, ["stream.restored", "relay.removed"]);
    assert_eq!(names("kind=stream&relay=ch2", 2).await, ["stream.interrupted", "stream.restored"]);
    assert_eq!(names("relay=ch2", 3).await, ["stream.interrupted", "stream.restored", "relay.removed"]);
    for wrong in [
        "kind=strea",
        "kind=",
        "after=x",
        "after=-1",
        "since=3",
        "since=soon",
        "since=2026-01-01",
        "last=x",
        "until=3",
        "kind=stream.restored,",
    ] {
        assert_eq!(stage.unix.get(&format!("/api/v1/events?{wrong}")).await.problem().0, 400, "{wrong}");
    }
    let wrong = [("last-event-id", "soon")];
    assert_eq!(stage.unix.with("GET", "/api/v1/events", &wrong, "").await.problem().0, 400);
}

#[tokio::test]
async fn a_silent_stream_says_that_it_lives() {
    let stage = Stage::within(Limits { keep_alive: Duration::from_millis(20), ..Limits::default() });
    let mut follower = Follower::new(&stage, "/api/v1/events", &[]).await;
    assert_eq!(follower.block().await.unwrap(), "retry: 2000");
    assert!(follower.block().await.unwrap().starts_with(':'));
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_cut_off() {
    let stage = Stage::new();
    let mut follower = Follower::new(&stage, "/api/v1/events?kind=audit", &[]).await;
    assert_eq!(follower.block().await.unwrap(), "retry: 2000");
    // More than is kept, and more than lies in the buffers between: nobody reads meanwhile.
    let long = "x".repeat(20_000);
    for _ in 0..KEPT * 2 {
        stage.desk.events.record(Event::new(Kind::Audit, long.as_str()));
        if stage.server().counts().requests.cut_off.load(Relaxed) > 0 {
            break;
        }
    }
    let rest = async { while follower.block().await.is_some_and(|block| !block.starts_with(": cut off")) {} };
    timeout(SLACK, rest).await.expect("was not cut off");
    assert_eq!(follower.block().await, None);
    assert_eq!(stage.server().counts().requests.cut_off.load(Relaxed), 1);
}
