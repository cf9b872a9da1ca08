//! Our own output that comes back as an input.

use crate::rig::{Rig, frame, payload};

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_frame_with_our_own_mac_as_its_source_is_dropped_and_counted() {
    let rig = Rig::new(2);
    let show = rig.start(
        r#"
        [[relay]]
        name = "round"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [
            { interface = "out0", group = "239.2.1.1", port = 5001 },
            { interface = "out1", group = "239.2.1.1", port = 5001 },
        ]
        "#,
    );
    let headers = rig.headers("239.1.1.1:5000");
    let from = |mac| frame(&headers.clone().from_mac(mac), &payload(1316));
    let (first, second) = (rig.outputs[0].0.mac, rig.outputs[1].0.mac);
    // What only looks like a loop is none: the MAC of the input link, of a receiver.
    let frames = [from(first), from(second), from(rig.input.mac), from(first), from(rig.outputs[0].1.mac)];
    let expected = frame(&rig.relayed(0, "239.2.1.1:5001"), &payload(1316));
    assert_eq!(show.exchange(&frames, 2), [expected.clone(), expected]);
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.verdict("loop"), report.verdict("ours"), report.received("round")), (3, 2, 2));
}
