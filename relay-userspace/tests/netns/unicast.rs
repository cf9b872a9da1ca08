//! Unicast on either side.

use crate::rig::{NOTED, Rig, TAIL, TTL, frame, payload};
use bench::ledger::{lock, wait_for_tail};
use bench::links::ip;
use bench::packet::{Mac, Parsed};
use bench::sink::Flow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_own_address_is_an_input() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "own"
        input = { interface = "in0", address = "10.1.0.2", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
        "#,
    );
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let report = show.play(rig.streams(&["10.1.0.2:5000", "10.1.0.2:5002"]).rate(5_000).packets(5_000));
    assert_eq!((report.received("own"), report.sent("own", 0)), (5_000, 5_000));
    assert_eq!(report.verdict("ours"), 5_000, "the other port is the kernel's");
    assert!(report.verdict("not_ours") >= 5_000);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_host_is_found_and_followed_when_its_mac_changes() {
    let rig = Rig::new(1);
    rig.receivers.sysctl("net/ipv4/conf/all/arp_notify", "1").unwrap();
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "host"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", address = "10.2.0.9", port = 5001 }]
        "#,
    );
    show.wait_until_nothing_is_pending();
    let (old, new) = (rig.outputs[0].1.mac, Mac([0x02, 0, 0, 0, 0x99, 0x99]));
    // Every packet goes to the old MAC, or from some packet on to the new one: none to neither, none back.
    let to_new = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&to_new);
    let check = move |parsed: &Parsed, _: &[u8]| match parsed.headers.destination_mac {
        mac if mac == new => {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        mac if mac == old && counter.load(Ordering::Relaxed) == 0 => Ok(()),
        mac => Err(format!("it is addressed to {mac}, {old} was the host's and {new} is")),
    };
    let ledger = show.ledger(1, "stream 1 to the host");
    let flow = Flow::new("10.2.0.9:5001".parse().unwrap(), &ledger).hops(TTL).check(Box::new(check));
    show.listen(0, vec![flow]);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(5_000));
    let mark = show.mcr.process.mark();
    Rig::set_link(&rig.receivers, "rx0", &["address", &new.to_string()]);
    show.wait_for(mark, "applied");
    let before = source.sent(1);
    while source.sent(1) < before + 2_000 && !source.is_finished() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let report = show.balance(&[source.stop().unwrap()]);
    assert!(to_new.load(Ordering::Relaxed) >= 1_000, "the new MAC is used once the table is applied");
    assert_eq!(report.received("host"), report.sent("host", 0));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_host_that_is_off_is_pending_until_it_answers() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "host"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [
            { interface = "out0", address = "10.2.0.77", port = 5001 },
            { interface = "out0", group = "239.2.1.1", port = 5001 },
        ]
        "#,
    );
    let pending = "relay \"host\" outputs[0]: 10.2.0.77 does not answer on interface \"out0\"";
    show.mcr.process.wait_for(pending, NOTED).unwrap();
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let dark = show.send(rig.streams(&["239.1.1.1:5000"]).rate(5_000).packets(1_000));
    dark.enter(&show.ledgers);
    assert!(wait_for_tail(&show.ledgers, TAIL));
    show.sinks.remove(0).stop().unwrap().check().unwrap();
    lock(&show.ledgers[0]).check(0).unwrap();

    let mark = show.mcr.process.mark();
    ip(&["-n", rig.receivers.name(), "address", "add", "10.2.0.77/24", "dev", "rx0"]).unwrap();
    show.wait_for(mark, "no longer pending");
    let incoming = frame(&rig.headers("239.1.1.1:5000"), &payload(1316));
    let relayed = |to| frame(&rig.relayed(0, to), &payload(1316));
    let mut arrived = show.exchange(&[incoming], 2);
    arrived.sort();
    let mut expected = [relayed("10.2.0.77:5001"), relayed("239.2.1.1:5001")];
    expected.sort();
    assert_eq!(arrived, expected);
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.sent("host", 0), report.output_dropped("host", 0, "pending")), (1, 1_000));
    assert_eq!((report.sent("host", 1), report.received("host")), (1_001, 1_001));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_host_behind_a_gateway_is_sent_to_the_gateways_mac() {
    let rig = Rig::new(2);
    ip(&["-n", rig.relay.name(), "route", "add", "192.0.2.0/24", "via", "10.2.0.9"]).unwrap();
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "far"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", address = "192.0.2.50", port = 5001 }]
        "#,
    );
    show.wait_until_nothing_is_pending();
    let flow = show.expect(1, 0, "192.0.2.50:5001");
    show.listen(0, vec![flow]);
    let report = show.play(rig.streams(&["239.1.1.1:5000"]).rate(5_000).packets(2_000));
    assert_eq!((report.received("far"), report.sent("far", 0)), (2_000, 2_000));
}
