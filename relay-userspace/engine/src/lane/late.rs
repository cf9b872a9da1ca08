//! A lane that is late with an answer, for tests: the feature `chaos` builds it. The first lane that finds the file of
//! `MCR_CHAOS_LATE`, which it removes, takes the first socket that it is given while it relays, and answers too late.

use crate::clock::now_ns;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Longer than control waits.
const LATE_NS: u64 = 1_500_000_000;

static WANTED: AtomicBool = AtomicBool::new(false);

/// Looks whether this lane is to be late. Later it may not look any more.
pub(super) fn prepare() {
    let is_wanted = std::env::var_os("MCR_CHAOS_LATE").is_some_and(|file| std::fs::remove_file(file).is_ok());
    WANTED.store(is_wanted, Relaxed);
}

/// Is late, once. A lane may not sleep.
pub(super) fn answer() {
    let until = now_ns() + LATE_NS;
    while WANTED.load(Relaxed) && now_ns() < until {
        std::hint::spin_loop();
    }
    WANTED.store(false, Relaxed);
}
