//! UDP checksums that a sender has left to a NIC that was not on the way.
//!
//! A kernel that leaves a checksum to the hardware writes the folded sum of the pseudo-header into the field, so that the
//! hardware only has to add up what follows. Between machines that finishes it; on a veth pair, a bridge or macvlan, and
//! between virtual machines of one host the frame comes as it is, with a note that XDP does not hand on. A field that
//! holds just that sum is taken for unfinished, and finished.
//!
//! A right checksum is never made wrong: what is written is the right one, whatever stood there before. Of checksums that
//! are wrong because the datagram was damaged, one in 65 535 looks unfinished and would be made to fit the damage; the
//! Ethernet checksum of a wire has refused such a frame before.

use crate::datagram::Datagram;
use crate::frame::Frame as _;
use crate::wire::checksum::Sum;
use crate::wire::udp::Udp;

/// Finishes the checksum of datagram `d` of this frame if it came unfinished, and says whether it did.
///
/// Every packet comes by here, so a checksum that holds anything else costs the sum of the pseudo-header and no more.
#[inline(always)]
pub fn finish(frame: &[u8], d: &mut Datagram) -> bool {
    if pseudo_header(d).fold() != d.checksum {
        return false;
    }
    let finished = finished(frame, (d.l4, d.end), d.checksum);
    d.checksum = finished.unwrap_or(d.checksum);
    finished.is_some()
}

/// The sum of the pseudo-header. A kernel that leaves a checksum to the hardware ends UDP where IP ends.
#[inline(always)]
const fn pseudo_header(d: &Datagram) -> Sum {
    let sum = if d.v6 {
        Sum::NONE.v6(&d.source.0).v6(&d.destination.0)
    } else {
        Sum::NONE.v4(d.source.v4_bytes()).v4(d.destination.v4_bytes())
    };
    sum.word(d.end.wrapping_sub(d.l4)).word(Udp::PROTOCOL as u16)
}

/// Adds what the checksum covers besides, from UDP's header to its end. The pseudo-header stands in its field. `None` when
/// it was not unfinished.
#[cold]
#[inline(never)]
fn finished(frame: &[u8], (l4, end): (u16, u16), before: u16) -> Option<u16> {
    let covered = frame.get(l4 as usize..end as usize)?;
    if covered.header::<Udp>(0)?.length.get() as usize != covered.len() {
        return None;
    }
    let checksum = match !Sum::NONE.bytes(covered).fold() {
        0 => 0xffff,
        checksum => checksum,
    };
    // They are equal where the finished checksum happens to be the sum of the pseudo-header.
    (checksum != before).then_some(checksum)
}

#[cfg(test)]
mod tests;
