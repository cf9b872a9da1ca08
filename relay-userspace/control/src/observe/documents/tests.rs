//! What the API shows of a node without a kernel.

use super::{links, relay, relays, status};
use crate::desk::Desk;
use crate::observe::Rates;
use crate::observe::fixtures::{NOW, Node};
use crate::tag;
use relay_common::drops::Drop;
use relay_config::model;

const S: u64 = 1_000_000_000;

/// Two relays; packets come in for the second, on both lanes.
fn node() -> (Desk, Rates) {
    let node = Node::new(&["two", "one"]);
    let rates = Rates::default();
    rates.look(&node.view, NOW - S);
    let counter = node.view.table.relays[1].as_ref().unwrap().outputs[0].counter;
    for lane in [0, 1] {
        for _ in 0..5 {
            node.lane(lane).received(1, 100, NOW - S / 2);
            node.lane(lane).sent(counter, 100);
        }
    }
    node.lane(1).output_dropped(counter + 1, Drop::Pending);
    node.lane(1).relay_dropped(1, Drop::NoChecksum);
    rates.look(&node.view, NOW);
    (node.desk(), rates)
}

#[test]
fn relays_are_shown_by_name_with_how_they_do() {
    let (desk, rates) = node();
    let shown = relays(&desk, &rates, NOW);
    let names: Vec<_> = shown.relays.iter().map(|relay| relay.definition["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two"]);
    let [one, two] = [&shown.relays[0], &shown.relays[1]].map(|relay| &relay.status);
    assert_eq!((one.state.as_str(), two.state.as_str()), ("running", "silent"));
    assert_eq!((one.input.packets, one.input.bytes, one.input.pps, one.input.bps), (10, 1000, 10.0, 8000.0));
    assert_eq!((one.input.last_packet_age_s, two.input.last_packet_age_s), (Some(0.5), None));
    assert_eq!(one.input.drops, [("no_checksum".to_owned(), 1)].into());
    assert_eq!((one.outputs[0].at.as_str(), one.outputs[0].packets), ("out0/239.2.0.2:5001", 10));
    assert_eq!((one.outputs[0].pps, one.outputs[1].pps), (10.0, 0.0));
    assert_eq!(one.outputs[1].drops, [("pending".to_owned(), 1)].into());
    let waits = one.pending.iter().find(|pending| pending.part == "outputs[1]").unwrap();
    assert_eq!((waits.relay.as_str(), waits.reason.as_str()), ("one", "link_missing"));
    assert_eq!(relay(&desk, &rates, "one", NOW).as_ref(), Some(&shown.relays[0]));
    assert_eq!(relay(&desk, &rates, "three", NOW), None);
}

#[test]
fn what_is_shown_can_be_read_again() {
    let (desk, rates) = node();
    let shown = relays(&desk, &rates, NOW);
    let text = serde_json::to_string(&shown).unwrap();
    assert_eq!(serde_json::from_str::<model::Relays>(&text).unwrap(), shown);
    assert_eq!(shown.relays[0].origin, "api");
    let view = desk.view();
    let (_, one) = view.table.relay("one").unwrap();
    assert_eq!(shown.relays[0].tag, tag::of_relay(&one.relay));
    assert_eq!(shown.tag, tag::of_relays(&view.plan.relays), "all came through the API");
}

#[test]
fn the_status_counts_by_state_and_names_its_lanes() {
    let (desk, _) = node();
    let status = status(&desk, NOW);
    assert_eq!((status.relays["running"], status.relays["silent"], status.relays["muted"]), (1, 1, 0));
    assert_eq!((status.uptime_s, status.generation), (90.0, 1));
    assert_eq!((status.health.status.as_str(), status.ready.status.as_str()), ("ok", "failing"));
    assert_eq!(
        (status.health.verdicts, &status.ready.verdicts),
        (vec!["partial".to_owned()], &vec!["partial".to_owned()])
    );
    let partial = status.ready.partial.unwrap();
    assert_eq!((partial.relays.percent, partial.relays.whole, partial.relays.of), (50.0, 0, 2));
    assert_eq!((partial.links.whole, partial.links.of, partial.min, partial.missing), (2, 3, Some(100.0), 50));
    assert_eq!((status.config.file.as_str(), status.config.in_force), ("/etc/mcr/relay.toml", true));
    let lane = &status.lanes[1];
    assert_eq!((lane.number, lane.pid, lane.heartbeat_age_ms, lane.restarts), (1, Some(101), 50, 1));
    assert_eq!((lane.frames, lane.free_frames), (1024, 1024));
}

#[test]
fn links_are_shown_with_their_use() {
    let (desk, _) = node();
    let links = links(&desk);
    let [input, output, idle] = links.try_into().unwrap();
    assert_eq!((input.name.as_str(), input.state.as_str(), input.input, input.output), ("in0", "up", true, false));
    assert_eq!((input.program.as_deref(), input.mac.as_str()), (Some("native"), "02:00:00:00:00:07"));
    assert_eq!((output.state.as_str(), output.output, output.program), ("up", true, None));
    assert_eq!((idle.state.as_str(), idle.input, idle.output), ("no carrier", false, false));
    assert!(input.losses.is_empty(), "this machine has no such link");
    assert_eq!((output.addresses, output.zero_copy), (vec!["10.0.0.1/24".to_owned()], None));
}

/// `cargo test --release -p relay-userspace -- --ignored --nocapture the_time_of_4096_relays` prints it.
#[test]
#[ignore = "prints times: run it in release mode"]
fn the_time_of_4096_relays() {
    let names: Vec<String> = (0..4096).map(|n| format!("channel-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let node = Node::new(&names);
    let rates = Rates::default();
    let time = |what: &str, run: &mut dyn FnMut()| {
        let mut best = u64::MAX;
        for _ in 0..10 {
            let from = relay_engine::clock::now_ns();
            run();
            best = best.min(relay_engine::clock::now_ns() - from);
        }
        println!("{what}: {:.2} ms", best as f64 / 1e6);
    };
    let mut streams = crate::events::streams::Streams::default();
    time("watch", &mut || drop(streams.tick(&node.view, NOW)));
    time("rates", &mut || rates.look(&node.view, NOW));
    let desk = node.desk();
    time("health", &mut || drop(super::super::health(&desk, None, NOW)));
    time("ready", &mut || drop(super::super::ready(&desk, None, NOW)));
    time("status", &mut || drop(status(&desk, NOW)));
    time("relays", &mut || drop(relays(&desk, &rates, NOW)));
    let shown = relays(&desk, &rates, NOW);
    time("relays as JSON", &mut || drop(serde_json::to_string(&shown)));
}
