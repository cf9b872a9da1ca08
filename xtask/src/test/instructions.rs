//! Instructions that the pure functions take, compared with what was recorded.
//!
//! Times need a quiet machine; the instructions of a function without effects are the same each time. callgrind counts
//! them, in the bench `forward` of the crate bench, and bench/instructions.toml says how many there were.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{packages, packages::COUNTING, step, workspace::Workspace};

use self::{
    count::Counter,
    record::{Compiler, Record},
};
use super::{
    program,
    table::{Outcome, Row},
    tally::Tally,
    timed,
};

mod count; // one case under callgrind
mod record; // bench/instructions.toml

const SUITE: &str = "instructions";
const RECORD: &str = "bench/instructions.toml";
/// The program that has the cases.
const PROGRAM: &str = "forward";

/// Counts every case; `recording` writes down what has changed instead of complaining.
pub(super) fn run(workspace: &Workspace, recording: bool) -> Row {
    let path = workspace.root().join(RECORD);
    match prepare(&path, recording) {
        Ok((record, compiler)) => timed(SUITE, || {
            let counter = Counter::new(compile(workspace)?, workspace.target().join(SUITE))?;
            if recording { write_down(record, compiler, &counter, &path) } else { compare(&record, &counter) }
        }),
        Err(outcome) => Row::new(SUITE, outcome, 0.0),
    }
}

/// What was recorded and the compiler that is here; or how the suite ends, because they do not fit.
fn prepare(path: &Path, recording: bool) -> Result<(Record, Compiler), Outcome> {
    let found = read(path, recording).and_then(|record| Ok((record, Compiler::here()?)));
    let (record, here) = found.map_err(|error| Outcome::broken(&error))?;
    if here != record.compiler && !recording {
        let why = format!("{RECORD} is of {}, this is {here}; other compilers make other code", record.compiler);
        return Err(Outcome::Skipped(why));
    }
    packages::install_missing(&COUNTING).map_err(|error| Outcome::Skipped(format!("{error:#}")))?;
    Ok((record, here))
}

fn read(path: &Path, recording: bool) -> Result<Record> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {RECORD}"))?;
    let record = Record::parse(&text).with_context(|| format!("{RECORD} is not as it must be"))?;
    if !recording {
        record.complete().with_context(|| format!("{RECORD} is not complete"))?;
    }
    Ok(record)
}

fn compile(workspace: &Workspace) -> Result<std::path::PathBuf> {
    eprintln!("xtask: compiling the bench {PROGRAM} …");
    let mut cargo = workspace.cargo();
    cargo.args(["bench", "--no-run", "--package", "bench", "--bench", PROGRAM]);
    // What a user compiles with makes other code than what was recorded.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    program::compile(cargo, "bench", "bench", PROGRAM)
}

/// A case that takes more than what was recorded is a failure; one that takes less is told.
fn compare(record: &Record, counter: &Counter) -> Result<Tally> {
    let mut tally = Tally::default();
    for case in &record.cases {
        let count = counter.count(&case.name)?;
        let verdict = case.judge(count.each());
        eprintln!("{}", verdict.line(case, count.each()));
        if verdict.is_failure() {
            tally.failed += 1;
            eprintln!(
                "error: \"{}\" takes {:.1} instructions a {}, {:.1} were recorded: find what grew \
                 (callgrind_annotate {}), or record the new number and say why: cargo xtask test instructions --record",
                case.name,
                count.each(),
                count.unit,
                case.instructions,
                count.profile.display(),
            );
        } else {
            tally.passed += 1;
        }
    }
    Ok(tally)
}

/// Writes down what has changed by more than the tolerance. Its reason is left for a person.
fn write_down(mut record: Record, compiler: Compiler, counter: &Counter, path: &Path) -> Result<Tally> {
    record.compiler = compiler;
    for case in &mut record.cases {
        let each = counter.count(&case.name)?.each();
        let verdict = case.judge(each);
        eprintln!("{}", verdict.line(case, each));
        if verdict.is_change() {
            case.instructions = each;
            case.reason.clear();
        }
    }
    fs::write(path, record.text()).with_context(|| format!("cannot write {RECORD}"))?;
    let unexplained: Vec<&str> = record.unexplained().collect();
    if !unexplained.is_empty() {
        eprintln!("xtask: say why, as `reason` in {RECORD}: {}", unexplained.join("; "));
    }
    Ok(Tally { passed: u32::try_from(record.cases.len()).unwrap_or(u32::MAX), ..Tally::default() })
}

impl Compiler {
    fn here() -> Result<Self> {
        let about = step::capture(Command::new("rustc").arg("-vV"))?;
        let compiler = Self::parse(&about);
        ensure!(!compiler.rustc.is_empty() && !compiler.host.is_empty(), "`rustc -vV` does not say what it is");
        Ok(compiler)
    }
}
