//! Two senders on one group and port: each is a channel, and each has its relay.

use super::desk::Desk;
use crate::rig::{Rig, TAIL};
use bench::ledger::{lock, wait_for_tail};
use bench::packet::Headers;
use bench::source::{Load, Stream};
use std::net::SocketAddr;

/// A stream to that address from a sender with another address on the same link.
fn stream(rig: &Rig, id: u32, source: &str, to: &str) -> Stream {
    let to: SocketAddr = to.parse().unwrap();
    let headers = Headers::new(SocketAddr::new(source.parse().unwrap(), 4000), to).from_mac(rig.from.mac);
    Stream::new(id, if to.ip().is_multicast() { headers } else { headers.to_mac(rig.input.mac) }, 1316)
}

fn relay(name: &str, to: &str, source: &str, output: &str) -> String {
    let (input, group) = (to.rsplit_once(':').unwrap(), output.rsplit_once(' ').unwrap());
    let address = input.0.trim_matches(['[', ']']);
    let kind = if address.parse::<std::net::IpAddr>().unwrap().is_multicast() { "group" } else { "address" };
    format!(
        "[[relay]]\nname = \"{name}\"\n\
         input = {{ interface = \"in0\", {kind} = \"{address}\", port = {}, sources = [\"{source}\"] }}\n\
         outputs = [{{ interface = \"{}\", group = \"{}\", port = 5001 }}]\n",
        input.1, group.0, group.1
    )
}

/// What comes to one address and port, from which source, and where it goes.
const CHANNELS: [(&str, &str, usize, &str); 6] = [
    ("232.1.1.1:5000", "10.1.0.1", 0, "239.2.1.1"),
    ("232.1.1.1:5000", "10.1.0.7", 1, "239.2.1.1"),
    ("[ff3e::8000:1]:5000", "fd01::1", 0, "ff3e::8000:11"),
    ("[ff3e::8000:1]:5000", "fd01::7", 1, "ff3e::8000:12"),
    ("10.1.0.2:6000", "10.1.0.1", 0, "239.2.1.3"),
    ("10.1.0.2:6000", "10.1.0.7", 1, "239.2.1.4"),
];

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn each_relay_gets_what_its_own_source_sends() {
    let rig = Rig::new(2);
    let relays = CHANNELS.iter().zip(1..).map(|((to, source, output, group), id)| {
        relay(&format!("channel-{id}"), to, source, &format!("out{output} {group}"))
    });
    let mut show = rig.start(&relays.collect::<String>());
    for output in [0, 1] {
        let mut flows = Vec::new();
        for ((_, _, of, group), id) in CHANNELS.iter().zip(1..) {
            let to = if group.contains(':') { format!("[{group}]:5001") } else { format!("{group}:5001") };
            if *of == output {
                flows.push(show.expect(id, output, &to));
            }
        }
        show.listen(output, flows);
    }
    let streams = CHANNELS.iter().zip(1..).map(|((to, source, ..), id)| stream(&rig, id, source, to));
    let stranger = stream(&rig, 7, "10.1.0.66", "232.1.1.1:5000");
    let sent = show.send(Load::new(streams.chain([stranger]).collect()).rate(2_000).packets(2_000));
    let report = show.balance(&[sent]);
    assert_eq!((report.verdict("ours"), report.verdict("wrong_source")), (12_000, 2_000));
    for id in 1..=6 {
        assert_eq!(report.received(&format!("channel-{id}")), 2_000);
    }
}

/// The other relay of the group comes, goes, and changes its source, under traffic of both.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_relay_loses_nothing_while_the_other_of_its_group_changes() {
    let rig = Rig::new(2);
    let mut show = rig.start(&relay("steady", "232.1.1.1:5000", "10.1.0.1", "out0 239.2.1.1"));
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let streams = vec![stream(&rig, 1, "10.1.0.1", "232.1.1.1:5000"), stream(&rig, 2, "10.1.0.7", "232.1.1.1:5000")];
    let source = show.source(Load::new(streams).rate(4_000));
    let desk = Desk::of(&show.mcr);
    let refused =
        desk.refused(&["relay", "add", "thief", "--in", "in0/232.1.1.1:5000", "--out", "out1/239.2.1.2:5001"]);
    assert!(refused.contains("is the input of relay \"steady\" already"), "{refused}");
    for round in 0..5 {
        let input = "in0/232.1.1.1:5000,sources=10.1.0.7";
        desk.done(&["relay", "add", "other", "--in", input, "--out", "out1/239.2.1.2:5001"]);
        let before = desk.json(&["relay", "show", "other"])["status"]["input"]["packets"].as_u64().unwrap();
        wait_for_more(&source, 1_000);
        let after = desk.json(&["relay", "show", "other"])["status"]["input"]["packets"].as_u64().unwrap();
        assert!(after > before, "round {round}: {before} packets, then {after}");
        desk.done(&["relay", "set", "other", "--in", "in0/232.1.1.1:5000,sources=10.1.0.8"]);
        wait_for_more(&source, 200);
        desk.done(&["relay", "rm", "other"]);
    }
    let sent = source.stop().unwrap();
    sent.enter(&show.ledgers);
    assert!(wait_for_tail(&show.ledgers, TAIL), "{} lost", lock(&show.ledgers[0]).lost());
    show.sinks.remove(0).stop().unwrap().check().unwrap();
    lock(&show.ledgers[0]).check(0).unwrap();
    let report = show.mcr.stop().unwrap();
    assert_eq!(report.received("steady"), sent.sent(1));
}

fn wait_for_more(source: &bench::Source, packets: u64) {
    let before = source.sent(1);
    while source.sent(1) < before + packets && !source.is_finished() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
