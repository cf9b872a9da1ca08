//! The work of one case, for a program that counts instructions.
//!
//! `valgrind --tool=callgrind --toggle-collect='*::counting::counted' PROGRAM --count NAME` counts what is measured and
//! nothing else. The program itself prints how many packets or relays that was about.

use crate::case::{self, Case, Per, Round};
use std::hint::black_box;
use std::io::{Write, stdout};
use std::process::ExitCode;

/// Rounds before those that count: the allocator has its memory, vectors have their room.
const N_WARM: usize = 10;
const N_COUNTED: usize = 100;
/// A table takes long; and two in a row are the same.
const N_TABLES: usize = 2;

pub(crate) fn run(name: &str) -> ExitCode {
    let Some(case) = case::all().into_iter().find(|case| case.name == name) else {
        eprintln!("error: no case is named \"{name}\"; `cargo bench -p bench` prints all names");
        return ExitCode::FAILURE;
    };
    let unit = if case.per == Per::Packets { "packets" } else { "relays" };
    match writeln!(stdout(), "counted {} {unit}", count(&case)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says how many packets or relays were counted.
fn count(case: &Case) -> usize {
    let (n_warm, n_counted) = if case.per == Per::Packets { (N_WARM, N_COUNTED) } else { (1, N_TABLES) };
    let mut round = (case.make)();
    for n in 0..n_warm + n_counted {
        round.prepare();
        if n < n_warm {
            round.work();
        } else {
            counted(round.as_mut());
        }
        round.clean_up();
    }
    round.check((n_warm + n_counted) as u64);
    n_counted * case.units()
}

/// Counting goes by this function's name.
#[inline(never)]
fn counted(round: &mut dyn Round) {
    round.work();
    // Something must come after: the last call of a function is a jump, and counting goes by calls and returns.
    black_box(());
}
