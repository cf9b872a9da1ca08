//! One thing that happened: a stable name, fields, a sentence.

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

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $level:ident;)*) => {
        /// What kind of thing happened. Names are stable: programs match on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The stable name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// How much it matters.
            #[must_use]
            pub const fn level(self) -> Level {
                match self { $(Self::$kind => Level::$level,)* }
            }
        }
    };
}

kinds! {
    /// Packets can flow.
    NodeReady = "node.ready", Info;
    /// The node is asked to end.
    NodeStopping = "node.stopping", Info;
    /// A control took the lanes of a dead one over.
    NodeTakenOver = "node.taken_over", Warn;
    /// A newer binary took over.
    NodeUpgraded = "node.upgraded", Info;
    /// A relay is new.
    RelayCreated = "relay.created", Info;
    /// A relay is another.
    RelayChanged = "relay.changed", Info;
    /// A relay is gone.
    RelayRemoved = "relay.removed", Info;
    /// A part of a relay cannot work yet.
    PartPending = "relay.pending", Warn;
    /// A part of a relay works again.
    PartWorks = "relay.works", Info;
    /// A relay's input is silent.
    StreamInterrupted = "stream.interrupted", Warn;
    /// A relay's input is back.
    StreamRestored = "stream.restored", Info;
    /// A configuration is in force.
    ConfigApplied = "config.applied", Info;
    /// A configuration was refused.
    ConfigRefused = "config.refused", Error;
    /// A change could not be carried out, and was taken back.
    ConfigFailed = "config.failed", Error;
    /// Somebody asked for a change: who, what, before, after, and what became of it.
    Audit = "audit.change", Info;
    /// A link in use is gone, down or without carrier.
    LinkLost = "link.lost", Warn;
    /// A link in use is back.
    LinkReturned = "link.returned", Info;
    /// A lane's process ended.
    LaneDied = "lane.died", Error;
    /// A lane was started again.
    LaneStarted = "lane.started", Info;
    /// A lane does not come round.
    LaneStalled = "lane.stalled", Error;
    /// A lane comes round again.
    LaneResumed = "lane.resumed", Info;
    /// A program is not where it was attached.
    ProgramDetached = "program.detached", Error;
    /// A program is attached.
    ProgramAttached = "program.attached", Info;
    /// The kernel did not hold what it should.
    KernelDiffers = "kernel.differs", Error;
    /// The node's health has changed.
    HealthChanged = "health.changed", Warn;
    /// A local program listens to a group that is relayed, and hears nothing.
    ListenerDark = "listener.dark", Warn;
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// What kind of thing.
    pub kind: Kind,
    /// What it concerns, by stable names: `relay`, `link`, `lane`, `output`, …
    pub fields: Map<String, Value>,
    /// A sentence for people, with the remedy where there is one.
    pub text: String,
}

impl Event {
    /// An event with its sentence.
    #[must_use]
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, fields: Map::new(), text: text.into() }
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}
