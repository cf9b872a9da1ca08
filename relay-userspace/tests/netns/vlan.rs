//! VLAN tags in and out. No 802.1Q device is there, so the tests build the tagged frames.

use crate::rig::{Rig, frame, payload};
use bench::packet::{Headers, TPID_8021AD, TPID_8021Q, Vlan};

/// A relay of what comes in with these tags, to one group for each thing that can be done with them.
fn config(vlan: &str) -> String {
    format!(
        r#"
        [[relay]]
        name = "tags"
        input = {{ interface = "in0", group = "239.1.1.1", port = 5000, vlan = {vlan} }}
        outputs = [
            {{ interface = "out0", group = "239.2.1.1", port = 5001, vlan = "keep" }},
            {{ interface = "out0", group = "239.2.1.2", port = 5001, vlan = 200 }},
            {{ interface = "out0", group = "239.2.1.3", port = 5001, vlan = "none" }},
            {{ interface = "out0", group = "239.2.1.4", port = 5001, vlan = [300, 30] }},
        ]
        "#
    )
}

/// A customer tag with priority bits.
fn tag(id: u16, priority: u8, drop_eligible: bool) -> Vlan {
    Vlan { tpid: TPID_8021Q, id, priority, drop_eligible }
}

/// Sends frames with tags that the relay wants and checks what each output makes of each of them: `tags` of the
/// frame, and its priority bits for tags that are set.
fn check(vlan: &str, tags: &[Vlan], priority: u8, drop_eligible: bool) {
    let rig = Rig::new(1);
    let show = rig.start(&config(vlan));
    let incoming = rig.headers("239.1.1.1:5000").tagged(tags);
    // A packet socket and a veth pair count the second tag as part of the MTU.
    let sizes = [1, 4, 100, 1316, 1464];
    let frames: Vec<_> = sizes.iter().map(|size| frame(&incoming, &payload(*size))).collect();
    let arrived = show.exchange(&frames, 4 * sizes.len());

    let set = |tag: Vlan| Vlan { priority, drop_eligible, ..tag };
    let out = |group: &str, tags: &[Vlan]| rig.relayed(0, group).tagged(tags);
    let outputs = [
        out("239.2.1.1:5001", tags),
        out("239.2.1.2:5001", &[set(Vlan::new(200))]),
        out("239.2.1.3:5001", &[]),
        out("239.2.1.4:5001", &[set(Vlan::service(300)), set(Vlan::new(30))]),
    ];
    let of = |headers: &Headers| -> Vec<Vec<u8>> {
        let is_to =
            |frame: &&Vec<u8>| bench::packet::parse(frame).unwrap().headers.destination() == headers.destination();
        arrived.iter().filter(is_to).cloned().collect()
    };
    for headers in &outputs {
        let expected: Vec<_> = sizes.iter().map(|size| frame(headers, &payload(*size))).collect();
        assert_eq!(of(headers), expected, "{} from {tags:?}", headers.destination());
    }
    let report = show.mcr.stop().unwrap();
    assert_eq!(report.received("tags"), sizes.len() as u64);
    assert_eq!(report.verdict("not_ours"), 0);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn tags_are_put_on_what_has_none() {
    check("\"none\"", &[], 0, false);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn one_tag_is_kept_changed_removed_and_doubled() {
    check("100", &[tag(100, 0, false)], 0, false);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn priority_bits_go_along_with_a_new_tag() {
    check("100", &[tag(100, 5, true)], 5, true);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn two_tags_are_kept_changed_and_removed() {
    let outer = Vlan { tpid: TPID_8021AD, ..tag(100, 6, false) };
    check("[100, 10]", &[outer, tag(10, 3, true)], 6, false);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_priority_tag_is_no_vlan() {
    check("\"none\"", &[tag(0, 4, false)], 4, false);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_same_group_in_another_vlan_is_not_ours() {
    let rig = Rig::new(1);
    let show = rig.start(&config("100"));
    let untagged = rig.headers("239.1.1.1:5000");
    let others: [&[Vlan]; 4] = [&[], &[Vlan::new(101)], &[Vlan::service(100), Vlan::new(10)], &[Vlan::new(10)]];
    let frames: Vec<_> = others.iter().map(|tags| frame(&untagged.clone().tagged(tags), &payload(1316))).collect();
    show.exchange(&frames, 0);
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.verdict("not_ours"), report.verdict("ours"), report.received("tags")), (4, 0, 0));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn two_relays_tell_the_same_group_apart_by_its_vlan() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "plain"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]

        [[relay]]
        name = "tagged"
        input = { interface = "in0.100", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0.7", group = "239.2.1.2", port = 5001 }]
        "#,
    );
    let flows = vec![show.expect(1, 0, "239.2.1.1:5001"), show.expect(2, 0, "239.2.1.2:5001").vlans(&[Vlan::new(7)])];
    show.listen(0, flows);
    let stream = |id, tags: &[Vlan]| bench::source::Stream::new(id, rig.headers("239.1.1.1:5000").tagged(tags), 1316);
    let load = bench::source::Load::new(vec![stream(1, &[]), stream(2, &[Vlan::new(100)])]);
    let report = show.play(load.rate(5_000).packets(5_000));
    assert_eq!((report.received("plain"), report.received("tagged")), (5_000, 5_000));
}
