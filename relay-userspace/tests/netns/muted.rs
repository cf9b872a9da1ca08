//! A muted relay: received, measured, and not sent.

use crate::rig::Rig;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn nothing_of_a_muted_relay_comes_out_and_all_of_its_neighbour() {
    let rig = Rig::new(2);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "silent"
        muted = true
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [
            { interface = "out0", group = "239.2.1.1", port = 5001 },
            { interface = "out1", group = "239.2.1.1", port = 5001 },
        ]
        [[relay]]
        name = "loud"
        input = { interface = "in0", group = "239.1.1.2", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.2", port = 5001 }]
        "#,
    );
    // A sink complains of whatever else comes.
    let flow = show.expect(2, 0, "239.2.1.2:5001");
    show.listen(0, vec![flow]);
    show.listen(1, vec![]);
    let sent = show.send(rig.streams(&["239.1.1.1:5000", "239.1.1.2:5000"]).rate(20_000).packets(10_000));
    assert_eq!((sent.sent(1), sent.sent(2)), (10_000, 10_000));
    sent.enter(&show.ledgers);
    bench::ledger::wait_for_tail(&show.ledgers, crate::rig::TAIL);
    show.sinks.into_iter().for_each(|sink| sink.stop().unwrap().check().unwrap());
    bench::ledger::lock(&show.ledgers[0]).check(0).unwrap();
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.received("silent"), report.received("loud")), (10_000, 10_000));
    for output in [0, 1] {
        assert_eq!((report.sent("silent", output), report.output_dropped("silent", output, "muted")), (0, 10_000));
    }
    assert_eq!((report.sent("loud", 0), report.lanes("transmitted")), (10_000, 10_000));
}
