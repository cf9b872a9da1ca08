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
    pseudo_header(d).fold() == d.checksum && add_payload(frame, d)
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

/// Adds what the checksum covers besides. The pseudo-header stands in its field.
#[cold]
#[inline(never)]
fn add_payload(frame: &[u8], d: &mut Datagram) -> bool {
    let Some(covered) = frame.get(d.l4 as usize..d.end as usize) else { return false };
    if covered.header::<Udp>(0).is_none_or(|udp| udp.length.get() as usize != covered.len()) {
        return false;
    }
    let checksum = match !Sum::NONE.bytes(covered).fold() {
        0 => 0xffff,
        checksum => checksum,
    };
    // They are equal where the finished checksum happens to be the sum of the pseudo-header.
    let was_unfinished = checksum != d.checksum;
    d.checksum = checksum;
    was_unfinished
}

#[cfg(test)]
mod tests;
