//! One thing that happened: a stable name, fields, a sentence.

use relay_common::throttle::Displaced;
use serde_json::{Map, Value};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warn,
    /// Packets are lost, or will be.
    Error,
}

impl Level {
    /// The word in the log and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal, $level:ident, [$($field:literal),*];)*) => {
        /// What kind of thing happened. Names are stable: programs match on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[doc = $doc])+ $kind,)* }

        impl Kind {
            /// All kinds, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The stable name: a topic, a dot, and what happened.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// How much it matters.
            #[must_use]
            pub const fn level(self) -> Level {
                match self { $(Self::$kind => Level::$level,)* }
            }

            /// What it means.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$kind => concat!($($doc),+).trim_ascii(),)* }
            }

            /// The fields that it can have.
            #[must_use]
            pub const fn fields(self) -> &'static [&'static str] {
                match self { $(Self::$kind => &[$($field),*],)* }
            }
        }
    };
}

// A name, a level, and the stable names of its fields. The first field that an event has of `relay`, `link`, `lane` and
// `check` is its subject: how often things are said of one is limited for each subject.
kinds! {
    /// Packets can flow.
    NodeReady = "node.ready", Info, ["relays", "lanes", "pending", "generation", "took_ms"];
    /// The node is asked to end.
    NodeStopping = "node.stopping", Info, [];
    /// A control took the lanes of a dead one over.
    NodeTakenOver = "node.taken_over", Warn, [];
    /// None of the lanes that a dead control left could be taken over: everything began anew, and streams were interrupted.
    NodeBegunAnew = "node.begun_anew", Error, ["lanes"];
    /// A newer binary took over.
    NodeUpgraded = "node.upgraded", Info, ["from", "to"];
    /// A newer binary was to take over and failed, and the one before came back. The audit has it as carried out.
    NodeWentBack = "node.went_back", Error, ["version", "problem"];
    /// A relay is new.
    RelayCreated = "relay.created", Info, ["relay", "generation"];
    /// A relay is another.
    RelayChanged = "relay.changed", Info, ["relay", "generation"];
    /// A relay is gone.
    RelayRemoved = "relay.removed", Info, ["relay", "generation"];
    /// A relay that came through the API does not run, because the configuration file has what it wants.
    RelayShadowed = "relay.shadowed", Warn, ["relay", "problem"];
    /// A part of a relay cannot work yet.
    PartPending = "relay.pending", Warn, ["relay", "part", "reason"];
    /// A part of a relay works again.
    PartWorks = "relay.works", Info, ["relay", "part"];
    /// A relay's input is silent: nothing has come for longer than its `silence_after`.
    StreamInterrupted = "stream.interrupted", Warn, ["relay", "input", "silent_s", "came_before"];
    /// A relay's input is back, and has come for as long as its `silence_after` without such a pause.
    StreamRestored = "stream.restored", Info, ["relay", "input", "silent_s"];
    /// What a relay sends comes round to its input over other nodes: packets from there are dropped.
    LoopDetected = "loop.detected", Error, ["relay", "from", "ttl", "all"];
    /// What a relay sends does not come round any more.
    LoopEnded = "loop.ended", Info, ["relay"];
    /// A configuration is in force.
    ConfigApplied = "config.applied", Info, ["generation", "changes"];
    /// The configuration file has changed and is not in force: it comes into force when it is asked for (`mcr reload`). Told at
    /// `info`, without fields, when it says what is in force again.
    ConfigDiffers = "config.differs", Warn, ["added", "changed", "removed", "displaced", "keys", "error"];
    /// A configuration was taken on trial: it is given up unless it is confirmed in time.
    ConfigOnTrial = "config.on_trial", Warn, ["until", "seconds"];
    /// What was on trial is kept.
    ConfigConfirmed = "config.confirmed", Info, [];
    /// What ran before the last reload runs again, because somebody asked for it or nobody has confirmed the other in time.
    ConfigRolledBack = "config.rolled_back", Warn, ["reason"];
    /// The state file cannot be written, as on a disk that is full or takes nothing any more: what is changed through the API
    /// is refused until it can. It is tried every ten seconds.
    StateUnwritable = "state.unwritable", Warn, ["file", "error"];
    /// The state file can be written again.
    StateWritable = "state.writable", Info, ["file"];
    /// What came through the API is in force and not in the state file: somebody wanted it so, and it is written as soon as that
    /// works.
    StateNotKept = "state.not_kept", Warn, ["file", "error"];
    /// The state file has what is in force again.
    StateKept = "state.kept", Info, ["file"];
    /// A configuration was refused.
    ConfigRefused = "config.refused", Error, ["error"];
    /// A change could not be carried out, and was taken back.
    ConfigFailed = "config.failed", Error, ["error"];
    /// Somebody asked for a change: who, what, before, after, and what became of it.
    Audit = "audit.change", Info,
        ["who", "uid", "pid", "token", "what", "relay", "before", "after", "outcome", "error", "generation", "change"];
    /// Events are missing before the next that is told: they were pushed out before they were read, or the machine was booted.
    EventsLost = "events.lost", Warn, ["from", "to", "count"];
    /// Somebody was not given what they asked the API for, or no longer.
    AuditDenied = "audit.denied", Warn, ["who", "from", "uid", "pid", "token", "method", "path", "status", "error"];
    /// A link in use is gone, down or without carrier.
    LinkLost = "link.lost", Warn, ["link"];
    /// A link in use is back.
    LinkReturned = "link.returned", Info, ["link"];
    /// The groups of a link were reported to the network again, because its carrier returned.
    LinkReported = "link.reported", Info, ["link", "groups"];
    /// A lane's process ended.
    LaneDied = "lane.died", Error, ["lane", "pid", "ending"];
    /// A lane that a dead control left showed what cannot be: it was ended, and another was started.
    LaneUntrue = "lane.untrue", Error, ["lane", "pid", "problem"];
    /// A lane that a dead control left could not be taken over: it was ended, and another was started.
    LaneReplaced = "lane.replaced", Error, ["lane", "pid", "problem"];
    /// A lane was started again.
    LaneStarted = "lane.started", Info, ["lane"];
    /// A lane does not come round.
    LaneStalled = "lane.stalled", Error, ["lane"];
    /// A lane comes round again.
    LaneResumed = "lane.resumed", Info, ["lane"];
    /// A program is not where it was attached.
    ProgramDetached = "program.detached", Error, ["link", "program"];
    /// The kernel did not hold what it should, or could not be asked.
    KernelDiffers = "kernel.differs", Error, ["check"];
    /// A key of `[http]` cannot be had, as an address that another program listens at: packets flow without it, and it is tried
    /// again each second.
    HttpLacking = "http.lacking", Warn, ["key", "error"];
    /// A key of `[http]` that could not be had is in effect.
    HttpThere = "http.there", Info, ["key"];
    /// A verdict on the node is given by a check that fails, or not any more (`ok`): `fault`, `drift` or `partial`.
    HealthChanged = "health.changed", Warn, ["verdict", "ok"];
}

impl Kind {
    /// What comes before the dot. Kinds of one topic undo each other, so they are held back together: what was said
    /// last of a subject is what happened last. Nothing undoes a death: it has a topic of its own.
    #[must_use]
    pub fn topic(self) -> &'static str {
        if self == Self::LaneDied { self.name() } else { self.name().split('.').next().unwrap_or_default() }
    }

    /// Whether it says who wanted what: it stands in the log whatever the log's level is.
    #[must_use]
    pub fn is_audit(self) -> bool {
        self.topic() == "audit"
    }

    /// Whether each one is said, however many there are: what people asked for must be found again, and roles and health
    /// are what others decide by.
    #[must_use]
    pub fn is_always_said(self) -> bool {
        matches!(self.topic(), "audit" | "config" | "events" | "node" | "role" | "health")
    }

    /// What may take its place while it is held back. A relay that is gone is looked for by its removal.
    #[must_use]
    pub const fn displaced(self) -> Displaced {
        if matches!(self, Self::RelayRemoved) { Displaced::OnlyByItsLike } else { Displaced::ByAnything }
    }

    /// Its place in [`Kind::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The field that tells how many events of the same topic and subject were left out before this one.
pub const HELD_BACK: &str = "held_back";

/// What an event can be about, in this order: the first that it has is its subject.
const SUBJECTS: [&str; 4] = ["relay", "link", "lane", "check"];

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What kind of thing.
    pub kind: Kind,
    /// How much it matters: as its kind, if nobody said otherwise.
    pub level: Level,
    /// What it concerns, by stable names: `relay`, `link`, `lane`, `output`, …
    pub fields: Map<String, Value>,
    /// A sentence for people, with the remedy where there is one.
    pub text: String,
    /// Whose requests are told at a bounded rate: those that change nothing could be made without end.
    pub client: Option<String>,
}

impl Event {
    /// An event with its sentence.
    #[must_use]
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, level: kind.level(), fields: Map::new(), text: text.into(), client: None }
    }

    /// The same with one more field, one of those that its kind can have.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        debug_assert!(
            self.kind.fields().contains(&name),
            "{} has no field {name}: write it into its line in events/event.rs",
            self.kind.name()
        );
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// The same, told at the rate that this client has.
    #[must_use]
    pub fn paced(mut self, client: impl Into<String>) -> Self {
        self.client = Some(client.into());
        self
    }

    /// The same, mattering as much as that.
    #[must_use]
    pub const fn at(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// What it is about: the limit of how often something is said counts for each.
    #[must_use]
    pub fn subject(&self) -> String {
        let value = SUBJECTS.iter().find_map(|name| self.fields.get(*name));
        value.map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, HELD_BACK, Kind, Level};
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_have_a_topic() {
        let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for (i, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(kind.index(), i);
            assert_eq!(kind.name().split('.').count(), 2, "{}", kind.name());
            assert!(kind.help().ends_with('.'), "{}", kind.name());
        }
    }

    #[test]
    fn no_field_hides_one_that_every_line_has() {
        for kind in Kind::ALL {
            for field in kind.fields() {
                assert!(
                    !["time", "told_at", "level", "event", "text", "id", HELD_BACK].contains(field),
                    "{}",
                    kind.name()
                );
            }
        }
    }

    #[test]
    fn the_subject_is_what_it_is_about() {
        assert_eq!(Event::new(Kind::LaneDied, "x").with("pid", 7).with("lane", 3).subject(), "3");
        assert_eq!(Event::new(Kind::PartPending, "x").with("part", "input").with("relay", "one").subject(), "one");
        assert_eq!(Event::new(Kind::NodeReady, "x").subject(), "");
    }

    #[test]
    fn what_undoes_each_other_has_one_topic_and_a_death_its_own() {
        assert_eq!((Kind::LaneStalled.topic(), Kind::LaneResumed.topic()), ("lane", "lane"));
        assert_eq!(Kind::LaneDied.topic(), "lane.died");
    }

    #[test]
    fn good_news_of_a_bad_kind_matters_less() {
        let event = Event::new(Kind::HealthChanged, "well again").at(Level::Info);
        assert_eq!((event.level, Event::new(Kind::HealthChanged, "x").level), (Level::Info, Level::Warn));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "lane.died has no field colour")]
    fn a_field_that_is_not_documented_is_found_in_tests() {
        let _ = Event::new(Kind::LaneDied, "x").with("colour", "red");
    }
}
