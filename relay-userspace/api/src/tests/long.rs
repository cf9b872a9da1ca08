//! Long answers: compressed for who likes that, shared by who asks for the same, and given up by who does not read.

use super::client::{Client, request};
use super::stage::Stage;
use crate::limits::Limits;
use flate2::read::GzDecoder;
use futures_util::future::join_all;
use std::io::Read as _;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

const SLACK: Duration = Duration::from_secs(60);
const GZIP: (&str, &str) = ("accept-encoding", "gzip");
const MEGABYTE: usize = 1 << 20;

#[tokio::test]
async fn numbers_are_compressed_for_who_takes_that() {
    let stage = Stage::within(Limits { shared_for: SLACK, ..Limits::default() });
    stage.sight.noise.store(MEGABYTE, Relaxed);
    let plain = stage.tcp.get("/metrics").await;
    let gzip = stage.tcp.with("GET", "/metrics", &[GZIP], "").await;
    assert_eq!((plain.header("content-encoding"), gzip.header("content-encoding")), ("", "gzip"));
    let mut text = Vec::new();
    GzDecoder::new(&gzip.body[..]).read_to_end(&mut text).unwrap();
    assert!(text == plain.body && plain.body.len() > MEGABYTE, "{} and {} bytes", text.len(), plain.body.len());
    assert!(gzip.body.len() < plain.body.len());
    for answer in [&plain, &gzip] {
        assert_eq!(
            (answer.header("content-length"), answer.header("vary")),
            (answer.body.len().to_string().as_str(), "accept-encoding")
        );
    }
    let head = stage.tcp.with("HEAD", "/metrics", &[GZIP], "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    // The list of relays, too.
    stage.make("ch1").await;
    let list = stage.tcp.with("GET", "/api/v1/relays", &[GZIP], "").await;
    let mut text = String::new();
    GzDecoder::new(&list.body[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("\"ch1\"") && !list.header("etag").is_empty());
}

#[tokio::test]
async fn who_asks_for_the_same_is_given_the_same() {
    let stage = Stage::within(Limits { shared_for: SLACK, ..Limits::default() });
    let all = join_all((0..20).map(|_| stage.tcp.get("/metrics"))).await;
    assert!(all.iter().all(|answer| answer.status == 200 && answer.body == all[0].body));
    assert_eq!(stage.sight.scrapes.load(Relaxed), 1);
    // Another form, other families.
    stage.tcp.with("GET", "/metrics", &[("accept", "application/openmetrics-text")], "").await;
    stage.tcp.get("/metrics?family=mcr_ready").await;
    assert_eq!(stage.sight.scrapes.load(Relaxed), 3);
    stage.tcp.get("/metrics?family=mcr_re*dy").await;
    assert_eq!(stage.sight.scrapes.load(Relaxed), 3, "the same families");
}

#[tokio::test]
async fn what_is_shared_has_its_time() {
    let stage = Stage::within(Limits { shared_for: Duration::ZERO, ..Limits::default() });
    for n in 1..4 {
        stage.tcp.get("/metrics").await;
        assert_eq!(stage.sight.scrapes.load(Relaxed), n);
    }
}

#[tokio::test]
async fn families_are_chosen_and_wrong_names_are_told() {
    let stage = Stage::new();
    let n = async |query: &str| {
        let answer = stage.tcp.get(&format!("/metrics?{query}")).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        text.strip_prefix("# ").and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok())
    };
    assert_eq!(n("family=mcr_ready,mcr_healthy").await, Some(2));
    assert_eq!(n("family=mcr_ready&family=process_*").await, Some(7));
    assert!(n("").await.unwrap() > 50);
    for wrong in ["family=mcr_none", "family=", "familie=mcr_ready", "family=mcr_ready,"] {
        assert_eq!(stage.tcp.get(&format!("/metrics?{wrong}")).await.problem().0, 400, "{wrong}");
    }
}

/// Asks by the Unix socket, whose buffers are small, and reads nothing of the answer.
async fn deaf(stage: &Stage) -> UnixStream {
    let Client::Unix(path) = &stage.unix else { panic!("no path") };
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    stream
}

#[tokio::test]
async fn who_does_not_read_keeps_nobody_from_the_numbers() {
    let limits = Limits { shared_for: Duration::ZERO, grace: Duration::from_millis(300), ..Limits::default() };
    let stage = Stage::within(limits);
    stage.sight.noise.store(MEGABYTE, Relaxed);
    let mut all_deaf = Vec::new();
    for n in 1..=20 {
        all_deaf.push(deaf(&stage).await);
        // Each has an answer of its own, or waits for a place.
        let made = async {
            while stage.sight.scrapes.load(Relaxed) < n {
                tokio::time::sleep(Duration::from_millis(5)).await
            }
        };
        timeout(SLACK, made).await.expect("there is no place");
    }
    let answer = timeout(SLACK, stage.tcp.get("/metrics")).await.unwrap();
    assert!(answer.status == 200 && answer.body.len() > MEGABYTE);
    // The first was given up for a later one, and is cut off when it reads at last.
    let mut text = Vec::new();
    let read = timeout(SLACK, all_deaf[0].read_to_end(&mut text)).await.unwrap();
    assert!(read.is_err() || text.len() < MEGABYTE, "{} bytes", text.len());
    assert!(stage.server().counts().requests.cut_off.load(Relaxed) > 0);
}

#[tokio::test]
async fn an_answer_that_is_read_stays_whole_while_others_ask() {
    let stage = Stage::within(Limits { shared_for: Duration::ZERO, grace: SLACK, ..Limits::default() });
    stage.sight.noise.store(MEGABYTE, Relaxed);
    let asked = (0..30).map(|_| stage.unix.send(request("GET", "/metrics", &[], "")));
    for answer in join_all(asked).await {
        assert!(answer.status == 200 && answer.body.len() > MEGABYTE, "{}: {} bytes", answer.status, answer.body.len());
    }
}
