//! A file becomes a plan, or a list of all its errors.
//!
//! Reading order: `value` holds text as it was written, with its lines; `section` reads one table of it;
//! `file` is what the user wrote, value by value right; `plan` makes of it what is true.

pub mod model; // what goes over the wire
pub mod definition; // a relay's definition, as the document describes it
pub mod short; // the short form of inputs and outputs
pub mod event_id; // what an event is called
pub mod time; // moments as programs and people write them
pub mod users; // the users of this machine

mod address; // groups, hosts and interfaces
mod beside; // relays of the API beside those of the file
mod cross; // what only all relays together can get wrong
pub mod duration; // how long
mod error;
mod file;
mod health; // how health is judged
mod http; // where the API answers
mod labels; // what people sort relays by
mod lane_user; // whom lanes run as
mod json; // a relay as the API shows it
mod export; // a whole node in one document
mod keys; // every key but those of relays, with its value
mod number; // ports, TTLs and all that is counted
mod plan;
mod range; // many relays in one
mod reading; // the bytes of a file
mod section;
mod settings; // what concerns control alone
mod token; // who may look and change over TCP
mod suggest; // what an unknown key was meant to be
mod value;
mod watch; // how the file is taken

pub use beside::clashes;
pub use duration::trial_length;
pub use error::{ConfigError, Errors};
pub use export::{Export, export_to_toml, parse_export};
pub use file::SCHEMA;
pub use json::relay_to_json;
pub use keys::keys;
pub use settings::{Access, ConfigFile, Health, Http, Reads, Settings, State, Tls, Token};

use relay_common::plan::{Plan, Relay};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A whole configuration. The default is that of an empty file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// What lanes and kernel are told.
    pub plan: Plan,
    /// What concerns control alone.
    pub settings: Settings,
    /// What it was read from.
    pub text: Arc<str>,
}

/// Reads a configuration file. What is no regular file is refused: a FIFO would have its reader wait.
///
/// # Errors
///
/// Everything that is wrong with it, at once.
pub fn load(path: &Path) -> Result<Configuration, Errors> {
    load_with(path, |_| ())
}

/// The same; `look` sees the file that is read before it is.
///
/// # Errors
///
/// As [`load`].
pub fn load_with(path: &Path, look: impl FnOnce(&File)) -> Result<Configuration, Errors> {
    from_bytes(path, reading::of_file(path, look))
}

/// Reads a configuration file, or what a program writes into a pipe (`mcr check <(generate)`).
///
/// # Errors
///
/// As [`load`].
pub fn load_piped(path: &Path) -> Result<Configuration, Errors> {
    from_bytes(path, reading::of_anything(path))
}

fn from_bytes(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<Configuration, Errors> {
    let name = path.display().to_string();
    match bytes {
        Err(error) => Err(Errors::unreadable(&name, &error)),
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => read(&name, &text, Some(users::find)),
            Err(error) => Err(Errors::not_text(&name, error.as_bytes(), error.utf8_error().valid_up_to())),
        },
    }
}

/// Reads the text of a configuration; `name` is what errors call the file. Whether its users are there is not asked.
///
/// # Errors
///
/// Everything that is wrong with it, at once.
pub fn parse(name: &str, text: &str) -> Result<Configuration, Errors> {
    read(name, text, None)
}

/// The same on the node that it is for: its users are looked for, too, and that can take a while.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_here(name: &str, text: &str) -> Result<Configuration, Errors> {
    read(name, text, Some(users::find))
}

fn read(name: &str, text: &str, look: Option<lane_user::Look>) -> Result<Configuration, Errors> {
    let root = value::from_toml(name, text)?;
    let mut errors = Errors::new(name);
    let file = file::read(&root, look, &mut errors);
    let settings = file.settings.clone();
    let plan = plan::make(file, &mut errors);
    errors.or(Configuration { plan, settings, text: text.into() })
}

/// Reads one relay in the form that it has in the file, but as JSON; a range gives several. The key paths of the
/// errors begin at the relay, and there are no lines.
///
/// # Errors
///
/// Everything that is wrong with it, at once.
pub fn parse_relay(json: &serde_json::Value) -> Result<Vec<Relay>, Errors> {
    let mut errors = Errors::of_no_file();
    let relay = file::read_relay(&value::from_json(json), 0, &mut errors);
    let relays = plan::make_relay(&relay, &mut errors);
    errors.or(relays)
}

/// Reads relays that came by the API: what [`relay_to_json`] writes of each, and what the API shows beside it, which is
/// ignored. A range is refused: what is shown under a name must be what was sent under it.
///
/// # Errors
///
/// Everything that is wrong with any of them, at once.
pub fn parse_relays(definitions: &[serde_json::Value]) -> Result<Vec<Relay>, Errors> {
    let mut errors = Errors::of_no_file();
    let relays = definitions.iter().enumerate().filter_map(|(i, json)| json::read_sent(json, i, &mut errors)).collect();
    errors.or(relays)
}

/// Looks for what only relays together can get wrong: names, inputs, circles, room. A plan made of relays from
/// several places is checked with this before it is used.
///
/// # Errors
///
/// Everything that is wrong with it, at once.
pub fn check(plan: &Plan) -> Result<(), Errors> {
    let mut errors = Errors::of_no_file();
    cross::check(plan, &cross::Origins::none(plan), &mut errors);
    errors.or(())
}

#[cfg(test)]
mod tests;
