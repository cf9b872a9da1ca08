//! How often the program came to each verdict: read by whoever has the descriptor, also in another thread.

use super::map::{Kind, Map};
use super::program::ProgramError;
use relay_common::decide::Verdict;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Reads the verdicts of one loaded program.
#[derive(Debug)]
pub struct VerdictReader(Map<u32, u64>);

impl VerdictReader {
    pub(super) fn adopt(name: &'static str, fd: OwnedFd) -> Result<Self, ProgramError> {
        let map = Map::adopt(name, Kind::PerCpuArray, fd)?;
        if map.capacity() != Verdict::COUNT {
            return Err(ProgramError::Foreign(name));
        }
        Ok(Self(map))
    }

    /// Another reader of the same verdicts.
    pub fn duplicate(&self) -> Result<Self, ProgramError> {
        self.0.duplicate().map(Self)
    }

    /// How often the program came to each verdict, over all processors, in the order of [`Verdict::ALL`].
    pub fn read(&self) -> Result<Vec<(Verdict, u64)>, ProgramError> {
        Verdict::ALL.into_iter().map(|verdict| Ok((verdict, self.0.sum(verdict.index())?))).collect()
    }

    pub(super) fn map_id(&self) -> Result<u32, ProgramError> {
        self.0.id()
    }
}

impl AsFd for VerdictReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
