//! Packets that come round over other nodes: what a relay's guard makes of them.

use crate::memory::counters::Line;
use relay_common::counters::relay;
use relay_common::datagram::Datagram;
use relay_common::looping::{Course, Guard, Sighting};
use relay_common::meter::Tally as _;

/// Has a guard look at a packet, and says whether it may be sent. A mark that it is to carry is noted in `datagram`.
#[cold]
#[inline(never)]
pub(super) fn may_go(
    guard: &mut Guard,
    frame: &[u8],
    datagram: &mut Datagram,
    (epoch, now): (u32, u64),
    line: &mut Line<'_>,
) -> bool {
    let Some(packet) = Sighting::of(frame, datagram) else { return true };
    match guard.look(datagram.checksum, &packet, epoch, now) {
        Course::Send => true,
        Course::Mark(mark) => {
            datagram.mark = Some(mark);
            true
        }
        Course::Cut { loops_until, all } => {
            line.set(relay::LOOP_FROM, packet.sender.word(all));
            line.set(relay::LOOPS_UNTIL, loops_until);
            false
        }
        Course::Drop => false,
    }
}
