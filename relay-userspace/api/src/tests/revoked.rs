//! What was begun with a token ends with it, and who is not let in is told of.

use super::client::request;
use super::stage::{BEARER, Stage, TOKEN, relay};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use relay_config::{Access, Http, Reads, Token};
use relay_control::events::Kind;
use relay_engine::clock::unix_ms;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::timeout;

const SLACK: Duration = Duration::from_secs(60);
const CAPTURE: &str = "/api/v1/relays/ch1/capture";

/// A stage on which looking takes a token, with a relay.
async fn closed() -> Stage {
    let stage = Stage::new();
    stage.make("ch1").await;
    stage.take(&Http { reads: Reads::Token, ..stage.http.clone() });
    stage
}

fn ops() -> Token {
    Token::new("ops", Sha256::digest(TOKEN).into(), Access::Write)
}

/// Everything of an answer until its end, and whether it was cut off.
async fn rest(mut body: Incoming) -> (String, bool) {
    let mut text = String::new();
    let end = async {
        loop {
            match body.frame().await {
                Some(Ok(frame)) => text.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap_or_default())),
                Some(Err(_)) => return true,
                None => return false,
            }
        }
    };
    let cut_off = timeout(SLACK, end).await.expect("it goes on");
    (text, cut_off)
}

/// The fields of everybody who was denied something.
fn denied(stage: &Stage) -> Vec<serde_json::Map<String, Value>> {
    stage.told().into_iter().filter(|event| event.event == Kind::AuditDenied.name()).map(|event| event.fields).collect()
}

#[tokio::test]
async fn a_stream_of_events_ends_with_its_token() {
    let stage = closed().await;
    let stream = stage.tcp.open(request("GET", "/api/v1/events", &[BEARER], "")).await.into_body();
    let other = stage.unix.open(request("GET", "/api/v1/events", &[], "")).await;
    stage.take(&Http {
        reads: Reads::Token,
        tokens: vec![Token::new("new", [7; 32], Access::Read)],
        ..stage.http.clone()
    });
    let (text, _) = rest(stream).await;
    assert!(text.contains(": ended: the token \"ops\" is known no more"), "{text}");
    let told = denied(&stage);
    assert_eq!((&told[0]["token"], &told[0]["path"]), (&"ops".into(), &"/api/v1/events".into()));
    // Who came by the Unix socket stays.
    let mut other = other.into_body();
    let denied = async {
        while !String::from_utf8_lossy(&other.frame().await.unwrap().unwrap().into_data().unwrap())
            .contains("audit.denied")
        {}
    };
    timeout(SLACK, denied).await.expect("nothing comes");
}

#[tokio::test]
async fn a_stream_that_everybody_could_read_ends_when_that_ends() {
    let stage = Stage::new();
    let stream = stage.tcp.open(request("GET", "/api/v1/events", &[], "")).await.into_body();
    stage.take(&Http { reads: Reads::Token, ..stage.http.clone() });
    assert!(rest(stream).await.0.contains(": ended: looking takes a token now"));
}

#[tokio::test]
async fn a_capture_ends_with_its_token_and_does_not_look_whole() {
    let stage = closed().await;
    stage.sight.is_endless.store(true, Relaxed);
    let begin = || stage.tcp.open(request("GET", CAPTURE, &[BEARER], ""));
    let ends: [&dyn Fn() -> Token; 4] = [
        &|| Token::new("other", [7; 32], Access::Write),
        &|| Token { access: Access::Read, ..ops() },
        &|| Token { relays: vec!["ch2*".to_owned()], ..ops() },
        &|| Token { expires: Some(unix_ms()), ..ops() },
    ];
    for (i, end) in ends.iter().enumerate() {
        stage.take_tokens(vec![ops()]);
        let capture = begin().await;
        assert_eq!(capture.status(), 200);
        stage.take_tokens(vec![end()]);
        assert_eq!(rest(capture.into_body()).await, ("pcapng".to_owned(), true), "{i}");
    }
    assert_eq!(denied(&stage).len(), ends.len());
}

#[tokio::test]
async fn an_end_that_was_set_is_kept_to() {
    let stage = closed().await;
    let soon = Token { expires: Some(unix_ms() + 1500), ..ops() };
    stage.take(&Http { reads: Reads::Token, tokens: vec![soon], ..stage.http.clone() });
    let stream = stage.tcp.open(request("GET", "/api/v1/events", &[BEARER], "")).await;
    assert_eq!(stream.status(), 200);
    assert!(rest(stream.into_body()).await.0.contains(": ended: the token \"ops\" expired at 20"));
    let (status, _, detail) = stage.tcp.with("GET", "/api/v1/relays", &[BEARER], "").await.problem();
    assert_eq!((status, detail.starts_with("the token \"ops\" expired at 20")), (401, true), "{detail}");
    assert_eq!(denied(&stage).iter().filter(|fields| fields["token"] == "ops").count(), 2);
}

#[tokio::test]
async fn a_token_is_for_its_relays() {
    let stage = Stage::new();
    stage.make("news-1").await;
    stage.take_tokens(vec![Token { relays: vec!["sport-*".to_owned()], ..ops() }]);
    let may = async |method: &str, path: &str, body: &str| {
        let answer = stage.tcp.with(method, path, &[BEARER], body).await;
        if answer.status.is_success() { None } else { Some(answer.problem()) }
    };
    let sport = relay("sport-1").to_string();
    assert_eq!(may("POST", "/api/v1/relays", &sport).await, None);
    assert_eq!(may("PUT", "/api/v1/relays/sport-1", &sport).await, None);
    assert_eq!(may("POST", "/api/v1/relays/sport-1/disable", "").await, None);
    let before = stage.control.lock().unwrap().asked.len();
    let news = relay("news-1").to_string();
    for (method, path, body) in [
        ("POST", "/api/v1/relays", news.as_str()),
        ("PUT", "/api/v1/relays/news-1", &news),
        ("PUT", "/api/v1/relays/news-1?dry_run=true", &news),
        ("DELETE", "/api/v1/relays/news-1", ""),
        ("POST", "/api/v1/relays/news-1/mute", ""),
        ("PUT", "/api/v1/relays", "[]"),
        ("POST", "/api/v1/reload", ""),
    ] {
        let (status, kind, detail) = may(method, path, body).await.unwrap();
        assert_eq!((status, kind.as_str()), (403, "forbidden"), "{method} {path}");
        assert!(detail.starts_with("the token \"ops\" is for the relays sport-*"), "{detail}");
    }
    assert_eq!(stage.control.lock().unwrap().asked.len(), before, "control was asked");
    assert_eq!(may("GET", "/api/v1/relays/news-1/capture", "").await.unwrap().0, 403);
    assert_eq!(may("GET", "/api/v1/relays/sport-1/capture", "").await, None);
    assert_eq!(may("DELETE", "/api/v1/relays/sport-1", "").await, None);
}

#[tokio::test]
async fn who_may_only_look_sees_no_packets() {
    let stage = closed().await;
    let see = async |access| {
        let tokens = vec![Token { access, ..ops() }];
        stage.take(&Http { reads: Reads::Token, tokens, ..stage.http.clone() });
        [
            stage.tcp.with("GET", "/api/v1/relays", &[BEARER], "").await.status,
            stage.tcp.with("HEAD", CAPTURE, &[BEARER], "").await.status,
        ]
    };
    assert_eq!(see(Access::Read).await, [200, 403]);
    assert_eq!(see(Access::Capture).await, [200, 200]);
    assert_eq!(see(Access::Write).await, [200, 200]);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_of() {
    let stage = Stage::new();
    let eyes = Token { access: Access::Read, ..ops() };
    stage.take_tokens(vec![eyes]);
    let refused =
        async |headers: &[(&str, &str)]| stage.tcp.with("POST", "/api/v1/reload?x=1", headers, "").await.status;
    assert_eq!(refused(&[]).await, 401);
    assert_eq!(refused(&[("authorization", "Bearer guess")]).await, 401);
    assert_eq!(refused(&[BEARER]).await, 403);
    assert_eq!(refused(&[("host", "evil.example")]).await, 421);
    // Only that it is wrong is told, and never the token.
    assert_eq!(stage.tcp.get("/api/v1/nowhere").await.status, 404);
    let told = denied(&stage);
    let short: Vec<_> = told
        .iter()
        .map(|fields| (fields["status"].as_u64().unwrap(), fields.get("token").and_then(Value::as_str)))
        .collect();
    assert_eq!(short, [(401, None), (401, None), (403, Some("ops")), (421, None)]);
    for fields in &told {
        assert_eq!((&fields["method"], &fields["path"]), (&"POST".into(), &"/api/v1/reload".into()));
        assert!(fields["from"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
    let text = serde_json::to_string(&told).unwrap();
    assert!(!text.contains("guess") && !text.contains(TOKEN), "{text}");
}

#[tokio::test]
async fn a_flood_of_denials_is_told_of_with_its_number() {
    let stage = Stage::new();
    for _ in 0..200 {
        assert_eq!(stage.tcp.with("POST", "/api/v1/reload", &[], "").await.status, 401);
    }
    assert!(denied(&stage).len() <= 30, "{}", denied(&stage).len());
    stage.desk.events.finish();
    let told = denied(&stage);
    let held_back: u64 = told.iter().filter_map(|fields| fields.get("held_back")?.as_u64()).sum();
    assert_eq!(told.len() as u64 + held_back, 200);
}
