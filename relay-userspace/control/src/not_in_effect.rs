//! Keys of the configuration file that another file has otherwise, and which of them a reload refuses or takes without an
//! effect until a start. Nothing here has an effect.

use relay_common::plan::{Lanes, Plan};
use relay_config::model::{ChangedKey, is_of_lanes, key_value as value};
use relay_config::{Configuration, keys};
use serde_json::Value;

/// What is opened once, when control starts.
const OF_CONTROL: [&str; 4] = ["http.listen", "http.socket", "http.socket_group", "state.file"];

/// All that a file says otherwise than what is in force, but its relays.
#[must_use]
pub fn changed_keys(in_force: &Configuration, file: &Configuration) -> Vec<ChangedKey> {
    let mut all = differing(in_force, file, |_| true);
    let after = keys(file);
    let gone = keys(in_force).into_iter().filter(|(key, _)| !after.contains_key(key));
    all.extend(gone.map(|(key, running)| ChangedKey { key, running, file: Value::Null }));
    all.sort_by(|one, other| one.key.cmp(&other.key));
    all
}

/// What a file that was taken says otherwise than the one that control started with.
#[must_use]
pub fn not_in_effect(started_with: &Configuration, taken: &Configuration) -> Vec<ChangedKey> {
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
    let one = |ChangedKey { key, file, running }: &ChangedKey| {
        format!("{key} is {} in the file, {} runs", value(file), value(running))
    };
    let told: Vec<String> = differing.iter().map(one).collect();
    let remedy = "that counts from the start of the lanes on: end mcr (mcr stop) and start it, or put it back";
    (running != wanted).then(|| format!("{}; {remedy}", told.join(", ")))
}

fn differing(running: &Configuration, file: &Configuration, is_meant: impl Fn(&str) -> bool) -> Vec<ChangedKey> {
    let (mut before, after) = (keys(running), keys(file));
    let meant = after.into_iter().filter(|(key, _)| is_meant(key));
    let both = meant.map(|(key, file)| ChangedKey { running: before.remove(&key).unwrap_or_default(), key, file });
    both.filter(|both| both.file != both.running).collect()
}

#[cfg(test)]
mod tests {
    use super::{changed_keys, not_in_effect, other_lanes};
    use relay_config::parse;

    #[test]
    fn what_is_opened_once_is_named_with_both_values() {
        let of = |text: &str| parse("test", text).unwrap();
        let started = of("[http]\nlisten = \"127.0.0.1:9280\"\n[state]\nfile = \"/var/lib/mcr/a.toml\"\n");
        let taken = of("[http]\nlisten = \"off\"\n[health]\nhold_down = \"1s\"\n");
        let told: Vec<String> = not_in_effect(&started, &taken).iter().map(super::ChangedKey::told).collect();
        let listen =
            "http.listen is \"off\" in the file and not in effect, \"127.0.0.1:9280\" is: mcr restart, or put it back";
        let state = "state.file is the default in the file and not in effect, \"/var/lib/mcr/a.toml\" is: \
                     move the old file there, then mcr restart, or put it back";
        assert_eq!(told, [listen, state]);
        assert_eq!(not_in_effect(&started, &started), []);
    }

    #[test]
    fn every_key_that_is_another_is_named_with_both_values() {
        let of = |text: &str| parse("test", text).unwrap();
        let in_force = of("[[interface]]\nname = 'in0'\nmode = 'native'\n[health]\nready_min = '90%'\n");
        let file = of("[health]\nhold_down = '1s'\n[config]\nwatch = 'changes'\n");
        let told: Vec<String> = changed_keys(&in_force, &file).iter().map(super::ChangedKey::set).collect();
        let expected = [
            "set config.watch to \"changes\" (was \"off\")",
            "set health.hold_down to \"1000ms\" (was \"10000ms\")",
            "set health.ready_min to \"100%\" (was \"90%\")",
            "set interface \"in0\" mode to the default (was \"native\")",
        ];
        assert_eq!(told, expected);
        assert_eq!(changed_keys(&file, &file), []);
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
