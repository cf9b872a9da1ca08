//! What the configuration file says otherwise than what is in force. Nothing here has an effect.

use super::book::Book;
use relay_common::health::NAMED;
use relay_common::plan::Relay;
use relay_common::unasked::{Difference, Watch};
use relay_config::{Configuration, keys};
use std::collections::{BTreeSet, HashMap};
use std::fmt;

/// What of a configuration file is not in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differs {
    /// The file's relays.
    pub relays: Difference,
    /// The relays of the API that would not run as they do, because the file has their name or what they need.
    pub displaced: Vec<String>,
    /// All other keys.
    pub keys: Vec<String>,
}

impl Differs {
    /// What a file says otherwise than what is in force; `None` when that is the same.
    #[must_use]
    pub fn between(in_force: &Configuration, book: &Book, file: &Configuration) -> Option<Self> {
        let relays = Difference::between(&book.of_file.relays, &file.plan.relays);
        let displaced =
            if relays.is_nothing() { Vec::new() } else { displaced(book, &book.with_file(file.plan.clone())) };
        let (before, after) = (keys(in_force), keys(file));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let keys = names.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned().collect();
        let differs = Self { relays, displaced, keys };
        (differs != Self::default()).then_some(differs)
    }

    /// Whether the file may come into force without anybody asking for it.
    #[must_use]
    pub fn may_come_unasked(&self, watch: Watch) -> bool {
        self.displaced.is_empty() && self.relays.may_come_unasked(watch, self.keys.iter().map(String::as_str))
    }

    /// That it differs, for people.
    #[must_use]
    pub fn told(&self) -> String {
        format!("to take it would {self}: mcr diff shows it, mcr reload takes it")
    }

    /// What never comes by itself: the verb, and whom it hits.
    fn deeds(&self) -> Vec<(&'static str, Vec<String>)> {
        let mut deeds: Vec<(&'static str, Vec<String>)> = Vec::new();
        let removed = self.relays.removed.iter().map(|name| ("remove", name));
        let losing = self.relays.losing.iter().map(|(name, loss)| (loss.verb(), name));
        let displaced = self.displaced.iter().map(|name| ("take the place of the API's", name));
        let waking = self.relays.waking.iter().map(|(name, silence)| (silence.verb(), name));
        for (verb, name) in removed.chain(losing).chain(waking).chain(displaced) {
            match deeds.iter_mut().find(|(of, _)| *of == verb) {
                Some((_, names)) => names.push(name.clone()),
                None => deeds.push((verb, vec![name.clone()])),
            }
        }
        deeds
    }
}

/// The API's relays that run, and would not, or not as they do.
fn displaced(before: &Book, after: &Book) -> Vec<String> {
    let after = after.plan();
    let by_name: HashMap<&str, &Relay> = after.relays.iter().map(|relay| (relay.name.as_str(), relay)).collect();
    let runs = |relay: &Relay| by_name.get(relay.name.as_str()) == Some(&relay);
    let running = before.of_api.values().filter(|relay| !before.shadowed.contains_key(&relay.name));
    running.filter(|relay| !runs(relay)).map(|relay| relay.name.clone()).collect()
}

/// What the file would do: `add 2 relays, remove relay "a", set http.reads`.
impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |verb, n| match n {
            0 => None,
            1 => Some(format!("{verb} 1 relay")),
            n => Some(format!("{verb} {n} relays")),
        };
        let relays = [counted("add", self.relays.added.len()), counted("change", self.relays.changed.len())];
        let quoted = |names: &[String]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
        let deeds = self.deeds().into_iter().map(|(verb, names)| format!("{verb} relay {}", listed(&quoted(&names))));
        let set = (!self.keys.is_empty()).then(|| format!("set {}", listed(&self.keys)));
        let parts: Vec<String> = relays.into_iter().flatten().chain(deeds).chain(set).collect();
        write!(f, "{}", parts.join(", "))
    }
}

/// The first of them, and how many there are.
fn listed(names: &[String]) -> String {
    let first = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::Differs;
    use crate::book::Book;
    use relay_common::unasked::Watch;
    use relay_config::{Configuration, parse};
    use std::fmt::Write as _;
    use std::path::PathBuf;

    /// A file with relays of these numbers.
    fn file(head: &str, numbers: impl IntoIterator<Item = u8>) -> Configuration {
        let text = numbers.into_iter().fold(head.to_owned(), |mut text, n| {
            write!(
                text,
                "\n[[relay]]\nname = \"r{n}\"\n\
                 input = {{ interface = \"in0\", group = \"239.1.1.{n}\", port = 5000 }}\n\
                 outputs = [{{ interface = \"out0\", group = \"239.2.1.{n}\", port = 5000 }}]\n"
            )
            .unwrap();
            text
        });
        parse("relay.toml", &text).unwrap()
    }

    fn book(in_force: &Configuration, of_api: impl IntoIterator<Item = u8>) -> Book {
        Book::new(PathBuf::from("relay.toml"), in_force.plan.clone(), file("", of_api).plan.relays)
    }

    fn differs(in_force: &Configuration, file: &Configuration) -> Option<Differs> {
        Differs::between(in_force, &book(in_force, []), file)
    }

    #[test]
    fn remarks_and_what_is_said_in_other_words_are_no_difference() {
        let in_force = file("", 1..4);
        assert_eq!(differs(&in_force, &file("# another\n[health]\nhold_down = \"10000ms\"\n", 1..4)), None);
    }

    #[test]
    fn a_file_that_takes_relays_away_names_them_and_never_comes_by_itself() {
        let in_force = file("", 1..10);
        let cut = differs(&in_force, &file("", [1, 2, 20])).unwrap();
        let said = "add 1 relay, remove relay \"r3\", \"r4\", \"r5\", \"r6\" and 3 more";
        assert_eq!(cut.to_string(), said);
        assert_eq!(Watch::ALL.map(|watch| cut.may_come_unasked(watch)), [false; 3]);
        let more = differs(&in_force, &file("", 1..11)).unwrap();
        assert_eq!((more.to_string().as_str(), more.may_come_unasked(Watch::Additions)), ("add 1 relay", true));
    }

    #[test]
    fn keys_are_named() {
        let in_force = file("", [1]);
        let other = file("[lanes]\nspin_us = 7\n[http]\nreads = \"open\"\nlisten = \"off\"\n", [1]);
        assert_eq!(differs(&in_force, &other).unwrap().to_string(), "set http.listen, lanes.spin_us");
    }

    /// The file would have its way: the API's relay runs no more, or as another.
    #[test]
    fn a_relay_of_the_api_is_not_displaced_unasked() {
        let in_force = file("", [1]);
        let book = book(&in_force, [2]);
        let other = parse("test", &file("", [1, 3]).text.replace("239.1.1.3", "239.1.1.2")).unwrap();
        let differs = Differs::between(&in_force, &book, &other).unwrap();
        assert_eq!(differs.to_string(), "add 1 relay, take the place of the API's relay \"r2\"");
        assert!(!differs.may_come_unasked(Watch::Changes));
        // One that is written into the file as it runs loses nothing.
        let same = Differs::between(&in_force, &book, &file("", [1, 2])).unwrap();
        assert_eq!((same.displaced.as_slice(), same.may_come_unasked(Watch::Additions)), (&[][..], true));
    }
}
