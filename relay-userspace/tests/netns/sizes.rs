//! The shortest and the longest datagrams.

use crate::rig::{Rig, Shape, frame, payload};
use bench::packet::build;

const CONFIG: &str = r#"
    [[relay]]
    name = "size"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
"#;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn every_size_up_to_the_mtu_comes_out_as_it_came() {
    let rig = Rig::new(1);
    let show = rig.start(CONFIG);
    let (incoming, outgoing) = (rig.headers("239.1.1.1:5000"), rig.relayed(0, "239.2.1.1:5001"));
    // 18 bytes make a frame of 60, the shortest that Ethernet has; 1472 fill the MTU.
    let sizes: Vec<usize> = (0..=40).chain([187, 188, 1316, 1328, 1471, 1472]).collect();
    let frames: Vec<_> = sizes.iter().map(|size| build(&incoming, &payload(*size))).collect();
    let expected: Vec<_> = sizes.iter().map(|size| frame(&outgoing, &payload(*size))).collect();
    let arrived = show.exchange(&frames, expected.len());
    for (size, (arrived, expected)) in sizes.iter().zip(arrived.iter().zip(&expected)) {
        assert_eq!(arrived, expected, "payload of {size} bytes");
    }
    let report = show.mcr.stop().unwrap();
    let bytes: usize = sizes.iter().map(|size| size + 28).sum();
    assert_eq!(report.0["relays"][0]["bytes"], bytes, "bytes are those of IP packets");
    assert_eq!(report.0["relays"][0]["outputs"][0]["bytes"], bytes);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_fills_a_frame_up_is_not_passed_on() {
    let rig = Rig::new(1);
    let show = rig.start(CONFIG);
    let (incoming, outgoing) = (rig.headers("239.1.1.1:5000"), rig.relayed(0, "239.2.1.1:5001"));
    let sizes = [0, 1, 17, 18, 100];
    let frames: Vec<_> =
        sizes.iter().map(|size| [build(&incoming, &payload(*size)), vec![0xee; 46]].concat()).collect();
    let expected: Vec<_> = sizes.iter().map(|size| frame(&outgoing, &payload(*size))).collect();
    assert_eq!(show.exchange(&frames, expected.len()), expected);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_is_longer_than_an_outputs_mtu_is_dropped_by_name() {
    let rig = Rig::shaped(Shape { outputs: 1, queues: 1, output_queues: 1, output_mtu: 1300, output_mac: None });
    let show = rig.start(CONFIG);
    let (incoming, outgoing) = (rig.headers("239.1.1.1:5000"), rig.relayed(0, "239.2.1.1:5001"));
    let sizes = [1272, 1273, 1472, 0, 1271];
    let frames: Vec<_> = sizes.iter().map(|size| frame(&incoming, &payload(*size))).collect();
    let fitting = sizes.iter().filter(|size| **size <= 1272);
    let expected: Vec<_> = fitting.map(|size| frame(&outgoing, &payload(*size))).collect();
    assert_eq!(show.exchange(&frames, 3), expected);
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.received("size"), report.sent("size", 0)), (5, 3));
    assert_eq!(report.output_dropped("size", 0, "over_mtu"), 2);
}

/// Hosts with an MTU of 9000 are common, and so are their streams of 1316 bytes: what fits into a frame is relayed, and what
/// does not is counted by the kernel.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_link_with_a_long_mtu_takes_what_fits_and_counts_what_does_not() {
    let rig = Rig::new(1);
    Rig::set_link(&rig.source, "src0", &["mtu", "9000"]);
    Rig::set_link(&rig.relay, "in0", &["mtu", "9000"]);
    let show = rig.start(
        r#"
        [[relay]]
        name = "ch1"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
        "#,
    );
    assert!(show.mcr.wait_until_ready().unwrap().contains("pending=0"));
    let incoming = rig.headers("239.1.1.1:5000");
    let sizes = [1316, 8000, 1472, 1316, 2000, 8972, 100];
    let frames: Vec<_> = sizes.iter().map(|size| frame(&incoming, &payload(*size))).collect();
    let fits: Vec<usize> = sizes.into_iter().filter(|size| *size <= 1472).collect();
    let arrived = show.exchange(&frames, fits.len());
    let expected: Vec<_> = fits.iter().map(|size| frame(&rig.relayed(0, "239.2.1.1:5001"), &payload(*size))).collect();
    assert_eq!(arrived, expected);
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.received("ch1"), report.sockets("rx_dropped")), (fits.len() as u64, 3));
}
