//! The node is asked, on a thread of its own: a slow answer holds up no key, and a slow terminal no answer.

use super::busy;
use super::node::{Answer, EVENTS};
use super::state::{News, Wants};
use crate::client::{Client, Question, path_of};
use crate::sse::{Message, Reader};
use anyhow::Context as _;
use http_body_util::BodyExt as _;
use hyper::header::HeaderName;
use relay_config::model::{Event, Relays, Why};
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

/// A node that answers takes a moment, or some seconds for thousands of relays over a slow line; then it is asked anew.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Why a relay is dark is asked anew so long after the last answer: looking at a link is work.
const WHY_AGAIN: Duration = Duration::from_secs(5);
/// Even when nothing happens something comes every few seconds; a connection that is silent for so long is dead.
const DEAD: Duration = Duration::from_secs(60);
/// So long after a stream of events has ended it is asked for again.
const EVENTS_AGAIN: Duration = Duration::from_secs(1);
/// Where to go on, in the words of server-sent events.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Starts to ask, until nobody listens.
pub(super) fn start(
    client: Client,
    interval: Duration,
    news: mpsc::Sender<News>,
    wants: watch::Receiver<Wants>,
) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let ask = move || {
        let quick = client.clone().patient(PATIENCE);
        runtime.block_on(async {
            tokio::join!(
                node(&quick, interval, &news, wants.clone()),
                events(&quick, &news),
                relay(&client, &news, wants.clone()),
            )
        });
    };
    std::thread::Builder::new().name("ask".into()).spawn(ask).context("cannot start")?;
    Ok(())
}

/// Asks how everything is, again and again.
async fn node(client: &Client, interval: Duration, news: &mpsc::Sender<News>, wants: watch::Receiver<Wants>) {
    loop {
        let begun = Instant::now();
        let is_busy_wanted = wants.borrow().busy;
        let (told, pause) = match everything(client, is_busy_wanted).await {
            Ok(mut answer) => {
                let took = begun.elapsed();
                answer.took = took;
                // A node that needs long for its answer gets as long a rest.
                (News::Answer(Box::new(answer)), interval.saturating_sub(took).max(took))
            }
            Err(error) => (News::Failed(format!("{error:#}")), interval),
        };
        if news.send(told).await.is_err() {
            return;
        }
        sleep(pause).await;
    }
}

async fn everything(client: &Client, is_busy_wanted: bool) -> anyhow::Result<Answer> {
    let ask = async |path: &str| client.ask(Question::get(path)).await;
    let (status, relays, links) = tokio::try_join!(ask("/api/v1/status"), ask("/api/v1/relays"), ask("/api/v1/links"))?;
    let busy = if is_busy_wanted {
        // Whoever shows no numbers shows everything else all the same.
        ask("/metrics").await.ok().map(|numbers| busy::read(&String::from_utf8_lossy(&numbers.body)))
    } else {
        None
    };
    let took = Duration::ZERO;
    Ok(Answer { took, status: status.read()?, relays: relays.read::<Relays>()?.relays, links: links.read()?, busy })
}

/// Follows what happens. A stream that ends, as when the node is replaced, is gone on with after its last event.
async fn events(client: &Client, news: &mpsc::Sender<News>) {
    let mut last: Option<String> = None;
    loop {
        let question = match &last {
            None => Question::get(format!("/api/v1/events?last={EVENTS}")),
            Some(last) => Question::get("/api/v1/events".to_owned()).header(LAST_EVENT_ID, last.clone()),
        };
        if let Ok(mut stream) = client.stream(question).await {
            let mut reader = Reader::default();
            while let Ok(Some(Ok(frame))) = timeout(DEAD, stream.frame()).await {
                let Ok(bytes) = frame.into_data() else { continue };
                let events = read(&reader.feed(&bytes));
                last = events.last().map(|event| event.id.clone()).or(last);
                if !events.is_empty() && news.send(News::Events(events)).await.is_err() {
                    return;
                }
            }
        }
        if news.is_closed() {
            return;
        }
        sleep(EVENTS_AGAIN).await;
    }
}

/// The events among the messages. What this version does not understand it cannot show.
fn read(messages: &[Message]) -> Vec<Event> {
    messages.iter().filter_map(|message| serde_json::from_str(&message.data).ok()).collect()
}

/// Asks why the relay is dark that somebody looks at, and again while they do.
async fn relay(client: &Client, news: &mpsc::Sender<News>, mut wants: watch::Receiver<Wants>) {
    loop {
        let Ok(name) = wants.wait_for(|wants| wants.relay.is_some()).await.map(|wants| wants.relay.clone()) else {
            return;
        };
        let Some(name) = name else { continue };
        let mut seen = wants.clone();
        let left = seen.wait_for(|wants| wants.relay.as_ref() != Some(&name));
        let ask = async {
            loop {
                let told = why(client, &name).await.map(Box::new).map_err(|error| format!("{error:#}"));
                if news.send(News::Why(name.clone(), told)).await.is_err() {
                    return;
                }
                sleep(WHY_AGAIN).await;
            }
        };
        tokio::select! {
            _ = left => {}
            () = ask => return,
        }
    }
}

async fn why(client: &Client, name: &str) -> anyhow::Result<Why> {
    client.ask(Question::get(path_of(name) + "/why")).await?.read()
}
