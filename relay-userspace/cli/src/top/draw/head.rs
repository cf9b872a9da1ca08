//! The first line says how the node is, the second what is shown, the last which keys there are.

use super::super::state::{Page, Pane, State};
use super::paint::{Brush, Line};
use crate::number::span;
use crate::screen::Tone;
use ratatui::layout::Rect;
use relay_config::model::{Check, Health, Status};

/// From here on the panes say how much they hold.
const WIDE: u16 = 60;

/// Draws the three lines.
pub(super) fn draw(state: &State, brush: &mut Brush<'_>, area: Rect) {
    let row = |y: u16| Rect { y: area.y + y, height: 1, ..area };
    words(brush, row(0), &node(state));
    title(state, brush, row(1));
    brush.text(row(area.height - 1), &keys(state), Tone::Dim);
}

/// Words in their colours, two spaces between; gives what is left of the row.
fn words(brush: &mut Brush<'_>, mut row: Rect, words: &[Line]) -> Rect {
    for word in words {
        let taken = (brush.text(row, &word.text, word.tone) + 2).min(row.width);
        row = Rect { x: row.x + taken, width: row.width - taken, ..row };
    }
    row
}

fn node(state: &State) -> Vec<Line> {
    let mut words = Vec::new();
    let mut say = |text: String, tone| words.push(Line::new(text, tone));
    if state.is_paused() {
        say("PAUSED".to_owned(), Tone::Warn);
    }
    match state.node().status() {
        Some(status) => say(format!("mcr {}", status.version), Tone::Head),
        None => say("mcr".to_owned(), Tone::Head),
    }
    if let Some(seconds) = state.silent_for {
        let why = state.failure.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        say(format!("no answer for {seconds} s{why}"), Tone::Bad);
        return words;
    }
    let Some(status) = state.node().status() else {
        say(state.look.wait().to_owned(), Tone::Dim);
        return words;
    };
    let (health, tone) = health(status);
    say(health, tone);
    say(format!("up {}", span(status.uptime_s)), Tone::Plain);
    say(status.role.clone(), Tone::Plain);
    say(format!("generation {}", status.generation), Tone::Plain);
    if status.config.differs.is_some() {
        say("configuration file differs".to_owned(), Tone::Warn);
    } else if !status.config.in_force {
        say("configuration file NOT in force".to_owned(), Tone::Bad);
    }
    if let Some(address) = &state.address {
        say(address.clone(), Tone::Plain);
    }
    words
}

/// How the node is, with the checks that fail: those that keep it from being healthy, else those that keep it from being
/// ready, and what is not as it should be although packets flow.
fn health(status: &Status) -> (String, Tone) {
    let drift = |check: &&Check| check.verdict.as_deref() == Some("drift");
    let failing = |health: &Health, is_drift: bool| -> String {
        let failing = health.checks.iter().filter(|check| !check.ok && drift(check) == is_drift);
        failing.map(|check| check.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    if status.health.status != "ok" {
        return (format!("NOT HEALTHY: {}", failing(&status.health, false)), Tone::Bad);
    }
    let (mut text, mut tone) = ("healthy, ready".to_owned(), Tone::Good);
    if status.ready.status != "ok" {
        (text, tone) = (format!("healthy, NOT READY: {}", failing(&status.ready, false)), Tone::Warn);
    }
    let drift = failing(&status.ready, true);
    if !drift.is_empty() {
        (text, tone) = (format!("{text}, DRIFT: {drift}"), Tone::Warn);
    }
    (text, tone)
}

fn title(state: &State, brush: &mut Brush<'_>, row: Rect) {
    match &state.page {
        Page::Help => _ = brush.text(row, "help", Tone::Head),
        Page::Relay(name, _) => _ = brush.text(row, &format!("relay {name}"), Tone::Head),
        Page::None => panes(state, brush, row),
    }
}

fn panes(state: &State, brush: &mut Brush<'_>, row: Rect) {
    let mut rest = row;
    for (number, pane) in (1..).zip(Pane::ALL) {
        let mut name = format!("{number} {}", name(pane));
        if row.width >= WIDE {
            name.push_str(&format!(" {}", count(state, pane)));
        }
        let is_shown = pane == state.pane;
        // Brackets, for whoever sees no colours.
        let name = if is_shown { format!("[{name}]") } else { format!(" {name} ") };
        let taken = brush.text(rest, &name, if is_shown { Tone::Head } else { Tone::Plain });
        if is_shown {
            brush.invert(Rect { width: taken, ..rest });
        }
        rest = Rect { x: rest.x + taken, width: rest.width - taken, ..rest };
    }
}

const fn name(pane: Pane) -> &'static str {
    match pane {
        Pane::Relays => "relays",
        Pane::Lanes => "lanes",
        Pane::Links => "links",
        Pane::Events => "events",
    }
}

/// How much a pane holds; with a filter also of how much.
fn count(state: &State, pane: Pane) -> String {
    let n = state.n_rows(pane);
    if pane == Pane::Relays && !state.filter.is_empty() {
        return format!("{n} of {}", state.node().relays().len());
    }
    n.to_string()
}

fn keys(state: &State) -> String {
    if state.is_typing {
        return format!("filter: {}_   Enter keeps it, Esc clears it", state.filter);
    }
    match (&state.page, state.pane) {
        (Page::Help | Page::Relay(..), _) => "Esc back  arrows move  p pause  q quit".to_owned(),
        (Page::None, Pane::Relays) if !state.filter.is_empty() => {
            format!("filter: {}   Esc clears it  / another  Enter open  ? help  q quit", state.filter)
        }
        (Page::None, Pane::Relays) => {
            let arrow = state.look.arrow(state.order.is_rising());
            let by = state.order.by.name();
            format!("q quit  ? help  Tab pane  Enter open  / filter  s r sort: {by} {arrow}  p pause")
        }
        (Page::None, Pane::Events) => "q quit  ? help  Tab pane  Enter open its relay  p pause".to_owned(),
        (Page::None, _) => "q quit  ? help  Tab pane  p pause".to_owned(),
    }
}
