//! What is found on the way: steps, each with its state, and the remedy of what is broken.

use alloc::{format, string::String, vec::Vec};
use core::fmt;

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Ok,
    /// The stream, or a part of it, ends here.
    Broken,
    /// It cannot be told.
    Unknown,
    /// Something before it is broken, so there is nothing to judge.
    NotReached,
}

impl State {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
            Self::NotReached => "not_reached",
        }
    }
}

macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// A step of the way.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Stage { $($(#[$doc])* $name,)* }

        impl Stage {
            /// All of them, in the order of the way.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in JSON, and before the text of the step.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

stages! {
    /// The relay exists and is enabled.
    Relay = "relay",
    /// The input link exists and can be used.
    Link = "link",
    /// It is up and has carrier.
    Carrier = "carrier",
    /// Its frames fit ours.
    Mtu = "mtu",
    /// The group is joined there, or the address is its own.
    Joined = "joined",
    /// Our program runs on it.
    Attached = "attached",
    /// The program knows the relay.
    Matched = "matched",
    /// Something of the stream arrives.
    Seen = "seen",
    /// In whole datagrams.
    Whole = "whole",
    /// In the right VLAN.
    Vlan = "vlan",
    /// From a source that the relay takes.
    Source = "source",
    /// Not from ourselves.
    Loop = "loop",
    /// Every queue has a socket.
    Socket = "socket",
    /// The lanes run, with the table in force.
    Lane = "lane",
    /// They get packets of the relay.
    Received = "received",
    /// And can relay them.
    Relayed = "relayed",
    /// The output may send.
    Muted = "muted",
    /// Its link can be sent on.
    OutputLink = "output_link",
    /// The next hop is known.
    Neighbour = "neighbour",
    /// Nothing is lost on the way out.
    Losses = "losses",
    /// Packets go out.
    Sent = "sent",
    /// They get as far as they should.
    Ttl = "ttl",
}

impl Stage {
    /// The steps of an input, in order.
    pub(super) const INPUT: [Self; 15] = [
        Self::Link,
        Self::Carrier,
        Self::Mtu,
        Self::Joined,
        Self::Attached,
        Self::Matched,
        Self::Seen,
        Self::Whole,
        Self::Vlan,
        Self::Source,
        Self::Loop,
        Self::Socket,
        Self::Lane,
        Self::Received,
        Self::Relayed,
    ];
    /// The steps of each output, in order.
    pub(super) const OUTPUT: [Self; 6] =
        [Self::Muted, Self::OutputLink, Self::Neighbour, Self::Losses, Self::Sent, Self::Ttl];
}

/// What was found at a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it stands.
    pub state: State,
    /// What was found, in one line; empty where nothing was reached.
    pub text: String,
    /// What to do, where something is broken.
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self { state: State::Ok, text: text.into(), remedy: None }
    }

    pub(super) fn unknown(text: impl Into<String>) -> Self {
        Self { state: State::Unknown, text: text.into(), remedy: None }
    }

    pub(super) fn broken(text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Broken, text: text.into(), remedy: Some(remedy.into()) }
    }

    pub(super) const fn not_reached() -> Self {
        Self { state: State::NotReached, text: String::new(), remedy: None }
    }

    /// From a text that says what is wrong and, after a colon, what to do.
    pub(super) fn told(text: &str) -> Self {
        let (what, remedy) = text.split_once(": ").unwrap_or((text, "see the log of mcr"));
        Self::broken(what, remedy)
    }
}

/// A step, and what was found at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The step.
    pub stage: Stage,
    /// Which output it is of, in the user's order; `None` on the way in.
    pub output: Option<usize>,
    /// What was found.
    pub finding: Finding,
}

/// The whole way of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The relay's name.
    pub relay: String,
    /// Its steps, in order; those of each output behind those of the input.
    pub steps: Vec<Step>,
    /// What does not stop the stream but somebody should know.
    pub warnings: Vec<String>,
}

impl Walk {
    /// The first step that is broken: the answer, when the stream is dark.
    #[must_use]
    pub fn first_broken(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.finding.state == State::Broken)
    }

    /// The answer in one line.
    #[must_use]
    pub fn answer(&self) -> String {
        let Some(Step { stage, output, finding }) = self.first_broken() else {
            return format!("relay \"{}\": nothing is broken", self.relay);
        };
        let at = output.map_or_else(String::new, |i| format!("outputs[{i}] "));
        format!("relay \"{}\" {at}{}: {}", self.relay, stage.name(), finding.text)
    }
}

impl fmt::Display for Walk {
    /// One line a step, the remedy below the first that is broken, then the warnings and the answer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.first_broken();
        let mut output = None;
        for step in &self.steps {
            if step.output != output {
                output = step.output;
                writeln!(f, "outputs[{}]", output.unwrap_or_default())?;
            }
            let mark = match step.finding.state {
                State::Ok => "ok",
                State::Broken => "BROKEN",
                State::Unknown => "?",
                State::NotReached => "-",
            };
            let line = format!("  {:11} {mark:6} {}", step.stage.name(), step.finding.text);
            writeln!(f, "{}", line.trim_end())?;
            if first.is_some_and(|first| core::ptr::eq(first, step))
                && let Some(remedy) = &step.finding.remedy
            {
                writeln!(f, "  {:11} {:6} -> {remedy}", "", "")?;
            }
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        writeln!(f, "{}", self.answer())
    }
}
