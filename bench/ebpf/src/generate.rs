//! Makes packets at a pace, each with a stamp of its own and checksums that are right.
#![expect(unsafe_code, reason = "map entries are reached by address here")]
#![expect(clippy::cast_possible_truncation, reason = "words are cut in parts on purpose")]

use aya_ebpf::{
    bindings::xdp_action::{XDP_ABORTED, XDP_DROP},
    helpers::{bpf_ktime_get_ns, bpf_redirect},
    macros::{map, xdp},
    maps::Array,
    programs::XdpContext,
};

use crate::abi::{TEMPLATE_WORDS, pace};
use crate::packet::Packet;
use crate::stamp;

/// The plan, and how far it is.
#[map]
static PACE: Array<[u64; pace::WORDS]> = Array::with_max_entries(1, 0);

/// The beginning of stream 0's packets, stamped with zeros.
#[map]
static TEMPLATE: Array<[u64; TEMPLATE_WORDS]> = Array::with_max_entries(1, 0);

/// Runs on each of the live frames of a test run: makes it the next packet when that is due.
#[xdp]
fn generate(context: XdpContext) -> u32 {
    let Some(pace) = PACE.get_ptr_mut(0) else { return XDP_ABORTED };
    // SAFETY: the entry is there as long as the program, and one test run at a time uses it.
    let pace = unsafe { &mut *pace };
    // SAFETY: the helper reads a clock.
    let now = unsafe { bpf_ktime_get_ns() };
    if pace[pace::STARTED] == 0 {
        pace[pace::STARTED] = now;
    }
    let elapsed = now - pace[pace::STARTED];
    if elapsed >= pace[pace::DURATION] {
        if pace[pace::ENDED] == 0 {
            pace[pace::ENDED] = elapsed;
        }
        return XDP_DROP;
    }
    if !is_due(pace, elapsed << 10) {
        pace[pace::SPARE] += 1;
        return XDP_DROP;
    }
    let packet = Packet::new(context.data(), context.data_end());
    if write(packet, pace, now).is_none() {
        return XDP_ABORTED;
    }
    pace[pace::SENT] += 1;
    take_turns(pace);
    // SAFETY: the helper notes where the frame is to go.
    unsafe { bpf_redirect(pace[pace::IFINDEX] as u32, 0) as u32 }
}

/// Whether a packet is due; and when the next one will be.
#[inline(always)]
fn is_due(pace: &mut [u64; pace::WORDS], at: u64) -> bool {
    let due = pace[pace::DUE];
    if at < due {
        return false;
    }
    // Held up for too long it goes on from now: nobody asked for the burst that would catch up.
    let from = if at - due > pace[pace::SLACK] { at } else { due };
    pace[pace::DUE] = from + pace[pace::INTERVAL];
    true
}

#[inline(always)]
fn write(packet: Packet, pace: &[u64; pace::WORDS], now: u64) -> Option<()> {
    let template = TEMPLATE.get_ptr(0)?;
    // SAFETY: the entry is there as long as the program, and nobody writes to it while a test run goes on.
    packet.begin_with(unsafe { &*template })?;
    let address = (pace[pace::ADDRESS] as u16).to_be();
    let address_at = pace[pace::ADDRESS_AT] as usize;
    let before = packet.get(address_at)?;
    packet.put(address_at, address)?;
    // A group's hardware address ends in the same bytes.
    packet.put(4, address)?;
    let checksum_at = pace[pace::CHECKSUM_AT] as usize;
    if checksum_at != 0 {
        let checksum = packet.get(checksum_at)?;
        packet.put(checksum_at, !folded(u64::from(!checksum) + u64::from(!before) + u64::from(address)))?;
    }
    let payload = packet.behind(pace[pace::PAYLOAD_AT] as usize);
    let (stream, run) = (pace[pace::STREAM] as u16, pace[pace::RUN] as u16);
    let sequence = pace[pace::SEQUENCE] as u32;
    payload.put_u32(stamp::MARK, stamp::OURS)?;
    payload.put(stamp::STREAM, stream)?;
    payload.put(stamp::RUN, run)?;
    payload.put_u32(stamp::SEQUENCE, sequence)?;
    payload.put_u32(stamp::TIME, now as u32)?;
    payload.put_u32(stamp::TIME + 4, (now >> 32) as u32)?;
    // What the stamp and the address add to the UDP checksum is taken away again.
    let added = words(u64::from(stamp::OURS)) + words(u64::from(sequence)) + words(now);
    let added = added + u64::from(stream) + u64::from(run) + u64::from(address) + u64::from(!before);
    payload.put(stamp::BALANCE, !folded(added))
}

/// The sum of the four 16-bit words of a number.
#[inline(always)]
fn words(number: u64) -> u64 {
    (number & 0xffff) + (number >> 16 & 0xffff) + (number >> 32 & 0xffff) + (number >> 48)
}

/// A sum in ones' complement.
#[inline(always)]
fn folded(sum: u64) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    ((once & 0xffff) + (once >> 16)) as u16
}

/// The next packet is the next stream's.
#[inline(always)]
fn take_turns(pace: &mut [u64; pace::WORDS]) {
    pace[pace::STREAM] += 1;
    // No group ends in .0 or above .250: see the scenarios.
    pace[pace::ADDRESS] += if pace[pace::ADDRESS] & 0xff == 250 { 7 } else { 1 };
    if pace[pace::STREAM] == pace[pace::STREAMS] {
        pace[pace::STREAM] = 0;
        pace[pace::ADDRESS] = 1;
        pace[pace::SEQUENCE] += 1;
    }
}
