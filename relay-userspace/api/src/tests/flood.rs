//! Too much, too slow, too many: each has its end, and others are answered meanwhile.

use super::client::{Client, request};
use super::stage::{BEARER, Stage, relay};
use crate::limits::{BODY, HEAD, Limits, SET, THREADS};
use axum::body::Body;
use futures_util::future::join_all;
use futures_util::stream;
use http_body_util::BodyExt as _;
use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

/// Longer than any of these tests needs to wait for a deadline that was made short.
const SLACK: Duration = Duration::from_secs(60);

fn address(client: &Client) -> std::net::SocketAddr {
    let Client::Tcp(address) = client else { panic!("no address") };
    *address
}

/// Everything that comes until the other end closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A reset is an end too.
    let _ = timeout(SLACK, stream.read_to_end(&mut text)).await.expect("was not cut off");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn bodies_and_heads_have_a_length() {
    let stage = Stage::new();
    let long = "x".repeat(BODY + 1);
    assert_eq!(stage.unix.ask("POST", "/api/v1/relays", &long).await.problem().0, 413);
    // The same without saying so before.
    let pieces = (0..=BODY / 65_536).map(|_| Ok::<_, Infallible>("x".repeat(65_536)));
    let mut piecewise = request("POST", "/api/v1/relays", &[], "");
    *piecewise.body_mut() = Body::from_stream(stream::iter(pieces));
    assert_eq!(stage.unix.send(piecewise).await.problem().0, 413);
    let mut whole_set = request("PUT", "/api/v1/relays", &[("content-length", &(SET + 1).to_string())], "");
    *whole_set.body_mut() = Body::from_stream(stream::pending::<Result<String, Infallible>>());
    assert_eq!(stage.unix.send(whole_set).await.problem().0, 413);
    let head = stage.unix.with("GET", "/healthz", &[("x-long", &"x".repeat(HEAD))], "").await;
    assert_eq!(head.status, 431);
    let names: Vec<String> = (0..80).map(|i| format!("x-{i}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    assert_eq!(stage.unix.with("GET", "/healthz", &many, "").await.status, 431);
    assert_eq!(stage.unix.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn whoever_sends_too_slowly_is_cut_off() {
    let short = Duration::from_millis(200);
    let stage = Stage::within(Limits { head_time: short, body_silence: short, ..Limits::default() });
    // Byte by byte: what comes does not make the time longer.
    let mut slow = TcpStream::connect(address(&stage.tcp)).await.unwrap();
    let dripping = async {
        for byte in b"GET /healthz HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'x')) {
            if slow.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SLACK, dripping).await.expect("was not cut off");
    // Not a byte.
    let mut silent = TcpStream::connect(address(&stage.tcp)).await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    // Silent between two requests.
    let mut idle = TcpStream::connect(address(&stage.tcp)).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(rest(&mut idle).await.starts_with("HTTP/1.1 200 OK"));
    // A body that does not come.
    let mut bodiless = TcpStream::connect(address(&stage.tcp)).await.unwrap();
    let head = "POST /api/v1/relays HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer open sesame\r\ncontent-length: 9\r\n\r\n";
    bodiless.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut bodiless).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("/problems/too-slow"), "{answer}");
}

/// Silent in the middle of a body, at the socket of this machine: everybody else is answered at once.
#[tokio::test]
async fn bodies_that_stall_keep_nobody_out() {
    let stage = Stage::within(Limits { body_silence: SLACK, body_time: SLACK, ..Limits::default() });
    let Client::Unix(path) = &stage.unix else { panic!("no path") };
    let mut stalled = Vec::new();
    for _ in 0..100 {
        let mut stream = UnixStream::connect(path).await.unwrap();
        let head = "POST /api/v1/relays HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    for path in ["/healthz", "/api/v1/status", "/metrics", "/api/v1/relays"] {
        assert_eq!(stage.unix.get(path).await.status, 200, "{path}");
    }
    assert_eq!(stage.unix.ask("POST", "/api/v1/reload", "").await.status, 200);
    let counted = &stage.server().counts().requests;
    assert!(counted.made_room.load(Relaxed) >= 36 && counted.turned_away.load(Relaxed) == 0, "{counted:?}");
    // The last one that came still has its place: what it goes on to say is answered.
    let mut last = stalled.pop().unwrap();
    last.write_all(b"}      x").await.unwrap();
    let mut answer = [0; 12];
    timeout(SLACK, last.read_exact(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
}

#[tokio::test]
async fn whoever_does_not_read_is_cut_off() {
    let stage = Stage::within(Limits { read_time: Duration::from_millis(300), unix: 1, ..Limits::default() });
    let set: Vec<_> = (0..4000)
        .map(|i| {
            let mut relay = relay("x");
            relay["name"] = format!("ch{i}").into();
            relay["input"]["group"] = format!("239.1.{}.{}", i / 250, i % 250).into();
            relay
        })
        .collect();
    let put = stage.tcp.with("PUT", "/api/v1/relays", &[BEARER], &serde_json::to_string(&set).unwrap()).await;
    assert_eq!(put.status, 200, "{:?}", put.json()["detail"]);
    // Some megabytes are asked for and not read: more than lies in the buffers between.
    let Client::Unix(path) = &stage.unix else { panic!("no path") };
    let mut deaf = tokio::net::UnixStream::connect(path).await.unwrap();
    deaf.write_all(b"GET /api/v1/relays HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    // There is room for one, so who is answered has seen the deaf one go.
    let room = async {
        while stage.unix.with("GET", "/api/v1/status", &[("connection", "close")], "").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SLACK, room).await.expect("the deaf one was not cut off");
    assert!(stage.server().counts().requests.turned_away.load(Relaxed) > 0);
}

#[tokio::test]
async fn too_many_are_turned_away_and_one_door_does_not_close_the_other() {
    let stage = Stage::within(Limits { tcp: 3, probes: 1, ..Limits::default() });
    // Each is being answered, the last in the place for probes.
    let mut inside = Vec::new();
    for _ in 0..3 {
        inside.push(stage.tcp.open(request("GET", "/api/v1/events", &[], "")).await);
    }
    let mut outside = TcpStream::connect(address(&stage.tcp)).await.unwrap();
    outside.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let answer = rest(&mut outside).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("connection: close"), "{answer}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["type"], "/problems/unavailable");
    assert!(stage.server().counts().requests.turned_away.load(Relaxed) > 0);
    assert_eq!(stage.unix.get("/healthz").await.status, 200);
    assert_eq!(stage.unix.get("/api/v1/status").await.status, 200);
}

#[tokio::test]
async fn who_finds_no_place_at_all_is_told_so() {
    let stage = Stage::within(Limits { tcp: 1, probes: 0, ..Limits::default() });
    let inside = stage.tcp.open(request("GET", "/api/v1/events", &[], "")).await;
    let mut outside = TcpStream::connect(address(&stage.tcp)).await.unwrap();
    let answer = rest(&mut outside).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap()["type"], "/problems/unavailable");
    drop(inside);
    let again = async {
        loop {
            let mut stream = TcpStream::connect(address(&stage.tcp)).await.unwrap();
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
            if rest(&mut stream).await.starts_with("HTTP/1.1 200 OK") {
                break;
            }
        }
    };
    timeout(SLACK, again).await.expect("the room of who went is not free");
}

#[tokio::test]
async fn guessing_at_tokens_has_an_end_and_the_right_one_is_not_kept_waiting() {
    let stage = Stage::within(Limits { wrong_token: Duration::from_secs(2), ..Limits::default() });
    let wrong = [("authorization", "Bearer guess")];
    let guesses = (0..20).map(|_| stage.tcp.with("POST", "/api/v1/reload", &wrong, ""));
    let right = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.tcp.with("POST", "/api/v1/reload", &[BEARER], "").await
    };
    let (guesses, right) = tokio::join!(futures_util::future::join_all(guesses), right);
    assert_eq!(right.status, 200);
    let statuses: Vec<u16> = guesses.iter().map(|answer| answer.problem().0).collect();
    assert!(statuses.contains(&429) && statuses.contains(&401), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)));
}

#[tokio::test]
async fn control_that_does_not_answer_is_said_to() {
    let stage = Stage::within(Limits { answer_time: Duration::from_secs(2), ..Limits::default() });
    // Control's task runs on this thread, which waits: the question is asked from another.
    let unix = stage.unix.clone();
    let asking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let change = unix.ask("POST", "/api/v1/reload", "").await;
            (change.problem(), unix.get("/healthz").await.status, unix.get("/api/v1/relays").await.status)
        })
    });
    let ((status, kind, detail), health, list) = asking.join().unwrap();
    assert_eq!((status, kind.as_str()), (504, "no-answer"));
    assert!(detail.contains("tells what becomes of it"), "{detail}");
    assert_eq!((health.as_u16(), list.as_u16()), (200, 200));
}

#[tokio::test]
async fn there_is_room_for_so_many_streams() {
    let stage = Stage::within(Limits { streams: 2, ..Limits::default() });
    let follow = || stage.unix.open(request("GET", "/api/v1/events", &[], ""));
    let (first, second) = (follow().await, follow().await);
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    assert_eq!(stage.unix.get("/api/v1/events").await.problem().0, 503);
    drop(first);
    let again = async {
        while follow().await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SLACK, again).await.expect("the room of who went is not free");
    let _ = second.into_body().frame().await;
}

/// The configuration file lies where nobody answers: who asks for what is new in it waits, and nobody else.
#[tokio::test]
async fn a_disk_that_hangs_takes_no_thread_from_others() {
    let stage = Stage::within(Limits { file_time: SLACK, ..Limits::default() });
    stage.sight.hangs.store(true, Relaxed);
    let asked = join_all((0..2 * THREADS).map(|_| stage.tcp.get("/api/v1/diff")));
    let others = async {
        while stage.sight.reads.load(Relaxed) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        for path in ["/healthz?min=90", "/api/v1/status", "/metrics"] {
            assert_eq!(stage.tcp.get(path).await.status, 200, "{path}");
        }
        assert_eq!(stage.sight.reads.load(Relaxed), 1, "one at a time");
        stage.sight.hangs.store(false, Relaxed);
    };
    let (asked, ()) = tokio::join!(asked, others);
    // There is no such file.
    assert!(asked.iter().all(|answer| answer.status == 422), "{asked:?}");
    assert_eq!(usize::try_from(stage.sight.reads.load(Relaxed)), Ok(2 * THREADS));
}

#[tokio::test]
async fn a_disk_that_hangs_is_told_to_who_asks_for_its_files() {
    let stage = Stage::within(Limits { file_time: Duration::from_millis(50), ..Limits::default() });
    stage.sight.hangs.store(true, Relaxed);
    for _ in 0..3 {
        let (status, kind, detail) = stage.tcp.get("/api/v1/diff").await.problem();
        assert_eq!((status, kind.as_str()), (504, "no-answer"), "{detail}");
    }
    assert_eq!(stage.sight.reads.load(Relaxed), 1);
    stage.sight.hangs.store(false, Relaxed);
    let answers = async { while stage.tcp.get("/api/v1/diff").await.status != 422 {} };
    timeout(SLACK, answers).await.expect("it is not read again");
}
