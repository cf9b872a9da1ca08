//! What mcr says: the summary, JSON for programs, the log's two forms, and the states that systemd is told.

use crate::line::{Folder, INPUT, Line, ONE};
use bench::relay::binary;
use bench::source::send_frames;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt as _;
use std::process::{Output, Stdio};
use std::time::Duration;

/// Where systemd would listen.
enum Socket {
    Path,
    Abstract,
}

/// Runs mcr until 10 frames are relayed, and says what systemd was told and what it printed.
fn run(line: &Line, socket: &Socket, options: &[&str]) -> (Vec<String>, Output) {
    let folder = Folder::new("words");
    std::fs::write(folder.file("relay.toml"), ONE).unwrap();
    let (address, name) = match socket {
        Socket::Path => {
            let path = folder.file("notify");
            (SocketAddr::from_pathname(&path).unwrap(), path.display().to_string())
        }
        Socket::Abstract => {
            let name = format!("mcr-host-{}", std::process::id());
            (SocketAddr::from_abstract_name(&name).unwrap(), format!("@{name}"))
        }
    };
    // Abstract names belong to a network namespace.
    let systemd = line.relay.run(|| UnixDatagram::bind_addr(&address)).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut command = line.relay.command(binary());
    command.arg("run").args(options).arg("--run-dir").arg(folder.path()).arg("--config").arg(folder.file("relay.toml"));
    command.env("NOTIFY_SOCKET", name).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.process_group(0).spawn().unwrap();
    let mut told = vec![hear(&systemd)];
    send_frames(&line.source, "src0", &vec![line.frame(INPUT, &[1; 100]); 10]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    // As systemd and Ctrl-C do it: every process hears it, lanes too.
    killpg(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    told.push(hear(&systemd));
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    (told, output)
}

/// The next state; what it gives systemd to keep is none, and what it says for people comes when a second is over.
fn hear(systemd: &UnixDatagram) -> String {
    let mut buffer = [0; 512];
    loop {
        let length = systemd.recv(&mut buffer).expect("mcr tells systemd in time");
        let said = String::from_utf8(buffer[..length].to_vec()).unwrap();
        if !said.starts_with("FDSTORE=") && !said.starts_with("STATUS=") && said != "BARRIER=1" {
            return said;
        }
    }
}

/// What mcr warns of on a machine that has no user for lanes, such as this may be, and where systemd keeps nothing, as the
/// one here.
const WARNED: [&str; 2] = ["lanes run as nobody,", "systemd keeps no descriptor for the unit"];

fn is_warned(said: &str) -> bool {
    WARNED.iter().any(|warned| said.contains(warned))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_summary_and_the_log_for_people() {
    let line = Line::new();
    let (told, output) = run(&line, &Socket::Path, &[]);
    assert_eq!(told, ["READY=1", "STOPPING=1"]);
    let summary = text(output.stdout);
    let words: Vec<Vec<&str>> = summary.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["relay", "input,", "outputs", "packets", "bytes", "drops"]);
    assert_eq!(words[1], ["one", "in0/239.1.1.1:5000", "10", "1280", "none"]);
    assert_eq!(words[2], [">", "out0/239.2.1.1:5001", "10", "1280", "none"]);
    assert_eq!(words[3][..2], ["input:", "jitter"], "plain bytes are no RTP and no MPEG-TS");
    assert_eq!(words[3][words[3].len() - 2..], ["interruptions", "0"]);
    let log = text(output.stderr);
    for said in [
        "input attached link=in0 mode=\"native\"",
        "output ready link=out0",
        "lane running lane=0",
        " huge_pages=",
        " ready ",
        "stopping",
    ] {
        assert!(log.contains(said), "{said} is not in\n{log}");
    }
    assert!(!log.contains('\x1b'), "colours go to terminals only:\n{log}");
    let is_trouble = |line: &str| (line.contains("WARN") || line.contains("ERROR")) && !is_warned(line);
    assert!(!log.lines().any(is_trouble), "{log}");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn summary_and_log_are_json_for_programs() {
    let line = Line::new();
    let (told, output) = run(&line, &Socket::Abstract, &["--json", "--log-format", "json"]);
    assert_eq!(told, ["READY=1", "STOPPING=1"]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["relays"][0]["name"], "one");
    assert_eq!(summary["relays"][0]["packets"], 10);
    assert_eq!(summary["relays"][0]["outputs"][0]["packets"], 10);
    assert_eq!(summary["verdicts"]["ours"], 10);
    assert_eq!(summary["lanes"].as_array().unwrap().len(), 1);
    assert_eq!(summary["lanes"][0]["restarts"], 0, "the signal was not the lane's");
    assert_eq!(summary["lanes"][0]["busy_polling"], false);
    assert_eq!(summary["sockets"].as_array().unwrap().len(), 2);
    let log: Vec<Value> = text(output.stderr).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &log {
        assert!(["time", "event", "text"].iter().all(|field| line[field].is_string()), "{line}");
        let is_warned = line["text"].as_str().is_some_and(is_warned);
        assert_eq!(line["level"], if is_warned { "warn" } else { "info" }, "{line}");
    }
    let ready = log.iter().find(|line| line["text"] == "ready").expect("it was ready");
    assert_eq!((&ready["relays"], &ready["lanes"], &ready["pending"]), (&1.into(), &1.into(), &0.into()));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_last_error_is_json_too() {
    let line = Line::new();
    let mut command = line.relay.command(binary());
    let output = command.args(["run", "--log-format", "json", "--config", "/nonexistent.toml"]).output().unwrap();
    assert!(!output.status.success());
    let log: Vec<Value> = text(output.stderr).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = log.last().unwrap();
    assert_eq!(last["level"], "error");
    assert!(last["text"].as_str().unwrap().contains("/nonexistent.toml: cannot be read"), "{last}");
}
