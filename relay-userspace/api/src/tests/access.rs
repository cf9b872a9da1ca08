//! Who may: over TCP everybody may look and the holder of a token may change.

use super::client::Client;
use super::stage::{BEARER, Stage, relay};
use relay_config::{Access, Http, Reads, Token};
use relay_control::desk::Who;
use relay_control::events::Kind;
use sha2::{Digest as _, Sha256};
use std::sync::atomic::Ordering::Relaxed;

const WRITES: [(&str, &str); 12] = [
    ("POST", "/api/v1/relays"),
    ("PUT", "/api/v1/relays"),
    ("PUT", "/api/v1/relays/ch1"),
    ("DELETE", "/api/v1/relays/ch1"),
    ("POST", "/api/v1/relays/ch1/enable"),
    ("POST", "/api/v1/relays/ch1/disable"),
    ("POST", "/api/v1/relays/ch1/mute"),
    ("POST", "/api/v1/relays/ch1/unmute"),
    ("POST", "/api/v1/reload"),
    ("POST", "/api/v1/restart"),
    ("POST", "/api/v1/upgrade"),
    ("PUT", "/api/v1/log"),
];

#[tokio::test]
async fn over_tcp_nothing_is_changed_without_a_token() {
    let stage = Stage::new();
    let wrong: [&[(&str, &str)]; 5] = [
        &[],
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Bearer ")],
        &[("authorization", "Basic b3BlbjpzZXNhbWU=")],
        &[("authorization", "open sesame")],
    ];
    for (method, path) in WRITES {
        for headers in wrong {
            let answer = stage.tcp.with(method, path, headers, &relay("ch1").to_string()).await;
            assert_eq!(answer.problem().0, 401, "{method} {path} {headers:?}");
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"mcr\"");
        }
    }
    assert!(stage.control.lock().unwrap().asked.is_empty(), "control was asked");
    assert_eq!(stage.server().counts().requests.wrong_tokens.load(Relaxed), WRITES.len() as u64);
    assert_eq!(stage.tcp.get("/api/v1/relays").await.status, 200);
}

#[tokio::test]
async fn the_holder_of_a_token_changes_under_its_name() {
    let stage = Stage::new();
    let body = relay("ch1").to_string();
    assert_eq!(stage.tcp.with("POST", "/api/v1/relays", &[BEARER], &body).await.status, 201);
    assert_eq!(stage.control.lock().unwrap().asked[0].0, Who::Token { name: "ops".to_owned(), relays: Vec::new() });
    let lower = [("authorization", "bearer open sesame")];
    assert_eq!(stage.tcp.with("DELETE", "/api/v1/relays/ch1", &lower, "").await.status, 200);

    let other = Token::new("new", Sha256::digest("other").into(), Access::Write);
    stage.take_tokens(vec![other]);
    assert_eq!(stage.tcp.with("POST", "/api/v1/relays", &[BEARER], &body).await.problem().0, 401);
    let other = [("authorization", "Bearer other")];
    assert_eq!(stage.tcp.with("POST", "/api/v1/relays", &other, &body).await.status, 201);

    stage.take_tokens(Vec::new());
    let (status, _, detail) = stage.tcp.with("POST", "/api/v1/relays", &other, &body).await.problem();
    assert_eq!(status, 403);
    assert!(detail.contains("add a token to http.tokens"), "{detail}");
    assert_eq!(stage.unix.ask("DELETE", "/api/v1/relays/ch1", "").await.status, 200, "the Unix socket needs none");
}

#[tokio::test]
async fn a_token_that_may_read_changes_nothing() {
    let stage = Stage::new();
    let eyes = Token::new("eyes", Sha256::digest("look").into(), Access::Read);
    stage.take_tokens(vec![eyes]);
    for (method, path) in WRITES {
        let answer = stage.tcp.with(method, path, &[("authorization", "Bearer look")], &relay("ch1").to_string()).await;
        let (status, _, detail) = answer.problem();
        assert_eq!(
            (status, detail.starts_with("the token \"eyes\" may only look")),
            (403, true),
            "{method} {path}: {detail}"
        );
    }
    assert!(stage.control.lock().unwrap().asked.is_empty(), "control was asked");
}

#[tokio::test]
async fn where_looking_takes_a_token_only_health_is_told_without() {
    let stage = Stage::new();
    let listen = Some("127.0.0.1:0".parse().unwrap());
    let socket = stage.http.socket.with_extension("other");
    let http = Http { listen, socket: socket.clone(), reads: Reads::Token, ..stage.http.clone() };
    let another = stage.start_another(&http).unwrap();
    let tcp = Client::Tcp(another.tcp().unwrap());
    for path in ["/api/v1/relays", "/api/v1/status", "/api/v1/events", "/metrics", "/openapi.json", "/nowhere"] {
        assert_eq!(tcp.get(path).await.problem().0, 401, "{path}");
        assert_eq!(tcp.with("GET", path, &[("authorization", "Bearer wrong")], "").await.problem().0, 401, "{path}");
    }
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(tcp.get(path).await.status, 200, "{path}");
    }
    assert_eq!(tcp.with("GET", "/api/v1/relays", &[BEARER], "").await.status, 200);
    assert_eq!(Client::Unix(socket).get("/api/v1/relays").await.status, 200, "the Unix socket needs none");
}

#[tokio::test]
async fn what_is_in_packets_is_shown_over_tcp_to_the_holder_of_a_token_only() {
    let stage = Stage::new();
    assert_eq!(stage.unix.ask("POST", "/api/v1/relays", &relay("ch1").to_string()).await.status, 201);
    let eyes = Token::new("eyes", Sha256::digest("look").into(), Access::Capture);
    stage.take_tokens(vec![eyes]);
    let holder = [("authorization", "Bearer look")];
    let path = "/api/v1/relays/ch1/capture";
    for query in ["", "?packets=1", "?direction=in"] {
        let path = format!("{path}{query}");
        for method in ["GET", "HEAD"] {
            assert_eq!(stage.tcp.with(method, &path, &[], "").await.status, 401, "{method} {path}");
        }
        assert_eq!(stage.tcp.with("GET", &path, &holder, "").await.status, 200, "{path}");
    }
    // A relay may have that name.
    assert_eq!(stage.unix.ask("POST", "/api/v1/relays", &relay("capture").to_string()).await.status, 201);
    assert_eq!(stage.tcp.get("/api/v1/relays/capture").await.status, 200);
    // No other way of writing it leads there.
    for other in ["/capture/", "/captur%65", "/Capture", "//capture", "/capture;x"] {
        let answer = stage.tcp.get(&format!("/api/v1/relays/ch1{other}")).await;
        assert!(matches!(answer.status.as_u16(), 401 | 404), "{other}: {}", answer.status);
    }
    assert_eq!(stage.unix.get(path).await.status, 200, "the Unix socket needs none");
    stage.take_tokens(Vec::new());
    let (status, _, detail) = stage.tcp.get(path).await.problem();
    assert_eq!((status, detail.contains("use the Unix socket")), (403, true), "{detail}");
}

#[tokio::test]
async fn a_binary_is_named_by_root_at_the_unix_socket_only() {
    let stage = Stage::new();
    let body = r#"{ "binary": "/usr/bin/mcr" }"#;
    assert_eq!(stage.tcp.with("POST", "/api/v1/upgrade", &[BEARER], body).await.problem().0, 403);
    assert!(stage.control.lock().unwrap().asked.is_empty());
    assert_eq!(stage.unix.ask("POST", "/api/v1/upgrade", body).await.status, 200);
    assert!(stage.control.lock().unwrap().asked[0].1.contains("/usr/bin/mcr"));
    for wrong in
        [r#"{ "binary": "mcr" }"#, r#"{ "binary": "/a\u0000b" }"#, "{}", r#"{ "binary": "/a", "force": true }"#]
    {
        assert_eq!(stage.unix.ask("POST", "/api/v1/upgrade", wrong).await.problem().0, 422, "{wrong}");
    }
}

#[tokio::test]
async fn the_log_is_silenced_at_the_unix_socket_only_and_not_without_a_word() {
    let stage = Stage::new();
    let body = r#"{ "level": "off" }"#;
    assert_eq!(stage.tcp.with("PUT", "/api/v1/log", &[BEARER], body).await.problem().0, 403);
    assert_eq!(stage.unix.get("/api/v1/log").await.json()["level"], "");
    assert_eq!(stage.unix.ask("PUT", "/api/v1/log", body).await.status, 200);
    let told = stage.told();
    let audit = told.iter().find(|event| event.event == Kind::Audit.name()).expect("nobody said so");
    assert_eq!((&audit.fields["what"], &audit.fields["after"]), (&"log".into(), &"off".into()));
    assert_eq!(audit.fields["uid"], nix::unistd::geteuid().as_raw());
}

#[tokio::test]
async fn a_page_of_another_site_gets_nothing() {
    let stage = Stage::new();
    // A name that a stranger's server made to mean this machine.
    let rebound = [("host", "evil.example:9280")];
    for path in ["/api/v1/relays", "/healthz", "/nowhere"] {
        let answer = stage.tcp.with("GET", path, &rebound, "").await;
        assert_eq!(answer.problem().1, "other-host", "{path}");
    }
    let body = relay("ch1").to_string();
    let other = [BEARER, ("host", "127.0.0.1"), ("origin", "http://evil.example")];
    assert_eq!(stage.tcp.with("POST", "/api/v1/relays", &other, &body).await.problem().1, "forbidden");
    assert_eq!(stage.unix.with("POST", "/api/v1/relays", &other, &body).await.problem().1, "forbidden");
    let own = [BEARER, ("host", "127.0.0.1"), ("origin", "http://127.0.0.1")];
    assert_eq!(stage.tcp.with("POST", "/api/v1/relays", &own, &body).await.status, 201);
    // What a form sends is no JSON.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(stage.unix.with("POST", "/api/v1/relays", &form, &body).await.problem().0, 415);
    assert_eq!(
        stage.unix.with("OPTIONS", "/api/v1/relays", &own, "").await.problem().0,
        405,
        "nobody is let in by CORS"
    );
}
