//! Control is started anew under traffic, and nobody knows but who asked for it.

use super::desk::Desk;
use super::waits::wait_for;
use crate::rig::Rig;
use bench::clock::Deadline;
use bench::links::ip;
use bench::sys::traced::Traced;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

const AT_MOST: Duration = Duration::from_secs(120);
/// Nobody waits longer than this for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) const RELAY: &str = r#"
    [http]
    listen = "127.0.0.1:9280"
    [[relay]]
    name = "one"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
    "#;

/// Somebody who asks for the node's health again and again, by a new connection each time.
pub(super) struct Asking {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Asked>>,
}

/// What became of the questions of one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub(super) answered: u64,
    /// Nobody listened.
    pub(super) refused: u64,
    /// The connection ended without an answer: its control went at that moment.
    pub(super) cut: u64,
}

impl Asking {
    /// At both of the API's sockets; `run` runs a closure where its TCP address can be reached.
    pub(super) fn at(rig: &Rig, socket: &Path) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let (by_unix, by_tcp) = (socket.to_owned(), Arc::clone(&ends));
        let unix = {
            let ends = Arc::clone(&ends);
            std::thread::spawn(move || ask_until(&ends, || UnixStream::connect(&by_unix)))
        };
        let tcp =
            rig.relay.run(|| std::thread::spawn(move || ask_until(&by_tcp, || TcpStream::connect("127.0.0.1:9280"))));
        Self { ends, threads: vec![unix, tcp] }
    }

    pub(super) fn end(self) -> Vec<Asked> {
        self.ends.store(true, Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

fn ask_until<S: Read + Write>(ends: &AtomicBool, connect: impl Fn() -> io::Result<S>) -> Asked {
    let mut asked = Asked::default();
    while !ends.load(Relaxed) {
        match connect() {
            Ok(stream) => match answer(stream) {
                Ok(answer) => {
                    assert!(answer.starts_with("HTTP/1.0 200 ") || answer.starts_with("HTTP/1.1 200 "), "{answer}");
                    asked.answered += 1;
                }
                Err(_) => asked.cut += 1,
            },
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => {
                asked.refused += 1
            }
            Err(error) => panic!("{error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    asked
}

fn answer(mut stream: impl Read + Write) -> io::Result<String> {
    write!(stream, "GET /healthz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}

/// When control began, and its process.
pub(super) fn control(desk: &Desk) -> (u64, u64) {
    let status = desk.json(&["status"]);
    (status["started_ns"].as_u64().unwrap(), status["pid"].as_u64().unwrap())
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn control_is_started_anew_and_no_packet_and_nobody_who_asks_is_lost() {
    let rig = Rig::new(1);
    ip(&["-n", rig.relay.name(), "link", "set", "lo", "up"]).unwrap();
    let mut show = rig.start(RELAY);
    let flow = show.expect(1, 0, "239.2.1.1:5001");
    show.listen(0, vec![flow]);
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000"]).rate(10_000).duration(AT_MOST));
    let asking = Asking::at(&rig, &show.mcr.folder().join("mcr.sock"));
    let lanes = show.mcr.lanes();
    let (mut began, pid) = control(&desk);
    for _ in 0..4 {
        let said = desk.done(&["restart"]);
        assert!(said.contains("is started anew; its lane relayed on"), "{said}");
        let (begins, same) = control(&desk);
        assert!(begins > began && same == pid && show.mcr.lanes() == lanes, "{begins} {began}");
        began = begins;
        let until = source.sent(1) + 500;
        while source.sent(1) < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let asked = asking.end();
    eprintln!("    {asked:?}");
    assert!(asked.iter().all(|asked| asked.refused == 0 && asked.answered > 20), "{asked:?}");
    let told: Value = desk.json(&["restart"]);
    assert!(told["started_ns"].as_u64().unwrap() > began, "{told}");
    // It can be changed as before, and the second to be started is refused as ever.
    desk.done(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.3:5001"]);
    desk.done(&["relay", "rm", "two"]);
    assert_eq!(desk.failing(), []);
    let mut second = show.mcr.another(&bench::relay::binary(), &rig.relay).unwrap();
    second.wait(PATIENCE).unwrap();
    assert!(second.last_words().contains("another mcr"), "{}", second.last_words());
    let sent = source.stop().unwrap();
    let report = show.balance(&[sent]);
    assert_eq!((report.received("one"), report.restarts()), (report.sent("one", 0), 0));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_control_that_hangs_is_started_anew_too() {
    let rig = Rig::new(1);
    let show = rig.start(RELAY);
    let desk = Desk::of(&show.mcr);
    let lanes = show.mcr.lanes();
    let (began, pid) = control(&desk);
    // The one thread that takes what is asked.
    let held = Traced::hold(show.mcr.process.pid()).unwrap();
    let said = desk.done(&["restart"]);
    assert!(said.contains("its lane relayed on"), "{said}");
    let (begins, same) = control(&desk);
    assert!(begins > began && same == pid && show.mcr.lanes() == lanes);
    drop(held);
    assert_eq!(desk.failing(), []);
    show.mcr.stop().unwrap();
}

/// A change waits for a disk that hangs, and a restart for the change: whoever asked for either is answered.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_control_that_is_busy_is_started_anew_when_it_has_done_what_it_is_at() {
    let rig = Rig::new(1);
    let show = rig.start(RELAY);
    let desk = Desk::of(&show.mcr);
    let (began, pid) = control(&desk);
    let [disk, aside] = ["relays.toml.new", "aside"].map(|name| show.mcr.folder().join(name));
    mkfifo(&disk, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let asks = |words: &[&str]| desk.command(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let add = asks(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.3:5001"]);
    wait_for(&desk, "create", "running");
    let restart = asks(&["restart"]);
    wait_for(&desk, "restart", "queued");
    // A control that hangs would be replaced by then.
    let deadline = Deadline::after(PATIENCE);
    while desk.json(&["status"])["doing"]["step"]["since_s"].as_f64().is_none_or(|since| since < 8.0) {
        assert!(!deadline.passed(), "the change does not wait for the disk");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(control(&desk), (began, pid));
    // The disk is well again, and what hangs there fails: a pipe cannot be flushed.
    fs::rename(&disk, &aside).unwrap();
    File::open(&aside).unwrap().read_to_end(&mut Vec::new()).unwrap();
    let added = add.wait_with_output().unwrap();
    assert_eq!(added.status.code(), Some(1), "{added:?}");
    let restarted = restart.wait_with_output().unwrap();
    assert!(restarted.status.success(), "{restarted:?}");
    let (begins, same) = control(&desk);
    assert!(begins > began && same == pid);
    let told = desk.done(&["events", "--kind", "audit.change", "--json"]);
    let outcomes = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let outcomes =
        outcomes.map(|event| ["what", "outcome"].map(|field| event["fields"][field].as_str().map(str::to_owned)));
    let expected = [["create", "refused"], ["restart", "applied"]].map(|pair| pair.map(|word| Some(word.to_owned())));
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);
    show.mcr.stop().unwrap();
}
