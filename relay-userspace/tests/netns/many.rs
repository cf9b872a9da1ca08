//! Many relays of one range.

use crate::rig::Rig;
use bench::clock::monotonic_ns;
use bench::source::{Load, Stream};
use std::time::Duration;

/// Three times what it takes on a busy machine with a debug build, and more.
const READY_WITHIN: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn two_hundred_relays_of_a_range_each_relay_their_own() {
    let rig = Rig::new(1);
    let started = monotonic_ns();
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "range"
        input = { interface = "in0", group = "239.1.1.0-199", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.0-199", port = "6000-6199" }]
        "#,
    );
    let ready = Duration::from_nanos(monotonic_ns() - started);
    println!("200 relays: ready {ready:?} after the start of mcr");
    assert!(ready < READY_WITHIN, "ready after {ready:?}");

    let flows = (0..200_u16).map(|n| show.expect(u32::from(n) + 1, 0, &format!("239.2.1.{n}:{}", 6000 + n))).collect();
    show.listen(0, flows);
    let stream = |n: u32| Stream::new(n + 1, rig.headers(&format!("239.1.1.{n}:5000")), 188);
    let report = show.play(Load::new((0..200).map(stream).collect()).rate(100).packets(100));
    for n in 0..200 {
        let name = format!("range/{n}");
        assert_eq!((report.received(&name), report.sent(&name, 0)), (100, 100), "{name}");
    }
}

/// Ten times what a release build takes.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn ten_thousand_relays_are_ready_in_seconds() {
    let rig = Rig::new(1);
    // The kernel's own limit, so that groups are spread over many sockets: the laboratory raises it.
    rig.relay.sysctl("net/ipv4/igmp_max_memberships", "20").unwrap();
    for (n_blocks, limit) in [(16, 10), (39, 30)] {
        let mut config = "[lanes]\nmax_relays = 16384\nmax_outputs = 16384\n".to_owned();
        for block in 1..=n_blocks {
            config += &format!(
                r#"
                [[relay]]
                name = "block-{block}"
                input = {{ interface = "in0", group = "239.1.{block}.0-255", port = 5000 }}
                outputs = [{{ interface = "out0", group = "239.2.{block}.0-255", port = 5001 }}]
                "#
            );
        }
        let started = monotonic_ns();
        let show = rig.start(&config);
        let ready = Duration::from_nanos(monotonic_ns() - started);
        println!("{} relays: ready {ready:?} after the start of mcr", n_blocks * 256);
        assert!(ready.as_secs() < limit, "ready after {ready:?}");
        show.mcr.stop().unwrap();
    }
}
