//! Packets that are muted, measured, and shown to a capture.

use super::*;
use crate::memory::tap::{self, Caught, TapReader, Way};
use relay_common::counters::relay;
use relay_common::entry::RelayEntry;
use relay_common::table::Table;

/// Changes the entry of a relay in the lane's table.
fn change(lab: &mut Lab, relays: &[Vec<OutputEntry>], change: impl Fn(&mut RelayEntry)) {
    let keyed: Vec<_> = (5000..).map(|port| key(port, false)).zip(relays.iter().cloned()).collect();
    let mut table: Table = crate::lane::fixtures::table_of(&keyed);
    table.entries.iter_mut().for_each(change);
    relay_common::table::image::write(&table, lab.image.as_mut_bytes());
}

#[test]
fn a_muted_relay_is_received_and_each_output_counts() {
    let relays = [vec![output(0, 0, 1), sharing(1, 1, 1), output(2, 9, 2)], vec![output(3, 0, 3)]];
    let mut lab = Lab::new(&relays, &[10, 10]);
    change(&mut lab, &relays, |entry| {
        if entry.key.port == 5000 {
            entry.flags |= RelayEntry::MUTED;
        }
    });
    for port in [5000, 5001, 5000] {
        lab.receive(&Recipe { port, ..Recipe::default() }.bytes(), Stamp::NONE);
    }
    lab.forward();
    lab.commit();
    assert_eq!((lab.received_by(0), lab.received_by(1), lab.frames.n_free()), (2, 1, N - 1));
    assert_eq!([0, 1, 2, 3].map(|counter| lab.dropped(counter, Drop::Muted)), [2, 2, 2, 0]);
    assert_eq!([0, 1, 2, 3].map(|counter| lab.sent_by(counter)), [0, 0, 0, 1]);
    assert_eq!((lab.outboxes[0].room, lab.outboxes[1].room), (9, 10), "no place was taken");
}

#[test]
fn the_payload_and_the_stamp_are_what_is_measured() {
    let relays = [vec![output(0, 0, 1)]];
    let mut lab = Lab::new(&relays, &[1000]);
    change(&mut lab, &relays, |entry| entry.flags |= RelayEntry::METER_RTP | RelayEntry::METER_TS);
    for n in (0..200_u8).filter(|n| *n != 100) {
        let mut payload = vec![0x80, 33, 0, n, 0, 0, 0, 0, 9, 9, 9, 9];
        let mut packet = [0xff; 188];
        packet[..4].copy_from_slice(&[0x47, 1, 0, 0x10 | n & 0xf]);
        payload.extend(packet);
        // Padding of the link and bytes behind UDP are no payload.
        let recipe = Recipe { payload, padding: 7, ..Recipe::default() };
        let stamp = Stamp { magic: Stamp::MAGIC, slot: 0, time_ns: u64::from(n) * 1_000_000 };
        lab.receive(&recipe.bytes(), stamp);
        lab.forward_at(NOW + u64::from(n / 64) * 64_000_000);
        lab.commit();
        lab.complete_all();
    }
    let read = |place| lab.counters.get_relay(0, place);
    assert_eq!((read(relay::RTP_LOST), read(relay::TS_ERRORS), read(relay::TS_PACKETS)), (1, 1, 199));
    assert_eq!(read(relay::LONGEST_GAP), 2_000_000, "by the stamps, not by when a batch was taken");
}

/// A lab that shows what its relay 0 does.
fn tapped(relays: &[Vec<OutputEntry>], rooms: &[u32]) -> (Lab, TapReader) {
    let mut lab = Lab::new(relays, rooms);
    let fd = tap::create().unwrap();
    let reader = TapReader::open(&fd).unwrap();
    reader.set_snap(u32::MAX);
    reader.want(0, true);
    lab.tap = Some(TapWriter::open(&fd).unwrap());
    (lab, reader)
}

fn taken(reader: &mut TapReader) -> Vec<Caught> {
    std::iter::from_fn(|| reader.take()).collect()
}

#[test]
fn packets_are_shown_as_they_come_and_as_they_leave() {
    let relays = [vec![output(4, 0, 1), sharing(5, 1, 1), output(6, 1, 2)], vec![output(7, 0, 3)]];
    let (mut lab, mut reader) = tapped(&relays, &[10, 10]);
    let first = Recipe { padding: 5, ..Recipe::default() };
    lab.receive(&first.bytes(), Stamp { magic: Stamp::MAGIC, slot: 0, time_ns: 77 });
    lab.receive(&Recipe { port: 5001, ..Recipe::default() }.bytes(), Stamp::NONE);
    lab.forward();
    let caught = taken(&mut reader);
    lab.commit();
    let ways: Vec<Way> = caught.iter().map(|caught| caught.about.way).collect();
    let out = |link, counter| Way::Out { link, counter };
    assert_eq!(ways, [Way::In { ifindex: IFINDEX }, out(0, 4), out(1, 5), out(1, 6)], "of relay 0 only");
    let times: Vec<u64> = caught.iter().map(|caught| caught.about.time_ns).collect();
    assert_eq!(times, [77, NOW, NOW, NOW]);
    assert_eq!(caught[0].bytes, first.bytes());
    let sent = [lab.sent(0)[0], lab.sent(1)[0], lab.sent(1)[1]];
    assert_eq!(caught[1..].iter().map(|caught| &caught.bytes[..]).collect::<Vec<_>>(), sent);
}

#[test]
fn what_is_dropped_is_not_shown_as_sent() {
    let pending = OutputEntry { flags: OutputEntry::PENDING, ..output(1, 0, 2) };
    let (mut lab, mut reader) = tapped(&[vec![output(0, 0, 1), pending]], &[0]);
    lab.receive(&Recipe::default().bytes(), Stamp::NONE);
    lab.forward();
    lab.commit();
    assert_eq!(taken(&mut reader).len(), 1, "as it came");
}

#[test]
fn what_finds_no_room_in_the_tap_is_sent_all_the_same() {
    let (mut lab, mut reader) = tapped(&[vec![output(0, 0, 1)]], &[u32::MAX]);
    let packet = Recipe { payload: vec![9; 1400], ..Recipe::default() };
    for _ in 0..4000 {
        lab.receive(&packet.bytes(), Stamp::NONE);
        lab.forward();
        lab.commit();
        lab.complete_all();
    }
    let shown = taken(&mut reader).len() as u64;
    assert_eq!(lab.sent_by(0), 4000);
    assert_eq!(lab.counters.get(LaneCounter::NotShown), 8000 - shown);
    assert!(shown > 1000);
}
