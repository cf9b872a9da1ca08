//! Descriptors that are kept free: whatever a change takes, control can still be asked, read its file, and start lanes.

use nix::sys::resource::{Resource, getrlimit};

/// So many are kept free: for those who ask at once, a file or two, and a lane that is started.
const RESERVE: u64 = 128;

/// There are too few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// How many are open.
    pub open: u64,
    /// How many may be.
    pub limit: u64,
}

/// Whether so many more can be opened.
///
/// # Errors
/// When they would take those that are kept free.
pub fn room_for(more: usize) -> Result<(), Short> {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    // Nobody is counted who needs nothing; where they cannot be counted, the kernel says what is too much.
    let open = if more == 0 { 0 } else { std::fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as u64) };
    let room = limit.saturating_sub(open).saturating_sub(RESERVE.min(limit / 8));
    if more as u64 <= room { Ok(()) } else { Err(Short { open, limit }) }
}

#[cfg(test)]
mod tests {
    use super::room_for;

    #[test]
    fn what_needs_none_is_never_refused_and_all_are_never_given_away() {
        assert_eq!(room_for(0), Ok(()));
        let short = room_for(usize::MAX).unwrap_err();
        assert!(short.open > 2 && short.limit > short.open, "{short:?}");
    }
}
