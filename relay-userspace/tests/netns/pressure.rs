//! More than the relay can take: what is lost is counted by name, packet for packet, and nothing else happens to a
//! stream. How much is lost is the machine's affair, and no test's.

use crate::rig::{Rig, Shape, assert_no_frame_is_missing};
use bench::packet::Mac;
use bench::source::{Load, Stream};
use std::fmt::Write;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn as_fast_as_the_link_takes_it() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        lanes = { ring_size = 64 }

        [[relay]]
        name = "one"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
        "#,
    );
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let load = Load::new(vec![Stream::new(1, rig.headers("239.1.1.1:5000"), 200)]);
    let report = show.play(load.packets(60_000));
    println!("60000 at once: {} came to the relay, {} left it", report.received("one"), report.sent("one", 0));
    assert_no_frame_is_missing(&report, 2, 64);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn sixty_four_outputs_of_bursts() {
    let mac = Mac([0x02, 0x4d, 0x43, 0x52, 0, 2]);
    let rig = Rig::shaped(Shape { outputs: 2, queues: 1, output_queues: 1, output_mtu: 1500, output_mac: Some(mac) });
    let mut outputs = String::new();
    for n in 0..64 {
        let (link, group) = (n % 2, n / 2);
        writeln!(
            outputs,
            "{{ interface = \"out{link}\", group = \"239.2.1.{group}\", port = 5001, source = \"10.9.9.9\" }},"
        )
        .unwrap();
    }
    let mut show = rig.start(&format!(
        r#"
        lanes = {{ ring_size = 256 }}

        [[relay]]
        name = "wide"
        input = {{ interface = "in0", group = "239.1.1.1", port = 5000 }}
        outputs = [{outputs}]
        "#,
    ));
    for link in [0, 1] {
        let flow = |group| show.expect(1, link, &format!("239.2.1.{group}:5001")).source("10.9.9.9".parse().unwrap());
        let flows = (0..32).map(flow).collect();
        show.listen(link, flows);
    }
    let load = Load::new(vec![Stream::new(1, rig.headers("239.1.1.1:5000"), 100)]);
    let report = show.play(load.packets(1_000));
    let sent: u64 = (0..64).map(|output| report.sent("wide", output)).sum();
    let full: u64 = (0..64).map(|output| report.output_dropped("wide", output, "tx_full")).sum();
    let none: u64 = (0..64).map(|output| report.output_dropped("wide", output, "no_frame")).sum();
    println!("1000 at once to 64 outputs: {sent} left, {full} found the ring full, {none} found no frame");
    assert_eq!(sent + full + none, 64 * report.received("wide"));
    assert_eq!(report.lanes("transmitted"), sent);
    assert_no_frame_is_missing(&report, 3, 256);
}
