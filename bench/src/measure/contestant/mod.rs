//! Who takes part: MCR, its peers, and the ceilings.

mod by_hand; // a program that a person names
mod ceiling; // what could be reached at most
mod counters; // what the kernel counts in a namespace
mod foreign; // programs that are not ours: pinned, waited for, ended
mod kernel; // multicast routing by the kernel
mod mcr; // MCR itself
mod socat; // socat
mod sockets; // our own relays of plain sockets

use std::borrow::Cow;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::results::{Kind, Loss};
use super::scenario::{Output, Scenario};
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
    way: Way,
}

/// How it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// With these lines in the section `lanes`, and behind it.
    Mcr(Cow<'static, str>),
    Sockets {
        plain: bool,
    },
    Kernel,
    Socat,
    ByHand(by_hand::Template),
    Ceiling(Ceiling),
}

/// What a ceiling leaves of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ceiling {
    Rewrite,
    Receive,
    PassOn,
    Send,
}

/// All that scenarios may name.
const KNOWN: [(&str, &str, Kind, Way); 11] = [
    ("mcr", "MCR as it comes (adaptive)", Kind::Mcr, Way::Mcr(Cow::Borrowed("poll = \"adaptive\""))),
    ("mcr-busy", "MCR with a lane that never sleeps", Kind::Mcr, Way::Mcr(Cow::Borrowed("poll = \"busy\""))),
    ("mcr-wait", "MCR with a lane that never spins", Kind::Mcr, Way::Mcr(Cow::Borrowed("poll = \"wait\""))),
    ("mmsg", "plain sockets, recvmmsg and sendmmsg of 64", Kind::Peer, Way::Sockets { plain: false }),
    ("plain", "plain sockets, recv and send", Kind::Peer, Way::Sockets { plain: true }),
    ("kernel", "multicast routing by the kernel, set up by smcroute", Kind::Peer, Way::Kernel),
    ("socat", "socat", Kind::Peer, Way::Socat),
    (
        "xdp-redirect",
        "rewritten and sent on in XDP on the generator's core, no process",
        Kind::Ceiling,
        Way::Ceiling(Ceiling::Rewrite),
    ),
    ("xsk-drop", "AF_XDP that only receives", Kind::Ceiling, Way::Ceiling(Ceiling::Receive)),
    ("xsk-transmit", "AF_XDP that only sends", Kind::Ceiling, Way::Ceiling(Ceiling::Send)),
    ("xsk-pass", "AF_XDP that passes frames on as they came", Kind::Ceiling, Way::Ceiling(Ceiling::PassOn)),
];

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
    /// Ends it in order and says what it, or the kernel on its behalf, counted as lost since its start. What found the
    /// ring of a veth full, before it or behind it, is counted by the links and not here.
    pub end: Box<dyn FnOnce() -> Result<Vec<Loss>>>,
}

impl Contestant {
    /// The contestant that scenarios know by this name.
    pub fn named(name: &str) -> Result<Self> {
        let known = KNOWN.into_iter().find(|(known, ..)| *known == name);
        let (name, about, kind, way) = known.with_context(|| {
            let names: Vec<&str> = KNOWN.iter().map(|(known, ..)| *known).collect();
            format!("no contestant is called \"{name}\"; there are {}", names.join(", "))
        })?;
        Ok(Self { name: name.to_owned(), about: about.to_owned(), kind, way })
    }

    /// A program that a person names: `name=command`, where words in braces stand for what it is to do.
    pub fn by_hand(text: &str) -> Result<Self> {
        let (name, command) = named_by_hand(text)?;
        let way = Way::ByHand(by_hand::Template::new(command).with_context(|| format!("peer \"{name}\""))?);
        Ok(Self { name: name.to_owned(), about: command.to_owned(), kind: Kind::Peer, way })
    }

    /// MCR with other settings: `name=lines`, a semicolon between two lines. They stand in the section `lanes`; what
    /// follows a section's head of their own stands in that.
    pub fn variant(text: &str) -> Result<Self> {
        let (name, settings) = named_by_hand(text)?;
        let lines: Vec<&str> = settings.split(';').map(str::trim).collect();
        let way = Way::Mcr(Cow::Owned(lines.join("\n")));
        Ok(Self { name: name.to_owned(), about: format!("MCR with {settings}"), kind: Kind::Mcr, way })
    }

    /// Starts it on a stage and waits until packets would flow.
    pub fn start(&self, programs: &Programs, stage: &Stage, scenario: &Scenario) -> Result<Running> {
        let running = self.suits(scenario).and_then(|()| match &self.way {
            Way::Mcr(settings) => mcr::start(&programs.mcr, settings, stage, scenario),
            Way::Sockets { plain } => sockets::start(&programs.peer, *plain, stage, scenario),
            Way::Kernel => kernel::start(stage, scenario),
            Way::Socat => socat::start(stage, scenario),
            Way::ByHand(template) => by_hand::start(&self.name, template, stage, scenario),
            Way::Ceiling(Ceiling::Rewrite) => ceiling::rewrite_in_xdp(stage, scenario),
            Way::Ceiling(Ceiling::Receive) => ceiling::receive_only(stage),
            Way::Ceiling(Ceiling::PassOn) => ceiling::pass_on(stage),
            Way::Ceiling(Ceiling::Send) => ceiling::send_only(stage, scenario),
        });
        let who = format!("contestant \"{}\"", self.name);
        let Running { pids, drive, received, end } = running.context(who.clone())?;
        Ok(Running { pids, drive, received, end: Box::new(|| end().context(who)) })
    }

    /// By which link the packets of one output leave, and with what destination.
    pub fn output(&self, scenario: &Scenario, relay: u16, output: u16) -> Output {
        let Output { link, destination } = scenario.output(relay, output);
        let is_rewritten = !matches!(self.way, Way::Kernel | Way::Ceiling(Ceiling::PassOn));
        Output { link, destination: if is_rewritten { destination } else { scenario.input(relay) } }
    }

    fn suits(&self, scenario: &Scenario) -> Result<()> {
        let Scenario { relays, outputs, links, ipv6, tagged, .. } = *scenario;
        match &self.way {
            Way::Mcr(_) => {}
            Way::Sockets { .. } => ensure!(!tagged, "its sockets are not those of a VLAN"),
            Way::Kernel => {
                ensure!(!ipv6 && !tagged, "it is set up for IPv4 without a tag");
                ensure!(outputs == links, "it does not rewrite addresses: one output for each link, no more");
            }
            Way::Socat | Way::ByHand(_) => {
                ensure!(!ipv6 && !tagged, "it is set up for IPv4 without a tag");
                ensure!((relays, outputs) == (1, 1), "it is set up for one relay with one output");
            }
            Way::Ceiling(Ceiling::Send) => ensure!(!ipv6 && !tagged, "it is set up for IPv4 without a tag"),
            Way::Ceiling(_) => ensure!(outputs == 1 && !ipv6 && !tagged, "it is set up for one output of IPv4, no tag"),
        }
        Ok(())
    }
}

/// Name and rest of what a person gave as `name=rest`.
fn named_by_hand(text: &str) -> Result<(&str, &str)> {
    let parts = text.split_once('=').map(|(name, rest)| (name.trim(), rest.trim()));
    let (name, rest) = parts.with_context(|| format!("\"{text}\" is not of the form name=…"))?;
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    ensure!(!name.is_empty() && name.chars().all(is_plain), "\"{name}\" is no name: take letters, digits and -_.");
    ensure!(KNOWN.iter().all(|(known, ..)| *known != name), "the bench has its own \"{name}\": take another name");
    Ok((name, rest))
}

/// Losses by name; what lost nothing is left out.
fn losses(counted: impl IntoIterator<Item = (impl Into<String>, u64)>) -> Vec<Loss> {
    let lost = counted.into_iter().filter(|(_, packets)| *packets > 0);
    lost.map(|(name, packets)| Loss { name: name.into(), packets }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contestant_of_the_list_is_known_and_suits_its_scenario() {
        for scenario in Scenario::shipped().unwrap() {
            for name in &scenario.contestants {
                let contestant = Contestant::named(name).unwrap();
                assert_eq!(contestant.name, *name);
                contestant.suits(&scenario).unwrap();
            }
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_are_known() {
        let error = Contestant::named("mrc").unwrap_err().to_string();
        assert!(error.contains("\"mrc\"") && error.contains("mcr, mcr-busy, mcr-wait, mmsg"), "{error}");
    }

    #[test]
    fn a_peer_by_hand_has_a_name_of_its_own_and_a_command() {
        let peer = Contestant::by_hand("mine = relay {in_group} a=b").unwrap();
        assert_eq!((peer.name.as_str(), peer.about.as_str()), ("mine", "relay {in_group} a=b"));
        for (text, said) in [
            ("mine", "name=…"),
            ("=relay", "no name"),
            ("a b=relay", "no name"),
            ("socat=relay", "its own \"socat\""),
            ("mine=", "no command"),
            ("mine=relay {group}", "{in_group}"),
        ] {
            let error = format!("{:#}", Contestant::by_hand(text).unwrap_err());
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn who_cannot_play_a_scenario_says_why() {
        let scenarios = Scenario::shipped().unwrap();
        let suits = |contestant: &str, name: &str| {
            let scenario = scenarios.iter().find(|scenario| scenario.name == name).unwrap();
            Contestant::named(contestant).unwrap().suits(scenario).map_err(|error| error.to_string())
        };
        assert!(suits("kernel", "1-to-4").unwrap_err().contains("does not rewrite"));
        assert!(suits("kernel", "ipv6").unwrap_err().contains("IPv4"));
        assert!(suits("mmsg", "tagged").unwrap_err().contains("VLAN"));
        assert!(suits("socat", "relays-10").unwrap_err().contains("one relay"));
    }

    #[test]
    fn only_the_kernel_leaves_the_destination_as_it_was() {
        let scenarios = Scenario::shipped().unwrap();
        let scenario = scenarios.iter().find(|scenario| scenario.name == "1-to-4-links").unwrap();
        let kernel = Contestant::named("kernel").unwrap().output(scenario, 0, 3);
        assert_eq!(kernel, Output { link: 3, destination: scenario.input(0) });
        assert_eq!(Contestant::named("mcr").unwrap().output(scenario, 0, 3), scenario.output(0, 3));
    }
}
