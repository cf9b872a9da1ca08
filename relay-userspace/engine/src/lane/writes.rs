//! A lane that writes on its standard error, for tests: the feature `chaos` builds it. `MCR_WRITES=LANE:flood` has it write
//! without end, `LANE:orphan` panic as soon as it has no control, and `LANE:panic:FILE` once, if it finds the file, which
//! it removes.

use std::io::Write as _;
use std::sync::OnceLock;

/// In a flood so much at each look: in a second more than any pipe holds.
const LINES: usize = 100;

/// What this lane is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Nothing,
    Flood,
    PanicAsOrphan,
    Panic,
}

static WISH: OnceLock<Wish> = OnceLock::new();

/// Looks what this lane is to do. Later it may not look any more.
pub(super) fn prepare(number: u32) {
    let wanted = std::env::var("MCR_WRITES").unwrap_or_default();
    let wish = match wanted.strip_prefix(&format!("{number}:")).map(|wish| wish.split_once(':').unwrap_or((wish, ""))) {
        Some(("flood", _)) => Wish::Flood,
        Some(("orphan", _)) => Wish::PanicAsOrphan,
        Some(("panic", file)) if std::fs::remove_file(file).is_ok() => Wish::Panic,
        _ => Wish::Nothing,
    };
    let _ = WISH.set(wish);
}

/// Does it: this is called whenever the lane looks for control.
pub(super) fn at_a_look(has_control: bool) {
    match WISH.get() {
        Some(Wish::Flood) => {
            let text = "a lane in a stranger's hands says this again and again\n".repeat(LINES);
            // What the pipe does not hold is lost.
            let _ = std::io::stderr().write(text.as_bytes());
        }
        Some(Wish::PanicAsOrphan) if !has_control => panic!("a lane without control, on purpose"),
        Some(Wish::Panic) => panic!("a lane that panics, on purpose"),
        _ => {}
    }
}
