//! Many relays at once, by names and labels.

use super::stage::{Stage, TOKEN, relay};
use super::stream::{Follower, record};
use relay_config::{Access, Token};
use relay_control::events::Kind;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const ALL: &str = "/api/v1/relays";

/// The usual stage with three relays of the API, each in a group.
async fn stage() -> Stage {
    let stage = Stage::new();
    for (name, group) in [("n1", "news"), ("n2", "news"), ("s1", "sport")] {
        let mut relay = relay(name);
        relay["labels"] = json!({ "group": group });
        assert_eq!(stage.unix.ask("POST", ALL, &relay.to_string()).await.status, 201);
    }
    stage
}

fn names(list: &Value) -> Vec<&str> {
    list["relays"].as_array().unwrap().iter().map(|relay| relay["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_is_chosen_and_does_not_pass_for_all() {
    let stage = stage().await;
    for (query, meant) in [
        ("selector=group%3Dnews", &["n1", "n2"][..]),
        ("selector=group!%3Dnews", &["file/0", "file/1", "s1"]),
        ("selector=group,group!%3Dnews", &["s1"]),
        ("name=n*,s1&selector=group", &["n1", "n2", "s1"]),
        ("name=n1", &["n1"]),
    ] {
        assert_eq!(names(&stage.unix.get(&format!("{ALL}?{query}")).await.json()), meant, "{query}");
    }
    let chosen = stage.unix.get(&format!("{ALL}?name=n1")).await;
    let tag = [("if-match", chosen.header("etag"))];
    let put = stage.unix.with("PUT", ALL, &tag, std::str::from_utf8(&chosen.body).unwrap()).await;
    assert_eq!(put.problem().0, 412, "the others would be gone");
    for (query, status, said) in [
        ("selector=group%3Dnwes", 404, "no relay is meant by group=nwes: see mcr relay ls --labels"),
        ("name=n*,n9", 404, "no relay is meant by \"n9\": see mcr relay ls --labels"),
        ("selector=a%20b", 400, "selector: \"a b\" is no condition: write group=news, group!=news, group or !group"),
        ("labels=a", 400, "unknown field `labels`"),
    ] {
        let (code, _, detail) = stage.unix.get(&format!("{ALL}?{query}")).await.problem();
        assert!(code == status && detail.contains(said), "{query}: {code} {detail}");
    }
    let long = format!("{ALL}?name={}", "n,".repeat(600));
    assert_eq!(stage.unix.get(&long).await.problem().0, 400);
}

#[tokio::test]
async fn what_is_chosen_changes_together_or_not_at_all() {
    let stage = stage().await;
    let news = format!("{ALL}?selector=group%3Dnews");
    let state = async |name: &str| stage.unix.get(&format!("{ALL}/{name}")).await.json();
    let dry = stage.unix.ask("PATCH", &format!("{news}&dry_run=true"), r#"{"muted":true}"#).await.json();
    assert_eq!((&dry["dry_run"], &dry["changed"]), (&json!(true), &json!(["n1", "n2"])));
    assert_eq!(state("n1").await["muted"], false);
    let done = stage.unix.ask("PATCH", &news, r#"{"muted":true,"labels":{"tier":"1","site":null}}"#).await.json();
    assert_eq!((&done["changed"], &done["generation"]), (&json!(["n1", "n2"]), &json!(4)));
    for name in ["n1", "n2"] {
        let relay = state(name).await;
        assert_eq!((&relay["muted"], &relay["labels"]), (&json!(true), &json!({ "group": "news", "tier": "1" })));
    }
    assert_eq!(state("s1").await["muted"], false);
    // The file's are among them.
    let (status, kind, detail) =
        stage.unix.ask("PATCH", &format!("{ALL}?name=*"), r#"{"enabled":false}"#).await.problem();
    assert_eq!((status, kind.as_str()), (409, "of-file"));
    assert!(detail.contains("relay \"file/0\" stands in"), "{detail}");
    assert_eq!(state("s1").await["enabled"], true);
    for (method, query, body, status) in [
        ("PATCH", "selector=group%3Dnwes", r#"{"muted":true}"#, 404),
        ("PATCH", "name=n1", "{}", 422),
        ("PATCH", "name=n1", r#"{"muted":1}"#, 422),
        ("PATCH", "name=n1", r#"{"outputs":[]}"#, 422),
        ("PATCH", "name=n1", r#"{"labels":{"a b":"c"}}"#, 422),
        ("PATCH", "name=n1", r#"{"labels":{"a":""}}"#, 422),
        ("PATCH", "", r#"{"muted":true}"#, 400),
        ("DELETE", "", "", 400),
        ("DELETE", "dry_run=true", "", 400),
        ("DELETE", "name=n9", "", 404),
    ] {
        let answer = stage.unix.ask(method, &format!("{ALL}?{query}"), body).await;
        assert_eq!(answer.problem().0, status, "{method} {query} {body}");
    }
    let gone = stage.unix.ask("DELETE", &news, "").await.json();
    assert_eq!(gone["removed"], json!(["n1", "n2"]));
    assert_eq!(stage.list().await.1, ["file/0", "file/1", "s1"]);
}

#[tokio::test]
async fn a_token_for_some_relays_changes_no_others_with_them() {
    let stage = stage().await;
    let token =
        Token { relays: vec!["n*".to_owned()], ..Token::new("news", Sha256::digest(TOKEN).into(), Access::Write) };
    stage.take_tokens(vec![token]);
    let bearer = [super::stage::BEARER];
    let ask =
        async |query: &str| stage.tcp.with("PATCH", &format!("{ALL}?{query}"), &bearer, r#"{"muted":true}"#).await;
    let (status, _, detail) = ask("selector=group").await.problem();
    assert_eq!((status, detail.as_str()), (403, "the token \"news\" is for the relays n*, not for \"s1\""));
    assert_eq!(ask("selector=group&name=n*").await.json()["changed"], json!(["n1", "n2"]));
}

#[tokio::test]
async fn events_are_chosen_by_labels() {
    let stage = stage().await;
    let (status, _, detail) = stage.unix.get("/api/v1/events?selector=group%3Dnwes").await.problem();
    assert_eq!((status, detail.as_str()), (404, "no relay is meant by group=nwes: see mcr relay ls --labels"));
    for name in ["s1", "n1", "n2"] {
        record(&stage, Kind::RelayChanged, name);
    }
    let mut follower = Follower::new(&stage, "/api/v1/events?selector=group%3Dnews", &[]).await;
    let mut next = async || follower.event().await.unwrap().1["fields"]["relay"].as_str().unwrap().to_owned();
    assert_eq!((next().await, next().await), ("n1".to_owned(), "n2".to_owned()));
    // One gets the label meanwhile; one goes.
    assert_eq!(stage.unix.ask("PATCH", &format!("{ALL}?name=s1"), r#"{"labels":{"group":"news"}}"#).await.status, 200);
    record(&stage, Kind::RelayChanged, "s1");
    assert_eq!(next().await, "s1");
    assert_eq!(stage.unix.ask("DELETE", &format!("{ALL}?name=n2"), "").await.status, 200);
    record(&stage, Kind::RelayRemoved, "file/0");
    record(&stage, Kind::RelayRemoved, "n2");
    assert_eq!(next().await, "n2");
    let mut by_name = Follower::new(&stage, "/api/v1/events?relay=s*,n1", &[]).await;
    let (first, second) = (by_name.event().await.unwrap().1, by_name.event().await.unwrap().1);
    assert_eq!((&first["fields"]["relay"], &second["fields"]["relay"]), (&json!("s1"), &json!("n1")));
}
