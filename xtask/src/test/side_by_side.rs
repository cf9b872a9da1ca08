//! Suites of root side by side: one waits while another computes.
//!
//! Each test works in network namespaces of its own, so suites do not see each other. Those of the laboratory measure, and
//! run before, alone.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use anyhow::Result;

use crate::workspace::Workspace;

use super::{
    root_suite::{Run, Suite},
    table::{Outcome, Row},
    timed,
};

/// As many as two cores can carry: three suites together leave them a tenth to a fifth of the time without work.
const AT_ONCE: usize = 3;

/// How many suites run at once where nobody says a number.
pub(super) fn suites_at_once() -> usize {
    if thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) { AT_ONCE } else { 1 }
}

/// Runs the suites, `at_once` at a time, and gives their rows in the order of the suites.
pub(super) fn run(workspace: &Workspace, suites: &[Suite], run: &Run<'_>, at_once: usize) -> Vec<Row> {
    let compiled = suites.iter().map(|suite| {
        eprintln!("xtask: compiling the tests of {} …", suite.name());
        (suite, suite.compile(workspace))
    });
    let waiting: Mutex<VecDeque<_>> = Mutex::new(compiled.enumerate().collect());
    let (report, reports) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_once.max(1) {
            let (waiting, report) = (&waiting, report.clone());
            scope.spawn(move || {
                while let Some((place, (suite, program))) = next(waiting) {
                    // Whoever receives is there until the scope has ended.
                    let _ = report.send((place, run_one(workspace, suite, program, run)));
                }
            });
        }
    });
    drop(report);
    let mut rows: Vec<(usize, Row)> = reports.iter().collect();
    rows.sort_by_key(|(place, _)| *place);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn next<T>(waiting: &Mutex<VecDeque<T>>) -> Option<T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn run_one(workspace: &Workspace, suite: &Suite, program: Result<PathBuf>, run: &Run<'_>) -> Row {
    let name = suite.name();
    match program {
        Ok(program) => timed(&name, || suite.run_compiled(workspace, &program, run, &format!("{name}: "))),
        Err(error) => Row::new(&name, Outcome::broken(&error), 0.0),
    }
}
