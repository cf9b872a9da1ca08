//! A log that nobody reads stops nobody.

use crate::line::{Folder, Line, ONE, printed};
use bench::clock::Deadline;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, PipeReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
/// So many reloads say more than the pipe holds, many times over.
const RELOADS: usize = 100;
/// Bytes that the pipe holds: the least there is.
const PIPE: usize = 4096;
const HTTP: &str = "[http]\ntokens = [{ name = \"ops\", sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\" }]\n";

/// A control whose standard error is a pipe, which holds one page.
struct Unread {
    line: Line,
    folder: Folder,
    control: Child,
    log: PipeReader,
}

impl Unread {
    fn start() -> Self {
        let (line, folder) = (Line::new(), Folder::new("log"));
        let (log, write) = std::io::pipe().unwrap();
        fcntl(&write, FcntlArg::F_SETPIPE_SZ(PIPE.try_into().unwrap())).unwrap();
        fs::write(folder.file("relay.toml"), format!("{HTTP}{ONE}")).unwrap();
        let own = folder.path().display().to_string();
        let mut command = line.relay.command(bench::relay::binary());
        command.args(["run", "--run-dir", &own, "--state-dir", &own, "--config"]).arg(folder.file("relay.toml"));
        let control = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(write).spawn().unwrap();
        let started = Self { line, folder, control, log };
        let deadline = Deadline::after(SOON);
        while !UnixStream::connect(started.folder.file("mcr.sock"))
            .is_ok_and(|socket| is_200(&ask(socket, "GET /healthz")))
        {
            assert!(!deadline.passed(), "it does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        started
    }

    fn ask(&self, question: &str) -> String {
        ask(UnixStream::connect(self.folder.file("mcr.sock")).unwrap(), question)
    }

    /// The process of the only lane, and how often it was started again.
    fn lane(&self) -> (Option<i32>, u64) {
        let answer = self.ask("GET /api/v1/status");
        let status: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        let lane = &status["lanes"][0];
        (lane["pid"].as_i64().map(|pid| pid.try_into().unwrap()), lane["restarts"].as_u64().unwrap())
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Deadline::after(SOON);
        loop {
            if let Some(status) = self.control.try_wait().unwrap() {
                return status;
            }
            assert!(!deadline.passed(), "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if self.control.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.control.kill().and_then(|()| self.control.wait());
            // Lanes that it left.
            let own = self.folder.path().display().to_string();
            let mut stop: Command = self.line.relay.command(bench::relay::binary());
            let _ = stop.args(["stop", "--run-dir", &own]).output();
        }
    }
}

/// Whoever is not answered in time fails.
fn ask(mut socket: impl Read + Write + Patient, question: &str) -> String {
    socket.wait_at_most(SOON);
    write!(
        socket,
        "{question} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\nContent-Length: 0\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{question}: {error}"));
    answer
}

trait Patient {
    fn wait_at_most(&self, time: Duration);
}

impl Patient for UnixStream {
    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

impl Patient for TcpStream {
    fn wait_at_most(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

fn is_200(answer: &str) -> bool {
    answer.lines().next().is_some_and(|line| line.contains(" 200 "))
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_log_that_nobody_reads_stops_nothing() {
    let mut node = Unread::start();
    for n in 0..RELOADS {
        let text = if n % 2 == 0 { ONE.replace("port = 5001", "port = 5009") } else { ONE.to_owned() };
        fs::write(node.folder.file("relay.toml"), format!("{HTTP}{text}")).unwrap();
        let answer = node.ask("POST /api/v1/reload");
        assert!(is_200(&answer), "reload {n}: {answer}");
    }
    for _ in 0..3 {
        let tcp = node.line.relay.run(|| TcpStream::connect("127.0.0.1:9280")).unwrap();
        let answer = ask(tcp, "POST /api/v1/reload");
        assert!(answer.lines().next().unwrap().contains(" 401 "), "{answer}");
    }
    // Before a lane dies: whoever sees that holds it against the node for a while.
    let health = node.ask("GET /healthz");
    assert!(is_200(&health), "{health}");
    let (lane, _) = node.lane();
    kill(Pid::from_raw(lane.unwrap()), Signal::SIGKILL).unwrap();
    let deadline = Deadline::after(SOON);
    while !matches!(node.lane(), (Some(_), 1)) {
        assert!(!deadline.passed(), "the lane is not followed");
        std::thread::sleep(Duration::from_millis(10));
    }
    // Who reads at last reads everything, in its order.
    let mut bytes = 0;
    for line in BufReader::new(&node.log).lines() {
        let line = line.unwrap();
        assert!(!line.contains("lines are missing"), "{line}");
        bytes += line.len();
        if line.contains("lane died: it is started again") {
            break;
        }
    }
    assert!(bytes > 4 * PIPE, "{bytes} bytes are too few to tell");
    // It ends, too, though nobody reads that.
    for n in 0..RELOADS {
        let text = if n % 2 == 0 { ONE.replace("port = 5001", "port = 5009") } else { ONE.to_owned() };
        fs::write(node.folder.file("relay.toml"), format!("{HTTP}{text}")).unwrap();
        node.ask("POST /api/v1/reload");
    }
    let own = node.folder.path().display().to_string();
    printed(node.line.relay.command(bench::relay::binary()).args(["stop", "--run-dir", &own]));
    assert!(node.wait().success());
}
