//! Senders to a unicast input: nobody tells them that nobody is there, whatever happens here.

use crate::line::Line;
use bench::clock::monotonic_ns;
use bench::{Relay, UdpListener};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::net::UdpSocket;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

fn config(named: &str) -> String {
    let one = |name: &str, address: &str, family: &str, source: &str, to: &str| {
        format!(
            "[[relay]]\nname = \"{name}\"\n\
             input = {{ interface = \"in0\", address = \"{address}\", port = 5000{source} }}\n\
             outputs = [{{ interface = \"out0\", {family} = \"{to}\", port = 5001 }}]\n"
        )
    };
    let sources = |address: &str| if named.is_empty() { String::new() } else { format!(", sources = [\"{address}\"]") };
    [
        one("four", "10.1.0.2", "group", &sources("10.1.0.77"), "239.2.1.1"),
        one("six", "fd00:1::2", "group", &sources("fd00:1::77"), "ff3e::8000:ffff"),
    ]
    .concat()
}

/// Connected senders of both families.
fn senders(line: &Line) -> Vec<UdpSocket> {
    let connected = |near: &str, far: &str| {
        line.source.run(|| {
            let socket = UdpSocket::bind(near).unwrap();
            socket.connect(far).unwrap();
            socket
        })
    };
    vec![connected("10.1.0.1:0", "10.1.0.2:5000"), connected("[fd00:1::1]:0", "[fd00:1::2]:5000")]
}

/// Sends for a while, each sender a datagram a millisecond. The first refusal is the answer to one before.
fn send(senders: &[UdpSocket], during: Duration) -> io::Result<()> {
    let until = monotonic_ns() + u64::try_from(during.as_nanos()).unwrap();
    while monotonic_ns() < until {
        for sender in senders {
            sender.send(&[0; 188])?;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_source_that_is_not_named_is_not_told_that_nobody_is_there() {
    let line = Line::new();
    let mcr = line.start(&config("named"));
    let senders = senders(&line);
    send(&senders, Duration::from_millis(500)).unwrap();
    let report = mcr.stop().unwrap();
    assert!(report.verdict("wrong_source") >= 100, "{:#}", report.0);
    // Now it is so, and whoever counts refusals sees one.
    assert_eq!(send(&senders, SOON).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_sender_does_not_hear_of_deaths_here() {
    let line = Line::new();
    let mut mcr = line.start(&config(""));
    let senders = senders(&line);
    let kill_lanes = |mcr: &Relay| {
        for lane in mcr.lanes() {
            kill(Pid::from_raw(lane.try_into().unwrap()), Signal::SIGKILL).unwrap();
        }
    };
    for _ in 0..3 {
        send(&senders, Duration::from_millis(200)).unwrap();
        kill_lanes(&mcr);
        send(&senders, Duration::from_millis(500)).unwrap();
        mcr.process.signal(Signal::SIGKILL).unwrap();
        mcr.process.wait(SOON).unwrap();
        send(&senders, Duration::from_millis(500)).unwrap();
        mcr.process = mcr.another(&bench::relay::binary(), &line.relay).unwrap();
        let ready = std::thread::scope(|scope| {
            let waits = scope.spawn(|| mcr.wait_until_ready());
            while !waits.is_finished() {
                send(&senders, Duration::from_millis(10)).unwrap();
            }
            waits.join().unwrap().unwrap()
        });
        assert!(ready.contains("pending=0"), "{ready}");
    }
    // A port goes with its relay, and another control knows which ones it has.
    let text = std::fs::read_to_string(mcr.config()).unwrap();
    std::fs::write(mcr.config(), text.replace("port = 5000", "port = 5002")).unwrap();
    let mark = mcr.process.mark();
    mcr.process.signal(Signal::SIGHUP).unwrap();
    mcr.process.wait_for_after(mark, "config.applied", SOON).unwrap();
    assert_eq!(send(&senders, SOON).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    line.relay.run(|| UdpSocket::bind("10.1.0.2:5000")).unwrap();
    mcr.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_port_that_another_program_has_is_told_of_and_relayed_all_the_same() {
    let line = Line::new();
    let listener = UdpListener::start(&line.relay, "in0", "10.1.0.2:5000".parse().unwrap()).unwrap();
    let mcr = line.start(&config(""));
    let lines = mcr.process.lines();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("another program has this address and port")).collect();
    assert!(told.len() == 1 && told[0].contains("10.1.0.2:5000"), "{told:?}");
    assert!(lines.iter().any(|line| line.contains("ready") && line.contains("pending=0")));
    send(&senders(&line), Duration::from_millis(200)).unwrap();
    drop(listener);
    // It is tried again when the links are looked at.
    let deadline = monotonic_ns() + 20_000_000_000;
    while line.relay.run(|| UdpSocket::bind("10.1.0.2:5000")).is_ok() {
        assert!(monotonic_ns() < deadline, "the port is not held");
        std::thread::sleep(Duration::from_millis(100));
    }
    let report = mcr.stop().unwrap();
    assert!(report.received("four") > 0);
}
