//! What becomes of packets of every kind, without a kernel.

use super::*;
use crate::lane::fixtures::{
    HEADROOM, IFINDEX, MAX_OUTPUTS, MAX_RELAYS, SIZE, image_of, key, output, rewritten, sharing,
};
use crate::memory::tap::TapWriter;
use crate::memory::{Mapping, whole_pages};
use proptest::prelude::*;
use relay_common::abi::Address;
use relay_common::entry::{OutputEntry, Rewrite};
use relay_common::fixtures::Recipe;
use relay_common::owner::Owner;
use std::sync::atomic::Ordering::Relaxed;
use zerocopy::IntoBytes;

mod channels; // relays that share a group and port
mod conserved; // whatever comes, nothing is lost and nothing is counted wrong
mod round_trip; // packets that come round over another node
mod observed; // muted, measured and shown

const N: usize = 64;
const NOW: u64 = 1_000_000;

/// A lane's table and memory, without its rings.
struct Lab {
    frames: Frames,
    ledger: Mapping,
    log: Log,
    counters: Counters,
    outboxes: Vec<Outbox>,
    image: Vec<u64>,
    received: Vec<Received>,
    meters: Vec<Meter>,
    guards: Vec<Guard>,
    tap: Option<TapWriter>,
}

impl Lab {
    /// Relays that send what comes to 239.1.2.3, ports 5000 and up, to these outputs; `rooms` is what each output
    /// link's ring takes.
    fn new(relays: &[Vec<OutputEntry>], rooms: &[u32]) -> Self {
        Self::with_frames(N, relays, rooms)
    }

    fn with_frames(n: usize, relays: &[Vec<OutputEntry>], rooms: &[u32]) -> Self {
        let area = Mapping::anonymous(n * SIZE as usize).unwrap();
        let ledger = crate::memory::create(c"ledger", whole_pages(n * 4)).unwrap();
        let words = || Mapping::shared(&ledger, whole_pages(n * 4)).unwrap();
        let outbox = |room: &u32| Outbox { room: *room, is_open: true, is_missed: false, descriptors: Vec::new() };
        Self {
            frames: Frames::take_stock(area, words(), SIZE).0,
            ledger: words(),
            log: Log::open(Mapping::anonymous(Log::BYTES).unwrap()).unwrap(),
            counters: Counters::private(MAX_RELAYS, MAX_OUTPUTS).unwrap(),
            outboxes: rooms.iter().map(outbox).collect(),
            image: image_of(&(5000..).map(|port| key(port, false)).zip(relays.iter().cloned()).collect::<Vec<_>>()),
            received: Vec::new(),
            meters: vec![Meter::NEW; MAX_RELAYS as usize],
            guards: vec![Guard::NEW; MAX_RELAYS as usize],
            tap: None,
        }
    }

    /// A packet comes in, with a stamp in front or with what stood there before.
    fn receive(&mut self, packet: &[u8], stamp: Stamp) {
        let mut given = None;
        self.frames.fill_each(0, 1, &mut self.log, |at| given = Some(at));
        let given = given.unwrap();
        let len = u32::try_from(packet.len()).unwrap();
        let (mut frame, at) = self.frames.receive(0, given + u64::from(HEADROOM), len).unwrap();
        let bytes = self.frames.bytes_mut(&mut frame);
        bytes[at as usize - size_of::<Stamp>()..at as usize].copy_from_slice(stamp.as_bytes());
        bytes[at as usize..][..packet.len()].copy_from_slice(packet);
        self.received.push(Received { frame, at, len });
    }

    fn forward(&mut self) {
        self.forward_at(NOW);
    }

    fn forward_at(&mut self, now: u64) {
        let Self { frames, log, counters, outboxes, image, received, meters, guards, tap, .. } = self;
        let table = Image::view(image.as_bytes()).unwrap();
        let tap = tap.as_mut().and_then(TapWriter::while_wanted).map(Showing::new);
        let bench = &mut Bench { frames, log, outboxes, counters, meters, guards, tap, is_copied: true };
        forward(received, Arrival { ifindex: IFINDEX, now }, &table, bench);
    }

    fn commit(&mut self) {
        self.frames.commit(&mut self.log, |_, _| {});
    }

    /// The kernel sends everything.
    fn complete_all(&mut self) {
        for descriptor in self.outboxes.iter_mut().flat_map(|outbox| outbox.descriptors.drain(..)) {
            assert!(self.frames.complete(descriptor.at, &mut self.log));
        }
        self.commit();
    }

    /// What lies in an output link's outbox, as bytes.
    fn sent(&self, link: usize) -> Vec<&[u8]> {
        self.outboxes[link].descriptors.iter().map(|descriptor| self.bytes(*descriptor)).collect()
    }

    fn bytes(&self, descriptor: Descriptor) -> &[u8] {
        let (at, len) = (usize::try_from(descriptor.at).unwrap(), descriptor.len as usize);
        self.frames.bytes_at(at, len)
    }

    fn owner(&self, frame: usize) -> Owner {
        Owner::from_word(self.ledger.words32(frame * 4, 1)[0].load(Relaxed)).unwrap()
    }

    fn owner_of(&self, descriptor: Descriptor) -> Owner {
        self.owner(usize::try_from(descriptor.at / u64::from(SIZE)).unwrap())
    }

    fn dropped(&self, counter: u32, reason: Drop) -> u64 {
        self.counters.get_output(counter, relay_common::counters::output::place(reason))
    }

    fn sent_by(&self, counter: u32) -> u64 {
        self.counters.get_output(counter, relay_common::counters::output::PACKETS)
    }

    fn relay_dropped(&self, slot: u32, reason: Drop) -> u64 {
        self.counters.get_relay(slot, relay_common::counters::relay::DROPS + reason as usize)
    }

    fn received_by(&self, slot: u32) -> u64 {
        self.counters.get_relay(slot, relay_common::counters::relay::PACKETS)
    }
}

#[test]
fn one_output_takes_the_frame_itself() {
    let mut lab = Lab::new(&[vec![output(3, 0, 1)]], &[10]);
    lab.receive(&Recipe::default().bytes(), Stamp::NONE);
    lab.forward();
    assert_eq!(lab.outboxes[0].room, 9);
    assert_eq!(lab.sent(0), [Recipe::default().bytes()], "untouched before the commit");
    lab.commit();
    assert_eq!(lab.sent(0), [rewritten(&Recipe::default(), 1)]);
    assert_eq!(lab.owner_of(lab.outboxes[0].descriptors[0]), Owner::Transmit { rings: 1 });
    assert_eq!((lab.frames.n_free(), lab.sent_by(3), lab.received_by(0)), (N - 1, 1, 1));
}

#[test]
fn every_further_rewrite_costs_a_copy_and_equal_ones_share_a_frame() {
    let outputs = vec![output(0, 0, 1), sharing(1, 1, 1), output(2, 0, 2), sharing(3, 2, 2), sharing(4, 1, 2)];
    let mut lab = Lab::new(&[outputs], &[10, 10, 10]);
    lab.receive(&Recipe::default().bytes(), Stamp::NONE);
    lab.forward();
    let packet = Recipe::default();
    assert_eq!(lab.sent(0), [packet.bytes(), rewritten(&packet, 2)], "the original waits for the commit");
    lab.commit();
    let (one, two) = (rewritten(&packet, 1), rewritten(&packet, 2));
    assert_eq!(lab.sent(0), [&one[..], &two]);
    assert_eq!(lab.sent(1), [&one[..], &two]);
    assert_eq!(lab.sent(2), [&two[..]]);
    assert_eq!(lab.outboxes[0].descriptors, lab.outboxes[1].descriptors, "shared");
    assert_eq!(lab.owner_of(lab.outboxes[0].descriptors[0]), Owner::Transmit { rings: 2 });
    assert_eq!(lab.owner_of(lab.outboxes[0].descriptors[1]), Owner::Transmit { rings: 3 });
    assert_eq!(lab.frames.n_free(), N - 2);
}

#[test]
fn an_unfinished_checksum_is_finished_once_and_leaves_right_by_every_output() {
    let mut lab = Lab::new(&[vec![output(0, 0, 1), output(1, 1, 2), sharing(2, 0, 2)]], &[10, 10]);
    let came = Recipe { unfinished: true, ..Recipe::default() };
    lab.receive(&came.bytes(), Stamp::NONE);
    lab.receive(&Recipe::default().bytes(), Stamp::NONE);
    lab.forward();
    assert_eq!(lab.sent(0)[0], came.bytes(), "untouched before the commit");
    lab.commit();
    let (one, two) = (rewritten(&Recipe::default(), 1), rewritten(&Recipe::default(), 2));
    assert_eq!(lab.sent(0), [&one[..], &two, &one, &two]);
    assert_eq!(lab.sent(1), [&two[..], &two]);
    assert_eq!(lab.counters.get_relay(0, relay::CHECKSUMS_COMPLETED), 1);
}

#[test]
fn a_full_ring_drops_for_its_output_only() {
    let mut lab = Lab::new(&[vec![output(0, 0, 1), sharing(1, 1, 1), output(2, 2, 2)]], &[0, 1, 1]);
    (0..2).for_each(|_| lab.receive(&Recipe::default().bytes(), Stamp::NONE));
    lab.forward();
    lab.commit();
    assert_eq!([0, 1, 2].map(|counter| lab.sent_by(counter)), [0, 1, 1]);
    assert_eq!([0, 1, 2].map(|counter| lab.dropped(counter, Drop::TxFull)), [2, 1, 1]);
    assert_eq!(lab.owner_of(lab.outboxes[1].descriptors[0]), Owner::Transmit { rings: 1 });
    assert_eq!(lab.frames.n_free(), N - 2, "the second packet's frame is free again");
}

#[test]
fn without_a_free_frame_the_copy_is_dropped_and_its_place_given_back() {
    let mut lab = Lab::with_frames(1, &[vec![output(0, 0, 1), output(1, 1, 2)]], &[10, 10]);
    lab.receive(&Recipe::default().bytes(), Stamp::NONE);
    lab.forward();
    lab.commit();
    assert_eq!((lab.sent_by(0), lab.sent_by(1), lab.dropped(1, Drop::NoFrame)), (1, 0, 1));
    assert_eq!((lab.outboxes[0].room, lab.outboxes[1].room), (9, 10));
}

#[test]
fn a_ttl_that_is_used_up_is_dropped_where_it_would_count_down() {
    let mut down = OutputEntry { flags: OutputEntry::DECREMENTS_TTL, ..output(0, 0, 1) };
    down.rewrite.ttl = Rewrite::DECREMENT_TTL;
    let mut lab = Lab::new(&[vec![down, output(1, 1, 2)]], &[10, 10]);
    for ttl in [0, 1, 2, 255] {
        lab.receive(&Recipe { ttl, ..Recipe::default() }.bytes(), Stamp::NONE);
    }
    lab.forward();
    lab.commit();
    assert_eq!([0, 1].map(|counter| lab.sent_by(counter)), [2, 4]);
    assert_eq!(lab.dropped(0, Drop::TtlExpired), 2);
    assert_eq!(lab.sent(0).iter().map(|frame| frame[22]).collect::<Vec<_>>(), [1, 254]);
    assert_eq!(lab.outboxes[0].room, 8, "no place of the ring is lost");
}

#[test]
fn a_datagram_longer_than_the_links_mtu_is_dropped_there() {
    let packet = Recipe { padding: 40, ..Recipe::default() };
    let length = 20 + 8 + 188;
    let short = OutputEntry { mtu: length - 1, ..output(0, 0, 1) };
    let enough = OutputEntry { mtu: length, ..output(1, 1, 2) };
    let mut lab = Lab::new(&[vec![short, enough]], &[10, 10]);
    lab.receive(&packet.bytes(), Stamp::NONE);
    lab.forward();
    lab.commit();
    assert_eq!((lab.dropped(0, Drop::OverMtu), lab.sent_by(1)), (1, 1));
    assert_eq!(lab.sent(1), [rewritten(&packet, 2)], "padding of the link is not passed on");
    assert_eq!(lab.frames.n_free(), N - 1, "the frame itself went to the output that could");
}

#[test]
fn a_pending_output_and_one_on_a_link_that_is_not_there_drop_as_pending() {
    let pending = OutputEntry { flags: OutputEntry::PENDING, ..output(0, 0, 1) };
    let mut lab = Lab::new(&[vec![output(1, 9, 1), pending]], &[10]);
    lab.receive(&Recipe::default().bytes(), Stamp::NONE);
    lab.forward();
    lab.commit();
    assert_eq!((lab.dropped(0, Drop::Pending), lab.dropped(1, Drop::Pending)), (1, 1));
    assert_eq!((lab.received_by(0), lab.frames.n_free()), (1, N));
}

#[test]
fn while_a_links_socket_is_replaced_its_packets_are_pending() {
    let mut lab = Lab::new(&[vec![output(0, 0, 1), output(1, 1, 2)]], &[0, 0]);
    lab.outboxes[1].is_open = false;
    lab.receive(&Recipe::default().bytes(), Stamp::NONE);
    lab.forward();
    assert_eq!((lab.dropped(0, Drop::TxFull), lab.dropped(0, Drop::Pending)), (1, 0), "a ring that is full");
    assert_eq!((lab.dropped(1, Drop::TxFull), lab.dropped(1, Drop::Pending)), (0, 1), "no ring");
}

#[test]
fn a_datagram_that_is_dropped_whole_gives_its_places_back() {
    let mut lab = Lab::new(&[], &[1, 1]);
    let to_v6 = |mut output: OutputEntry| {
        output.rewrite.destination = Address::from("ff3e::8000:2".parse::<std::net::IpAddr>().unwrap());
        output
    };
    lab.image = image_of(&[(key(5000, true), vec![to_v6(output(0, 0, 1)), to_v6(sharing(1, 1, 1))])]);
    lab.receive(&Recipe { checksum: false, ..Recipe::to("ff3e::8000:1") }.bytes(), Stamp::NONE);
    lab.receive(&Recipe::to("ff3e::8000:1").bytes(), Stamp::NONE);
    lab.forward();
    assert_eq!(lab.relay_dropped(0, Drop::NoChecksum), 1);
    assert_eq!((lab.sent_by(0), lab.sent_by(1)), (1, 1), "the one behind it found the places free");
    assert_eq!((lab.dropped(0, Drop::TxFull), lab.dropped(1, Drop::TxFull)), (0, 0));
}

#[test]
fn a_relay_without_outputs_receives_and_drops() {
    let mut lab = Lab::new(&[vec![]], &[]);
    lab.receive(&Recipe::default().bytes(), Stamp::NONE);
    lab.forward();
    lab.commit();
    assert_eq!((lab.received_by(0), lab.relay_dropped(0, Drop::NoOutput), lab.frames.n_free()), (1, 1, N));
}

#[test]
fn a_relay_whose_outputs_lie_outside_of_the_table_drops_by_name() {
    for is_muted in [false, true] {
        let mut lab = Lab::new(&[vec![output(0, 0, 1)]], &[1]);
        let (at, mut entry) = {
            let bytes = lab.image.as_bytes();
            let entry = Image::view(bytes).unwrap().relay(0).unwrap();
            (std::ptr::from_ref(entry).addr() - bytes.as_ptr().addr(), *entry)
        };
        entry.n_outputs = u16::MAX;
        entry.flags |= if is_muted { RelayEntry::MUTED } else { 0 };
        lab.image.as_mut_bytes()[at..at + size_of::<RelayEntry>()].copy_from_slice(entry.as_bytes());
        lab.receive(&Recipe::default().bytes(), Stamp::NONE);
        lab.forward();
        lab.commit();
        assert_eq!((lab.received_by(0), lab.relay_dropped(0, Drop::NoOutput), lab.frames.n_free()), (1, 1, N));
    }
}

#[test]
fn what_no_relay_wants_and_what_is_no_datagram_is_dropped_by_name() {
    let mut lab = Lab::new(&[vec![output(0, 0, 1)]], &[10]);
    lab.receive(&Recipe { port: 4999, ..Recipe::default() }.bytes(), Stamp::NONE);
    lab.receive(&Recipe::default().bytes()[..200], Stamp::NONE);
    lab.receive(&[], Stamp::NONE);
    lab.forward();
    lab.commit();
    assert_eq!((lab.counters.get_dropped(Drop::NoRelay), lab.counters.get_dropped(Drop::Malformed)), (1, 2));
    assert_eq!((lab.frames.n_free(), lab.sent(0).len()), (N, 0));
}

#[test]
fn v6_without_a_checksum_is_dropped_whole() {
    let mut lab = Lab::new(&[], &[10, 10]);
    let rewrite = |last: u8| {
        let mut one = output(u32::from(last), 0, last);
        one.rewrite.destination = Address::from("ff3e::8000:2".parse::<std::net::IpAddr>().unwrap());
        one
    };
    lab.image = image_of(&[(key(5000, true), vec![rewrite(1), rewrite(2)])]);
    lab.receive(&Recipe { checksum: false, ..Recipe::to("ff3e::8000:1") }.bytes(), Stamp::NONE);
    lab.receive(&Recipe::to("ff3e::8000:1").bytes(), Stamp::NONE);
    lab.forward();
    lab.commit();
    assert_eq!((lab.relay_dropped(0, Drop::NoChecksum), lab.received_by(0)), (1, 2));
    assert_eq!((lab.sent_by(1), lab.sent_by(2), lab.frames.n_free()), (1, 1, N - 2));
}

#[test]
fn a_stamp_is_believed_only_when_the_relay_there_has_the_frames_key() {
    let stamp = |slot| Stamp { magic: Stamp::MAGIC, slot, time_ns: NOW - 1000 };
    let mut lab = Lab::new(&[vec![output(0, 0, 1)], vec![output(1, 0, 2)]], &[10]);
    let second = Recipe { port: 5001, ..Recipe::default() };
    lab.receive(&second.bytes(), stamp(1));
    lab.receive(&second.bytes(), stamp(0));
    lab.receive(&second.bytes(), stamp(u32::MAX));
    lab.receive(&second.bytes(), Stamp { magic: 1, ..stamp(1) });
    lab.forward();
    lab.commit();
    assert_eq!((lab.received_by(0), lab.received_by(1)), (0, 4));
    assert_eq!(lab.counters.get(LaneCounter::StampHits), 1, "the others were looked up");
    let timed: u64 = (0..relay_common::counters::LATENCY_BUCKETS).map(|bucket| lab.counters.get_latency(bucket)).sum();
    assert_eq!((timed, lab.counters.get_latency(10)), (1, 1), "1000 ns");
}

#[test]
fn a_stamp_is_good_for_one_packet() {
    let mut lab = Lab::new(&[vec![]], &[]);
    lab.receive(&Recipe::default().bytes(), Stamp { magic: Stamp::MAGIC, slot: 0, time_ns: NOW });
    let number = lab.received[0].frame.number() as usize;
    lab.forward();
    let before = lab.frames.bytes_at(number * SIZE as usize + HEADROOM as usize - size_of::<Stamp>(), 4);
    assert_eq!(before, [0; 4]);
}

#[test]
fn a_short_frame_is_filled_with_zeros() {
    let short = Recipe { payload: vec![0xff; 3], padding: 15, ..Recipe::default() };
    let mut lab = Lab::new(&[vec![output(0, 0, 1), output(1, 0, 2)]], &[10]);
    lab.receive(&short.bytes(), Stamp::NONE);
    lab.forward();
    lab.commit();
    for (sent, last) in lab.sent(0).into_iter().zip([1, 2]) {
        let wanted = rewritten(&short, last);
        assert_eq!((sent.len(), &sent[..wanted.len()]), (60, &wanted[..]));
        assert!(sent[wanted.len()..].iter().all(|byte| *byte == 0), "{sent:?}");
    }
}

#[test]
fn a_tag_is_put_in_front_and_the_payload_stays_where_it_is() {
    let mut tagged = output(0, 0, 1);
    (tagged.rewrite.n_vlans, tagged.rewrite.vlan_ids) = (2, [200, 100]);
    let mut lab = Lab::new(&[vec![tagged]], &[10]);
    lab.receive(&Recipe::default().bytes(), Stamp::NONE);
    lab.forward();
    lab.commit();
    let plain = rewritten(&Recipe::default(), 1);
    let tags = [0x88, 0xa8, 0, 200, 0x81, 0, 0, 100];
    assert_eq!(lab.sent(0), [[&plain[..12], &tags, &plain[12..]].concat()]);
    assert_eq!(lab.outboxes[0].descriptors[0].at % u64::from(SIZE), u64::from(HEADROOM) - 8);
}
