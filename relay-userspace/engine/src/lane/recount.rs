//! What a lane finds on its transmit rings when it starts, and what the owner words must say of it.
//!
//! A word says on how many rings a frame lies, not on which. When a link goes, and the lane dies before it has dropped
//! that link's socket, the next lane cannot map its rings any more: what lay there alone would be under way for ever.
//! So the frames are counted where they are. What lay on the ring of a socket that is gone is nobody's: the kernel took
//! such a socket off its link before it let go of the link, and looks at no frame of it.

use super::ports::Ports;
use crate::memory::Mapping;
use crate::memory::log::Log;
use relay_common::owner::Owner;
use std::sync::atomic::Ordering::Relaxed;

/// Has the words say on how many rings each frame lies that is being sent. Says how many packets lay on rings that are
/// gone. Each store may be repeated: a lane that dies in the middle leaves the rest to the next.
pub(super) fn recount(log: &mut Log, words: &Mapping, n_frames: usize, shift: u32, ports: &mut Ports) -> u64 {
    // Without any ring what was handed over waits until the kernel has let go: see `Lane::give_up_what_was_under_way`.
    if ports.iter().next().is_none() {
        return 0;
    }
    let words = words.words32(0, n_frames);
    let owner =
        |frame: u64| words.get(usize::try_from(frame).ok()?).and_then(|word| Owner::from_word(word.load(Relaxed)));
    let is_sent = |at: u64| matches!(owner(at >> shift), Some(Owner::Transmit { .. }));
    let mut on_rings = vec![0_u8; n_frames];
    for socket in ports.iter_mut() {
        // One that is late somewhere could be any: then all stay as they are, and none is used while the kernel has it.
        let voids = log.voids(socket.number);
        let Some(found) = socket.port.found_under_way(shift, voids, is_sent) else { return 0 };
        for frame in found {
            if let Some(rings) = usize::try_from(frame).ok().and_then(|frame| on_rings.get_mut(frame)) {
                *rings = rings.saturating_add(1);
            }
        }
    }
    let mut gone = 0;
    for (word, found) in words.iter().zip(on_rings) {
        if let Some(Owner::Transmit { rings }) = Owner::from_word(word.load(Relaxed))
            && found < rings
        {
            gone += u64::from(rings - found);
            let now = if found == 0 { Owner::Free } else { Owner::Transmit { rings: found } };
            word.store(now.word(), Relaxed);
        }
    }
    gone
}
