//! Strangers who take what there is: others are answered all the same, and probes always.

use super::client::{Client, request};
use super::stage::Stage;
use crate::limits::Limits;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const SLACK: Duration = Duration::from_secs(60);
const PROBE: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const STATUS: &str = "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn address(stage: &Stage) -> SocketAddr {
    let Client::Tcp(address) = stage.tcp else { panic!("no address") };
    address
}

async fn connect(stage: &Stage) -> TcpStream {
    TcpStream::connect(address(stage)).await.unwrap()
}

/// Somebody from another address.
async fn connect_from(stage: &Stage, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(from.parse().unwrap()).unwrap();
    socket.connect(address(stage)).await.unwrap()
}

/// The status of the answer; none when there is none.
async fn ask(stream: &mut TcpStream, text: &str) -> Option<u16> {
    // One that was hung up on may say so only when it is read from.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut head = [0; 12];
    timeout(SLACK, stream.read_exact(&mut head)).await.expect("nothing comes").ok()?;
    std::str::from_utf8(&head).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
}

/// Somebody who is being answered for as long as what is returned lives.
async fn follow(stage: &Stage) -> Incoming {
    let answer = stage.tcp.open(request("GET", "/api/v1/events", &[], "")).await;
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

#[tokio::test]
async fn who_says_nothing_keeps_nobody_out() {
    let stage = Stage::new();
    let mut silent = Vec::new();
    for n in 0..200 {
        silent.push(connect_from(&stage, &format!("127.0.0.{}:0", 2 + n / 30)).await);
    }
    assert_eq!(ask(&mut connect(&stage).await, PROBE).await, Some(200));
    assert_eq!(ask(&mut connect(&stage).await, STATUS).await, Some(200));
    // Those that came last stay, and are answered when they ask.
    let mut last = silent.pop().unwrap();
    assert_eq!(ask(&mut last, PROBE).await, Some(200));
    let mut first = silent.swap_remove(0);
    assert_eq!(ask(&mut first, PROBE).await, None, "the first has made room");
    assert!(stage.server().counts().requests.made_room.load(Relaxed) > 0);
    assert_eq!(stage.server().counts().requests.turned_away.load(Relaxed), 0);
}

#[tokio::test]
async fn one_address_has_its_share() {
    let stage = Stage::within(Limits { tcp: 8, share: 4, ..Limits::default() });
    let mut other = connect_from(&stage, "127.0.0.9:0").await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(connect(&stage).await);
    }
    assert_eq!(ask(silent.last_mut().unwrap(), PROBE).await, Some(200));
    assert_eq!(ask(&mut other, PROBE).await, Some(200), "another's silence is not this one's");
}

#[tokio::test]
async fn where_everybody_is_busy_probes_are_answered_all_the_same() {
    let stage = Stage::within(Limits { tcp: 4, probes: 2, ..Limits::default() });
    let mut busy = Vec::new();
    for _ in 0..4 {
        busy.push(follow(&stage).await);
    }
    for path in ["/livez", "/readyz", "/healthz"] {
        let probe = PROBE.replace("/healthz", path);
        assert_eq!(ask(&mut connect(&stage).await, &probe).await, Some(200), "{path}");
    }
    assert_eq!(ask(&mut connect(&stage).await, STATUS).await, Some(503));
    // Nor does silence fill the places for probes.
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(connect(&stage).await);
    }
    assert_eq!(ask(&mut connect(&stage).await, PROBE).await, Some(200));
    busy.pop();
    let room = async { while ask(&mut connect(&stage).await, STATUS).await != Some(200) {} };
    timeout(SLACK, room).await.expect("the room of who went is not free");
}

#[tokio::test]
async fn who_is_answered_keeps_the_place() {
    let stage = Stage::within(Limits { tcp: 2, ..Limits::default() });
    let mut followed = follow(&stage).await;
    for _ in 0..10 {
        assert_eq!(ask(&mut connect(&stage).await, PROBE).await, Some(200));
    }
    let frame = timeout(SLACK, followed.frame()).await.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&frame.into_data().unwrap()).starts_with("retry:"));
}

#[tokio::test]
async fn a_request_says_once_for_whom_it_is() {
    let stage = Stage::new();
    for (lines, status) in [
        ("Host: localhost\r\n", 200),
        ("Host: localhost\r\nHost: localhost\r\n", 400),
        ("", 400),
        ("Host:\r\n", 400),
        ("Host: a@localhost\r\n", 400),
        ("Host: evil.example\r\n", 421),
    ] {
        let text = format!("GET /healthz HTTP/1.1\r\n{lines}\r\n");
        assert_eq!(ask(&mut connect(&stage).await, &text).await, Some(status), "{lines:?}");
    }
    let of_proxy = |host: &str| format!("GET http://localhost:1/healthz HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(ask(&mut connect(&stage).await, &of_proxy("localhost:1")).await, Some(200));
    assert_eq!(ask(&mut connect(&stage).await, &of_proxy("127.0.0.1")).await, Some(400));
    let mut old = connect(&stage).await;
    old.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    timeout(SLACK, old.read_exact(&mut head)).await.unwrap().unwrap();
    assert!(head.ends_with(b" 200"), "{head:?}");
}
