//! What the pure functions cost: those on the way of a packet, which may allocate nothing, and those of a change.
//!
//! `cargo bench -p bench` prints times, `cargo bench -p bench -- PART OF A NAME` those of some. Times are of this machine
//! at this moment: compare within one run. `--quick` measures less, `--json FILE` keeps them for the bench's document. `--count NAME` does the measured work of one case where a program that
//! counts instructions can find it: `cargo xtask test instructions` compares such counts with what was recorded.

mod case; // what is measured, and all of it
mod counters; // what counting costs
mod counting; // for a program that counts instructions
mod decide;
mod lane; // forward, commit, and a whole round
mod packets; // what comes in, and how it leaves
mod parse;
mod plans; // a headend's configuration
mod report; // what is printed
mod rewrite;
mod rig; // a lane without a kernel
mod table; // compile and diff
mod timing; // rounds, medians, allocations

use bench::sys::allocations::Counting;
use std::env;
use std::process::ExitCode;
use timing::Effort;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [flag, name] = arguments.as_slice()
        && flag == "--count"
    {
        return counting::run(name);
    }
    // Without `--bench` this is `cargo test --benches`, which only wants to know that nothing is allocated.
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let effort = match (has("--bench"), has("--quick")) {
        (false, _) => Effort::Brief,
        (true, true) => Effort::Quick,
        (true, false) => Effort::Full,
    };
    let file = arguments.iter().position(|argument| argument == "--json").and_then(|at| arguments.get(at + 1));
    let is_part = |argument: &&String| !argument.starts_with("--") && Some(*argument) != file;
    let parts: Vec<&String> = arguments.iter().filter(is_part).collect();
    let cases = case::all().into_iter().filter(|case| parts.iter().all(|part| case.name.contains(*part)));
    let rows: Vec<_> = cases.map(|case| (timing::measure(&case, effort), case)).collect();
    if let Some(path) = file
        && let Err(error) = report::keep(&rows, path.as_ref())
    {
        eprintln!("error: cannot write {path}: {error}");
        return ExitCode::FAILURE;
    }
    report::print(&rows)
}
