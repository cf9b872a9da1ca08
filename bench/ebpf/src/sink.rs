//! Counts what arrives, measures how long it took, and drops it.
//!
//! In the traffic-control hook: there an skb is looked at as it came, at no cost but this program's. XDP on a veth would
//! copy each packet first, and slow every relay down by that.
#![expect(unsafe_code, reason = "map entries are reached by address here")]

use aya_ebpf::{
    bindings::{TC_ACT_PIPE, TC_ACT_SHOT},
    helpers::bpf_ktime_get_ns,
    macros::{classifier, map},
    maps::{Array, PerCpuArray},
    programs::TcContext,
};

use crate::abi::{BUCKETS, bucket, tally};
use crate::packet::Packet;
use crate::stamp;

/// Streams that a sink can tell apart.
const MAX_STREAMS: u32 = 1024;
/// Outputs of each; they differ in the port.
const MAX_OUTPUTS: u32 = 16;
/// The first output's port.
const FIRST_PORT: u16 = 5001;

/// Words of what is known of each output of each stream.
mod flow {
    /// The number of the next packet, and the run in the bits above.
    pub(super) const NEXT: usize = 0;
    /// How long the last packet took, in nanoseconds.
    pub(super) const TRANSIT: usize = 1;
    /// How many words there are.
    pub(super) const WORDS: usize = 2;
}

/// What was counted.
#[map]
static TALLY: PerCpuArray<[u64; tally::WORDS]> = PerCpuArray::with_max_entries(1, 0);

/// What is known of each output of each stream.
#[map]
static FLOWS: Array<[u64; flow::WORDS]> = Array::with_max_entries(MAX_STREAMS * MAX_OUTPUTS, 0);

/// How long packets took.
#[map]
static LATENCY: PerCpuArray<u64> = PerCpuArray::with_max_entries(BUCKETS, 0);

/// By how much two packets in a row of one stream differ in that.
#[map]
static JITTER: PerCpuArray<u64> = PerCpuArray::with_max_entries(BUCKETS, 0);

const ETHERTYPE_AT: usize = 12;
const IPV4: u16 = 0x0800_u16.to_be();
const IPV6: u16 = 0x86dd_u16.to_be();
const VLAN: u16 = 0x8100_u16.to_be();

#[classifier]
fn sink(context: TcContext) -> i32 {
    let packet = Packet::new(context.data(), context.data_end());
    let Some((port, payload)) = udp(packet) else { return TC_ACT_PIPE };
    if take(payload, port, context.len()).is_none() {
        count(tally::STRANGERS, 1);
    }
    TC_ACT_SHOT
}

/// The destination port of a UDP datagram, and its payload.
#[inline(always)]
fn udp(packet: Packet) -> Option<(u16, Packet)> {
    let (ethertype, at) = match packet.get(ETHERTYPE_AT)? {
        VLAN => (packet.get(ETHERTYPE_AT + 4)?, ETHERTYPE_AT + 6),
        ethertype => (ethertype, ETHERTYPE_AT + 2),
    };
    let (protocol, at) = match ethertype {
        IPV4 => (packet.get(at + 8)? >> 8, at + 20),
        IPV6 => (packet.get(at + 6)? & 0xff, at + 40),
        _ => return None,
    };
    let udp = packet.behind(at);
    if protocol == 17 { Some((u16::from_be(udp.get(2)?), udp.behind(8))) } else { None }
}

#[inline(always)]
fn take(payload: Packet, port: u16, length: u32) -> Option<()> {
    if payload.get_u32(stamp::MARK)? != stamp::OURS {
        return None;
    }
    let stream = u32::from(payload.get(stamp::STREAM)?);
    let run = u64::from(payload.get(stamp::RUN)?);
    let sequence = u64::from(payload.get_u32(stamp::SEQUENCE)?);
    let time = u64::from(payload.get_u32(stamp::TIME)?) | u64::from(payload.get_u32(stamp::TIME + 4)?) << 32;
    // A relay that leaves the port as it was comes out as the last output.
    let output = u32::from(port.wrapping_sub(FIRST_PORT)) % MAX_OUTPUTS;
    let flow = FLOWS.get_ptr_mut(stream * MAX_OUTPUTS + output)?;
    // SAFETY: the entry is there as long as the program; packets of one output come one after the other.
    let flow = unsafe { &mut *flow };
    // SAFETY: the helper reads a clock.
    let transit = unsafe { bpf_ktime_get_ns() }.saturating_sub(time);
    count(tally::PACKETS, 1);
    count(tally::BYTES, u64::from(length));
    enter(&LATENCY, transit);
    let (known, number) = (flow[flow::NEXT], run << 32 | sequence);
    if known == number && sequence > 0 {
        let before = flow[flow::TRANSIT];
        enter(&JITTER, transit.abs_diff(before));
    }
    if known >> 32 == run && number < known {
        count(tally::LATE, 1);
    } else {
        flow[flow::NEXT] = number + 1;
    }
    flow[flow::TRANSIT] = transit;
    Some(())
}

#[inline(always)]
fn count(word: usize, n: u64) {
    if let Some(tally) = TALLY.get_ptr_mut(0) {
        // SAFETY: the entry is this processor's own, and the program is not interrupted by itself.
        unsafe { (*tally)[word] += n };
    }
}

#[inline(always)]
fn enter(histogram: &PerCpuArray<u64>, value: u64) {
    if let Some(count) = histogram.get_ptr_mut(bucket(value)) {
        // SAFETY: as in `count`.
        unsafe { *count += 1 };
    }
}
