//! What is shown, and what a key, an answer or the clock makes of it. Nothing here has an effect.

use super::keys::Key;
use super::list::Cursor;
use super::node::{Answer, Node};
use super::sort::Order;
use super::{draw, text};
use crate::document::name_of;
use crate::relay::labels::labels;
use relay_common::label::Labels;
use relay_common::pattern;
use relay_common::selector::Selector;
use relay_config::model::{Event, Relay, Why};
use serde_json::Value;
use std::time::Duration;

/// So long an answer may be late, besides the time between two questions, before that is told.
const LATE: Duration = Duration::from_secs(2);

/// Something to take note of.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Key(Key),
    /// The terminal has so many columns and rows now.
    Resize(u16, u16),
    /// The node answered, or did not, or said something by itself.
    News(News),
    /// Time has passed.
    Tick,
}

/// What came from the node.
#[derive(Clone, Debug)]
pub(super) enum News {
    Answer(Box<Answer>),
    /// It did not answer, and why.
    Failed(String),
    /// What happened there, the oldest first.
    Events(Vec<Event>),
    /// Why a relay is dark, or why that cannot be told.
    Why(String, Result<Box<Why>, String>),
}

/// What is asked besides what is always asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wants {
    /// Why this relay is dark.
    pub(super) relay: Option<String>,
    /// How busy the lanes are.
    pub(super) busy: bool,
}

/// What the middle of the screen shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    #[default]
    Relays,
    Lanes,
    Links,
    Events,
}

impl Pane {
    pub(super) const ALL: [Self; 4] = [Self::Relays, Self::Lanes, Self::Links, Self::Events];
}

/// A page over the panes.
#[derive(Clone, Debug, Default)]
pub(super) enum Page {
    #[default]
    None,
    Help,
    /// One relay, and why it is dark; none while that is asked.
    Relay(String, Option<Result<Box<Why>, String>>),
}

/// How everything looks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// Whether there are colours.
    pub(super) colours: bool,
    /// Whether the terminal knows more than ASCII.
    pub(super) unicode: bool,
}

/// What is shown.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) look: Look,
    /// Columns and rows.
    pub(super) size: (u16, u16),
    /// What the node is called where it is not this machine's.
    pub(super) address: Option<String>,
    /// How often it is asked.
    pub(super) interval: Duration,
    pub(super) pane: Pane,
    pub(super) page: Page,
    /// The page that the help lies over.
    behind: Page,
    /// The first line of the page that is seen.
    pub(super) scroll: usize,
    pub(super) cursors: [Cursor; 4],
    /// The relay that the cursor stays on; without, it stays at the top.
    selected: Option<String>,
    pub(super) order: Order,
    /// The relays that are shown at all.
    pub(super) selector: Selector,
    pub(super) filter: String,
    /// Whether the filter is being written.
    pub(super) is_typing: bool,
    /// Why the node did not answer last time.
    pub(super) failure: Option<String>,
    /// For so many seconds it has not answered; none while it does.
    pub(super) silent_for: Option<u64>,
    /// When the node answered last, or was first asked.
    answered: Duration,
    /// How long it took to answer.
    took: Duration,
    live: Node,
    /// What is shown while paused.
    held: Option<Box<Node>>,
    is_over: bool,
}

impl State {
    pub(super) fn new(look: Look, size: (u16, u16), interval: Duration, now: Duration) -> Self {
        Self {
            look,
            size,
            address: None,
            interval,
            pane: Pane::default(),
            page: Page::default(),
            behind: Page::default(),
            scroll: 0,
            cursors: Default::default(),
            selected: None,
            order: Order::default(),
            selector: Selector::default(),
            filter: String::new(),
            is_typing: false,
            failure: None,
            silent_for: None,
            answered: now,
            took: Duration::ZERO,
            live: Node::default(),
            held: None,
            is_over: false,
        }
    }

    /// What of the node is shown.
    pub(super) fn node(&self) -> &Node {
        self.held.as_deref().unwrap_or(&self.live)
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.held.is_some()
    }

    /// Whether whoever watched has seen enough.
    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn wants(&self) -> Wants {
        let relay = match &self.page {
            Page::Relay(name, _) => Some(name.clone()),
            _ => None,
        };
        Wants { relay, busy: self.pane == Pane::Lanes }
    }

    /// The relays that the filter leaves, in their order.
    pub(super) fn listed(&self) -> Vec<&Relay> {
        let is_wanted = |relay: &&Relay| {
            let (name, labels) = (name_of(&relay.definition), labels(relay));
            self.selector.takes(name, &labels) && is_meant(&self.filter, name, &labels)
        };
        let mut listed: Vec<&Relay> = self.node().relays().iter().filter(is_wanted).collect();
        listed.sort_by(|a, b| self.order.compare(a, b));
        listed
    }

    /// Takes note of something. Whether anything is to be drawn anew.
    pub(super) fn take(&mut self, happening: Happening, now: Duration) -> bool {
        let is_seen = match happening {
            Happening::Key(key) => self.key(key),
            Happening::Resize(width, height) => std::mem::replace(&mut self.size, (width, height)) != self.size,
            Happening::News(news) => self.news(news, now),
            Happening::Tick => false,
        };
        let late = now.saturating_sub(self.answered);
        // It rests for as long as it needs to answer.
        let silent_for = (late > self.interval.max(self.took * 2) + LATE).then_some(late.as_secs());
        let is_seen = std::mem::replace(&mut self.silent_for, silent_for) != silent_for || is_seen;
        if is_seen {
            self.settle();
        }
        is_seen
    }

    fn news(&mut self, news: News, now: Duration) -> bool {
        match news {
            News::Answer(answer) => {
                (self.answered, self.took, self.failure) = (now, answer.took, None);
                self.live.note(now, *answer);
                !self.is_paused()
            }
            News::Failed(why) => {
                let why = Some(text::clean(&why));
                // It is told only when it lasts.
                std::mem::replace(&mut self.failure, why.clone()) != why && self.silent_for.is_some()
            }
            News::Events(events) => {
                let cursor = &mut self.cursors[Pane::Events as usize];
                // Who has moved to an event stays there.
                if self.held.is_none() && cursor.row > 0 {
                    cursor.row += events.len();
                    cursor.top += events.len();
                }
                self.live.happened(events);
                !self.is_paused()
            }
            News::Why(relay, told) => match &mut self.page {
                Page::Relay(name, why) if *name == relay && (why.is_none() || self.held.is_none()) => {
                    *why = Some(told);
                    true
                }
                _ => false,
            },
        }
    }

    fn key(&mut self, key: Key) -> bool {
        if key == Key::Interrupt {
            self.is_over = true;
        } else if self.is_typing {
            self.typed(key);
        } else if key == Key::Char('q') {
            self.is_over = true;
        } else if key == Key::Char('p') {
            self.held = if self.is_paused() { None } else { Some(Box::new(self.live.clone())) };
        } else if matches!(self.page, Page::None) {
            self.pane_key(key);
        } else {
            self.page_key(key);
        }
        true
    }

    /// While the filter is written letters are letters.
    fn typed(&mut self, key: Key) {
        match key {
            Key::Char(c) if !c.is_control() => self.filter.push(c),
            Key::Backspace => _ = self.filter.pop(),
            Key::Enter => self.is_typing = false,
            Key::Esc => (self.is_typing, self.filter) = (false, String::new()),
            other => self.moved(other),
        }
    }

    fn page_key(&mut self, key: Key) {
        let rows = self.page_rows();
        match key {
            Key::Esc | Key::Enter => self.close(),
            Key::Char('?') if matches!(self.page, Page::Help) => self.close(),
            Key::Char('?') => {
                self.behind = std::mem::take(&mut self.page);
                self.open(Page::Help);
            }
            Key::Up => self.scroll = self.scroll.saturating_sub(1),
            Key::Down => self.scroll += 1,
            Key::PageUp => self.scroll = self.scroll.saturating_sub(rows),
            Key::PageDown => self.scroll += rows,
            Key::Home => self.scroll = 0,
            Key::End => self.scroll = usize::MAX,
            _ => {}
        }
    }

    fn pane_key(&mut self, key: Key) {
        let next = |pane: Pane, step: usize| Pane::ALL[(pane as usize + step) % Pane::ALL.len()];
        match key {
            Key::Char('?') => self.open(Page::Help),
            Key::Char('1') => self.pane = Pane::Relays,
            Key::Char('2') => self.pane = Pane::Lanes,
            Key::Char('3') => self.pane = Pane::Links,
            Key::Char('4') => self.pane = Pane::Events,
            Key::Tab => self.pane = next(self.pane, 1),
            Key::BackTab => self.pane = next(self.pane, Pane::ALL.len() - 1),
            Key::Char('s') => self.sort(self.order.next()),
            Key::Char('r') => self.sort(self.order.reversed()),
            Key::Char('/') => (self.pane, self.is_typing) = (Pane::Relays, true),
            Key::Esc => self.filter.clear(),
            Key::Enter => {
                if let Some(name) = self.pointed_at() {
                    self.open(Page::Relay(name, None));
                }
            }
            other => self.moved(other),
        }
    }

    /// Back to what was there before the page.
    fn close(&mut self) {
        let behind = std::mem::take(&mut self.behind);
        self.open(behind);
    }

    fn open(&mut self, page: Page) {
        (self.page, self.scroll) = (page, 0);
    }

    fn sort(&mut self, order: Order) {
        (self.pane, self.order, self.selected) = (Pane::Relays, order, None);
        self.cursors[Pane::Relays as usize] = Cursor::default();
    }

    fn moved(&mut self, key: Key) {
        let (n, rows) = (self.n_rows(self.pane), self.pane_rows());
        let cursor = &mut self.cursors[self.pane as usize];
        cursor.moved(key, n, rows);
        if self.pane == Pane::Relays {
            // At the top it stays at the top.
            let row = Some(cursor.row).filter(|row| *row > 0);
            let under = row.and_then(|row| self.listed().get(row).map(|relay| name_of(&relay.definition).to_owned()));
            self.selected = under;
        }
    }

    /// The relay that Enter opens: the one under the cursor, or the one that an event concerns.
    fn pointed_at(&self) -> Option<String> {
        let row = self.cursors[self.pane as usize].row;
        match self.pane {
            Pane::Relays => self.listed().get(row).map(|relay| name_of(&relay.definition).to_owned()),
            Pane::Events => {
                let relay = self.node().events.get(row)?.fields.get("relay").and_then(Value::as_str);
                relay.filter(|name| self.node().relay(name).is_some()).map(str::to_owned)
            }
            Pane::Lanes | Pane::Links => None,
        }
    }

    /// How many rows a pane has in all.
    pub(super) fn n_rows(&self, pane: Pane) -> usize {
        match pane {
            Pane::Relays => self.listed().len(),
            Pane::Lanes => self.node().status().map_or(0, |status| status.lanes.len()),
            Pane::Links => self.node().links().len(),
            Pane::Events => self.node().events.len(),
        }
    }

    /// How many of them are seen at once.
    pub(super) fn pane_rows(&self) -> usize {
        draw::pane_rows(self.size.1, self.pane)
    }

    fn page_rows(&self) -> usize {
        draw::page_rows(self.size.1)
    }

    /// The cursors stand on something that is there, and it is seen.
    fn settle(&mut self) {
        let place = |name: &String| self.listed().iter().position(|relay| name_of(&relay.definition) == name);
        if let Some(row) = self.selected.as_ref().and_then(place) {
            self.cursors[Pane::Relays as usize].row = row;
        }
        for pane in Pane::ALL {
            let (n, rows) = (self.n_rows(pane), draw::pane_rows(self.size.1, pane));
            self.cursors[pane as usize].settle(n, rows);
        }
        if !matches!(self.page, Page::None) {
            let n = draw::page_length(self);
            self.scroll = self.scroll.min(n.saturating_sub(self.page_rows()));
        }
    }
}

/// Whether a name or a label has the filter in it; or whether the name is as it says where it has a star.
fn is_meant(filter: &str, name: &str, labels: &Labels) -> bool {
    let (filter, name) = (filter.to_lowercase(), name.to_lowercase());
    if filter.contains('*') {
        return pattern::matches(&filter, &name);
    }
    name.contains(&filter)
        || labels.iter().any(|(key, value)| format!("{key}={value}").to_lowercase().contains(&filter))
}
