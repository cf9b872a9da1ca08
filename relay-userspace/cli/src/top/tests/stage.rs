//! A node, and a state that has heard of it for a minute.

use super::super::busy::Seconds;
use super::super::draw;
use super::super::keys::Key;
use super::super::node::Answer;
use super::super::state::{Happening, Look, News, State};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use relay_config::model::{Event, Link, Relay, Status, Step, Why};
use serde_json::{Value, json};
use std::time::Duration;

/// When the node was asked last.
pub(in crate::top) const NOW: Duration = Duration::from_secs(1000);

fn traffic(at: &str, pps: f64, age: Option<f64>) -> Value {
    json!({ "at": at, "packets": 1_234_567, "bytes": 1_625_000_000, "pps": pps, "bps": pps * 10_528.0,
            "last_packet_age_s": age, "drops": {} })
}

/// A relay with one output, as an answer has it.
pub(in crate::top) fn relay(name: &str, state: &str, pps: f64) -> Relay {
    let group = name.bytes().map(u32::from).sum::<u32>() % 200;
    let sent = if state == "running" { pps } else { 0.0 };
    let value = json!({
        "name": name,
        "input": { "interface": "ens1f0", "group": format!("239.1.1.{group}"), "port": 5000 },
        "outputs": [{ "interface": "ens1f1", "group": format!("239.2.1.{group}"), "port": 5001, "ttl": 16 }],
        "origin": if name.starts_with("ch") { "file" } else { "api" }, "tag": "t",
        "status": { "state": state, "pending": [],
                    "input": traffic(&format!("ens1f0/239.1.1.{group}:5000"), pps, (pps > 0.0).then_some(0.02)),
                    "outputs": [traffic(&format!("ens1f1/239.2.1.{group}:5001"), sent, None)] },
    });
    serde_json::from_value(value).unwrap()
}

fn status() -> Status {
    let lane = |number: u32| {
        json!({ "number": number, "core": number + 2, "pid": 4243 + number, "heartbeat_age_ms": 1 + 2100 * number,
                "generation": 7 - number, "restarts": number, "frames": 20544, "free_frames": 16000,
                "sockets": [{ "link": "ens1f0", "queue": 0, "receives": true, "sends": true, "mode": "zero-copy" }] })
    };
    let well = json!({ "status": "ok", "checks": [{ "name": "lanes", "ok": true, "text": "" }] });
    let value = json!({
        "version": "0.1.0", "pid": 4242, "uptime_s": 200_000.0, "role": "standalone", "generation": 7,
        "health": well, "ready": well, "config": { "file": "/etc/mcr/relay.toml", "in_force": true, "error": null },
        "relays": {}, "pending": [], "lanes": [lane(0), lane(1)],
    });
    serde_json::from_value(value).unwrap()
}

fn link(name: &str, state: &str, input: bool, output: bool) -> Link {
    let is_used = input || output;
    let value = json!({
        "name": name, "ifindex": 2, "state": state, "mac": "02:00:00:00:00:01", "mtu": 1500,
        "addresses": ["10.1.0.2/24", "fd01::2/64"], "rx_queues": 4, "tx_queues": 4, "input": input, "output": output,
        "program": is_used.then_some("native"), "zero_copy": is_used.then_some(true), "groups": if input { 6 } else { 0 },
        "losses": { "rx_dropped": if input { 12 } else { 0 }, "rx_errors": 0, "tx_dropped": 0, "tx_errors": 0 },
    });
    serde_json::from_value(value).unwrap()
}

/// What a node of six relays answers.
pub(in crate::top) fn answer() -> Answer {
    let mut relays = vec![
        relay("ch1", "running", 1200.4),
        relay("ch2", "silent", 0.0),
        relay("ch3", "running", 83_200.0),
        relay("news-hd", "muted", 1187.0),
        relay("sport-uhd-international", "pending", 3560.0),
        relay("spare", "disabled", 0.0),
    ];
    relays[0].status.input.drops.insert("wrong_source".into(), 3);
    relays[1].status.input.last_packet_age_s = Some(73.0);
    relays[2].status.outputs[0].drops.insert("ttl".into(), 2_345_678);
    let pending = json!({ "relay": "sport-uhd-international", "part": "outputs[0]", "reason": "link_down",
                          "text": "ens1f1 is down: ip link set ens1f1 up" });
    relays[4].status.pending.push(serde_json::from_value(pending).unwrap());
    let links =
        vec![link("ens1f0", "up", true, false), link("ens1f1", "down", false, true), link("lo", "up", false, false)];
    Answer { took: Duration::ZERO, status: status(), relays, links, busy: Some(Seconds::new()) }
}

pub(in crate::top) fn event(id: u64, relay: &str) -> Event {
    let kinds = [("stream.interrupted", "warn"), ("stream.restored", "info"), ("lane.died", "error")];
    let (kind, level) = kinds[usize::try_from(id).unwrap() % 3];
    let value = json!({
        "id": id, "time": format!("2026-01-02T03:04:{:02}.678Z", id % 60), "event": kind, "level": level,
        "text": format!("{relay}: event {id}, with a text that is longer than a narrow terminal is wide, and goes on"),
        "fields": { "relay": relay },
    });
    serde_json::from_value(value).unwrap()
}

/// Why a relay is dark, in part.
pub(in crate::top) fn why(relay: &str) -> Why {
    let step = |part: &str, name: &str, state: &str, text: &str, remedy: Option<&str>| Step {
        name: name.into(),
        part: part.into(),
        state: state.into(),
        text: text.into(),
        remedy: remedy.map(str::to_owned),
    };
    Why {
        relay: relay.into(),
        verdict: "partly".into(),
        steps: vec![
            step("input", "link", "ok", "ens1f0 is up, with carrier", None),
            step("input", "seen", "ok", "1200 packets a second come in, from 10.0.0.5, on ens1f0 without a tag", None),
            step(
                "outputs[0]",
                "neighbour",
                "broken",
                "10.1.1.9 does not answer",
                Some("is it on? ip neigh show 10.1.1.9"),
            ),
            step("outputs[0]", "sent", "not_reached", "", None),
        ],
        warnings: vec!["pid 7 (vlc) waits in vain for 239.1.1.1:5000".into()],
    }
}

/// A state that has been told of the node for a minute, on a screen of this size, with colours.
pub(in crate::top) fn state(width: u16, height: u16) -> State {
    let look = Look { colours: true, unicode: true };
    let begun = NOW - Duration::from_secs(60);
    let mut state = State::new(look, (width, height), Duration::from_secs(1), begun);
    for second in 0..=60_u32 {
        let mut answer = answer();
        let wave = f64::from(second % 20) / 20.0;
        answer.relays[0].status.input.pps *= 0.5 + wave / 2.0;
        answer.relays[2].status.input.pps *= f64::from(second) / 60.0;
        answer.relays[1].status.input.pps = if second < 20 { 900.0 } else { 0.0 };
        answer.busy = Some([(0, 0.25 * f64::from(second)), (1, 0.0)].into());
        if second == 60 {
            answer.relays[0].status.input.pps = 1200.4;
        }
        state.take(told(answer), begun + Duration::from_secs(second.into()));
    }
    state.take(Happening::News(News::Events((1..=30).map(|id| event(id, "ch1")).collect())), NOW);
    state
}

pub(in crate::top) fn told(answer: Answer) -> Happening {
    Happening::News(News::Answer(Box::new(answer)))
}

/// Presses keys: names in angle brackets, all else letter by letter.
pub(in crate::top) fn press(state: &mut State, keys: &str) {
    let mut rest = keys;
    while let Some(c) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
        let (key, after) = match named {
            Some((name, after)) => (key(name), after),
            None => (Key::Char(c), &rest[c.len_utf8()..]),
        };
        state.take(Happening::Key(key), NOW);
        rest = after;
    }
}

fn key(name: &str) -> Key {
    match name {
        "up" => Key::Up,
        "down" => Key::Down,
        "pgup" => Key::PageUp,
        "pgdn" => Key::PageDown,
        "home" => Key::Home,
        "end" => Key::End,
        "tab" => Key::Tab,
        "backtab" => Key::BackTab,
        "enter" => Key::Enter,
        "esc" => Key::Esc,
        "back" => Key::Backspace,
        "ctrl-c" => Key::Interrupt,
        other => panic!("no key is called {other}"),
    }
}

/// What is seen, with its colours.
pub(in crate::top) fn buffer(state: &State) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(state.size.0, state.size.1)).unwrap();
    terminal.draw(|frame| draw::frame(state, frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// What is seen, as text.
pub(in crate::top) fn seen(state: &State) -> String {
    let buffer = buffer(state);
    let row = |y| -> String { (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect() };
    (0..buffer.area.height).map(|y| row(y).trim_end().to_owned() + "\n").collect()
}
