//! Keys of the configuration file that a reload takes, or refuses, and that count from a start on. Nothing here has an effect.

use crate::config::{Configuration, keys};
use relay_common::plan::{Lanes, Plan};
use serde_json::Value;

/// What is opened once, when control starts.
const OF_CONTROL: [&str; 4] = ["http.listen", "http.socket", "http.socket_group", "state.file"];
/// What lanes are built with.
const OF_LANES: &str = "lanes.";

/// A key of which the file says something else than what runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotInEffect {
    /// Its path, as in `http.listen`.
    pub key: String,
    /// The file's value; null where it is the default that is not written.
    pub file: Value,
    /// The one that is in effect; null likewise.
    pub running: Value,
}

impl NotInEffect {
    /// That it is so and what to do, for people.
    #[must_use]
    pub fn told(&self) -> String {
        let Self { key, file, running } = self;
        let remedy = if key == "state.file" { "move the old file there, then mcr restart" } else { "mcr restart" };
        let (file, running) = (value(file), value(running));
        format!("{key} is {file} in the file and not in effect, {running} is: {remedy}, or put it back")
    }
}

/// A value as it is written in the file; what is not written is the default.
#[must_use]
pub fn value(value: &Value) -> String {
    if value.is_null() { "the default".to_owned() } else { value.to_string() }
}

/// Whether a key counts from the start of the lanes on.
#[must_use]
pub fn is_of_lanes(key: &str) -> bool {
    key.starts_with(OF_LANES)
}

/// What a file that was taken says otherwise than the one that control started with.
#[must_use]
pub fn not_in_effect(started_with: &Configuration, taken: &Configuration) -> Vec<NotInEffect> {
    differing(started_with, taken, |key| OF_CONTROL.contains(&key))
}

/// Why a file is refused that wants other lanes than those that run; `None` when it does not.
#[must_use]
pub fn other_lanes(running: &Lanes, wanted: &Lanes) -> Option<String> {
    let of = |lanes: &Lanes| {
        let plan = Plan { lanes: lanes.clone(), ..Plan::default() };
        Configuration { plan, ..Configuration::default() }
    };
    let differing = differing(&of(running), &of(wanted), is_of_lanes);
    let one = |NotInEffect { key, file, running }: &NotInEffect| {
        format!("{key} is {} in the file, {} runs", value(file), value(running))
    };
    let told: Vec<String> = differing.iter().map(one).collect();
    let remedy = "that counts from the start of the lanes on: end mcr (mcr stop) and start it, or put it back";
    (running != wanted).then(|| format!("{}; {remedy}", told.join(", ")))
}

fn differing(running: &Configuration, file: &Configuration, is_meant: impl Fn(&str) -> bool) -> Vec<NotInEffect> {
    let (mut before, after) = (keys(running), keys(file));
    let meant = after.into_iter().filter(|(key, _)| is_meant(key));
    let both = meant.map(|(key, file)| NotInEffect { running: before.remove(&key).unwrap_or_default(), key, file });
    both.filter(|both| both.file != both.running).collect()
}

#[cfg(test)]
mod tests {
    use super::{not_in_effect, other_lanes};
    use crate::config::parse;

    #[test]
    fn what_is_opened_once_is_named_with_both_values() {
        let of = |text: &str| parse("test", text).unwrap();
        let started = of("[http]\nlisten = \"127.0.0.1:9280\"\n[state]\nfile = \"/var/lib/mcr/a.toml\"\n");
        let taken = of("[http]\nlisten = \"off\"\n[health]\nhold_down = \"1s\"\n");
        let told: Vec<String> = not_in_effect(&started, &taken).iter().map(super::NotInEffect::told).collect();
        let listen =
            "http.listen is \"off\" in the file and not in effect, \"127.0.0.1:9280\" is: mcr restart, or put it back";
        let state = "state.file is the default in the file and not in effect, \"/var/lib/mcr/a.toml\" is: \
                     move the old file there, then mcr restart, or put it back";
        assert_eq!(told, [listen, state]);
        assert_eq!(not_in_effect(&started, &started), []);
    }

    #[test]
    fn a_file_that_wants_other_lanes_is_told_which_keys_it_is() {
        let of = |text: &str| parse("test", text).unwrap().plan.lanes;
        let running = of("");
        assert_eq!(other_lanes(&running, &of("[lanes]\nspin_us = 50\n")), None);
        let told = other_lanes(&running, &of("[lanes]\nspin_us = 100\npoll = \"busy\"\n")).unwrap();
        let keys = "lanes.poll is \"busy\" in the file, \"adaptive\" runs, lanes.spin_us is 100 in the file, 50 runs; that counts";
        assert!(told.starts_with(keys), "{told}");
    }
}
