//! `mcr check FILE`: what a file would do on this node, without doing it.

pub mod kernel; // what this kernel has, and its faults
pub mod machine; // what this machine cannot do
mod show; // a table for people

pub use show::show_table;

use relay_common::facts::Facts;
use relay_common::plan::Plan;
use relay_common::table::{Compiled, Placement, compile};
use relay_config as config;
use relay_config::{Configuration, Errors};
use relay_control::link::hint::Hint;
use relay_control::observe::warnings;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

/// How a file is checked and shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What is pending is an error.
    pub strict: bool,
    /// For programs instead of people.
    pub json: bool,
    /// Only what the file itself says: this is not the machine that it is for.
    pub offline: bool,
}

/// Checks a file, writes what was found to `out`, and says whether the file is good. `look` is asked what is known
/// of the machine; offline nobody is.
///
/// # Errors
///
/// Only if `out` cannot be written to.
pub fn run(
    file: &Path,
    look: impl FnOnce(&Configuration) -> Seen,
    options: Options,
    out: &mut impl Write,
) -> io::Result<bool> {
    let name = file.display().to_string();
    let (good, value, text) = match config::load_piped(file) {
        Err(errors) => (false, errors_as_json(&errors), errors.to_string()),
        Ok(configuration) => {
            let seen = if options.offline { Seen::default() } else { look(&configuration) };
            let (Configuration { plan, .. }, facts) = (configuration, &seen.facts);
            let mut compiled = compile(&plan, facts, &Placement::new(&plan, facts, None), None);
            if options.offline {
                // That nothing is there tells nothing.
                compiled.pending.clear();
            }
            let found = Found { compiled, seen };
            let good = is_good(&found, options);
            (good, as_json(&name, &plan, &found, options), as_text(&name, &plan, &found, options))
        }
    };
    if options.json {
        writeln!(out, "{value:#}")?
    } else {
        writeln!(out, "{}", text.trim_end())?
    }
    Ok(good)
}

/// What is known of this node.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Its links and neighbours.
    pub facts: Facts,
    /// What `mcr run` would refuse.
    pub refusals: Vec<String>,
    /// What it would begin without: of the API, and of what came through it.
    pub lacks: Vec<String>,
    /// Links that something else uses.
    pub beside: Vec<String>,
    /// What is wrong with the user that lanes would have.
    pub lanes: Option<String>,
    /// Faults of its kernel that the plan would wake, by link.
    pub kernel: Vec<(String, Hint)>,
}

/// What was found of a file without errors.
#[derive(Debug)]
pub struct Found {
    /// What its plan comes to.
    pub compiled: Compiled,
    /// What is known of this node.
    pub seen: Seen,
}

/// Says whether a plan may be run.
fn is_good(found: &Found, options: Options) -> bool {
    let Found { compiled, seen } = found;
    let waits = !compiled.pending.is_empty() || !seen.lacks.is_empty() || !seen.beside.is_empty();
    compiled.refused.is_empty() && seen.refusals.is_empty() && !(options.strict && waits)
}

/// What was found, for people.
#[must_use]
pub fn as_text(file: &str, plan: &Plan, found: &Found, options: Options) -> String {
    let Found { compiled, seen: Seen { refusals, lacks, beside, lanes, kernel, .. } } = found;
    let mut text = String::new();
    for conflict in &compiled.refused {
        let _ = writeln!(text, "{file}: error: {conflict}"); // Writing to a String cannot fail.
    }
    for refusal in refusals {
        let _ = writeln!(text, "{file}: error: mcr run would not start here: {refusal}");
    }
    let weight = if options.strict { "error" } else { "warning" };
    for pending in &compiled.pending {
        let _ = writeln!(text, "{file}: {weight}: {pending}");
    }
    for lack in lacks.iter().chain(beside) {
        let _ = writeln!(text, "{file}: {weight}: {lack}");
    }
    if let Some(doubt) = lanes {
        let _ = writeln!(text, "{file}: warning: {doubt}");
    }
    // Whoever runs that kernel may have no other: never an error.
    for (link, Hint { text: fault, remedy, .. }) in kernel {
        let _ = writeln!(text, "{file}: warning: {link}: {fault}; remedy: {remedy}");
    }
    for (relay, warning) in
        warnings(&plan.relays).iter().flat_map(|(relay, all)| all.iter().map(move |one| (relay, one)))
    {
        let _ = writeln!(text, "{file}: warning: relay \"{relay}\": {warning}");
    }
    let (relays, outputs) = (counted(plan.relays.len(), "relay"), counted(n_outputs(plan), "output"));
    let good = if options.offline { "good, as far as the file tells" } else { "good" };
    let end = match (is_good(found, options), compiled.pending.len()) {
        (false, _) => "refused".to_owned(),
        (true, 0) => good.to_owned(),
        (true, n) => format!("good, {n} pending"),
    };
    let _ = writeln!(text, "{file}: {relays}, {outputs}: {end}");
    if !plan.relays.is_empty() && !options.offline {
        let _ = write!(text, "\n{}", show_table(&compiled.table));
    }
    text
}

/// What was found, for programs.
fn as_json(file: &str, plan: &Plan, found: &Found, options: Options) -> Value {
    let Found { compiled, seen: Seen { refusals, lacks, beside, lanes, kernel, .. } } = found;
    let pending = compiled.pending.iter().map(|pending| {
        json!({
            "relay": pending.relay,
            "part": pending.part.to_string(),
            "reason": pending.reason.name(),
            "text": pending.reason.to_string(),
        })
    });
    json!({
        "file": file,
        "good": is_good(found, options),
        "relays": plan.relays.len(),
        "outputs": n_outputs(plan),
        "errors": compiled.refused.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "pending": pending.collect::<Vec<_>>(),
        "warnings": warnings(&plan.relays),
        "refusals": refusals,
        "lacks": lacks,
        "beside": beside,
        "lanes": lanes,
        "kernel": kernel.iter().map(kernel_as_json).collect::<Vec<_>>(),
    })
}

fn kernel_as_json((link, Hint { text, remedy, .. }): &(String, Hint)) -> Value {
    json!({ "link": link, "text": text, "remedy": remedy })
}

fn errors_as_json(errors: &Errors) -> Value {
    json!({ "file": errors.file, "good": false, "errors": errors.errors })
}

fn n_outputs(plan: &Plan) -> usize {
    plan.relays.iter().map(|relay| relay.outputs.len()).sum()
}

fn counted(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests;
