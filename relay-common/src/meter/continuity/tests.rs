//! Transport packets of every kind, and a multiplex that loses some.

use super::{Continuity, DISCONTINUITY, PACKET, PIDS, TransportPackets};
use alloc::{vec, vec::Vec};
use proptest::prelude::*;

/// What a packet consists of.
#[derive(Clone, Copy, Debug)]
enum Has {
    Payload,
    Adaptation(u8),
    Both(u8),
    Nothing,
}

fn packet(pid: u16, counter: u8, has: Has) -> [u8; PACKET] {
    let mut packet = [0xff; PACKET];
    let [high, low] = pid.to_be_bytes();
    let (control, flags) = match has {
        Has::Nothing => (0x00, 0),
        Has::Payload => (0x10, 0),
        Has::Adaptation(flags) => (0x20, flags),
        Has::Both(flags) => (0x30, flags),
    };
    packet[..6].copy_from_slice(&[0x47, high, low, control | counter & 0xf, 7, flags]);
    packet
}

/// The errors of packets, a datagram of one at a time.
fn errors(packets: &[[u8; PACKET]]) -> u32 {
    let mut continuity = Continuity::NEW;
    packets.iter().map(|packet| continuity.see(packet).errors).sum()
}

fn plain(counters: &[u8]) -> u32 {
    errors(&counters.iter().map(|counter| packet(0x100, *counter, Has::Payload)).collect::<Vec<_>>())
}

#[test]
fn a_counter_goes_round() {
    assert_eq!(plain(&(0..100).collect::<Vec<u8>>()), 0);
    assert_eq!(plain(&[14, 15, 0, 1]), 0);
}

#[test]
fn each_hole_is_one_error() {
    assert_eq!(plain(&[0, 1, 3, 4]), 1);
    assert_eq!(plain(&[0, 1, 9, 10, 15, 0]), 2);
    assert_eq!(plain(&[5, 4]), 1);
}

#[test]
fn a_packet_may_come_twice_but_not_more_often() {
    assert_eq!(plain(&[0, 1, 1, 2, 2, 3]), 0);
    assert_eq!(plain(&[0, 1, 1, 1, 2]), 1);
    assert_eq!(plain(&[0, 1, 1, 1, 1, 2]), 2);
}

#[test]
fn without_payload_a_counter_stands_still() {
    let (clock, data) = (Has::Adaptation(0x10), Has::Payload);
    let packets = [(0, data), (0, clock), (0, clock), (1, data), (1, clock), (2, Has::Both(0x10)), (3, data)];
    assert_eq!(errors(&packets.map(|(counter, has)| packet(0x100, counter, has))), 0);
    assert_eq!(errors(&[packet(1, 0, data), packet(1, 5, Has::Nothing), packet(1, 1, data)]), 0, "a reserved value");
}

#[test]
fn an_announced_discontinuity_is_no_error() {
    let data = Has::Payload;
    let jump = |has| errors(&[packet(1, 0, data), packet(1, 9, has), packet(1, 10, data)]);
    assert_eq!((jump(data), jump(Has::Both(0)), jump(Has::Both(DISCONTINUITY))), (1, 1, 0));
    assert_eq!(jump(Has::Adaptation(DISCONTINUITY)), 0, "without payload: the counter begins there");
    let mut empty = packet(1, 9, Has::Both(DISCONTINUITY));
    empty[4] = 0;
    assert_eq!(errors(&[packet(1, 0, data), empty]), 1, "an adaptation field without flags announces nothing");
}

#[test]
fn what_fills_up_and_what_is_spoilt_is_left_out() {
    let fill = |counter| packet(0x1fff, counter, Has::Payload);
    assert_eq!(errors(&[fill(0), fill(7), fill(7), fill(7)]), 0);
    let mut spoilt = packet(0x100, 9, Has::Payload);
    spoilt[1] |= 0x80;
    assert_eq!(errors(&[packet(0x100, 0, Has::Payload), spoilt, packet(0x100, 1, Has::Payload)]), 0);
}

#[test]
fn only_whole_packets_with_sync_bytes_are_a_transport_stream() {
    let mut continuity = Continuity::NEW;
    let seven: Vec<u8> = (0..7).flat_map(|counter| packet(0x100, counter, Has::Payload)).collect();
    assert_eq!(continuity.see(&seven), TransportPackets { packets: 7, errors: 0 });
    for other in [&seven[1..], &seven[..1315], &[], &[0x47], &vec![0; 1316]] {
        assert_eq!(continuity.see(other), TransportPackets::default());
    }
    let mut torn = seven;
    torn[2 * PACKET] = 0;
    assert_eq!(continuity.see(&torn).packets, 2);
}

#[test]
fn more_pids_than_are_watched_invent_no_error() {
    let mut continuity = Continuity::NEW;
    for counter in 0..50 {
        for pid in 0..1000 {
            assert_eq!(continuity.see(&packet(pid, counter, Has::Payload)).errors, 0, "PID {pid}");
        }
    }
}

proptest! {
    /// Any multiplex of as many PIDs as are watched, less some packets: an error wherever one follows a hole.
    #[test]
    fn holes_of_a_multiplex_are_counted(
        pids in proptest::collection::hash_set(0..0x1fff_u16, 1..12),
        order in proptest::collection::vec((any::<prop::sample::Index>(), 0..10_u8), 1..600),
    ) {
        let pids: Vec<u16> = pids.into_iter().collect();
        // Nobody gives up an entry while each is within reach of its own place.
        prop_assume!((0..PIDS).all(|at| pids.iter().filter(|pid| usize::from(**pid) % PIDS == at).count() <= 2));
        let mut counters = vec![0_u8; pids.len()];
        let mut holes: Vec<Option<u8>> = vec![None; pids.len()];
        let (mut continuity, mut expected, mut found) = (Continuity::NEW, 0, 0);
        for (which, fate) in order {
            let at = which.index(pids.len());
            let counter = counters[at];
            counters[at] = counter.wrapping_add(1) & 0xf;
            if fate == 0 {
                if let Some(hole) = &mut holes[at] { *hole += 1; }
                continue;
            }
            // 15 in a row look like a doubled packet, 16 like none.
            if holes[at].is_some_and(|hole| hole > 0) {
                prop_assume!(holes[at].is_some_and(|hole| hole < 15));
                expected += 1;
            }
            holes[at] = Some(0);
            found += continuity.see(&packet(pids[at], counter, Has::Payload)).errors;
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_break_it(mut bytes in proptest::collection::vec(any::<u8>(), 3 * PACKET)) {
        for at in [0, PACKET, 2 * PACKET] { bytes[at] = 0x47; }
        let mut continuity = Continuity::NEW;
        prop_assert_eq!(continuity.see(&bytes).packets, 3);
    }
}
