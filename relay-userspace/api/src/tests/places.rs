//! The sockets and their files: who finds what in its way.

use super::stage::Stage;
use crate::server::open;
use relay_config::Http;
use relay_config::model::Event;
use relay_control::handover::Begins;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::time::Duration;

/// Like the stage's, but elsewhere.
fn aside(stage: &Stage, name: &str) -> Http {
    Http { listen: None, socket: stage.http.socket.with_file_name(name), ..stage.http.clone() }
}

fn refusal(http: &Http) -> String {
    format!("{:#}", open(http, None, Begins::Anew).map(|_| "it is open").err().unwrap())
}

/// What an API that starts tells of a key that cannot be had. Nothing of it is left.
fn lacking(stage: &Stage, http: &Http, key: &str) -> String {
    stage.start_another(http).unwrap().stop();
    let told = stage.told();
    let of_key = |event: &&Event| event.event == "http.lacking" && event.fields["key"] == key;
    told.iter().rfind(of_key).unwrap().text.clone()
}

#[tokio::test]
async fn the_socket_is_for_its_group_only_and_goes_with_the_server() {
    let mut stage = Stage::new();
    let path = stage.http.socket.clone();
    let file = fs::metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.mode() & 0o777, 0o660);
    let beside: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(beside.len(), 1, "{beside:?}");
    stage.server = None;
    assert!(!path.exists());

    let own = nix::unistd::getegid().as_raw();
    let server = stage.start_another(&Http { socket_group: Some(own.to_string()), ..aside(&stage, "g.sock") }).unwrap();
    assert_eq!(fs::metadata(path.with_file_name("g.sock")).unwrap().gid(), own);
    server.stop();
    let none = Http { socket_group: Some("no-such-group".to_owned()), ..aside(&stage, "h.sock") };
    let words = lacking(&stage, &none, "http.socket_group");
    assert!(words.contains("http.socket_group") && words.contains("groupadd --system no-such-group"), "{words}");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0, "something was left");
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
    let stage = Stage::new();
    let words = refusal(&Http { listen: None, ..stage.http.clone() });
    assert!(words.contains("another mcr answers at"), "{words}");
    assert_eq!(stage.unix.get("/healthz").await.status, 200);

    let dead = aside(&stage, "dead.sock");
    drop(UnixListener::bind(&dead.socket).unwrap());
    assert!(dead.socket.exists());
    let server = stage.start_another(&dead).unwrap();
    assert_eq!(super::client::Client::Unix(dead.socket.clone()).get("/healthz").await.status, 200);
    // A successor's socket is not removed with the old server.
    fs::remove_file(&dead.socket).unwrap();
    let _successor = UnixListener::bind(&dead.socket).unwrap();
    server.stop();
    assert!(dead.socket.exists());

    let file = aside(&stage, "file");
    fs::write(&file.socket, "precious").unwrap();
    let words = refusal(&file);
    assert!(words.contains("is no socket"), "{words}");
    assert_eq!(fs::read_to_string(&file.socket).unwrap(), "precious");
}

#[tokio::test]
async fn what_cannot_be_opened_names_key_and_remedy() {
    let stage = Stage::new();
    let taken = Http { listen: stage.server().tcp(), ..aside(&stage, "a.sock") };
    let words = lacking(&stage, &taken, "http.listen");
    assert!(words.contains("http.listen") && words.contains("ss -ltnp"), "{words}");
    let foreign = Http { listen: Some("192.0.2.1:9280".parse().unwrap()), ..aside(&stage, "a.sock") };
    let words = lacking(&stage, &foreign, "http.listen");
    assert!(words.contains("an address that this machine has"), "{words}");
    let nowhere = aside(&stage, "a.sock/b/c.sock");
    fs::write(stage.http.socket.with_file_name("a.sock"), "").unwrap();
    let words = refusal(&nowhere);
    assert!(words.contains("http.socket") && words.contains("name another place"), "{words}");
}

#[tokio::test]
async fn the_end_waits_for_who_is_served_and_not_for_ever() {
    let mut stage = Stage::new();
    let follow = super::client::request("GET", "/api/v1/events", &[], "");
    let following = stage.unix.open(follow).await;
    let idle = tokio::net::TcpStream::connect(stage.server().tcp().unwrap()).await.unwrap();
    let server = stage.server.take().unwrap();
    let ended = tokio::task::spawn_blocking(move || server.stop());
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the server does not end").unwrap();
    // The stream has ended as a stream does, not with a broken connection.
    http_body_util::BodyExt::collect(following.into_body()).await.unwrap();
    drop(idle);
}
