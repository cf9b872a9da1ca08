//! Health, numbers, and the node as a whole; and that the document says all of it.

use super::stage::Stage;
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Relaxed;

#[tokio::test]
async fn probes_tell_by_status_and_in_words() {
    let stage = Stage::new();
    for path in ["/livez", "/readyz", "/healthz"] {
        for (well, status, word) in [(true, 200, "ok"), (false, 503, "failing")] {
            stage.sight.well.store(well, Relaxed);
            for client in [&stage.unix, &stage.tcp] {
                let answer = client.get(path).await;
                assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (status, &json!(word)), "{path}");
                assert_eq!(answer.header("cache-control"), "no-store");
                assert_eq!(answer.json()["checks"][0]["ok"], well);
                let head = client.with("HEAD", path, &[], "").await;
                assert_eq!((head.status.as_u16(), head.body.len()), (status, 0));
            }
        }
    }
}

/// What is asked by name and percentage comes to who judges it, and what fails without making the answer a failing one is
/// no 503.
#[tokio::test]
async fn a_minimum_can_be_asked_for() {
    let stage = Stage::new();
    for path in ["/readyz", "/healthz"] {
        for (query, seen) in [
            ("relay=sport-*,news-1&min=90", "sport-*+news-1>=Some(90.0)"),
            ("min=99.5%25", ">=Some(99.5)"),
            ("relay=sport-%3F", "sport-?>=None"),
        ] {
            let answer = stage.tcp.get(&format!("{path}?{query}")).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["checks"][1]["name"]), (200, &json!(seen)), "{path}");
        }
        let long = format!("relay={}", "a*".repeat(129));
        for wrong in ["min=101", "min=", "min=many", "relay=", "relay=a,,b", "relays=a", &long] {
            let (status, kind, detail) = stage.tcp.get(&format!("{path}?{wrong}")).await.problem();
            assert_eq!((status, kind.as_str()), (400, "malformed"), "{wrong}: {detail}");
        }
    }
}

#[tokio::test]
async fn numbers_come_in_the_form_that_is_asked_for() {
    let stage = Stage::new();
    let plain = stage.tcp.get("/metrics").await;
    assert_eq!(plain.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let accept = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let open = stage.tcp.with("GET", "/metrics", &[("accept", accept)], "").await;
    assert_eq!(open.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = String::from_utf8(open.body.to_vec()).unwrap();
    assert!(text.contains("class=\"2xx\"} 1") && text.ends_with("# EOF\n"), "{text}");
    let never = "application/openmetrics-text; q=0, text/plain";
    let plain = stage.tcp.with("GET", "/metrics", &[("accept", never)], "").await;
    assert!(plain.header("content-type").starts_with("text/plain"));
}

#[tokio::test]
async fn the_node_is_seen_and_told() {
    let stage = Stage::new();
    let status = stage.tcp.get("/api/v1/status").await;
    assert_eq!((status.status.as_u16(), &status.json()["role"]), (200, &json!("standalone")));
    assert_eq!(stage.tcp.get("/api/v1/links").await.json(), json!([]));
    let reload = stage.unix.ask("POST", "/api/v1/reload", "").await;
    assert_eq!((reload.status.as_u16(), &reload.json()["generation"]), (200, &json!(1)));
    assert_eq!(stage.unix.ask("PUT", "/api/v1/log", r#"{ "level": "debug" }"#).await.status, 200);
    assert_eq!(stage.unix.get("/api/v1/log").await.json(), json!({ "level": "debug" }));
    let (status, _, detail) = stage.unix.ask("PUT", "/api/v1/log", r#"{ "level": "loud" }"#).await.problem();
    assert_eq!((status, detail.as_str()), (422, "level: \"loud\" is no log level: use info"));
    assert_eq!(stage.unix.ask("PUT", "/api/v1/log?dry_run=true", r#"{ "level": "warn" }"#).await.problem().0, 400);
    assert_eq!(stage.unix.get("/api/v1/log").await.json(), json!({ "level": "debug" }));
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let stage = Stage::new();
    for path in ["/page", "/index.html", "/api", "/api/v1/relays/", "/api/v1/relays/a/b", "/api/v2/relays", "/healthz/"]
    {
        assert_eq!(stage.unix.get(path).await.problem().1, "no-such-address", "{path}");
    }
    for (method, path, allow) in [
        ("PATCH", "/api/v1/relays/a", "GET,HEAD,PUT,DELETE"),
        ("POST", "/healthz", "GET,HEAD"),
        ("GET", "/api/v1/reload", "POST"),
    ] {
        let answer = stage.unix.ask(method, path, "").await;
        assert_eq!((answer.problem().1.as_str(), answer.header("allow")), ("no-such-method", allow), "{path}");
    }
    let text = stage.unix.get("/problems/changed").await;
    assert_eq!(text.body, "What is in force is not what was expected. (412 Precondition Failed)\n");
    assert_eq!(stage.unix.get("/problems/none").await.problem().0, 404);
}

#[tokio::test]
async fn the_document_is_served_and_its_addresses_are_there() {
    let stage = Stage::new();
    let answer = stage.tcp.get("/openapi.json").await;
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = path.replace("{name}", "ch1").replace("{kind}", "changed");
            let answer = match path.as_str() {
                "/api/v1/events" => continue, // It has no end; its own tests read it.
                _ => stage.unix.ask(&method.to_uppercase(), &path, "").await,
            };
            let status = answer.status.as_str();
            assert!(!matches!(status, "405" | "501"), "{method} {path}: {status}");
            assert!(operation["responses"].get(status).is_some(), "{method} {path}: {status} is not in the document");
            assert!(operation["summary"].is_string() || operation["description"].is_string(), "{method} {path}");
        }
    }
    check_references(&document, &document);
}

/// Every schema that is referred to is there.
fn check_references(part: &Value, document: &Value) {
    match part {
        Value::Object(keys) => {
            if let Some(Value::String(reference)) = keys.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference} is not there");
            }
            keys.values().for_each(|value| check_references(value, document));
        }
        Value::Array(list) => list.iter().for_each(|value| check_references(value, document)),
        _ => {}
    }
}
