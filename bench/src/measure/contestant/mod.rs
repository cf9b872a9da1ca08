//! Who takes part: MCR, its peers, and the ceilings.

mod ceiling; // what could be reached at most

use std::path::PathBuf;

use anyhow::Result;

use super::results::{Kind, Loss};
use super::scenario::Scenario;
use super::stage::Stage;

/// Someone who takes part, by the name that scenarios know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contestant {
    /// Its name.
    pub name: String,
    /// What it is, in one line.
    pub about: String,
    /// What it is.
    pub kind: Kind,
}

/// The programs that contestants need.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The binary of MCR.
    pub mcr: PathBuf,
    /// Our relay of plain sockets.
    pub peer: PathBuf,
}

/// Which way packets take through a contestant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// From the generator to the sinks.
    Relays,
    /// From the generator to the contestant, where they end.
    Receives,
    /// From the contestant to the sinks.
    Sends,
}

/// A contestant at work: packets that come in by `in0` leave by its outputs. It ends when dropped.
pub struct Running {
    /// Its processes, those of the kernel not among them.
    pub pids: Vec<u32>,
    /// Which way packets take.
    pub drive: Drive,
    /// Packets that have got through it, where they do not come to the sinks.
    pub received: Option<Box<dyn Fn() -> u64>>,
    /// Ends it in order and says what it, or the kernel on its behalf, counted as lost since its start.
    pub end: Box<dyn FnOnce() -> Result<Vec<Loss>>>,
}

impl Contestant {
    /// One that scenarios name.
    pub fn named(name: &str) -> Result<Self> {
        let kind = if name.starts_with("mcr") {
            Kind::Mcr
        } else if name.starts_with('x') {
            Kind::Ceiling
        } else {
            Kind::Peer
        };
        Ok(Self { name: name.to_owned(), about: String::new(), kind })
    }

    /// One by hand.
    pub fn by_hand(name: &str) -> Result<Self> {
        Self::named(name)
    }

    /// Starts it on a stage and waits until packets would flow.
    pub fn start(&self, programs: &Programs, stage: &Stage, scenario: &Scenario) -> Result<Running> {
        match self.name.as_str() {
            "xdp-redirect" => ceiling::rewrite_in_xdp(stage, scenario),
            "xsk-drop" => ceiling::receive_only(stage),
            "xsk-transmit" => ceiling::send_only(stage, scenario),
            "mmsg" => {
                let mut c = stage.relay.command(&programs.peer);
                c.args("--in-if in0 --in-group 239.1.0.1 --in-port 5000 --core 1".split(' '));
                for o in 0..scenario.outputs {
                    let out = scenario.output(0, o);
                    c.args(["--out", &format!("out{}:{}", out.link, out.destination)]);
                }
                let p = crate::Process::start("peer", c)?;
                p.wait_for("ready", std::time::Duration::from_secs(5))?;
                Ok(Running {
                    pids: vec![p.pid()],
                    drive: Drive::Relays,
                    received: None,
                    end: Box::new(move || {
                        drop(p);
                        Ok(vec![])
                    }),
                })
            }
            name => {
                let poll = name.strip_prefix("mcr-").unwrap_or("adaptive");
                let mut t = format!(
                    "[lanes]\ncores = [1]\npoll = \"{poll}\"\n{}\n",
                    std::env::var("LANES").unwrap_or_default()
                );
                for r in 0..scenario.relays {
                    let i = scenario.input(r);
                    let outs: Vec<String> = (0..scenario.outputs)
                        .map(|o| {
                            let out = scenario.output(r, o);
                            format!(
                                "{{ interface = \"out{}\", group = \"{}\", port = {} }}",
                                out.link,
                                out.destination.ip(),
                                out.destination.port()
                            )
                        })
                        .collect();
                    t += &format!(
                        "[[relay]]\nname = \"r{r}\"\ninput = {{ interface = \"in0\", group = \"{}\", port = {} }}\noutputs = [{}]\n",
                        i.ip(),
                        i.port(),
                        outs.join(", ")
                    );
                }
                let relay = crate::Relay::launch(&programs.mcr, &stage.relay, &t, &[])?;
                relay.wait_until_ready()?;
                let mut pids = relay.lanes();
                pids.push(relay.process.pid());
                Ok(Running {
                    pids,
                    drive: Drive::Relays,
                    received: None,
                    end: Box::new(move || {
                        let r = relay.stop()?;
                        if std::env::var("REPORT").is_ok() {
                            eprintln!("{}", r.0);
                        }
                        Ok(vec![
                            Loss { name: "rx_dropped".into(), packets: r.sockets("rx_dropped") },
                            Loss { name: "rx_ring_full".into(), packets: r.sockets("rx_ring_full") },
                        ])
                    }),
                })
            }
        }
    }
}
