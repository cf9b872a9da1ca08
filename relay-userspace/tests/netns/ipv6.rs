//! IPv6: groups, sources, a host that neighbour discovery finds.

use crate::rig::{Rig, frame, payload};
use bench::packet::{Checksum, Extension, Headers, Ip, Ipv6};

fn with_ipv6(mut headers: Headers, change: impl FnOnce(&mut Ipv6)) -> Headers {
    match &mut headers.ip {
        Ip::V6(ip) => change(ip),
        Ip::V4(_) => panic!("{} is not IPv6", headers.destination()),
    }
    headers
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_group_is_relayed_to_a_group() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "six"
        input = { interface = "in0", group = "ff3e::1", port = 5000 }
        outputs = [{ interface = "out0", group = "ff3e::2:1", port = 5001, ttl = 9, dscp = 46 }]
        "#,
    );
    let flow = show.expect(1, 0, "[ff3e::2:1]:5001").hops(9).dscp(46);
    show.listen(0, vec![flow]);
    let report = show.play(rig.streams(&["[ff3e::1]:5000"]).rate(10_000).packets(10_000));
    assert_eq!((report.received("six"), report.sent("six", 0)), (10_000, 10_000));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn only_the_named_source_is_relayed() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "six"
        input = { interface = "in0", group = "ff3e::1", port = 5000, sources = ["fd01::1"] }
        outputs = [{ interface = "out0", group = "ff3e::2:1", port = 5001 }]
        "#,
    );
    let flow = show.expect(1, 0, "[ff3e::2:1]:5001");
    show.listen(0, vec![flow]);
    let right = rig.headers("[ff3e::1]:5000");
    let wrong = with_ipv6(right.clone(), |ip| ip.source = "fd01::bad".parse().unwrap());
    let stream = |id, headers| bench::source::Stream::new(id, headers, 1316);
    let load = bench::source::Load::new(vec![stream(1, right), stream(2, wrong)]);
    let report = show.play(load.rate(5_000).packets(5_000));
    assert_eq!((report.received("six"), report.verdict("wrong_source")), (5_000, 5_000));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_host_is_found_by_neighbour_discovery() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "six"
        input = { interface = "in0", group = "ff3e::1", port = 5000 }
        outputs = [{ interface = "out0", address = "fd02:0::9", port = 5001 }]
        "#,
    );
    show.wait_until_nothing_is_pending();
    let flow = show.expect(1, 0, "[fd02:0::9]:5001");
    show.listen(0, vec![flow]);
    let report = show.play(rig.streams(&["[ff3e::1]:5000"]).rate(5_000).packets(5_000));
    assert_eq!((report.received("six"), report.sent("six", 0)), (5_000, 5_000));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_is_not_rewritten_stays_as_it_came() {
    let rig = Rig::new(1);
    let show = rig.start(
        r#"
        [[relay]]
        name = "six"
        input = { interface = "in0", group = "ff3e::1", port = 5000 }
        outputs = [{ interface = "out0", group = "ff3e::2:1", port = 5001 }]
        "#,
    );
    // Flow label, traffic class with ECN, a header of destination options (PadN).
    let special = |headers| {
        with_ipv6(headers, |ip| {
            ip.flow_label = 0x9_8765;
            ip.traffic_class = 0xb9;
            ip.extensions = vec![Extension { kind: 60, content: vec![1, 4, 0, 0, 0, 0] }];
        })
    };
    let (incoming, outgoing) = (special(rig.headers("[ff3e::1]:5000")), special(rig.relayed(0, "[ff3e::2:1]:5001")));
    let sizes = [0, 1, 2, 63, 1316, 1444];
    let frames: Vec<_> = sizes.iter().map(|size| frame(&incoming, &payload(*size))).collect();
    let expected: Vec<_> = sizes.iter().map(|size| frame(&outgoing, &payload(*size))).collect();
    assert_eq!(show.exchange(&frames, expected.len()), expected);
    assert_eq!(show.mcr.stop().unwrap().received("six"), 6);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_datagram_without_a_checksum_is_dropped_by_name() {
    let rig = Rig::new(1);
    let show = rig.start(
        r#"
        [[relay]]
        name = "six"
        input = { interface = "in0", group = "ff3e::1", port = 5000 }
        outputs = [{ interface = "out0", group = "ff3e::2:1", port = 5001 }]
        "#,
    );
    let right = rig.headers("[ff3e::1]:5000");
    let bare = right.clone().checksum(Checksum::Zero);
    let frames = [frame(&bare, &payload(1316)), frame(&right, &payload(700)), frame(&bare, &payload(5))];
    let expected = [frame(&rig.relayed(0, "[ff3e::2:1]:5001"), &payload(700))];
    assert_eq!(show.exchange(&frames, 1), expected);
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.received("six"), report.relay_dropped("six", "no_checksum")), (3, 2));
}
