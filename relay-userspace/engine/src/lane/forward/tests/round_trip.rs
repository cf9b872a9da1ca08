//! Packets that come round over another node.

use super::*;
use relay_common::abi::Address;

/// What another node, which keeps identification and payload, makes of a frame of ours.
fn sent_back(frame: &[u8], came: &Recipe) -> Vec<u8> {
    let mut back = Recipe { source_mac: [2, 0, 0, 0, 0, 0x55], ..came.clone() }.bytes();
    back[18..20].copy_from_slice(&frame[18..20]);
    back[24..26].fill(0);
    let checksum = relay_common::wire::checksum::full(&back[14..34]);
    back[24..26].copy_from_slice(&checksum.to_be_bytes());
    back
}

#[test]
fn a_packet_that_comes_round_is_marked_found_and_dropped_by_name() {
    let mut lab = Lab::new(&[vec![output(0, 0, 1), output(1, 1, 2)], vec![output(2, 0, 3)]], &[1000, 1000]);
    let came = Recipe::default();
    let (mut frame, mut marks, mut laps) = (came.bytes(), 0, 0);
    loop {
        lab.receive(&frame, Stamp::NONE);
        lab.forward_at(NOW + laps * 100_000);
        lab.commit();
        let Some(sent) = lab.sent(0).first().map(|sent| sent.to_vec()) else { break };
        assert_eq!(sent[18..20], lab.sent(1)[0][18..20], "every output has the mark");
        assert_eq!(relay_common::wire::checksum::full(&sent[14..34]), 0, "and a right checksum");
        marks += u64::from(sent[18..20] != frame[18..20]);
        frame = sent_back(&sent, &came);
        lab.complete_all();
        laps += 1;
        assert!(laps < 100, "never found");
    }
    assert_eq!((lab.relay_dropped(0, Drop::Looped), marks), (1, 5));
    let from = relay_common::looping::Found::from_word(lab.counters.get_relay(0, relay::LOOP_FROM));
    assert_eq!((from.mac, from.ttl, from.all), ([2, 0, 0, 0, 0, 0x55], 7, false));
    assert!(lab.counters.get_relay(0, relay::LOOPS_UNTIL) > NOW + laps * 100_000);

    // The source itself, another sender of the same stream, and another relay are sent on.
    lab.receive(&came.bytes(), Stamp::NONE);
    lab.receive(&Recipe { source: [10, 0, 0, 9].into(), ..came.clone() }.bytes(), Stamp::NONE);
    lab.receive(&Recipe { port: 5001, ..came }.bytes(), Stamp::NONE);
    lab.forward_at(NOW + laps * 100_000);
    lab.commit();
    assert_eq!([0, 2].map(|counter| lab.sent_by(counter)), [laps + 2, 1]);
    assert_eq!(Address::v4([239, 2, 2, 1]).v4_bytes(), lab.sent(0)[0][30..34]);
    assert_eq!(lab.frames.n_free(), N - 5, "every other frame is free again");
}
