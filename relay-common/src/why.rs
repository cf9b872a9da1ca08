//! Why a stream is dark: its way, step by step, and the first step that is broken with its remedy.
//!
//! [`walk`] judges [`Evidence`] that was gathered elsewhere. A step that says how things stand is judged always; one that
//! says what passes is not reached behind a broken one.

mod evidence; // what is known of a relay's way
mod input; // from the link to the lane
mod output; // from the lane to the wire
mod step; // what is found
mod words; // texts that several steps use

pub use evidence::{
    Attachment, Counts, Evidence, Fit, Lane, Listener, Membership, Mute, OutputCounts, Queue, Wire, WireFrames,
};
pub use step::{Finding, Stage, State, Step, Walk};

use alloc::{format, string::String, string::ToString, vec::Vec};

/// Walks the way of a relay. Without evidence there is no relay of that name; `known` are the names that there are.
#[must_use]
pub fn walk(name: &str, evidence: Option<&Evidence>, known: &[&str]) -> Walk {
    let mut way = Way { steps: Vec::new(), is_broken: false };
    let Some(evidence) = evidence else {
        way.add(Stage::Relay, None, no_such_relay(name, known));
        return way.end(name, Vec::new());
    };
    let relay = &evidence.relay;
    let enabled = enabled(evidence);
    let is_enabled = enabled.state == State::Ok;
    way.add(Stage::Relay, None, enabled);
    for stage in Stage::INPUT {
        let finding = if is_enabled { input::find(evidence, stage, way.is_broken) } else { Finding::not_reached() };
        way.add(stage, None, finding);
    }
    let input_is_broken = way.is_broken;
    for i in 0..relay.outputs.len() {
        // Packets may come although a step is broken: a switch that floods needs no join.
        way.is_broken = input_is_broken && !evidence.flows();
        for stage in Stage::OUTPUT {
            let finding =
                if is_enabled { output::find(evidence, i, stage, way.is_broken) } else { Finding::not_reached() };
            way.add(stage, Some(i), finding);
        }
    }
    let warnings = if is_enabled { words::warnings(evidence) } else { Vec::new() };
    way.end(name, warnings)
}

/// A walk in the making.
struct Way {
    steps: Vec<Step>,
    is_broken: bool,
}

impl Way {
    fn add(&mut self, stage: Stage, output: Option<usize>, finding: Finding) {
        self.is_broken |= finding.state == State::Broken;
        self.steps.push(Step { stage, output, finding });
    }

    fn end(self, name: &str, warnings: Vec<String>) -> Walk {
        Walk { relay: name.to_string(), steps: self.steps, warnings }
    }
}

fn no_such_relay(name: &str, known: &[&str]) -> Finding {
    let similar = known.iter().find(|known| known.eq_ignore_ascii_case(name) || is_range(known, name));
    let remedy = match similar {
        Some(similar) => format!("it may be \"{similar}\" that is meant"),
        None => "`mcr relay ls` lists those that there are, `mcr relay add` makes one".to_string(),
    };
    Finding::broken(format!("there is no relay \"{name}\""), remedy)
}

/// Whether a relay is the first of those that a relay with ranges stands for.
fn is_range(known: &str, name: &str) -> bool {
    known.strip_suffix("/0") == Some(name)
}

fn enabled(evidence: &Evidence) -> Finding {
    let relay = &evidence.relay;
    if relay.enabled {
        let n = relay.outputs.len();
        let input = words::input(&relay.input);
        return Finding::ok(format!("enabled: {input} to {n} output{}", if n == 1 { "" } else { "s" }));
    }
    let remedy = match &evidence.file {
        Some(file) => format!("set enabled = true in {file}"),
        None => format!("mcr relay enable {}", relay.name),
    };
    Finding::broken("disabled", remedy)
}

#[cfg(test)]
mod tests;
