//! Packets that come round over other nodes: what a relay's guard makes of them.

use crate::memory::counters::Line;
use relay_common::counters::relay;
use relay_common::datagram::Datagram;
use relay_common::drops::Drop;
use relay_common::looping::{Course, Guard, Sighting};
use relay_common::meter::Tally as _;

/// Has a guard look at a packet: the mark that it is to carry, if any, or why it may not be sent.
#[cold]
#[inline(never)]
pub(super) fn look(
    guard: &mut Guard,
    frame: &[u8],
    datagram: Datagram,
    (epoch, now): (u32, u64),
    line: &mut Line<'_>,
) -> Result<Option<u16>, Drop> {
    let Some(packet) = Sighting::of(frame, &datagram) else { return Ok(None) };
    match guard.look(datagram.checksum, &packet, epoch, now) {
        Course::Send => Ok(None),
        Course::Mark(mark) => Ok(Some(mark)),
        Course::Cut { loops_until, all } => {
            line.set(relay::LOOP_FROM, packet.sender.word(all));
            line.set(relay::LOOPS_UNTIL, loops_until);
            Err(Drop::Looped)
        }
        Course::Drop => Err(Drop::Looped),
    }
}
