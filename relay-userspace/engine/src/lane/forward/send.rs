//! What leaves: a packet for each output that can take it, with the header that the output wants.

use super::{Bench, Outbox, Received};
use crate::memory::frames::{Frame, Frames};
use crate::memory::log::Log;
use crate::xsk::ring::Descriptor;
use relay_common::counters::LaneCounter;
use relay_common::datagram::Datagram;
use relay_common::drops::Drop;
use relay_common::entry::{MAX_OUTPUTS_PER_RELAY, OutputEntry};
use relay_common::rewrite::{NewHeader, rewrite};

/// The shortest frame that Ethernet carries, without its checksum; not every driver fills shorter ones up.
const SHORTEST: usize = 60;
/// A frame lies on so many transmit rings at most.
const MOST_RINGS: u8 = 64;
const _: () = assert!(MOST_RINGS as usize == MAX_OUTPUTS_PER_RELAY);

/// The packet that outputs share which want the same bytes.
enum Shared {
    /// None of them could take one so far.
    No,
    /// It is in the received frame.
    Original(Descriptor),
    /// It is in a frame of its own.
    Copy(Descriptor, Frame),
    /// It could not be made.
    Failed(Drop),
}

/// Sends a packet of a relay with one output, as [`send`] would: most have no more, and nothing is to be shared then.
#[inline(always)]
pub(super) fn send_to_one(
    packet: &Received,
    datagram: &Datagram,
    output: &OutputEntry,
    bench: &mut Bench<'_>,
) -> Result<u8, Drop> {
    let length = u32::from(datagram.end - datagram.l3);
    let outbox = match room_for(output, length, datagram.ttl, bench.outboxes) {
        Ok(outbox) => outbox,
        Err(reason) => {
            bench.counters.output_dropped(output.counter, reason);
            return Ok(0);
        }
    };
    let descriptor = original(packet, datagram, output, bench.frames, bench.log)?;
    outbox.put(descriptor);
    bench.counters.sent(output.counter, u64::from(length));
    if let Some(showing) = &mut bench.tap {
        let place = (descriptor.at, descriptor.len);
        showing.sent(output, place, bench.log.last_header(), bench.frames, bench.counters);
    }
    Ok(1)
}

/// Sends a packet to all outputs that can take it. Says how many transmit rings will hold the received frame itself.
///
/// An error is of the datagram and not of an output: then none has sent anything.
#[inline]
pub(super) fn send(
    packet: &mut Received,
    datagram: &Datagram,
    outputs: &[OutputEntry],
    bench: &mut Bench<'_>,
) -> Result<u8, Drop> {
    let length = u32::from(datagram.end - datagram.l3);
    let (mut shared, mut rings, mut rings_of_original) = (Shared::No, 0, 0);
    for output in outputs {
        // Outputs whose bytes are the same stand side by side.
        if output.flags & OutputEntry::SHARES == 0 || rings == MOST_RINGS {
            end(&mut shared, &mut rings, &mut rings_of_original, bench);
        }
        let outbox = match room_for(output, length, datagram.ttl, bench.outboxes) {
            Ok(outbox) => outbox,
            Err(reason) => {
                bench.counters.output_dropped(output.counter, reason);
                continue;
            }
        };
        if let Shared::No = shared {
            shared = if rings_of_original == 0 {
                Shared::Original(original(packet, datagram, output, bench.frames, bench.log)?)
            } else {
                match copy(packet, datagram, output, bench.frames, bench.log) {
                    Ok((descriptor, frame)) => {
                        bench.counters.add(LaneCounter::Copied, 1);
                        Shared::Copy(descriptor, frame)
                    }
                    Err(reason) => Shared::Failed(reason),
                }
            };
        }
        let descriptor = match shared {
            Shared::Original(descriptor) | Shared::Copy(descriptor, _) => descriptor,
            Shared::No => continue,
            Shared::Failed(reason) => {
                bench.counters.output_dropped(output.counter, reason);
                continue;
            }
        };
        outbox.put(descriptor);
        rings += 1;
        bench.counters.sent(output.counter, u64::from(length));
        if let Some(showing) = &mut bench.tap {
            let header = if let Shared::Original(_) = shared { bench.log.last_header() } else { &[] };
            showing.sent(output, (descriptor.at, descriptor.len), header, bench.frames, bench.counters);
        }
    }
    end(&mut shared, &mut rings, &mut rings_of_original, bench);
    Ok(rings_of_original)
}

/// No further output shares the packet: its frame goes to the rings that hold it.
#[inline]
fn end(shared: &mut Shared, rings: &mut u8, rings_of_original: &mut u8, bench: &mut Bench<'_>) {
    let rings = std::mem::take(rings);
    match std::mem::replace(shared, Shared::No) {
        Shared::Original(_) => *rings_of_original = rings,
        Shared::Copy(_, frame) => bench.frames.send(frame, rings, bench.log),
        Shared::No | Shared::Failed(_) => {}
    }
}

/// Where a packet of that length goes on the way to an output, or why the output does not send it.
#[inline]
fn room_for<'a>(
    output: &OutputEntry,
    length: u32,
    ttl: u8,
    outboxes: &'a mut [Outbox],
) -> Result<&'a mut Outbox, Drop> {
    if output.flags & OutputEntry::PENDING != 0 {
        return Err(Drop::Pending);
    }
    if length > output.mtu {
        return Err(Drop::OverMtu);
    }
    if output.flags & OutputEntry::DECREMENTS_TTL != 0 && ttl <= 1 {
        return Err(Drop::TtlExpired);
    }
    match outboxes.get_mut(output.link as usize) {
        Some(outbox) if outbox.room > 0 => Ok(outbox),
        Some(outbox) if outbox.is_open => {
            outbox.is_missed = true;
            Err(Drop::TxFull)
        }
        _ => Err(Drop::Pending),
    }
}

/// Computes the received frame's new header into the journal; the frame itself changes in the commit.
#[inline(always)]
fn original(
    packet: &Received,
    datagram: &Datagram,
    output: &OutputEntry,
    frames: &mut Frames,
    log: &mut Log,
) -> Result<Descriptor, Drop> {
    let place = log.header();
    let payload_at = packet.at as usize + datagram.payload as usize;
    let start = rewrite(packet.bytes(frames), datagram, &output.rewrite, &mut place.header)
        .and_then(|()| payload_at.checked_sub(place.header.len as usize).ok_or(Drop::Malformed));
    let start = match start {
        Ok(start) => start,
        Err(reason) => {
            log.forget_header();
            return Err(reason);
        }
    };
    place.at = frames.start(&packet.frame) + start as u64;
    let at = place.at;
    let end = packet.at as usize + datagram.end as usize;
    let wanted = shortest_end(start, frames.frame_size());
    if end < wanted {
        frames.clear(&packet.frame, end, wanted);
    }
    Ok(Descriptor { at, len: length(start, end.max(wanted)), options: 0 })
}

/// Makes a copy with another header, in a free frame.
#[inline]
fn copy(
    packet: &Received,
    datagram: &Datagram,
    output: &OutputEntry,
    frames: &mut Frames,
    log: &mut Log,
) -> Result<(Descriptor, Frame), Drop> {
    let mut frame = frames.reserve().ok_or(Drop::NoFrame)?;
    match write_copy(packet, &mut frame, datagram, output, frames) {
        Ok(descriptor) => Ok((descriptor, frame)),
        Err(reason) => {
            frames.release(frame, log);
            Err(reason)
        }
    }
}

/// Writes a copy with another header. The payload stays at its place in the frame.
#[inline]
fn write_copy(
    packet: &Received,
    copy: &mut Frame,
    datagram: &Datagram,
    output: &OutputEntry,
    frames: &mut Frames,
) -> Result<Descriptor, Drop> {
    let (from, to) = (packet.at as usize, (packet.at + packet.len) as usize);
    let (frame_start, frame_size) = (frames.start(copy), frames.frame_size());
    let (original, copied) = frames.pair(&packet.frame, copy);
    let mut header = NewHeader::EMPTY;
    rewrite(&original[from..to], datagram, &output.rewrite, &mut header)?;
    let payload_at = from + datagram.payload as usize;
    let end = from + datagram.end as usize;
    let start = payload_at.checked_sub(header.len as usize).ok_or(Drop::Malformed)?;
    copied[start..payload_at].copy_from_slice(header.as_bytes());
    copied[payload_at..end].copy_from_slice(&original[payload_at..end]);
    let wanted = shortest_end(start, frame_size);
    if end < wanted {
        copied[end..wanted].fill(0);
    }
    Ok(Descriptor { at: frame_start + start as u64, len: length(start, end.max(wanted)), options: 0 })
}

/// Where what is sent ends at the earliest. What follows the datagram is not passed on; up to here there are zeros in its
/// place. Writing them twice does no harm: nothing behind the datagram is ever read.
#[inline]
fn shortest_end(start: usize, frame_size: u32) -> usize {
    (start + SHORTEST).min(frame_size as usize)
}

/// The length to send.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a frame has 4096 bytes at most")]
const fn length(start: usize, end: usize) -> u32 {
    (end - start) as u32
}
