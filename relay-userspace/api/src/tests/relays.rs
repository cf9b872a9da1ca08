//! Seeing and changing relays.

use super::stage::{Stage, relay};
use relay_control::desk::{Refusal, Who};
use serde_json::{Value, json};
use std::path::PathBuf;

#[tokio::test]
async fn a_relay_lives_from_post_to_delete() {
    let stage = Stage::new();
    let answer = stage.unix.ask("POST", "/api/v1/relays", &relay("ch1").to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (201, "/api/v1/relays/ch1"));
    assert_eq!((&answer.json()["generation"], &answer.json()["created"]), (&json!(1), &json!(["ch1"])));
    let uid = nix::unistd::geteuid().as_raw();
    let pid = i32::try_from(std::process::id()).unwrap();
    assert_eq!(stage.control.lock().unwrap().asked[0].0, Who::User { uid, pid });

    let shown = stage.unix.get("/api/v1/relays/ch1").await;
    assert_eq!((shown.status.as_u16(), shown.header("etag")), (200, answer.header("etag")));
    assert_eq!(shown.json()["origin"], "api");
    assert_eq!(stage.unix.with("HEAD", "/api/v1/relays/ch1", &[], "").await.status, 200);
    let known = stage.unix.with("GET", "/api/v1/relays/ch1", &[("if-none-match", shown.header("etag"))], "").await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));

    // What was shown can be sent back, changed.
    let mut changed = shown.json();
    changed["outputs"][0]["ttl"] = json!(3);
    let tag = [("if-match", shown.header("etag"))];
    let put = stage.unix.with("PUT", "/api/v1/relays/ch1", &tag, &changed.to_string()).await;
    assert_eq!((put.status.as_u16(), &put.json()["changed"]), (200, &json!(["ch1"])));
    let shown = stage.unix.get("/api/v1/relays/ch1").await;
    assert_eq!((shown.header("etag"), &shown.json()["outputs"][0]["ttl"]), (put.header("etag"), &json!(3)));

    // Whoever still has the old tag has lost the race, and is told what is in force.
    for (method, body) in [("PUT", changed.to_string()), ("DELETE", String::new())] {
        let lost = stage.unix.with(method, "/api/v1/relays/ch1", &tag, &body).await;
        assert_eq!((lost.problem().0, lost.problem().1.as_str()), (412, "changed"));
        assert_eq!(lost.header("etag"), shown.header("etag"));
    }
    let off = stage.unix.ask("POST", "/api/v1/relays/ch1/disable", "").await;
    assert_eq!(off.json()["changed"], json!(["ch1"]));
    assert_eq!(stage.unix.get("/api/v1/relays/ch1").await.json()["enabled"], false);
    for switch in ["enable", "mute", "unmute"] {
        assert_eq!(stage.unix.ask("POST", &format!("/api/v1/relays/ch1/{switch}"), "").await.status, 200);
    }
    let asked = stage.control.lock().unwrap().asked.last().unwrap().1.clone();
    assert!(asked.contains("Muted(false)"), "{asked}");

    let gone = stage.unix.ask("DELETE", "/api/v1/relays/ch1", "").await;
    assert_eq!(gone.json()["removed"], json!(["ch1"]));
    let (status, kind, detail) = stage.unix.get("/api/v1/relays/ch1").await.problem();
    assert_eq!((status, kind.as_str()), (404, "no-such-relay"));
    assert_eq!(detail, "there is no relay \"ch1\": see mcr relay ls");
}

#[tokio::test]
async fn put_makes_and_replaces_and_minds_conditions() {
    let stage = Stage::new();
    // The name may stand in the address alone.
    let mut definition = relay("ch1");
    definition.as_object_mut().unwrap().remove("name");
    let body = definition.to_string();
    let none = [("if-none-match", "*")];
    let some = [("if-match", "*")];
    let at = "/api/v1/relays/ch1";
    assert_eq!(stage.unix.with("PUT", at, &some, &body).await.problem().0, 412);
    let new = stage.unix.with("PUT", at, &none, &body).await;
    assert_eq!((new.status.as_u16(), new.header("location")), (201, at));
    assert_eq!(stage.unix.with("PUT", at, &none, &body).await.problem().0, 412);
    assert_eq!(stage.unix.with("PUT", at, &some, &body).await.status, 200);
    assert_eq!(stage.unix.with("PUT", at, &[("if-match", "ch1")], &body).await.problem().0, 400);
    let conditions = [("if-match", "*"), ("if-none-match", "*")];
    assert_eq!(stage.unix.with("PUT", at, &conditions, &body).await.problem().0, 400);
    // Where a condition is not known it is not passed over.
    assert_eq!(stage.unix.with("POST", "/api/v1/relays/ch1/disable", &some, "").await.problem().0, 400);
    assert_eq!(stage.unix.with("POST", "/api/v1/relays", &none, &body).await.problem().0, 400);
    let (status, _, detail) = stage.unix.ask("PUT", "/api/v1/relays/ch2", &relay("ch1").to_string()).await.problem();
    assert_eq!(status, 422);
    assert!(detail.contains("cannot be renamed"), "{detail}");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let stage = Stage::new();
    stage.make("ch1").await;
    let (before, _) = stage.list().await;
    let new = relay("ch2").to_string();
    let dry = [
        ("POST", "/api/v1/relays?dry_run=true", new.as_str()),
        ("PUT", "/api/v1/relays/ch2?dry_run=true", new.as_str()),
        ("PUT", "/api/v1/relays?dry_run=true", "[]"),
        ("DELETE", "/api/v1/relays/ch1?dry_run=true", ""),
        ("POST", "/api/v1/relays/ch1/disable?dry_run=true", ""),
        ("POST", "/api/v1/reload?dry_run=true", ""),
    ];
    for (method, path, body) in dry {
        let answer = stage.unix.ask(method, path, body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["dry_run"]), (200, &json!(true)), "{method} {path}");
        assert_eq!(answer.header("location"), "");
    }
    let (after, names) = stage.list().await;
    assert_eq!((after.header("etag"), names.len()), (before.header("etag"), 3));
    // A word that is not known must not turn a dry run into a change.
    for wrong in ["dry_run=yes", "dryrun=true", "dry_run"] {
        assert_eq!(
            stage.unix.ask("DELETE", &format!("/api/v1/relays/ch1?{wrong}"), "").await.problem().0,
            400,
            "{wrong}"
        );
    }
    assert_eq!(stage.list().await.1.len(), 3);
}

#[tokio::test]
async fn relays_of_the_file_are_shown_and_left_alone() {
    let stage = Stage::new();
    let at = "/api/v1/relays/file%2F0";
    let shown = stage.unix.get(at).await;
    assert_eq!((&shown.json()["name"], &shown.json()["origin"]), (&json!("file/0"), &json!("file")));
    let body = shown.json().to_string();
    for (method, path) in [("PUT", at), ("DELETE", at), ("POST", "/api/v1/relays/file%2F0/disable")] {
        let (status, kind, detail) = stage.unix.ask(method, path, &body).await.problem();
        assert_eq!((status, kind.as_str()), (409, "of-file"), "{method}");
        assert_eq!(
            detail,
            "relay \"file/0\" stands in /etc/mcr/relay.toml: change it there; the API changes only what came through it"
        );
    }
}

#[tokio::test]
async fn the_whole_set_is_replaced_at_once_or_not() {
    let stage = Stage::new();
    stage.make("ch1").await;
    let (shown, names) = stage.list().await;
    assert_eq!(names, ["file/0", "file/1", "ch1"]);
    let tag = [("if-match", shown.header("etag"))];
    let known = stage.unix.with("GET", "/api/v1/relays", &[("if-none-match", shown.header("etag"))], "").await;
    assert_eq!(known.status, 304);

    // What was shown can be sent back whole, with one more.
    let mut set = shown.json();
    set["relays"].as_array_mut().unwrap().push(relay("ch2"));
    let put = stage.unix.with("PUT", "/api/v1/relays", &tag, &set.to_string()).await;
    assert_eq!((put.status.as_u16(), &put.json()["created"]), (200, &json!(["ch2"])));
    let lost = stage.unix.with("PUT", "/api/v1/relays", &tag, &set.to_string()).await;
    assert_eq!(lost.problem().0, 412);
    // The set's own tag, as the list has it inside, is as good.
    let inside = format!("\"{}\"", stage.list().await.0.json()["tag"].as_str().unwrap());
    let put = stage.unix.with("PUT", "/api/v1/relays", &[("if-match", &inside)], "[]").await;
    assert_eq!(put.json()["removed"], json!(["ch1", "ch2"]));

    // A relay of the file that was changed on the way is not quietly left out.
    set["relays"][0]["outputs"][0]["ttl"] = json!(1);
    let (status, ..) = stage.unix.ask("PUT", "/api/v1/relays", &set.to_string()).await.problem();
    assert_eq!(status, 422);
    let mut of_file = relay("ch3");
    of_file["origin"] = json!("file");
    let put = stage.unix.ask("PUT", "/api/v1/relays", &json!([of_file]).to_string()).await;
    assert_eq!(put.json()["created"], json!(["ch3"]));
    let twice = json!([relay("ch4"), relay("ch4")]).to_string();
    assert_eq!(stage.unix.ask("PUT", "/api/v1/relays", &twice).await.problem().0, 422);
    assert_eq!(stage.list().await.1, ["file/0", "file/1", "ch3"]);
    for wrong in ["7", "\"x\"", "{}", "{\"relays\": 3}", "{\"relays\": [], \"more\": 1}"] {
        assert_eq!(stage.unix.ask("PUT", "/api/v1/relays", wrong).await.problem().0, 422, "{wrong}");
    }
}

#[tokio::test]
async fn four_thousand_relays_fit_into_one_put() {
    let stage = Stage::new();
    let end = |interface: &str, net: u8, i: usize| json!({ "interface": interface, "group": format!("239.{net}.{}.{}", i / 250, i % 250), "port": 5000 });
    let one = |i: usize| json!({ "name": format!("ch{i}"), "input": end("in0", 1, i), "outputs": [end("out0", 2, i)] });
    let set: Value = (0..4000).map(one).collect();
    let put = stage.unix.ask("PUT", "/api/v1/relays", &set.to_string()).await;
    assert_eq!(put.status, 200, "{:?}", put.json()["detail"]);
    let (shown, names) = stage.list().await;
    assert_eq!(names.len(), 4002);
    // In long form they are more than other bodies may be.
    assert!(shown.body.len() > crate::limits::BODY);
    let again = stage.unix.ask("PUT", "/api/v1/relays", std::str::from_utf8(&shown.body).unwrap()).await;
    assert_eq!((again.status.as_u16(), &again.json()["changed"]), (200, &json!([])));
}

#[tokio::test]
async fn all_errors_of_a_body_are_told_at_once() {
    let stage = Stage::new();
    let body =
        json!({ "name": "ch1", "inptu": 1, "outputs": [{ "interface": "out0", "group": "10.0.0.1", "port": 0 }] });
    let answer = stage.unix.ask("POST", "/api/v1/relays", &body.to_string()).await;
    assert_eq!(answer.problem().0, 422);
    let errors = answer.json()["errors"].clone();
    let keys: Vec<&str> = errors.as_array().unwrap().iter().map(|error| error["key"].as_str().unwrap()).collect();
    let outputs = ["relay \"ch1\" outputs[0].group", "relay \"ch1\" outputs[0].port"];
    assert_eq!(keys, ["relay \"ch1\" inptu", "relay \"ch1\" input", outputs[0], outputs[1]]);
    assert_eq!(errors[0]["remedy"], "did you mean \"input\"?");
    let mut range = relay("ch1");
    range["input"]["group"] = json!("239.1.1.0-3");
    let (_, _, detail) = stage.unix.ask("POST", "/api/v1/relays", &range.to_string()).await.problem();
    assert!(detail.contains("is a range of 4: send each of its relays by itself"), "{detail}");
}

#[tokio::test]
async fn every_refusal_is_a_problem_in_its_words() {
    let stage = Stage::new();
    stage.make("ch1").await;
    let exists = stage.unix.ask("POST", "/api/v1/relays", &relay("ch1").to_string()).await;
    assert_eq!(exists.problem().1, "exists");
    for (method, path) in [("DELETE", ""), ("POST", "/enable")] {
        let answer = stage.unix.ask(method, &format!("/api/v1/relays/none{path}"), "").await;
        assert_eq!(answer.problem().1, "no-such-relay");
    }
    let file = PathBuf::from("/var/lib/mcr/relays.toml");
    let refusals = [
        (Refusal::Conflict(vec!["too many links".to_owned()]), 409, "does-not-fit"),
        (Refusal::Failed("lane 0 did not confirm".to_owned()), 500, "failed"),
        (Refusal::NotKept { file: file.clone(), problem: "disk full".to_owned() }, 500, "not-kept"),
        (Refusal::InDoubt { file, problem: "it hangs".to_owned() }, 500, "not-kept"),
        (Refusal::Unavailable("mcr is ending"), 503, "unavailable"),
    ];
    for (refusal, status, kind) in refusals {
        let words = refusal.to_string();
        stage.control.lock().unwrap().refuses = Some(refusal);
        let answer = stage.unix.ask("POST", "/api/v1/reload", "").await;
        assert_eq!(answer.problem(), (status, kind.to_owned(), words));
        assert_eq!(answer.header("retry-after"), if status == 503 { "1" } else { "" });
    }
}

#[tokio::test]
async fn names_that_cannot_be_are_refused_as_such() {
    let stage = Stage::new();
    for name in ["a%20b", "%E4%BD%A0", "%00", "a%0Ab", &"x".repeat(200), "..%3B"] {
        let answer = stage.unix.get(&format!("/api/v1/relays/{name}")).await;
        assert_eq!(answer.problem().0, 400, "{name}");
    }
    assert_eq!(stage.unix.get("/api/v1/relays/%FF").await.problem().0, 400);
}
