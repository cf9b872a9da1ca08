//! A node of 4096 relays with sixteen outputs each, all with groups of their own: how long a start, a reload, a change and a
//! link take, and what it costs at rest. `MCR_LONG=1` runs it; it prints a figure a line, with its limit.

use super::desk::Desk;
use super::waits::Prober;
use crate::rig::Rig;
use bench::clock::{Deadline, monotonic_ns};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const RELAYS: usize = 4096;
/// Of each relay.
const OUTPUTS: usize = 16;
/// As many as a relay can have.
const MOST_OUTPUTS: usize = 64;
/// A limit is missed when it takes this many times as long, unless `--timed` says that nobody else has the machine.
const SLACK: f64 = 10.0;
/// Whatever this waits for is long over.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it is looked at while nothing happens.
const AT_REST: Duration = Duration::from_secs(10);

const ONE_MORE: &str = r#"{ "name": "one", "input": { "interface": "in0", "group": "239.1.1.1", "port": 5000 },
    "outputs": [{ "interface": "out0", "group": "239.2.1.1", "port": 5001 }] }"#;

fn config(n_outputs: usize, port: u16) -> String {
    let output = |n: usize| {
        let first = 100 + n;
        format!("{{ interface = \"out0\", group = \"239.{first}.0.0-239.{first}.15.255\", port = {port} }}")
    };
    let outputs: Vec<String> = (0..n_outputs).map(output).collect();
    format!(
        "[lanes]\nmax_relays = 4200\nmax_outputs = {}\npoll = \"adaptive\"\n[[relay]]\nname = \"many\"\n\
         input = {{ interface = \"in0\", group = \"239.3.0.0-239.3.15.255\", port = 5000 }}\noutputs = [{}]\n",
        RELAYS * n_outputs + 500,
        outputs.join(", ")
    )
}

/// Figures that are over their limit.
#[derive(Default)]
struct Figures(Vec<String>);

impl Figures {
    /// What takes time takes longer where others have the machine.
    fn note(&mut self, what: &str, measured: f64, limit: f64, unit: &str) {
        let slack = if std::env::var_os("MCR_TIMED").is_some() { 1.0 } else { SLACK };
        self.hold(what, measured, (limit, limit * slack), unit);
    }

    fn hold(&mut self, what: &str, measured: f64, (limit, most): (f64, f64), unit: &str) {
        say(&format!("{what:<32} {measured:>9.1} {unit:<2} (limit {limit} {unit})"));
        if measured > most {
            self.0.push(format!("{what}: {measured:.1} {unit}, limit {limit} {unit}"));
        }
    }
}

/// Says it at once: what a test prints is shown only when it fails.
fn say(line: &str) {
    writeln!(std::io::stderr(), "    {line}").unwrap();
}

fn ms(began: u64) -> f64 {
    (monotonic_ns() - began) as f64 / 1e6
}

/// Processor time of a process, with that of threads that have ended: in the kernel's ticks of 10 ms.
fn processor_ms(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1;
    // utime and stime are the 14th and the 15th; the state, which is the 3rd, is the first behind the name.
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap() * 10.0).sum()
}

fn resident_mb(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Asks the API for a change, and says how long that took in milliseconds.
fn change(socket: &Path, request: &str, body: &str) -> f64 {
    let began = monotonic_ns();
    let mut stream = UnixStream::connect(socket).unwrap();
    let head =
        format!("{request} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 20"), "{request}: {answer}");
    ms(began)
}

/// The one in the middle, and the longest.
fn middle_and_longest(mut all: Vec<f64>) -> (f64, f64) {
    all.sort_by(f64::total_cmp);
    (all[all.len() / 2], all[all.len() - 1])
}

fn single_changes(socket: &Path, figures: &mut Figures) {
    let mut switches = Vec::new();
    let mut made = Vec::new();
    for _ in 0..10 {
        made.push(change(socket, "POST /api/v1/relays", ONE_MORE));
        switches.push(change(socket, "POST /api/v1/relays/one/mute", ""));
        switches.push(change(socket, "POST /api/v1/relays/one/unmute", ""));
        change(socket, "DELETE /api/v1/relays/one", "");
    }
    for (what, all) in [("one relay more", made), ("mute and unmute", switches)] {
        let (middle, longest) = middle_and_longest(all);
        figures.note(&format!("{what}, the median"), middle, 20.0, "ms");
        say(&format!("{:<32} {longest:>9.1} ms", "  the longest"));
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn four_thousand_relays_with_sixteen_outputs_each_are_no_burden() {
    if std::env::var_os("MCR_LONG").is_none() {
        say("not without MCR_LONG");
        return;
    }
    let rig = Rig::new(1);
    let mut figures = Figures::default();
    let began = monotonic_ns();
    let show = rig.start(&config(OUTPUTS, 5001));
    figures.note("start", ms(began), 2_000.0, "ms");
    let (desk, socket, pid) = (Desk::of(&show.mcr), show.mcr.folder().join("mcr.sock"), show.mcr.process.pid());
    single_changes(&socket, &mut figures);
    let prober = Prober::start(socket.clone());
    fs::write(show.mcr.config(), config(OUTPUTS, 5002)).unwrap();
    let (began, mark) = (monotonic_ns(), show.mcr.process.mark());
    show.mcr.process.signal(Signal::SIGHUP).unwrap();
    show.mcr.process.wait_for_after(mark, "4096 changes", PATIENCE).unwrap();
    figures.note("reload that changes all", ms(began), 3_000.0, "ms");
    for (what, counted) in [("down", RELAYS * OUTPUTS), ("up", 0)] {
        let began = monotonic_ns();
        Rig::set_link(&rig.relay, "out0", &[what]);
        let deadline = Deadline::after(PATIENCE);
        let pending = || -> Value { serde_json::from_str(&desk.get("/api/v1/status")).unwrap() };
        while pending()["pending"].as_array().unwrap().len() != counted {
            assert!(!deadline.passed(), "out0 went {what}, and that is not told");
        }
        say(&format!("{:<32} {:>9.1} ms", format!("a link goes {what}, and it is told"), ms(began)));
    }
    prober.end("a node of 4096 relays");
    // What is left to be done is done by then: groups are reported, files are kept.
    std::thread::sleep(AT_REST / 2);
    let all: Vec<u32> = show.mcr.lanes().into_iter().chain([pid]).collect();
    let before: Vec<f64> = all.iter().map(|pid| processor_ms(*pid)).collect();
    std::thread::sleep(AT_REST);
    for ((pid_of, before), what) in all.iter().zip(before).rev().zip(["control at rest", "a lane at rest"]) {
        let percent = (processor_ms(*pid_of) - before) / AT_REST.as_millis() as f64 * 100.0;
        figures.note(what, percent, 1.0, "%");
    }
    figures.hold("resident memory of control", resident_mb(pid), (150.0, 150.0), "MB");
    let status: Value = serde_json::from_str(&desk.get("/api/v1/status")).unwrap();
    figures.note("the longest turn of the loop", status["longest_turn_s"].as_f64().unwrap() * 1e3, 10.0, "ms");
    let began = monotonic_ns();
    show.mcr.stop().unwrap();
    say(&format!("{:<32} {:>9.1} ms", "the end", ms(began)));
    assert!(figures.0.is_empty(), "{:#?}", figures.0);
}

/// What it takes, in milliseconds: a start, one relay more, a reload that changes all.
fn what_it_takes(n_outputs: usize) -> [f64; 3] {
    let rig = Rig::new(1);
    let began = monotonic_ns();
    let show = rig.start(&config(n_outputs, 5001));
    let (start, socket) = (ms(began), show.mcr.folder().join("mcr.sock"));
    let made = (0..10).map(|_| {
        let one = change(&socket, "POST /api/v1/relays", ONE_MORE);
        change(&socket, "DELETE /api/v1/relays/one", "");
        one
    });
    let (made, _) = middle_and_longest(made.collect());
    fs::write(show.mcr.config(), config(n_outputs, 5002)).unwrap();
    let (began, mark) = (monotonic_ns(), show.mcr.process.mark());
    show.mcr.process.signal(Signal::SIGHUP).unwrap();
    show.mcr.process.wait_for_after(mark, "4096 changes", PATIENCE).unwrap();
    let reload = ms(began);
    let pid = show.mcr.process.pid();
    say(&format!("{:<32} {:>9.1} MB", format!("memory with {} outputs", RELAYS * n_outputs), resident_mb(pid)));
    show.mcr.stop().unwrap();
    [start, made, reload]
}

/// As many groups come in; four times as many outputs take four times as long, and not sixteen times.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_quarter_of_a_million_outputs_take_no_longer_each() {
    if std::env::var_os("MCR_LONG").is_none() {
        say("not without MCR_LONG");
        return;
    }
    let [few, many] = [OUTPUTS, MOST_OUTPUTS].map(what_it_takes);
    let times = (MOST_OUTPUTS / OUTPUTS) as f64;
    for ((what, few), many) in ["start", "one relay more", "reload that changes all"].iter().zip(few).zip(many) {
        say(&format!("{what:<32} {few:>9.1} ms, with four times the outputs {many:.1} ms"));
        assert!(many < few * times * 2.0, "{what}: {few} ms, and {many} ms with four times the outputs");
    }
}
