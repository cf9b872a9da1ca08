//! The maps, by the names that control finds them under, and what is asked of them.
#![expect(unsafe_code, reason = "map entries are reached by address here")]

use aya_ebpf::{
    macros::map,
    maps::{HashMap, PerCpuArray, XskMap},
};
use relay_common::{
    abi::{InputKey, InputValue, MAX_LINKS, MacKey, SOCKET_SLOTS, SourceKey},
    decide::{Groups, Verdict},
};

/// What is wanted. Control sets its size, and that of the others, at load.
#[map]
static INPUTS: HashMap<InputKey, InputValue> = HashMap::with_max_entries(4096, 0);

/// Whose a frame is where relays name their sources: the relay's slot.
#[map]
static SOURCES: HashMap<SourceKey, u32> = HashMap::with_max_entries(4096, 0);

/// Our own hardware addresses; the value says nothing.
#[map]
static OWN_MACS: HashMap<MacKey, u8> = HashMap::with_max_entries(MAX_LINKS, 0);

/// The socket of each link's queues.
#[map]
pub(crate) static SOCKETS: XskMap = XskMap::with_max_entries(SOCKET_SLOTS, 0);

/// How often each verdict was given.
#[map]
static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Verdict::COUNT, 0);

/// The kernel's maps as [`Groups`].
pub(crate) struct Maps;

impl Groups for Maps {
    #[inline(always)]
    fn input(&self, key: &InputKey) -> Option<InputValue> {
        // SAFETY: an entry that control replaces meanwhile may be read half old and half new. Any bytes are an
        // `InputValue`, a lane believes no slot unchecked, and the kernel no socket of another queue.
        unsafe { INPUTS.get(key) }.copied()
    }

    #[inline(always)]
    fn source(&self, key: &SourceKey) -> Option<u32> {
        // SAFETY: an entry that control replaces meanwhile holds one slot or the other, and a lane believes none unchecked.
        unsafe { SOURCES.get(key) }.copied()
    }

    #[inline(always)]
    fn own_mac(&self, key: &MacKey) -> bool {
        OWN_MACS.get_ptr(key).is_some()
    }
}

/// Counts a verdict.
#[inline(always)]
pub(crate) fn count(verdict: Verdict) {
    if let Some(counter) = VERDICTS.get_ptr_mut(verdict.index()) {
        // SAFETY: the entry is this processor's own, and the program is not interrupted by itself.
        unsafe { *counter += 1 };
    }
}
