//! Random batches over random tables: frames, references and counters add up.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use super::*;
use std::collections::BTreeMap;

/// An output: its link, the rewrite it shares with others of the same number, its MTU, whether it is pending.
type Wanted = (u16, u8, u32, bool);

/// The outputs of a relay as the table lays them out: equal rewrites side by side, pending ones last.
fn lay_out(first_counter: u32, wanted: &[Wanted]) -> Vec<OutputEntry> {
    let mut wanted = wanted.to_vec();
    wanted.sort_by_key(|(_, last, _, pending)| (*pending, *last));
    let entry = |(counter, (link, last, mtu, pending)): (u32, &Wanted)| {
        let flags = if *pending { OutputEntry::PENDING } else { 0 };
        OutputEntry { flags, mtu: *mtu, ..output(counter, *link, *last) }
    };
    let mut outputs: Vec<OutputEntry> = (first_counter..).zip(&wanted).map(entry).collect();
    for i in 1..outputs.len() {
        if outputs[i].flags == 0 && outputs[i].rewrite == outputs[i - 1].rewrite {
            outputs[i].flags = OutputEntry::SHARES;
        }
    }
    outputs
}

/// A packet: the port it goes to, the length of its payload, its padding, and whether it is cut.
type Packet = (u16, usize, usize, bool);

/// The payload tells packets apart.
fn recipe(number: usize, (port, len, padding, cut): Packet) -> Recipe {
    let payload = vec![number as u8; len];
    Recipe { port, payload, padding: if cut { 0 } else { padding }, ..Recipe::default() }
}

fn wanted() -> impl Strategy<Value = Vec<Vec<Wanted>>> {
    let output = (0..4_u16, 0..3_u8, prop_oneof![Just(1500_u32), Just(300)], prop::bool::weighted(0.1));
    prop::collection::vec(prop::collection::vec(output, 0..7), 1..4)
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    prop::collection::vec((4999..5004_u16, 1..400_usize, 0..9_usize, prop::bool::weighted(0.1)), 0..20)
}

/// Frames of a batch, and where the bytes of each packet are.
fn take_in(lab: &mut Lab, packets: &[Packet]) -> Vec<(usize, usize)> {
    for (number, packet) in packets.iter().enumerate() {
        let mut bytes = recipe(number, *packet).bytes();
        bytes.truncate(bytes.len() - usize::from(packet.3));
        lab.receive(&bytes, Stamp::NONE);
    }
    let place =
        |packet: &Received| (packet.frame.number() as usize * SIZE as usize + packet.at as usize, packet.len as usize);
    lab.received.iter().map(place).collect()
}

proptest! {
    #[test]
    fn frames_references_and_counters_agree(
        relays in wanted(),
        packets in packets(),
        rooms in prop::collection::vec(0..40_u32, 3),
        n_frames in 20..64_usize,
    ) {
        let mut first = 0;
        let outputs: Vec<Vec<OutputEntry>> = relays.iter().map(|wanted| {
            first += wanted.len() as u32;
            lay_out(first - wanted.len() as u32, wanted)
        }).collect();
        let mut lab = Lab::with_frames(n_frames, &outputs, &rooms);
        let places = take_in(&mut lab, &packets);
        let area = |lab: &Lab| lab.frames.bytes_at(0, n_frames * SIZE as usize).to_vec();
        let before = area(&lab);
        lab.forward();
        let forwarded = area(&lab);
        for ((at, len), (_, payload, ..)) in places.iter().zip(&packets) {
            // What lies behind the datagram of a short frame may have been filled up already.
            let datagram = (14 + 20 + 8 + payload).min(*len);
            prop_assert!(before[*at..at + datagram] == forwarded[*at..at + datagram], "written before the commit");
        }
        lab.commit();
        frames_are_where_descriptors_say(&lab, n_frames, &rooms)?;
        counters_agree(&lab, &outputs, &packets)?;
        bytes_are_right(&lab, &outputs, &packets)?;
    }
}

fn frames_are_where_descriptors_say(lab: &Lab, n_frames: usize, rooms: &[u32]) -> Result<(), TestCaseError> {
    let mut references: BTreeMap<usize, u8> = BTreeMap::new();
    for descriptor in lab.outboxes.iter().flat_map(|outbox| &outbox.descriptors) {
        *references.entry((descriptor.at / u64::from(SIZE)) as usize).or_default() += 1;
    }
    for frame in 0..n_frames {
        let expected = references.get(&frame).map_or(Owner::Free, |rings| Owner::Transmit { rings: *rings });
        prop_assert_eq!(lab.owner(frame), expected);
    }
    prop_assert_eq!(lab.frames.n_free(), n_frames - references.len());
    for (outbox, room) in lab.outboxes.iter().zip(rooms) {
        prop_assert_eq!(outbox.room + outbox.descriptors.len() as u32, *room);
    }
    Ok(())
}

fn counters_agree(lab: &Lab, relays: &[Vec<OutputEntry>], packets: &[Packet]) -> Result<(), TestCaseError> {
    let unwanted = lab.counters.get_dropped(Drop::Malformed) + lab.counters.get_dropped(Drop::NoRelay);
    let received: u64 = (0..relays.len() as u32).map(|slot| lab.received_by(slot)).sum();
    prop_assert_eq!(received + unwanted, packets.len() as u64);
    for (slot, outputs) in (0..).zip(relays) {
        let received = lab.received_by(slot);
        prop_assert_eq!(lab.relay_dropped(slot, Drop::NoOutput), if outputs.is_empty() { received } else { 0 });
        for output in outputs {
            let drops = relay_common::counters::output::REASONS.map(|reason| lab.dropped(output.counter, reason));
            prop_assert_eq!(lab.sent_by(output.counter) + drops.iter().sum::<u64>(), received);
        }
    }
    let descriptors: usize = lab.outboxes.iter().map(|outbox| outbox.descriptors.len()).sum();
    let sent: u64 = relays.iter().flatten().map(|output| lab.sent_by(output.counter)).sum();
    prop_assert_eq!(sent, descriptors as u64);
    Ok(())
}

/// Every descriptor names bytes that some output was to send, and no more of them than outputs there are.
fn bytes_are_right(lab: &Lab, relays: &[Vec<OutputEntry>], packets: &[Packet]) -> Result<(), TestCaseError> {
    for link in 0..lab.outboxes.len() {
        let mut wanted: Vec<Vec<u8>> = Vec::new();
        for (number, packet) in packets.iter().enumerate().filter(|(_, packet)| !packet.3) {
            let Some(outputs) = packet.0.checked_sub(5000).and_then(|slot| relays.get(usize::from(slot))) else {
                continue;
            };
            for output in outputs.iter().filter(|output| usize::from(output.link) == link) {
                let mut bytes = rewritten(&recipe(number, *packet), output.rewrite.destination.0[15]);
                bytes.resize(bytes.len().max(60), 0);
                wanted.push(bytes);
            }
        }
        for sent in lab.sent(link) {
            let at = wanted.iter().position(|bytes| bytes == sent);
            prop_assert!(at.is_some(), "nobody asked for {sent:?}");
            wanted.swap_remove(at.unwrap());
        }
    }
    Ok(())
}
