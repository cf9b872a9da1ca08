//! What another configuration would make of relays, and whether it may come into force without anybody asking for it.

use crate::plan::Relay;
use alloc::{collections::BTreeMap, string::String, vec::Vec};

/// What of a configuration file that has changed comes into force by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watch {
    /// Nothing: it is told that the file differs.
    #[default]
    Off,
    /// New relays, if nothing else is another.
    Additions,
    /// New relays and changed ones, and how links are used and health is judged, if no relay loses by it, and none is sent that
    /// was not.
    Changes,
}

impl Watch {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Additions, Self::Changes];

    /// The word in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Additions => "additions",
            Self::Changes => "changes",
        }
    }
}

/// What of the relays another configuration changes, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Relays that are new.
    pub added: Vec<String>,
    /// Relays that are others.
    pub changed: Vec<String>,
    /// Relays that are gone.
    pub removed: Vec<String>,
    /// Those of the changed that send nothing any more, or to fewer.
    pub losing: Vec<(String, Loss)>,
    /// Those of the changed that were kept silent, and would be sent.
    pub waking: Vec<(String, Silence)>,
}

/// How a relay was kept silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It did not run.
    Disabled,
    /// It was not sent.
    Muted,
}

impl Silence {
    /// What is done to a relay that is so no more.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Disabled => "enable",
            Self::Muted => "unmute",
        }
    }
}

/// What a relay that stays loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It does not run any more.
    Disabled,
    /// It is not sent any more.
    Muted,
    /// It has fewer outputs.
    Outputs,
}

impl Loss {
    /// What is done to a relay that loses it.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Disabled => "disable",
            Self::Muted => "mute",
            Self::Outputs => "take outputs from",
        }
    }
}

impl Difference {
    /// What another set of relays changes. Names are unique in each.
    #[must_use]
    pub fn between(before: &[Relay], after: &[Relay]) -> Self {
        let by_name = |relays| -> BTreeMap<&str, &Relay> { names(relays).collect() };
        let (old, new) = (by_name(before), by_name(after));
        let mut difference = Self::default();
        for (name, relay) in &new {
            let name = String::from(*name);
            match old.get(name.as_str()) {
                None => difference.added.push(name),
                Some(before) if before != relay => {
                    difference.losing.extend(loss(before, relay).map(|loss| (name.clone(), loss)));
                    difference.waking.extend(woken(before, relay).map(|silence| (name.clone(), silence)));
                    difference.changed.push(name);
                }
                Some(_) => {}
            }
        }
        difference.removed =
            old.keys().filter(|name| !new.contains_key(*name)).map(|name| String::from(*name)).collect();
        difference
    }

    /// Whether all relays stay as they are.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// Whether a configuration with this difference, and with other values of these `keys`, may come into force without
    /// anybody asking. One that takes a relay away, or something from one, never may: a file that was cut off is a file, too. Nor
    /// may one that has a relay sent which somebody keeps silent: the line that said so may be what was cut off, and whoever sends
    /// the same elsewhere is disturbed.
    #[must_use]
    pub fn may_come_unasked<'a>(&self, watch: Watch, mut keys: impl Iterator<Item = &'a str>) -> bool {
        let is_asked_for = !self.removed.is_empty() || !self.losing.is_empty() || !self.waking.is_empty();
        match watch {
            Watch::Off => false,
            Watch::Additions => !is_asked_for && self.changed.is_empty() && keys.next().is_none(),
            Watch::Changes => !is_asked_for && keys.all(is_taken_unasked),
        }
    }
}

/// Who may use the node, what is kept and how files are taken does not change behind anybody's back.
fn is_taken_unasked(key: &str) -> bool {
    ["interface ", "health."].iter().any(|section| key.starts_with(section))
}

fn names(relays: &[Relay]) -> impl Iterator<Item = (&str, &Relay)> {
    relays.iter().map(|relay| (relay.name.as_str(), relay))
}

fn woken(before: &Relay, after: &Relay) -> Option<Silence> {
    match (after.enabled, before.enabled) {
        (true, false) => Some(Silence::Disabled),
        (true, true) => (before.muted && !after.muted).then_some(Silence::Muted),
        (false, _) => None,
    }
}

fn loss(before: &Relay, after: &Relay) -> Option<Loss> {
    let sends = |relay: &Relay| relay.enabled && !relay.muted;
    if before.enabled && !after.enabled {
        Some(Loss::Disabled)
    } else if sends(before) && after.muted {
        Some(Loss::Muted)
    } else {
        (before.enabled && after.outputs.len() < before.outputs.len()).then_some(Loss::Outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::{Difference, Loss, Silence, Watch};
    use crate::entry::Vlans;
    use crate::plan::{Definition, Input, Meters, Output, Relay, Source};
    use alloc::{string::String, vec, vec::Vec};
    use core::net::IpAddr;
    use core::num::NonZeroU16;

    fn relay(name: &str) -> Relay {
        let (link, port) = (|name| String::from(name), NonZeroU16::new(5000).unwrap());
        let output = |last| Output {
            interface: link("out0"),
            vlans: Vlans::Keep,
            destination: IpAddr::from([239, 2, 1, last]),
            port,
            ttl: None,
            dscp: None,
            source: Source::Link,
            source_port: None,
        };
        let input = Input {
            interface: link("in0"),
            vlans: [0, 0],
            destination: IpAddr::from([239, 1, 1, 1]),
            port,
            sources: Vec::new(),
        };
        let (enabled, muted, meters) = (true, false, Meters::Full);
        let outputs = vec![output(1), output(2)].into();
        let (name, description, labels) = (link(name), String::new(), Default::default());
        Relay::from(Definition {
            name,
            description,
            labels,
            enabled,
            muted,
            silence_after_ms: None,
            meters,
            input,
            outputs,
        })
    }

    fn change(change: impl FnOnce(&mut Relay)) -> Relay {
        let mut relay = relay("a");
        change(&mut relay);
        relay
    }

    /// What each setting lets pass of a step between two sets of relays, in the order of `Watch::ALL`.
    fn passes(before: &[Relay], after: &[Relay], keys: &[&str]) -> [bool; 3] {
        let difference = Difference::between(before, after);
        Watch::ALL.map(|watch| difference.may_come_unasked(watch, keys.iter().copied()))
    }

    #[test]
    fn what_differs_is_told_by_name() {
        let before = [relay("a"), relay("b"), relay("c")];
        let after = [relay("d"), relay("c"), change(|relay| relay.outputs.truncate(1))];
        let difference = Difference::between(&before, &after);
        let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| String::from(*name)).collect() };
        assert_eq!((difference.added, difference.changed), (names(&["d"]), names(&["a"])));
        assert_eq!(difference.removed, names(&["b"]));
        assert_eq!(difference.losing, [(String::from("a"), Loss::Outputs)]);
        assert!(Difference::between(&before, &before).is_nothing());
    }

    #[test]
    fn additions_are_new_relays_and_nothing_else() {
        let before = [relay("a")];
        assert_eq!(passes(&before, &[relay("a"), relay("b")], &[]), [false, true, true]);
        assert_eq!(passes(&before, &[relay("a"), relay("b")], &["interface \"in0\" mode"]), [false, false, true]);
        assert_eq!(
            passes(&before, &[change(|relay| relay.silence_after_ms = Some(7)), relay("b")], &[]),
            [false, false, true]
        );
    }

    #[test]
    fn nothing_is_taken_away_unasked() {
        let before = [relay("a"), relay("b")];
        let one = |of: Relay| [of, relay("b")];
        assert_eq!(passes(&before, &before[..1], &[]), [false; 3]);
        assert_eq!(passes(&before, &[], &[]), [false; 3], "an empty file");
        assert_eq!(passes(&before, &one(change(|relay| relay.enabled = false)), &[]), [false; 3]);
        assert_eq!(passes(&before, &one(change(|relay| relay.muted = true)), &[]), [false; 3]);
        assert_eq!(passes(&before, &one(change(|relay| relay.outputs.truncate(1))), &[]), [false; 3]);
        // What did not run, or was not sent, loses nothing.
        let disabled = change(|relay| relay.enabled = false);
        let fewer = change(|relay| (relay.enabled, relay.outputs) = (false, relay.outputs[..1].to_vec().into()));
        assert_eq!(passes(&one(disabled), &one(fewer), &[]), [false, false, true]);
    }

    #[test]
    fn nothing_that_is_kept_silent_is_sent_unasked() {
        let of = |enabled, muted| change(|relay| (relay.enabled, relay.muted) = (enabled, muted));
        let waking = |before: &Relay, after: &Relay| {
            let (before, after) = (core::slice::from_ref(before), core::slice::from_ref(after));
            assert!(!passes(before, after, &[])[1], "additions change nothing");
            (
                Difference::between(before, after).waking.first().map(|(_, silence)| *silence),
                passes(before, after, &[])[2],
            )
        };
        assert_eq!(waking(&of(true, true), &of(true, false)), (Some(Silence::Muted), false));
        assert_eq!(waking(&of(false, false), &of(true, false)), (Some(Silence::Disabled), false));
        // It joins its group again, though it is not sent: whoever has disabled it did not want that either.
        assert_eq!(waking(&of(false, true), &of(true, true)), (Some(Silence::Disabled), false));
        assert_eq!(waking(&of(false, true), &of(false, false)), (None, true), "it does not run as before");
        let quicker = |muted| change(|relay| (relay.muted, relay.silence_after_ms) = (muted, Some(7)));
        assert_eq!(waking(&of(true, true), &quicker(true)), (None, true), "and is muted as before");
    }

    #[test]
    fn who_may_use_the_node_changes_only_when_asked() {
        let same = [relay("a")];
        for key in ["http.reads", "http.tokens \"ops\"", "lanes.spin_us", "state.file", "config.watch"] {
            assert_eq!(passes(&same, &same, &[key]), [false; 3], "{key}");
        }
        assert_eq!(passes(&same, &same, &["health.hold_down"]), [false, false, true]);
    }
}
