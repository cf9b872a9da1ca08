//! Events as they happen: what is kept first, then whatever comes. A reader that is too slow is cut off: it comes again
//! with the id of the last event it saw, and is told when something is kept no more that it has missed.

use super::access::{self, Admitted, Shown};
use super::denied;
use super::many;
use super::problem::{Kind, Problem};
use super::request::Params;
use super::shared::Api;
use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use relay_common::pattern;
use relay_common::selector::Selector;
use relay_config::duration::duration;
use relay_control::desk::Desk;
use relay_control::events::{self, After, Followed, Logged, unix_ms_of};
use relay_control::view::View;
use relay_engine::clock::unix_ms;
use serde::Deserialize;
use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::IntoParams;

/// How long a reader that was cut off waits before it comes again.
const RETRY: Duration = Duration::from_secs(2);

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// Only events after the one of this id, or of this number in the history that goes on; the header `Last-Event-ID`
    /// says the same and is stronger. Without either, all that are kept. Where events are missing, one of the kind
    /// `events.lost` says which.
    after: Option<String>,
    /// Only those that were told since this moment, as RFC 3339, or for so long: `10m`.
    since: Option<String>,
    /// Of what is kept only so many, the last ones.
    last: Option<usize>,
    /// Only these kinds, with commas between: `stream.interrupted`, or `stream` for all that begin with it.
    kind: Option<String>,
    /// Only those that concern these relays: names or patterns (`*`, `?`), with commas between.
    relay: Option<String>,
    /// Only those that concern relays with such labels: `group=news`, `group!=news`, `group` or `!group`; with commas between,
    /// all of it. What counts are the labels of now, and of relays that go meanwhile those that they had.
    selector: Option<String>,
}

/// What has happened, and what happens, as a stream of server-sent events: `id` is what the event is called, `event` its
/// name, `data` the event.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(Asked, ("Last-Event-ID" = Option<String>, Header)),
    responses((status = 200, body = relay_config::model::Event, content_type = "text/event-stream")))]
pub(super) async fn events(
    State(api): State<Api>,
    Extension(admitted): Extension<Admitted>,
    Extension(asked_for): Extension<denied::Asked>,
    Params(asked): Params<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").map(|last| {
        let last = last.to_str().ok().and_then(|last| last.trim().parse().ok());
        last.ok_or_else(|| Problem::malformed("Last-Event-ID is the id of an event: send the last one you saw"))
    });
    let after = last.transpose()?.or(asked.after.as_deref().map(after).transpose()?);
    let last_of_kept = asked.last;
    let mut wanted = Wanted::new(asked)?;
    if let Some(meant) = &mut wanted.meant {
        meant.look(api.desk.view())?;
    }
    let Ok(permit) = Arc::clone(&api.streams).try_acquire_owned() else {
        return Err(Problem::new(Kind::Unavailable, "too many follow the events already: end one, or ask again"));
    };
    let Followed { mut since, coming } = api.desk.events.follow(after);
    since.retain(|logged| wanted.takes(logged, &api.desk));
    since.drain(..since.len().saturating_sub(last_of_kept.unwrap_or(usize::MAX)));
    let (ending, interval) = (api.ending.clone(), api.limits.keep_alive);
    let revoked = access::revoked(api.clone(), admitted.clone(), Shown::Events).boxed();
    let let_in = LetIn { revoked, admitted, asked_for };
    let reader = Reader {
        backlog: since.into(),
        live: coming,
        wanted,
        api,
        ending,
        let_in,
        begun: false,
        over: false,
        _permit: permit,
    };
    Ok(Sse::new(stream::unfold(reader, Reader::next)).keep_alive(KeepAlive::new().interval(interval)).into_response())
}

/// The event after which to go on.
fn after(text: &str) -> Result<After, Problem> {
    let wrong = |()| Problem::malformed("after: this is no id of an event: write one as events have it, or its number");
    text.parse().map_err(wrong)
}

/// The moment from which on events are wanted, in milliseconds since 1970.
fn since(text: &str) -> Result<u64, Problem> {
    if let Some(moment) = text.parse().ok().and_then(|moment| unix_ms_of(&moment)) {
        return Ok(moment);
    }
    let ago = duration(text).map_err(|_| {
        Problem::malformed("since: this is no time: write one as in 10m (ms, s, m or h) or 2026-11-25T16:38:35Z")
    })?;
    Ok(unix_ms().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)))
}

/// Which events a reader wants.
struct Wanted {
    kinds: Option<Vec<events::Kind>>,
    relays: Selector,
    meant: Option<Meant>,
    since: Option<u64>,
}

impl Wanted {
    fn new(asked: Asked) -> Result<Self, Problem> {
        let named = |word: &str| {
            let begins = |kind: &events::Kind| kind.name().strip_prefix(word).is_some_and(|rest| rest.starts_with('.'));
            let fits = events::Kind::ALL.iter().copied().filter(|kind| kind.name() == word || begins(kind));
            let kinds: Vec<events::Kind> = fits.collect();
            if kinds.is_empty() {
                let all = events::Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
                let word = word.chars().take(64).collect::<String>();
                return Err(Problem::malformed(format!("kind: {word:?} is no kind of event: there are {all}")));
            }
            Ok(kinds)
        };
        let kinds = asked.kind.map(|kinds| kinds.split(',').map(named).collect::<Result<Vec<_>, _>>()).transpose()?;
        let since = asked.since.as_deref().map(since).transpose()?;
        let relays = many::read(asked.relay.as_deref(), None)?;
        let labels = asked.selector.as_deref().map(|labels| many::read(None, Some(labels))).transpose()?;
        let meant = labels.map(Meant::of);
        Ok(Self { kinds: kinds.map(|kinds| kinds.concat()), relays, meant, since })
    }

    fn takes(&mut self, logged: &Logged, desk: &Desk) -> bool {
        if logged.is_for_everybody() {
            return true;
        }
        let is_kind = self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind.name() == logged.kind));
        let relay = logged.relay.as_deref();
        let is_called = self.relays.is_all() || relay.is_some_and(|relay| pattern::any(&self.relays.names, relay));
        let concerns =
            is_called && self.meant.as_mut().is_none_or(|meant| relay.is_some_and(|it| meant.takes(it, desk)));
        is_kind && concerns && self.since.is_none_or(|since| logged.told_ms >= since)
    }
}

/// The relays whose labels are as a reader wants them, now or at some time since it began to read.
struct Meant {
    selector: Selector,
    names: BTreeSet<String>,
    /// What was looked at last.
    view: Option<Arc<View>>,
}

impl Meant {
    const fn of(selector: Selector) -> Self {
        Self { selector, names: BTreeSet::new(), view: None }
    }

    fn look(&mut self, view: Arc<View>) -> Result<(), Problem> {
        self.names.extend(view.choose(&self.selector)?);
        self.view = Some(view);
        Ok(())
    }

    fn takes(&mut self, relay: &str, desk: &Desk) -> bool {
        let now = desk.view();
        if !self.view.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, &now)) {
            // That none is there any more is no reason to end.
            let _ = self.look(Arc::clone(&now));
            self.view = Some(now);
        }
        self.names.contains(relay)
    }
}

/// Why somebody may follow, and until when.
struct LetIn {
    revoked: BoxFuture<'static, String>,
    admitted: Admitted,
    asked_for: denied::Asked,
}

/// What a reader hears next.
enum Heard {
    Event(Result<Arc<Logged>, RecvError>),
    ShownOut(String),
}

/// One who follows.
struct Reader {
    backlog: VecDeque<Arc<Logged>>,
    live: broadcast::Receiver<Arc<Logged>>,
    wanted: Wanted,
    api: Api,
    ending: watch::Receiver<bool>,
    let_in: LetIn,
    begun: bool,
    over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if self.over {
            return None;
        }
        if !self.begun {
            self.begun = true;
            return Some((Ok(Event::default().retry(RETRY)), self));
        }
        loop {
            let next = async {
                match self.backlog.pop_front() {
                    Some(logged) => Ok(logged),
                    None => self.live.recv().await,
                }
            };
            let heard = tokio::select! {
                biased;
                // A sender that is gone ends it too.
                _ = self.ending.wait_for(|ending| *ending) => Heard::Event(Err(RecvError::Closed)),
                why = &mut self.let_in.revoked => Heard::ShownOut(why),
                logged = next => Heard::Event(logged),
            };
            let logged = match heard {
                Heard::Event(logged) => logged,
                Heard::ShownOut(why) => return Some(self.shown_out(&why)),
            };
            let logged = match logged {
                Ok(logged) => logged,
                Err(RecvError::Closed) => return None,
                Err(RecvError::Lagged(missed)) => return Some(self.cut_off(missed)),
            };
            if self.wanted.takes(&logged, &self.api.desk) {
                // What it says is one line, so nothing in it can end the event.
                let event = Event::default().id(logged.id.to_string()).event(&logged.kind).data(&logged.json);
                return Some((Ok(event), self));
            }
        }
    }

    fn shown_out(mut self, why: &str) -> (Result<Event, Infallible>, Self) {
        self.over = true;
        denied::record_end(&self.api.desk.events, &self.let_in.asked_for, &self.let_in.admitted, why);
        (Ok(Event::default().comment(format!("ended: {why}"))), self)
    }

    fn cut_off(mut self, missed: u64) -> (Result<Event, Infallible>, Self) {
        self.over = true;
        self.api.counts.requests.cut_off.fetch_add(1, Relaxed);
        (Ok(Event::default().comment(format!("cut off: {missed} events came faster than they were read"))), self)
    }
}
