//! An event that was told: what followers are sent, as it was written down.

use super::{Event, Kind};
use relay_config::event_id::Id;
use relay_config::model;
use relay_config::time::rfc3339;
use serde_json::Value;

/// So much of a text is kept: what is longer stands whole in the log.
const LONGEST_TEXT: usize = 8 << 10;
/// An event of more bytes is kept without what was before and after.
pub(super) const LONGEST: usize = 256 << 10;

/// An event with its name and its times.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// What it is called.
    pub id: Id,
    /// When it was told, in milliseconds since 1970.
    pub told_ms: u64,
    /// The name of its kind. Another version of mcr may have written it, with kinds that this one does not know.
    pub kind: String,
    /// The relay that it concerns.
    pub relay: Option<String>,
    /// The event as it goes over the wire: one line.
    pub json: String,
}

impl Logged {
    /// An event that is told now.
    pub(super) fn new(id: Id, unix_ms: u64, told_ms: u64, event: &Event) -> Self {
        let mut document = model::Event {
            id: id.to_string(),
            time: rfc3339(unix_ms),
            told_at: rfc3339(told_ms),
            event: event.kind.name().to_owned(),
            level: event.level.name().to_owned(),
            text: event.text.clone(),
            fields: event.fields.clone(),
        };
        cut(&mut document.text);
        for value in document.fields.values_mut() {
            if let Value::String(text) = value {
                cut(text);
            }
        }
        let write = |document: &model::Event| serde_json::to_string(document).unwrap_or_default();
        let mut json = write(&document);
        if json.len() > LONGEST {
            for field in ["before", "after"] {
                document.fields.remove(field);
            }
            json = write(&document);
        }
        Self::of(id, told_ms, document, json)
    }

    /// An event as somebody wrote it down: nothing when it is none.
    pub(super) fn read(line: &str) -> Option<Self> {
        let document: model::Event = (line.len() <= 2 * LONGEST).then(|| serde_json::from_str(line).ok()).flatten()?;
        let id = document.id.parse().ok()?;
        let told_ms = document.told_at.parse().ok().and_then(|moment| super::unix_ms_of(&moment))?;
        // Written anew, so that a line of followers holds one event, whatever stood in the file.
        let json = serde_json::to_string(&document).ok()?;
        Some(Self::of(id, told_ms, document, json))
    }

    /// What tells a follower that events are missing before the next: all up to the one of this name.
    pub(super) fn lost(from: &str, to: Id, count: Option<u64>, now_ms: u64) -> Self {
        let many = count
            .map_or_else(|| "events".to_owned(), |n| if n == 1 { "1 event".to_owned() } else { format!("{n} events") });
        let text =
            format!("{many} from {from} to {to} are lost: what was told meanwhile stands in the log of mcr only");
        let event = Event::new(Kind::EventsLost, text).with("from", from).with("to", to.to_string());
        let event = match count {
            Some(n) => event.with("count", n),
            None => event,
        };
        Self::new(to, now_ms, now_ms, &event)
    }

    fn of(id: Id, told_ms: u64, document: model::Event, json: String) -> Self {
        let relay = document.fields.get("relay").and_then(Value::as_str).map(str::to_owned);
        Self { id, told_ms, kind: document.event, relay, json }
    }

    /// Whether followers are told of it whatever they asked for.
    #[must_use]
    pub fn is_for_everybody(&self) -> bool {
        self.kind == Kind::EventsLost.name()
    }
}

/// Cuts a text that is too long to be kept.
fn cut(text: &mut String) {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push('…');
    }
}
