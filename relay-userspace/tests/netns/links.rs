//! Output links that are missing, go down, or lose their carrier.

use crate::rig::{Rig, SILENCE, TAIL, frame, payload};
use bench::ledger::{lock, wait_for_tail};
use bench::links::ip;
use bench::packet::Mac;
use bench::source::{Load, Stream};
use std::time::Duration;

const TWO_LINKS: &str = r#"
    [[relay]]
    name = "two"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [
        { interface = "out0", group = "239.2.1.1", port = 5001 },
        { interface = "out1", group = "239.2.1.1", port = 5001 },
    ]
"#;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_link_goes_down_and_comes_back_under_traffic() {
    let rig = Rig::new(2);
    let mut show = rig.start(TWO_LINKS);
    for output in [0, 1] {
        let flow = show.expect(1, output, "239.2.1.1:5001");
        show.listen(output, vec![flow]);
    }
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(5_000));
    let wait_for_more = |packets| {
        let before = source.sent(1);
        while source.sent(1) < before + packets && !source.is_finished() {
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    wait_for_more(1_000);
    let mark = show.mcr.process.mark();
    Rig::set_link(&rig.relay, "out0", &["down"]);
    show.wait_for(mark, "\"out0\" is down");
    wait_for_more(1_000);
    Rig::set_link(&rig.relay, "out0", &["up"]);
    show.wait_for(mark, "no longer pending");
    let received_before = lock(&show.ledgers[0]).received();
    wait_for_more(2_000);

    let ledgers = show.ledgers.clone();
    let report = show.balance(&[source.stop().unwrap()]);
    lock(&ledgers[1]).check(0).unwrap();
    // Balanced: what is missing behind out0 was counted as `pending`, waited too long, or the kernel refused it.
    let (pending, refused) = (report.output_dropped("two", 0, "pending"), report.lanes("kick_busy"));
    let stale = report.dropped("stale");
    assert!(pending + stale >= 900, "{pending} pending and {stale} stale of 1000 sent while the link was down");
    assert_eq!(lock(&ledgers[0]).lost(), pending + refused + stale);
    assert!(lock(&ledgers[0]).received() >= received_before + 1_900, "the stream goes on");
    assert_eq!(report.output_dropped("two", 1, "pending"), 0);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn without_carrier_an_output_is_pending_and_with_it_goes_on() {
    let rig = Rig::new(2);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "two"
        input = { interface = "in0", group = "239.1.1.1-3", port = 5000 }
        outputs = [
            { interface = "out0", group = "239.2.1.1-3", port = 5001 },
            { interface = "out1", group = "239.2.1.1-3", port = 5001 },
        ]
        "#,
    );
    for output in [0, 1] {
        let flows = (1..=3).map(|n| show.expect(n, output, &format!("239.2.1.{n}:5001"))).collect();
        show.listen(output, flows);
    }
    let send = |id| {
        let stream = Stream::new(id, rig.headers(&format!("239.1.1.{id}:5000")), 1316);
        show.send(Load::new(vec![stream]).rate(5_000).packets(1_000))
    };
    // A sink hears nothing from a link that is down, so nothing may be under way when the link changes.
    let lit = send(1);
    let of_first: Vec<_> = show.ledgers.iter().filter(|ledger| lock(ledger).stream() == 1).cloned().collect();
    lit.enter(&of_first);
    assert!(wait_for_tail(&of_first, TAIL));

    let mark = show.mcr.process.mark();
    Rig::set_link(&rig.receivers, "rx0", &["down"]);
    show.wait_for(mark, "\"out0\" has no carrier");
    let dark = send(2);
    std::thread::sleep(SILENCE);
    Rig::set_link(&rig.receivers, "rx0", &["up"]);
    show.wait_for(mark, "relay \"two/2\" outputs[0]: no longer pending");
    let again = send(3);

    let ledgers = show.ledgers.clone();
    let report = show.balance(&[lit, dark, again]);
    let lost: Vec<u64> = ledgers.iter().map(|ledger| lock(ledger).lost()).collect();
    assert_eq!(lost, [0, 1_000, 0, 0, 0, 0], "streams 1 to 3 on out0, then on out1");
    assert_eq!(report.output_dropped("two/1", 0, "pending"), 1_000);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_missing_link_is_pending_and_the_rest_works() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "half"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [
            { interface = "gone0", group = "239.2.1.1", port = 5001 },
            { interface = "out0", group = "239.2.1.1", port = 5001 },
        ]

        [[relay]]
        name = "deaf"
        input = { interface = "gone0", group = "239.1.1.2", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.2", port = 5001 }]

        [[relay]]
        name = "dumb"
        input = { interface = "in0", group = "239.1.1.3", port = 5000 }
        outputs = [{ interface = "gone0", group = "239.2.1.3", port = 5001 }]
        "#,
    );
    let lines = show.mcr.process.lines().join("\n");
    for part in ["\"half\" outputs[0]", "\"deaf\" input", "\"dumb\" outputs[0]"] {
        let told = format!("pending: relay {part}: interface \"gone0\" does not exist");
        assert!(lines.contains(&told), "{told} is not in\n{lines}");
    }
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let sent = show.send(rig.streams(&["239.1.1.1:5000", "239.1.1.3:5000"]).rate(5_000).packets(2_000));
    sent.enter(&show.ledgers);
    assert!(wait_for_tail(&show.ledgers, TAIL));
    show.sinks.remove(0).stop().unwrap().check().unwrap();
    lock(&show.ledgers[0]).check(0).unwrap();
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.sent("half", 1), report.output_dropped("half", 0, "pending")), (2_000, 2_000));
    assert_eq!((report.received("dumb"), report.output_dropped("dumb", 0, "pending")), (2_000, 2_000));
    assert_eq!(report.received("deaf"), 0);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn ipv6_goes_on_when_a_link_comes_back_without_its_addresses() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "six"
        input = { interface = "in0", group = "ff3e::1", port = 5000 }
        outputs = [{ interface = "out0", group = "ff3e::2:1", port = 5001 }]
        "#,
    );
    // The kernel takes a link's IPv6 addresses away when it goes down, and only the user brings them back. A link-local
    // one, which it would make by itself, would do for an address and make two steps of one.
    rig.relay.sysctl("net/ipv6/conf/out0/addr_gen_mode", "1").unwrap();
    let mark = show.mcr.process.mark();
    Rig::set_link(&rig.relay, "out0", &["down"]);
    show.wait_for(mark, "pending: relay \"six\" outputs[0]");
    Rig::set_link(&rig.relay, "out0", &["up"]);
    show.wait_for(mark, "has no IPv6 address to send from");
    ip(&["-n", rig.relay.name(), "address", "replace", "fd02:0::1/64", "dev", "out0", "nodad"]).unwrap();
    show.wait_for(mark, "no longer pending");
    let flow = show.expect(1, 0, "[ff3e::2:1]:5001");
    show.listen(0, vec![flow]);
    let report = show.play(rig.streams(&["[ff3e::1]:5000"]).rate(5_000).packets(2_000));
    assert_eq!((report.received("six"), report.sent("six", 0)), (2_000, 2_000));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_input_link_that_comes_back_is_joined_and_relayed_again() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "one"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
        "#,
    );
    let mark = show.mcr.process.mark();
    Rig::set_link(&rig.relay, "in0", &["down"]);
    show.wait_for(mark, "pending: relay \"one\" input: interface \"in0\" is down");
    Rig::set_link(&rig.relay, "in0", &["up"]);
    show.wait_for(mark, "relay \"one\" input: no longer pending");
    let groups = ip(&["-n", rig.relay.name(), "maddress", "show", "dev", "in0"]).unwrap();
    assert!(groups.contains("239.1.1.1"), "{groups}");
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let report = show.play(rig.streams(&["239.1.1.1:5000"]).rate(5_000).packets(5_000));
    assert_eq!((report.received("one"), report.sent("one", 0)), (5_000, 5_000));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_changed_mac_and_mtu_of_an_output_link_take_effect() {
    let rig = Rig::new(1);
    let show = rig.start(
        r#"
        [[relay]]
        name = "one"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
        "#,
    );
    let new = Mac([0x02, 0, 0, 0, 0x77, 0x77]);
    let mark = show.mcr.process.mark();
    Rig::set_link(&rig.relay, "out0", &["address", &new.to_string(), "mtu", "1300"]);
    show.wait_for(mark, "applied");
    std::thread::sleep(SILENCE); // The two changes may come as two.
    let incoming = rig.headers("239.1.1.1:5000");
    let looped = incoming.clone().from_mac(new);
    let frames = [frame(&incoming, &payload(1272)), frame(&looped, &payload(9)), frame(&incoming, &payload(1273))];
    let expected = [frame(&rig.relayed(0, "239.2.1.1:5001").from_mac(new), &payload(1272))];
    assert_eq!(show.exchange(&frames, 1), expected);
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.output_dropped("one", 0, "over_mtu"), report.verdict("loop")), (1, 1));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_link_that_is_removed_costs_the_others_nothing() {
    let rig = Rig::new(2);
    let mut show = rig.start(TWO_LINKS);
    let flow = show.expect(1, 1, "239.2.1.1:5001");
    show.listen(1, vec![flow]);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(5_000).packets(10_000));
    let mark = show.mcr.process.mark();
    ip(&["-n", rig.relay.name(), "link", "delete", "out0"]).unwrap();
    show.wait_for(mark, "interface \"out0\" does not exist");
    let sent = source.finish().unwrap();
    sent.enter(&show.ledgers);
    assert!(wait_for_tail(&show.ledgers, TAIL));
    show.sinks.remove(0).stop().unwrap().check().unwrap();
    lock(&show.ledgers[0]).check(0).unwrap();
    let report = show.mcr.stop().unwrap();
    let [pending, full] = ["pending", "tx_full"].map(|reason| report.output_dropped("two", 0, reason));
    assert_eq!((report.sent("two", 1), report.sent("two", 0) + pending + full), (10_000, 10_000));
    assert!(full <= 2_048, "{full} at most of the moment before its socket was dropped; the rest is pending");
    assert_eq!((report.restarts(), report.lanes("foreign")), (0, 0));
}
