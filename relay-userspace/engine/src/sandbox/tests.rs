//! A lane in a stranger's hands tries what it must not. The filter ends a whole process, so each try is one: this test
//! binary again, which gives its rights up and then does one thing.

use super::{become_user, give_up_calls};
use crate::xsk::options::{kick, wake_receive};
use nix::sys::signal::Signal;
use nix::sys::socket::{MsgFlags, SockaddrIn, recv, sendto};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

/// Names the try, for the process that is to do it.
const TRIES: &str = "MCR_TRIES";

/// How a process ended that gave its rights up and tried this.
fn ended_by(what: &str) -> Signal {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "sandbox::tests::a_lane_tries", "--nocapture", "--test-threads=1"]);
    let ended = child.env(TRIES, what).stdin(Stdio::null()).output().unwrap();
    let signal = ended.status.signal().unwrap_or_else(|| panic!("{what}: {ended:?}"));
    Signal::try_from(signal).unwrap()
}

/// What such a process does: it aborts when it is let, and else the kernel ends it by SIGSYS.
#[test]
fn a_lane_tries() {
    let Ok(what) = std::env::var(TRIES) else { return };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (fd, there) = (socket.as_raw_fd(), SockaddrIn::new(127, 0, 0, 1, 9));
    let mut file = File::options().read(true).write(true).open("/dev/null").unwrap();
    let read = File::open("/dev/zero").unwrap().into();
    become_user(None).unwrap();
    give_up_calls(&read).unwrap();
    let nothing = match what.as_str() {
        "a kick" => kick(socket.as_fd()).is_ok(),
        "a wake-up" => {
            wake_receive(socket.as_fd());
            true
        }
        "the doorbell" => File::from(read).read_exact(&mut [0; 8]).is_ok(),
        "a panic's text" => std::io::stderr().write_all(b"a panic\n").is_ok(),
        "send to an address" => sendto(fd, b"", &there, MsgFlags::empty()).is_ok(),
        "send bytes" => socket.send(b"bytes").is_ok(),
        "receive bytes" => recv(fd, &mut [0; 1], MsgFlags::MSG_DONTWAIT).is_ok(),
        "read what is held" => file.read(&mut [0; 1]).is_ok(),
        "write to a file" => file.write_all(b"bytes").is_ok(),
        "open a file" => File::open("/dev/null").is_ok(),
        "open a socket" => UdpSocket::bind("127.0.0.1:0").is_ok(),
        other => panic!("{other}?"),
    };
    std::hint::black_box(nothing);
    std::process::abort();
}

#[test]
fn a_lane_does_what_it_must() {
    for what in ["a kick", "a wake-up", "the doorbell", "a panic's text"] {
        assert_eq!(ended_by(what), Signal::SIGABRT, "{what}");
    }
}

#[test]
fn a_lane_that_tries_more_is_ended() {
    let tries = [
        "send to an address",
        "send bytes",
        "receive bytes",
        "read what is held",
        "write to a file",
        "open a file",
        "open a socket",
    ];
    for what in tries {
        assert_eq!(ended_by(what), Signal::SIGSYS, "{what}");
    }
}
