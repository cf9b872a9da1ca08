//! The node as it is: started, changed, killed, asked and sent packets.

use crate::model::{Answer, Listed, Model};
use crate::step::{OUTPUTS, RELAYS, Spec, Step};
use crate::words::{FIRST, config, listed, words};
use bench::clock::Deadline;
use bench::links::{End, Port, Veth, ip};
use bench::packet::{Headers, build};
use bench::relay::binary;
use bench::source::send_frames;
use bench::{Namespace, Relay, Sink, Tmpfs};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

/// For what takes milliseconds, with slack for a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// What must not come out has come by then, or is found by the next look.
const MOMENT: Duration = Duration::from_millis(5);
/// Control knows of a link within this.
const NOTED: Duration = Duration::from_millis(200);
/// Frames that a look keeps at each output.
const KEPT: usize = 64;
/// Bytes before the payload, of Ethernet, IPv4 and UDP.
const HEADERS: usize = 42;

/// The links of a node: `src0 -- in0`, `out0 -- rx0` and so on.
#[derive(Debug)]
pub(crate) struct Links {
    source: Namespace,
    relay: Namespace,
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
    links: &'a Links,
    relay: Relay,
    disk: Tmpfs,
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
    pub(crate) fn end(self) -> Result<(), String> {
        let report = self.relay.stop().map_err(|error| format!("it does not end: {error:#}"))?;
        let lost = report.frames("lost") + report.lanes("lost_frames");
        if lost == 0 { Ok(()) } else { Err(format!("{lost} frames leaked: {}", report.0)) }
    }

    /// Does a step, to the node and to the model.
    pub(crate) fn take(&mut self, step: &Step, model: &mut Model) -> Result<(), String> {
        match step {
            Step::Write(text) | Step::Hangup(text) => {
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
            Step::KillControl => self.kill_control(),
            Step::KillBoth => {
                self.relay.process.signal(Signal::SIGKILL).unwrap();
                self.relay.process.wait(SOON).unwrap();
                self.relay.lanes().into_iter().for_each(kill_now);
                self.begin()?;
                model.take_file();
                Ok(())
            }
            Step::KillLane => self.kill_lane(),
            Step::StopControl => {
                self.relay.process.signal(Signal::SIGSTOP).unwrap();
                let killed = self.kill_lane_only();
                thread::sleep(NOTED);
                self.relay.process.signal(Signal::SIGCONT).unwrap();
                self.wait_for_another_lane(&killed)
            }
            Step::DiskHangs(relay, spec) => self.hang_disk(*relay, *spec, step, model),
            Step::Restart => {
                self.relay.process.stop(SOON).map_err(|error| format!("it does not end: {error:#}"))?;
                self.begin()?;
                model.take_file();
                Ok(())
            }
            Step::Write(_) | Step::Disk { .. } | Step::Output(..) | Step::Input(_) => Ok(()),
            change => {
                let output = self.mcr(&words(change)).output().unwrap();
                self.answered(change, model, &output)
            }
        }
    }

    /// The answer to a change is what it must be, and the model follows it.
    fn answered(&self, change: &Step, model: &mut Model, output: &std::process::Output) -> Result<(), String> {
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

    fn mcr(&self, words: &[String]) -> Command {
        let mut mcr = Command::new(binary());
        mcr.env("MCR_SOCKET", self.relay.folder().join("mcr.sock")).args(words);
        mcr
    }

    /// A reload that nobody waits for: a refused file is told of, a good one is in force soon.
    fn hang_up(&self, model: &mut Model) -> Result<(), String> {
        let answer = model.answer(&Step::Reload);
        let mark = self.relay.process.mark();
        self.relay.process.signal(Signal::SIGHUP).unwrap();
        match answer {
            Answer::Refused => self.relay.process.wait_for_after(mark, "config.refused", SOON).map(drop),
            _ => self.relay.process.wait_for_after(mark, "config.", SOON).map(drop),
        }
        .map_err(|error| format!("{error:#}"))?;
        model.take_file();
        Ok(())
    }

    fn begin(&mut self) -> Result<(), String> {
        self.relay.process = self.relay.another(&binary(), &self.links.relay).unwrap();
        self.relay.wait_until_ready().map(drop).map_err(|error| format!("it does not start: {error:#}"))
    }

    fn kill_control(&mut self) -> Result<(), String> {
        self.relay.process.signal(Signal::SIGKILL).unwrap();
        self.relay.process.wait(SOON).unwrap();
        let lanes = self.relay.lanes();
        self.begin()?;
        if self.relay.lanes() == lanes { Ok(()) } else { Err("the lanes were not taken over".to_owned()) }
    }

    fn kill_lane_only(&self) -> Vec<u32> {
        let lanes = self.relay.lanes();
        lanes.iter().copied().for_each(kill_now);
        lanes
    }

    fn kill_lane(&self) -> Result<(), String> {
        let killed = self.kill_lane_only();
        self.wait_for_another_lane(&killed)
    }

    fn wait_for_another_lane(&self, killed: &[u32]) -> Result<(), String> {
        let deadline = Deadline::after(SOON);
        loop {
            let lanes = self.relay.lanes();
            if lanes.len() == killed.len() && lanes.iter().all(|lane| !killed.contains(lane)) {
                return Ok(());
            }
            if deadline.passed() {
                return Err(format!("no lane follows {killed:?}: {lanes:?}"));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The file that the state is written to is a pipe: to open it waits, as on a disk that hangs.
    fn hang_disk(&self, relay: u8, spec: Spec, step: &Step, model: &mut Model) -> Result<(), String> {
        let pipe = self.disk.path().join("relays.toml.new");
        mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let mut add = self.mcr(&words(&Step::Add(relay, spec)));
        let mut add = add.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let waits = self.waits_for_the_disk(&mut add);
        let lane = self.kill_lane();
        if waits {
            fs::File::open(&pipe).and_then(|mut pipe| pipe.read_to_end(&mut Vec::new())).unwrap();
        }
        let output = add.wait_with_output().unwrap();
        // It is gone if something was written in its place.
        let _ = fs::remove_file(&pipe);
        lane?;
        self.answered(step, model, &output)
    }

    /// Whether a thread of control waits for the pipe; not if the change was answered before.
    fn waits_for_the_disk(&self, change: &mut Child) -> bool {
        let threads = PathBuf::from(format!("/proc/{}/task", self.relay.process.pid()));
        let deadline = Deadline::after(SOON);
        while change.try_wait().unwrap().is_none() {
            let waits = |thread: fs::DirEntry| {
                fs::read_to_string(thread.path().join("wchan")).is_ok_and(|place| place == "wait_for_partner")
            };
            if fs::read_dir(&threads).unwrap().flatten().any(waits) {
                return true;
            }
            assert!(!deadline.passed(), "the change is neither answered nor waits for the disk");
            thread::sleep(Duration::from_millis(1));
        }
        false
    }

    /// The node is as the model says, in what it lists and in what it does.
    pub(crate) fn check(&mut self, model: &Model, step: Option<&Step>) -> Result<(), String> {
        let deadline = Deadline::after(SOON);
        // What was answered is so at once; what nobody answers for is so soon.
        let is_answered =
            matches!(step, None | Some(Step::Add(..) | Step::Set(..) | Step::Remove(_) | Step::Switch(..)));
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

fn kill_now(pid: u32) {
    // It may be gone already.
    let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL);
}
