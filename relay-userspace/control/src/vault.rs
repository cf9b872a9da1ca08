//! The vault: descriptors that must outlive control. Every lane holds each of them, so that a successor finds them as
//! long as one lane lives.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// By what a held descriptor is known. The numbers are read by other versions: none is ever used for something else.
pub mod tag {
    /// The two copies of the memo.
    pub const MEMO: [u64; 2] = relay_engine::lane::handoff::MEMO;
    /// The end of a pipe that hangs up when the unit that mcr runs in is not active any more.
    pub const UNIT: u64 = relay_engine::lane::handoff::UNIT;
    /// The parts of the program, in the order of `Program::parts`: two places, which take turns. The memo says which one
    /// counts, so that at no moment parts of two programs are taken for one.
    pub const PROGRAM: [u64; 2] = [16, 48];
    /// Beyond the parts of a program.
    pub const PROGRAM_SPAN: u64 = 32;
    /// Sockets that hold group memberships begin here.
    pub const MEMBERSHIP: u64 = 1 << 32;
    /// Programs attached to links, from here by the link's index.
    pub const ATTACHED: u64 = 2 << 32;
    /// The counters of lanes, from here by the lane's number.
    pub const COUNTERS: u64 = relay_engine::lane::handoff::COUNTERS;
    /// Sockets that have the ports of unicast inputs begin here.
    pub const OWN_PORT: u64 = 4 << 32;
    /// The ends to read from of the pipes that lanes write to, from here by the lane's number.
    pub const STDERR: u64 = 5 << 32;
    /// A second set of the above, for a successor that must not close what it replaces too early.
    pub const SPAN: u64 = 1 << 32;
}

/// A held descriptor and what is remembered with it.
#[derive(Clone, Debug)]
pub struct Held {
    /// The descriptor.
    pub fd: Arc<OwnedFd>,
    /// What whoever takes over wants to know.
    pub note: String,
}

/// Everything that is held, by its tag.
#[derive(Clone, Debug, Default)]
pub struct Vault(pub BTreeMap<u64, Held>);

impl Vault {
    /// The held descriptors whose tags are in a range, with what is added to its beginning.
    pub fn range(&self, from: u64) -> impl Iterator<Item = (u64, &Held)> {
        self.0.range(from..from + tag::SPAN).map(|(tag, held)| (*tag, held))
    }
}
