//! Whatever is sent: it is refused in words, never with a fault of ours, and the API goes on.

use super::client::Client;
use super::stage::Stage;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Builder;

const PATHS: &[(&str, &str)] = &[
    ("POST", "/api/v1/relays"),
    ("PUT", "/api/v1/relays"),
    ("PUT", "/api/v1/relays/a"),
    ("PUT", "/api/v1/log"),
    ("POST", "/api/v1/restart"),
    ("POST", "/api/v1/upgrade"),
    ("POST", "/api/v1/relays/a/enable"),
    ("DELETE", "/api/v1/relays/a"),
];
const KEYS: &[&str] =
    &["name", "input", "outputs", "relays", "interface", "group", "address", "port", "sources", "vlan", "origin", "x"];
const WORDS: &[&str] = &[
    "a",
    "a/0",
    "",
    "in0",
    "239.1.1.1",
    "239.1.1.0-255",
    "ff3e::1",
    "10.0.0.1",
    "file",
    "file/0",
    "keep",
    "\u{0}",
    "ä",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u16..).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        let keys = prop::sample::select(KEYS).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let text = any_json().prop_map(|json| json.to_string().into_bytes());
    let cut = (any_json(), any::<prop::sample::Index>()).prop_map(|(json, at)| {
        let text = json.to_string().into_bytes();
        text[..at.index(text.len())].to_vec()
    });
    prop_oneof![3 => text, 1 => cut, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

#[test]
fn no_body_is_a_fault_of_ours() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let stage = runtime.block_on(async { Stage::new() });
    let cases = (prop::sample::select(PATHS), any_body(), any::<bool>());
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(400) });
    let outcome = runner.run(&cases, |((method, path), body, dry)| {
        let path = if dry { format!("{path}?dry_run=true") } else { path.to_owned() };
        let mut request = super::client::request(method, &path, &[], "");
        *request.body_mut() = axum::body::Body::from(body);
        let answer = runtime.block_on(stage.unix.send(request));
        let status = answer.status.as_u16();
        prop_assert!(status < 500, "{status} {answer:?}");
        if status >= 400 {
            let (_, _, detail) = answer.problem();
            prop_assert!(!detail.is_empty());
        }
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(runtime.block_on(stage.unix.get("/healthz")).status, 200);
}

#[test]
fn no_bytes_stop_the_api() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let stage = runtime.block_on(async { Stage::new() });
    let Client::Tcp(address) = stage.tcp else { panic!("no address") };
    let line = prop::sample::select(&[
        "GET /healthz HTTP/1.1\r\n",
        "get /healthz http/1.1\r\n",
        "POST /api/v1/relays HTTP/1.1\r\n",
        "GET http://evil.example/healthz HTTP/1.1\r\n",
        "GET * HTTP/1.1\r\n",
        "CONNECT a:1 HTTP/1.1\r\n",
        "GET /api/v1/events?after=x&kind=%00 HTTP/1.0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: -1\r\n",
        "Host: localhost\r\n",
        "Host: \u{e4}\r\n",
        "If-None-Match: W/\"\r\n",
        "Authorization: Bearer\r\n",
        "Expect: 100-continue\r\n",
        "\r\n",
        "ffffffffffffffff\r\n",
        "\0\r\n",
    ]);
    let bytes = prop_oneof![
        prop::collection::vec(line, 0..8).prop_map(|lines| lines.concat().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..300),
    ];
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(200) });
    let outcome = runner.run(&bytes, |bytes| {
        let answer = runtime.block_on(async {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        });
        prop_assert!(!answer.contains("HTTP/1.1 5"), "{answer}");
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(runtime.block_on(stage.tcp.get("/healthz")).status, 200);
}
