//! The program as control loads it, attached to a pair of links in a network namespace that ends with its thread; and
//! what others can do to it behind control's back.
#![expect(unsafe_code, reason = "bpf(2) as another process would call it")]

use nix::sched::{CloneFlags, unshare};
use relay_common::abi::{Address, InputKey, InputValue};
use relay_common::decide::Verdict;
use relay_control::bpf::program::{Loading, Program};
use std::io::Error;
use std::net::UdpSocket;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::Command;
use std::time::Duration;

const BPF_LINK_GET_FD_BY_ID: libc::c_long = 30;
const BPF_LINK_DETACH: libc::c_long = 34;

/// The link that packets come in on.
pub(crate) const IFINDEX: u32 = 4101;
/// A stream that comes in on it.
pub(crate) const STREAM: &str = "239.1.1.1:5000";

/// Runs a test in a network namespace of its own, with the links `one` (4101) and `two` (4102) in it.
pub(crate) fn in_namespace(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            ip("link add name one index 4101 type veth peer name two index 4102");
            for words in ["link set one up", "link set two up", "addr add 10.9.9.2/24 dev two"] {
                ip(words);
            }
            ip("route add 239.0.0.0/8 dev two");
            test();
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

pub(crate) fn ip(words: &str) {
    assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
}

pub(crate) fn load() -> Program {
    Program::load(Loading { max_relays: 10_000, debug: false }).unwrap()
}

/// The key of [`STREAM`], or of another port of its group.
pub(crate) fn key(port: u16) -> InputKey {
    InputKey { ifindex: IFINDEX, destination: Address::v4([239, 1, 1, 1]), port, vlans: [0; 2], zero: 0 }
}

pub(crate) fn value(slot: u32) -> InputValue {
    InputValue { slot, has_sources: 0, socket_base: 0, n_queues: 1 }
}

/// Sends a packet of the stream into `one` and waits until a program has come to that verdict once more.
pub(crate) fn packet_comes_to(verdict: Verdict, program: &Program) {
    let count = || program.verdicts().unwrap()[verdict.index() as usize].1;
    let before = count();
    UdpSocket::bind("10.9.9.2:0").unwrap().send_to(b"once", STREAM).unwrap();
    for _ in 0..1000 {
        if count() > before {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{}: not within ten seconds", verdict.name());
}

/// What `bpftool link detach id ID` does.
pub(crate) fn detach(id: u32) {
    let attr = [id, 0, 0];
    // SAFETY: the command reads three numbers, which live until it returns.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_GET_FD_BY_ID, &raw const attr, size_of_val(&attr)) };
    assert!(fd >= 0, "attachment {id}: {}", Error::last_os_error());
    // SAFETY: the kernel has just made the descriptor for us.
    let fd = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap()) };
    // SAFETY: the command reads one number, a descriptor that lives until it returns.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, &raw const fd, size_of_val(&fd)) };
    assert_eq!(answer, 0, "detach: {}", Error::last_os_error());
}
