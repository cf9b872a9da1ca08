//! Relays are made, changed and removed by many at once: the others lose nothing, and what was acknowledged stays.

use super::desk::Desk;
use crate::rig::Rig;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const STEADY: [&str; 4] = ["239.1.1.1:5000", "239.1.1.2:5000", "239.1.1.3:5000", "239.1.1.4:5000"];
const CLIENTS: u16 = 8;
/// Longer than any number of changes takes; the source is stopped after the last one.
const AT_MOST: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(20);

/// How often, changes of each client, and packets a second of each stream.
fn measure() -> (u32, u32, u64) {
    if std::env::var_os("MCR_LONG").is_some() { (10, 125, 25_000) } else { (1, 15, 5_000) }
}

/// What a relay of a client was last acknowledged to be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    enabled: bool,
    muted: bool,
    outputs: usize,
}

type Relays = BTreeMap<String, Known>;

fn steady() -> String {
    let relay = |n: usize| {
        format!(
            "[[relay]]\nname = \"steady-{n}\"\ninput = {{ interface = \"in0\", group = \"239.1.1.{n}\", port = 5000 }}\n\
             outputs = [{{ interface = \"out0\", group = \"239.2.1.{n}\", port = 5001 }}]\n"
        )
    };
    (1..=STEADY.len()).map(relay).collect()
}

/// One of those who change relays: in an order of its own, the same in each run.
struct Client {
    number: u16,
    desk: Desk,
    relays: Relays,
    dice: u64,
}

impl Client {
    fn new(number: u16, desk: &Desk) -> Self {
        Self { number, desk: desk.clone(), relays: Relays::new(), dice: 0x9e37_79b9 + u64::from(number) }
    }

    /// A number below `n`, by xorshift.
    fn roll(&mut self, n: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % n
    }

    fn change(&mut self) {
        let (number, which) = (self.number, self.roll(4));
        let name = format!("churn-{number}-{which}");
        let output = format!("out1/239.3.{number}.{which}:6000");
        let Some(mut known) = self.relays.get(&name).cloned() else {
            let input = format!("in0/239.200.{number}.{which}:5000");
            self.desk.done(&["relay", "add", &name, "--in", &input, "--out", &output]);
            self.relays.insert(name, Known { enabled: true, muted: false, outputs: 1 });
            return;
        };
        let more = "out0/239.4.1.1:6001";
        match self.roll(4) {
            0 => {
                self.desk.done(&["relay", "rm", &name]);
                self.relays.remove(&name);
                return;
            }
            1 => {
                self.desk.done(&["relay", if known.enabled { "disable" } else { "enable" }, &name]);
                known.enabled = !known.enabled;
            }
            2 => {
                self.desk.done(&["relay", if known.muted { "unmute" } else { "mute" }, &name]);
                known.muted = !known.muted;
            }
            _ if known.outputs == 1 => {
                self.desk.done(&["relay", "set", &name, "--add-out", more]);
                known.outputs = 2;
            }
            _ => {
                self.desk.done(&["relay", "set", &name, "--remove-out", more]);
                known.outputs = 1;
            }
        }
        self.relays.insert(name, known);
    }
}

/// What mcr says there is of the API's relays.
fn there(desk: &Desk) -> Relays {
    let all: Value = desk.json(&["relay", "ls", "--origin", "api"]);
    let known = |relay: &Value| Known {
        enabled: relay["enabled"].as_bool().unwrap_or(true),
        muted: relay["muted"].as_bool().unwrap_or(false),
        outputs: relay["outputs"].as_array().unwrap().len(),
    };
    all["relays"]
        .as_array()
        .unwrap()
        .iter()
        .map(|relay| (relay["name"].as_str().unwrap().to_owned(), known(relay)))
        .collect()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn changes_by_eight_at_once_cost_the_others_nothing_and_outlive_a_kill() {
    let (rounds, changes, rate) = measure();
    for round in 1..=rounds {
        eprint!("round {round}: ");
        churn(changes, rate);
    }
}

fn churn(changes: u32, rate: u64) {
    let rig = Rig::new(2);
    let mut show = rig.start(&steady());
    let flows = (1..=4).map(|n| show.expect(n, 0, &format!("239.2.1.{n}:5001"))).collect();
    show.listen(0, flows);
    let source = show.source(rig.streams(&STEADY).rate(rate).duration(AT_MOST));
    let desk = Desk::of(&show.mcr);
    let clients = (0..CLIENTS).map(|number| {
        let mut client = Client::new(number, &desk);
        std::thread::spawn(move || {
            (0..changes).for_each(|_| client.change());
            client.relays
        })
    });
    let clients: Vec<_> = clients.collect();
    let acknowledged: Relays = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(!acknowledged.is_empty());
    assert_eq!(there(&desk), acknowledged, "before the kill");

    show.mcr.process.signal(Signal::SIGKILL).unwrap();
    show.mcr.process.wait(SOON).unwrap();
    show.mcr.process = show.mcr.another(&bench::relay::binary(), &rig.relay).unwrap();
    show.mcr.wait_until_ready().unwrap();
    assert_eq!(there(&desk), acknowledged, "after the kill");

    let sent = source.stop().unwrap();
    eprintln!("{} changes, {} packets sent of each stream", u32::from(CLIENTS) * changes, sent.sent(1));
    show.balance(&[sent]);
}
