//! The node as it is: started, changed, killed, asked and sent packets.

use crate::model::{Answer, Listed, Model};
use crate::step::{OUTPUTS, RELAYS, Step};
use crate::words::{FIRST, config, listed, words};
use bench::clock::Deadline;
use bench::links::{End, Port, Veth, ip};
use bench::packet::{Headers, build};
use bench::relay::binary;
use bench::source::send_frames;
use bench::{Namespace, Relay, Sink, Tmpfs};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

/// For what takes milliseconds, with slack for a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// What must not come out has come by then, or is found by the next look.
const MOMENT: Duration = Duration::from_millis(5);
/// Control knows of a link within this.
pub(crate) const NOTED: Duration = Duration::from_millis(200);
/// Frames that a look keeps at each output.
const KEPT: usize = 64;
/// Bytes before the payload, of Ethernet, IPv4 and UDP.
const HEADERS: usize = 42;

/// The links of a node: `src0 -- in0`, `out0 -- rx0` and so on.
#[derive(Debug)]
pub(crate) struct Links {
    source: Namespace,
    pub(crate) relay: Namespace,
    receiver: Namespace,
    from: Port,
}

impl Links {
    pub(crate) fn new() -> Self {
        let namespace = || Namespace::new("mcr-random").unwrap();
        let (source, relay, receiver) = (namespace(), namespace(), namespace());
        let near = End::new(&source, "src0").address("10.1.0.1/24");
        let (from, _) = Veth::new(near, End::new(&relay, "in0").address("10.1.0.2/24")).create().unwrap();
        for n in 0..OUTPUTS {
            let out = End::new(&relay, &format!("out{n}")).address(&format!("10.2.{n}.1/24"));
            let rx = End::new(&receiver, &format!("rx{n}")).address(&format!("10.2.{n}.9/24"));
            Veth::new(out, rx).create().unwrap();
        }
        Self { source, relay, receiver, from }
    }

    fn set(&self, link: &str, up: bool) {
        ip(&["-n", self.relay.name(), "link", "set", link, if up { "up" } else { "down" }]).unwrap();
        thread::sleep(NOTED);
    }
}

/// A running node.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) links: &'a Links,
    pub(crate) relay: Relay,
    pub(crate) disk: Tmpfs,
    /// Looks so far: each look's packets carry its number.
    looks: u32,
}

impl<'a> Node<'a> {
    pub(crate) fn start(links: &'a Links, model: &Model) -> Self {
        let disk = Tmpfs::new().unwrap();
        let relay = Relay::start(&links.relay, &config(&disk, &model.written)).unwrap();
        Self { links, relay, disk, looks: 0 }
    }

    /// What it said last.
    pub(crate) fn last_words(&self) -> String {
        self.relay.process.last_words()
    }

    /// Ends it in order: it has no frame of memory too few, and leaves nothing behind.
    pub(crate) fn end(self, model: &mut Model) -> Result<(), String> {
        // Where there is room what was not kept is by itself.
        let deadline = Deadline::after(SOON);
        while model.kept.is_some() && !model.disk_is_full {
            self.check_disk(model)?;
            if deadline.passed() {
                return Err("what was not kept for want of room is not kept yet".to_owned());
            }
        }
        let report = self.relay.stop().map_err(|error| format!("it does not end: {error:#}"))?;
        let lost = report.frames("lost") + report.lanes("lost_frames");
        if lost == 0 { Ok(()) } else { Err(format!("{lost} frames leaked: {}", report.0)) }
    }

    /// Does a step, to the node and to the model.
    pub(crate) fn take(&mut self, step: &Step, model: &mut Model) -> Result<(), String> {
        match step {
            Step::Write(text) | Step::Hangup(text) | Step::Try(text) => {
                model.written = text.clone();
                fs::write(self.relay.config(), config(&self.disk, text)).unwrap();
            }
            Step::Disk { full } => {
                model.disk_is_full = *full;
                if *full { self.disk.fill() } else { self.disk.make_room() }.unwrap();
            }
            Step::Output(link, up) => {
                model.outputs[usize::from(*link)] = *up;
                self.links.set(&format!("out{link}"), *up);
            }
            Step::Input(up) => {
                model.input = *up;
                self.links.set("in0", *up);
            }
            _ => {}
        }
        match step {
            Step::Hangup(_) => self.hang_up(model),
            Step::KillControl => self.kill_control(Signal::SIGKILL),
            Step::SignalControl(Signal::SIGINT) | Step::KillBoth | Step::Restart => self.begin_anew(step, model),
            Step::SignalControl(signal) => self.signal_control(*signal),
            Step::SignalLanes(signal) => self.signal_lanes(*signal),
            Step::KillLane => self.kill_lane(Signal::SIGKILL),
            Step::StopControl => self.stop_control(),
            Step::Expire(dies) => self.expire(*dies, step, model),
            Step::DiskHangs(relay, spec) => self.hang_disk(*relay, *spec, step, model),
            Step::Write(_) | Step::Disk { .. } | Step::Output(..) | Step::Input(_) => Ok(()),
            change => self.ask(change, model),
        }
    }

    /// Asks for a change; what is answered is what must be.
    pub(crate) fn ask(&self, change: &Step, model: &mut Model) -> Result<(), String> {
        let output = self.mcr(&words(change)).output().unwrap();
        self.answered(change, model, &output)
    }

    /// The answer to a change is what it must be, and the model follows it.
    pub(crate) fn answered(
        &self,
        change: &Step,
        model: &mut Model,
        output: &std::process::Output,
    ) -> Result<(), String> {
        let wanted = model.answer(change);
        let done = output.status.success();
        if output.status.code() == Some(3) || (wanted != Answer::Either && (wanted == Answer::Done) != done) {
            return Err(format!("it must be {wanted:?}, and was: {output:?}"));
        }
        if done {
            model.apply(change);
        }
        Ok(())
    }

    pub(crate) fn mcr(&self, words: &[String]) -> Command {
        let mut mcr = Command::new(binary());
        mcr.env("MCR_SOCKET", self.relay.folder().join("mcr.sock")).args(words);
        mcr
    }

    /// A reload that nobody waits for: a refused file is told of, a good one is in force soon.
    fn hang_up(&self, model: &mut Model) -> Result<(), String> {
        let told = match model.answer(&Step::Reload) {
            // It is not looked at.
            Answer::Refused if model.on_trial => "mcr confirm keeps it",
            Answer::Refused => "config.refused",
            _ => "config.applied",
        };
        let mark = self.relay.process.mark();
        self.relay.process.signal(Signal::SIGHUP).unwrap();
        self.relay.process.wait_for_after(mark, told, SOON).map_err(|error| format!("{error:#}"))?;
        if told == "config.applied" {
            model.apply(&Step::Reload);
        }
        Ok(())
    }

    /// The node is as the model says, in what it lists and in what it does.
    pub(crate) fn check(&mut self, model: &Model, step: Option<&Step>) -> Result<(), String> {
        let deadline = Deadline::after(SOON);
        // What was answered is so at once; what nobody answers for is so soon.
        let is_answered = step.is_none_or(|step| {
            matches!(step.change(), Step::Add(..) | Step::Set(..) | Step::Remove(_) | Step::Switch(..))
        });
        loop {
            let listed = self.listed()?;
            let wrong = if listed == model.listed() {
                match self.look(&model.sent())? {
                    None => return Ok(()),
                    Some(wrong) => wrong,
                }
            } else {
                format!("it lists {listed:#?}\nand must list {:#?}", model.listed())
            };
            if deadline.passed() || (is_answered && model.all_is_up() && step.is_some()) {
                return Err(wrong);
            }
        }
    }

    pub(crate) fn status(&self) -> Result<Value, String> {
        let output = self.mcr(&["status", "--json"].map(str::to_owned)).output().unwrap();
        serde_json::from_slice(&output.stdout).map_err(|_| format!("{output:?}"))
    }

    fn listed(&self) -> Result<BTreeSet<Listed>, String> {
        let output = self.mcr(&["relay", "ls", "--json"].map(str::to_owned)).output().unwrap();
        let all: Value = serde_json::from_slice(&output.stdout).map_err(|_| format!("{output:?}"))?;
        Ok(all["relays"].as_array().unwrap().iter().map(listed).collect())
    }

    /// Sends one packet to each group. What is wrong with what comes out; an error if that can never become right.
    fn look(&mut self, wanted: &BTreeSet<(u8, u8, u8)>) -> Result<Option<String>, String> {
        self.looks += 1;
        let sink = |n| Sink::start_keeping(KEPT, &self.links.receiver, &format!("rx{n}"), Vec::new()).unwrap();
        let sinks: Vec<Sink> = (0..OUTPUTS).map(sink).collect();
        let frames: Vec<Vec<u8>> = (0..RELAYS).map(|relay| self.frame(relay)).collect();
        send_frames(&self.links.source, "src0", &frames).map_err(|error| format!("cannot send: {error:#}"))?;
        let came = || sinks.iter().map(Sink::datagrams).sum::<u64>();
        let deadline = Deadline::after(Duration::from_millis(500));
        while came() < wanted.len() as u64 && !deadline.passed() {
            thread::sleep(Duration::from_micros(200));
        }
        thread::sleep(MOMENT);
        let mut found = BTreeSet::new();
        for (link, sink) in (0..).zip(sinks) {
            for frame in sink.stop().unwrap().frames {
                let Some((relay, look, ttl)) = read(&frame) else { continue };
                let one = (relay, link, ttl);
                // One of the look before may be late.
                if look + 1 < self.looks {
                    return Err(format!("{one:?} of look {look} came in look {}", self.looks));
                }
                if look == self.looks && !found.insert(one) {
                    return Err(format!("{one:?} came twice"));
                }
            }
        }
        Ok((found != *wanted).then(|| format!("(relay, output, TTL) {found:?} came out, and must {wanted:?}")))
    }

    fn frame(&self, relay: u8) -> Vec<u8> {
        let to = format!("239.1.1.{}:5000", FIRST + relay);
        let headers = Headers::new("10.1.0.1:4000".parse().unwrap(), to.parse().unwrap());
        build(&headers.from_mac(self.links.from.mac), &self.looks.to_be_bytes())
    }
}

/// The relay, the look and the TTL of a frame that a relay sent; none of any other.
fn read(frame: &[u8]) -> Option<(u8, u32, u8)> {
    let (headers, payload) = frame.split_at_checked(HEADERS)?;
    let is_ours = headers[12..14] == [8, 0] && headers[23] == 17 && headers[30..32] == [239, 2];
    let look = u32::from_be_bytes(payload.get(..4)?.try_into().ok()?);
    is_ours.then(|| (headers[33].wrapping_sub(FIRST), look, headers[22]))
}
