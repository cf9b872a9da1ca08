//! The commands that ask a running mcr: each is a question to its API and an answer for people or programs.
//!
//! Reading order: `target` and `client` reach control; `short`, `document` and `definition` make of what was written what
//! is asked; then one file a command.

pub mod args; // what can be said on the command line

mod target; // where control answers
mod trust; // whose certificates are believed
mod unreachable; // why it does not
mod client; // questions and answers
pub mod local; // what this machine knows of it
mod failure; // why a command could not be carried out
mod exit; // how a command ends

mod document; // definitions in a file
mod definition; // a definition by options
mod difference; // what changes of a relay

mod relay; // add, set, rm, ls, show, enable, disable, mute, unmute
mod apply; // all relays of the API at once
mod applied; // what a change did
mod diff; // the configuration file against what runs
mod changes; // what became of what was asked for
mod export; // a whole node as one document
mod status; // a node at a glance
mod top; // a node, watched
mod health; // whether packets can flow
mod wait; // until it is well, or flows
mod why; // why a stream is dark
mod events; // what happened, and happens
mod sse; // a stream of events, line by line
mod capture; // a relay's packets
mod pcapng; // a capture, block by block
mod process; // reload, upgrade, stop, log
mod restart; // another control in its place
mod token; // the hash of a token
mod page; // completions and the manual page

mod screen; // where a command writes
mod table; // columns
mod number; // numbers as people read them

pub use exit::Exit;
pub use page::{complete, manual};
pub use screen::{Paint, Screen, standard};
pub use token::hash_token;

use crate::args::{Command, Relay};
use local::LocalNode;
use std::io::Write;

/// Carries out a command that asks a running mcr.
///
/// # Errors
/// When it cannot be carried out; [`Exit::of`] tells the exit code.
pub async fn run<O: Write, E: Write>(
    command: &Command,
    local: &dyn LocalNode,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    match command {
        Command::Relay(asked) => relay(asked, screen).await,
        Command::Apply(asked) => apply::run(asked, screen).await,
        Command::Diff(asked) => diff::run(asked, screen).await,
        Command::Changes(asked) => changes::list(asked, screen).await,
        Command::Change(asked) => changes::show(asked, screen).await,
        Command::Export(asked) => export::export(asked, screen).await,
        Command::Import(asked) => export::import(asked, screen).await,
        Command::Status(asked) => status::run(asked, screen).await,
        Command::Top(asked) => top::run(asked, screen.paint).await,
        Command::Why(asked) => why::run(asked, screen).await,
        Command::Capture(asked) => capture::run(asked, screen).await,
        Command::Events(asked) => events::run(asked, screen).await,
        Command::Health(asked) => health::run(asked, local, screen).await,
        Command::Wait(asked) => wait::run(asked, screen).await,
        Command::Reload(asked) => process::reload(asked, screen).await,
        Command::Restart(asked) => restart::restart(asked, local, screen).await,
        Command::Confirm(asked) => process::confirm(asked, screen).await,
        Command::Rollback(asked) => process::rollback(asked, screen).await,
        Command::Upgrade(asked) => process::upgrade(asked, local, screen).await,
        Command::Stop(asked) => process::stop(asked, screen).await,
        Command::Log(asked) => process::log(asked, screen).await,
        _ => anyhow::bail!("this command asks no running mcr"),
    }
}

async fn relay<O: Write, E: Write>(asked: &Relay, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    match asked {
        Relay::Add(asked) => relay::add(asked, screen).await,
        Relay::Set(asked) => relay::set(asked, screen).await,
        Relay::Rm(asked) => relay::several(asked, relay::Deed::Remove, screen).await,
        Relay::Ls(asked) => relay::list(asked, screen).await,
        Relay::Show(asked) => relay::show(asked, screen).await,
        Relay::Enable(asked) => relay::several(asked, relay::Deed::Enable, screen).await,
        Relay::Disable(asked) => relay::several(asked, relay::Deed::Disable, screen).await,
        Relay::Mute(asked) => relay::several(asked, relay::Deed::Mute, screen).await,
        Relay::Unmute(asked) => relay::several(asked, relay::Deed::Unmute, screen).await,
        Relay::Adopt(asked) => relay::several(asked, relay::Deed::Adopt, screen).await,
    }
}
