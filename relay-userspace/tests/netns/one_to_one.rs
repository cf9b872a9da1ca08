//! The smallest relay: one stream in, one out.

use crate::rig::Rig;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn one_stream_comes_out_once_and_whole() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "one"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001, ttl = 7, dscp = 34 }]
        "#,
    );
    let flow = show.expect(1, 0, "239.2.1.1:5001").hops(7).dscp(34);
    show.listen(0, vec![flow]);
    let report = show.play(rig.streams(&["239.1.1.1:5000"]).rate(20_000).packets(20_000));
    assert_eq!((report.received("one"), report.sent("one", 0)), (20_000, 20_000));
    assert_eq!((report.verdict("ours"), report.lanes("stamp_hits")), (20_000, 20_000));
}
