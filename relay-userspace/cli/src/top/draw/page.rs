//! What covers the panes: the help, or one relay with why it is dark.

use super::super::state::{Page, State};
use super::super::text::{clean, wrap};
use super::paint::{Brush, Line};
use super::spark;
use crate::number::rate;
use crate::relay::{self, tone};
use crate::screen::{Paint, Tone};
use crate::why::mark;
use ratatui::layout::Rect;
use relay_config::model::{Relay, Why};

/// Where the texts of a relay's page begin.
const INDENT: usize = 14;
/// A minute in so many characters, where there is room.
const MINUTE: usize = 60;

const HELP: &str = "\
arrows PgUp PgDn Home End  move
Tab  1 2 3 4               relays, lanes, links, events
Enter                      one relay: its outputs, and why it is dark
                           (of an event: its relay); Esc leads back
s  r                       sort by the next column; the other way round
/                          only relays whose names or labels have this in
                           them, or whose names are as this pattern with *;
                           Esc: all of them
p                          pause, and go on
?                          this help
q  Ctrl-C                  quit

PPS    packets a second, MB/S megabits a second, over the last seconds
MINUTE what came in; _ is nothing, and a space is when nobody knows
DROPS  what was not passed on since the start, at input and outputs
AGE    time since the last packet came in
BEAT   time since a lane came round
BUSY   of its time, in rounds that found something to do
USE    relays take in from a link, send to it, or both";

/// The page that is open, line by line, as wide as the screen.
pub(super) fn lines(state: &State) -> Vec<Line> {
    match &state.page {
        Page::None => Vec::new(),
        Page::Help => HELP.lines().map(|line| Line::new(line, Tone::Plain)).collect(),
        Page::Relay(name, why) => of_relay(state, name, why.as_ref()),
    }
}

/// Draws what of it is seen.
pub(super) fn draw(state: &State, brush: &mut Brush<'_>, area: Rect) {
    for (y, line) in (area.top()..area.bottom()).zip(lines(state).iter().skip(state.scroll)) {
        brush.text(Rect { y, height: 1, ..area }, &line.text, line.tone);
    }
}

fn of_relay(state: &State, name: &str, why: Option<&Result<Box<Why>, String>>) -> Vec<Line> {
    let room = usize::from(state.size.0);
    let mut lines = Vec::new();
    match state.node().relay(name) {
        Some(relay) => definition(state, relay, room, &mut lines),
        None => lines.push(Line::new("it is gone: Esc leads back to those that are there", Tone::Warn)),
    }
    lines.push(Line::new("", Tone::Plain));
    match why {
        None => lines.push(Line::new(format!("{:INDENT$}{}", "why", state.look.wait()), Tone::Dim)),
        Some(Err(failure)) => put(&mut lines, &format!("{:INDENT$}{failure}", "why"), room, INDENT, Tone::Bad),
        Some(Ok(why)) => steps(why, room, &mut lines),
    }
    lines
}

/// What `mcr relay show` says, and the last minute.
fn definition(state: &State, relay: &Relay, room: usize, lines: &mut Vec<Line>) {
    let page = relay::text(relay, Paint::default());
    for (n, line) in page.lines().enumerate() {
        let tone = match line.trim_start() {
            _ if n == 0 => tone(&relay.status.state),
            text if text.starts_with("dropped:") || text.starts_with("cannot work yet:") => Tone::Warn,
            _ => Tone::Plain,
        };
        put(lines, line, room, INDENT, tone);
    }
    let name = crate::document::name_of(&relay.definition);
    let minute = state.node().minute(name, room.saturating_sub(INDENT).min(MINUTE), state.interval);
    lines.push(Line::new(format!("{:INDENT$}{}", "last minute", spark::line(&minute, state.look)), Tone::Plain));
    let known = || minute.iter().flatten().copied();
    if known().next().is_some() {
        let (least, most) = (known().fold(f64::INFINITY, f64::min), known().fold(0.0, f64::max));
        lines.push(Line::new(format!("{:INDENT$}from {} to {} pps came in", "", rate(least), rate(most)), Tone::Plain));
    }
}

/// What `mcr why` says, in a form for narrow screens.
fn steps(why: &Why, room: usize, lines: &mut Vec<Line>) {
    let (verdict, tone) = match why.verdict.as_str() {
        "flows" => ("flows", Tone::Good),
        "partly" => ("flows to some of its outputs", Tone::Warn),
        other => (other, Tone::Bad),
    };
    lines.push(Line::new(format!("{:INDENT$}{verdict}", "why"), tone));
    for step in &why.steps {
        let (mark, tone) = mark(step);
        let tone = if tone == Tone::Good { Tone::Plain } else { tone };
        put(lines, &format!("{mark:<8}{:<11} {:<10} {}", step.part, step.name, step.text), room, 31, tone);
        if let Some(remedy) = step.remedy.as_ref().filter(|_| step.state == "broken") {
            put(lines, &format!("{:8}what to do: {remedy}", ""), room, 20, Tone::Head);
        }
    }
    for warning in &why.warnings {
        put(lines, &format!("note: {warning}"), room, 6, Tone::Warn);
    }
}

/// A text in as many lines as it takes; narrow screens indent less.
fn put(lines: &mut Vec<Line>, text: &str, room: usize, indent: usize, tone: Tone) {
    let indent = if room < 2 * indent { 8 } else { indent };
    lines.extend(wrap(&clean(text), room, indent).into_iter().map(|line| Line::new(line, tone)));
}
