//! One stream out on several outputs.

use crate::rig::{Rig, Shape, assert_no_frame_is_missing};
use bench::packet::Mac;

/// The MAC of both output links, so that the same rewrite on both gives the same bytes.
const SAME_MAC: Mac = Mac([0x02, 0x4d, 0x43, 0x52, 0, 1]);

fn two_links() -> Rig {
    Rig::shaped(Shape { outputs: 2, queues: 1, output_queues: 1, output_mtu: 1500, output_mac: Some(SAME_MAC) })
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn two_links_share_one_frame_without_a_copy() {
    let rig = two_links();
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "twice"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [
            { interface = "out0", group = "239.2.1.1", port = 5001, source = "10.9.9.9" },
            { interface = "out1", group = "239.2.1.1", port = 5001, source = "10.9.9.9" },
        ]
        "#,
    );
    for output in [0, 1] {
        let flow = show.expect(1, output, "239.2.1.1:5001").source("10.9.9.9".parse().unwrap());
        show.listen(output, vec![flow]);
    }
    let report = show.play(rig.streams(&["239.1.1.1:5000"]).rate(10_000).packets(10_000));
    assert_eq!((report.lanes("received"), report.lanes("transmitted")), (10_000, 20_000));
    assert_eq!(report.lanes("copied"), 0, "both rings had the frame that came in");
    assert_no_frame_is_missing(&report, 3, 2048);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn eight_outputs_on_two_links_each_get_every_packet() {
    let rig = two_links();
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "eight"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [
            { interface = "out0", group = "239.2.1.1", port = 5001, source = "10.9.9.9" },
            { interface = "out0", group = "239.2.1.2", port = 5001 },
            { interface = "out0", group = "239.2.1.3", port = 5001, ttl = 200, dscp = 46 },
            { interface = "out0", group = "239.2.1.4", port = 5002, source_port = 6000 },
            { interface = "out1", group = "239.2.1.1", port = 5001, source = "10.9.9.9" },
            { interface = "out1", group = "239.2.1.2", port = 5001 },
            { interface = "out1", group = "239.2.1.3", port = 5001, ttl = 1 },
            { interface = "out1", group = "239.2.1.4", port = 5002, source = "keep" },
        ]
        "#,
    );
    let (shared, kept) = ("10.9.9.9".parse().unwrap(), "10.1.0.1".parse().unwrap());
    let on_out0 = vec![
        show.expect(1, 0, "239.2.1.1:5001").source(shared),
        show.expect(1, 0, "239.2.1.2:5001"),
        show.expect(1, 0, "239.2.1.3:5001").hops(200).dscp(46),
        show.expect(1, 0, "239.2.1.4:5002").source_port(6000),
    ];
    show.listen(0, on_out0);
    let on_out1 = vec![
        show.expect(1, 1, "239.2.1.1:5001").source(shared),
        show.expect(1, 1, "239.2.1.2:5001"),
        show.expect(1, 1, "239.2.1.3:5001").hops(1),
        show.expect(1, 1, "239.2.1.4:5002").source(kept),
    ];
    show.listen(1, on_out1);
    let report = show.play(rig.streams(&["239.1.1.1:5000"]).rate(3_000).packets(5_000));
    for output in 0..8 {
        assert_eq!(report.sent("eight", output), 5_000, "outputs[{output}]");
    }
    assert_eq!((report.lanes("received"), report.lanes("transmitted")), (5_000, 40_000));
    // Seven different headers: the first is written into the frame that came in, each other costs a copy.
    assert_eq!(report.lanes("copied"), 6 * 5_000);
    assert_no_frame_is_missing(&report, 3, 2048);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_burst_to_sixty_four_outputs_fits_the_transmit_ring() {
    let rig = Rig::new(1);
    let outputs: String =
        (0..64).map(|n| format!("{{ interface = \"out0\", group = \"239.2.1.{n}\", port = 5001 }},")).collect();
    let mut show = rig.start(&format!(
        r#"
        [[relay]]
        name = "wide"
        input = {{ interface = "in0", group = "239.1.1.1", port = 5000 }}
        outputs = [{outputs}]
        "#,
    ));
    let flows = (0..64).map(|n| show.expect(1, 0, &format!("239.2.1.{n}:5001"))).collect();
    show.listen(0, flows);
    // As much as a lane takes at once when a packet goes out but once.
    let report = show.play(rig.streams(&["239.1.1.1:5000"]).packets(64));
    let full: u64 = (0..64).map(|output| report.output_dropped("wide", output, "tx_full")).sum();
    assert_eq!((report.received("wide"), report.lanes("transmitted"), full), (64, 64 * 64, 0));
}
