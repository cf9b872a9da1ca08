//! `mcr top`: a node, watched.
//!
//! Reading order: `state` decides what is shown and `draw` how that looks, both without any effect; `ask` asks the node
//! on a thread of its own, so that neither waits for the other; `screen` is the terminal, and this file connects them.

mod state; // what is shown
mod keys; // what was pressed
mod list; // the cursor of a list
mod node; // what is known of the node
mod history; // the last minute of a rate
mod busy; // how busy lanes are
mod sort; // in which order relays stand
mod text; // texts that are fit for a terminal
mod draw; // how it looks
mod ask; // the node is asked
mod terminal; // the terminal is taken, and given back

use super::client::{Client, Question};
use super::exit::Exit;
use super::relay::{chosen, selector};
use super::screen::Paint;
use super::target::Target;
use crate::args;
use anyhow::Context as _;
use relay_config::model::Relays;
use state::{Happening, Look, News, State, Wants};
use std::ffi::OsString;
use std::io::{IsTerminal as _, stdout};
use std::time::Duration;
use terminal::Screen;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

/// How often it is looked at the clock: seconds are counted while the node does not answer.
const TICK: Duration = Duration::from_millis(500);
/// So much may wait to be shown; then the node is asked no more until it was.
const WAITING: usize = 16;

/// `mcr top`.
pub(super) async fn run(asked: &args::Top, paint: Paint) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    may_draw(stdout().is_terminal(), |name| std::env::var_os(name))?;
    // A node that is not there from the beginning is an error; one that goes is waited for.
    client.clone().patient(ask::PATIENCE).answer(Question::get("/livez")).await?;
    let selector = selector(&asked.names, &asked.labels)?;
    if !selector.is_all() {
        let relays: Relays = client.ask(Question::get("/api/v1/relays")).await?.read()?;
        chosen(&relays.relays, &selector)?;
    }
    let (news, told) = mpsc::channel(WAITING);
    let (wanted, wants) = watch::channel(Wants::default());
    let address = matches!(client.target(), Target::Tcp { .. }).then(|| client.target().name());
    ask::start(client, asked.interval, news, wants)?;
    let look = Look { colours: paint.colours, unicode: is_unicode(|name| std::env::var_os(name)) };
    let mut screen = Screen::take()?;
    let begun = Instant::now();
    let mut state = State::new(look, screen.size()?, asked.interval, Duration::ZERO);
    (state.address, state.selector) = (address, selector);
    watch(state, begun, &mut screen, told, &wanted).await?;
    Ok(Exit::Done)
}

/// Takes note of whatever happens, and draws it, until whoever watches has seen enough.
async fn watch(
    mut state: State,
    begun: Instant,
    screen: &mut Screen,
    mut told: mpsc::Receiver<News>,
    wanted: &watch::Sender<Wants>,
) -> anyhow::Result<()> {
    let mut keys = terminal::keys()?;
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let mut ends = [listen(SignalKind::terminate())?, listen(SignalKind::hangup())?, listen(SignalKind::interrupt())?];
    let mut is_new = true;
    while !state.is_over() {
        if is_new {
            screen.draw(&state)?;
        }
        let [term, hangup, interrupt] = &mut ends;
        let mut happening = tokio::select! {
            key = keys.recv() => Some(key.context("the terminal is gone")??),
            news = told.recv() => Some(Happening::News(news.context("the node is asked no more: this is a bug")?)),
            () = sleep(TICK) => Some(Happening::Tick),
            () = end(term) => return Ok(()),
            () = end(hangup) => return Ok(()),
            () = end(interrupt) => return Ok(()),
        };
        is_new = false;
        // Whatever else has happened meanwhile is drawn with it, in one go.
        while let Some(this) = happening.take() {
            is_new |= state.take(this, begun.elapsed());
            happening = match keys.try_recv() {
                Ok(key) if !state.is_over() => Some(key?),
                _ => told.try_recv().ok().map(Happening::News),
            };
        }
        let wants = state.wants();
        wanted.send_if_modified(|before| std::mem::replace(before, wants.clone()) != wants);
    }
    Ok(())
}

async fn end(signal: &mut Signal) {
    signal.recv().await;
}

/// Whether there is a terminal that can be drawn on.
fn may_draw(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<()> {
    const ELSE: &str = "mcr status and mcr relay ls say once what it shows, and with --json to programs";
    let name = variable("TERM").unwrap_or_default();
    anyhow::ensure!(is_terminal, "mcr top needs a terminal to draw on, and standard output is none: {ELSE}");
    anyhow::ensure!(
        !name.is_empty() && name != "dumb",
        "mcr top draws all over the screen, which a terminal with TERM={:?} cannot: {ELSE}",
        name.to_string_lossy()
    );
    Ok(())
}

/// Whether the terminal shows more than ASCII, as far as it is said.
fn is_unicode(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let said = ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| variable(name)).find(|value| !value.is_empty());
    let said = said.unwrap_or_default().to_string_lossy().to_lowercase();
    said.contains("utf-8") || said.contains("utf8")
}

#[cfg(test)]
mod tests;
