//! A lane in a stranger's hands: what it holds reaches nobody, and what it says of itself is believed by nobody.

use crate::adopt::inside;
use crate::control::kill_control;
use crate::stage::Stage;
#[cfg(feature = "chaos")]
use crate::stage::{SOON, is_alive, wait_until};
use crate::wire::door;
use bench::Relay;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::socket::{MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, recv, sendto};
use relay_control::process::LaneProcess;
use relay_control::talk::Shown;
use relay_engine::memory::{Mapping, PAGE};
use relay_engine::sys::multicast;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd as _, AsRawFd as _};
#[cfg(feature = "chaos")]
use std::path::Path;

/// A second relay, of the other family.
const IPV6: &str = r#"
[[relay]]
name = "six"
input = { interface = "in0", group = "ff3e::8000:1", port = 5000 }
outputs = [{ interface = "out0", group = "ff3e::8000:2", port = 5001 }]
"#;

/// What the first lane of a relay shows whose control was killed.
fn shown(stage: &Stage, relay: &mut Relay) -> (LaneProcess, Shown) {
    kill_control(relay);
    let path = door(relay);
    inside(stage, || LaneProcess::adopt(&path)).unwrap()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_sockets_of_groups_that_a_lane_holds_send_and_receive_nothing() {
    let stage = Stage::new(1);
    let mut relay = Relay::start(&stage.relay, &format!("{}{IPV6}", stage.config())).unwrap();
    let out0 = stage.relay.index("out0").unwrap();
    let (_lane, shown) = shown(&stage, &mut relay);
    let sockets: Vec<_> = shown.held.iter().filter(|held| held.note == b"membership").collect();
    assert_eq!(sockets.len(), 2, "one for each family");
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let anybody: [&dyn SockaddrLike; 2] =
        [&SockaddrIn::new(10, 2, 0, 9, 9999), &SockaddrIn6::from(SocketAddrV6::new(all_nodes, 9999, 0, out0))];
    for held in sockets {
        let fd = held.descriptor.as_raw_fd();
        let send = |to: &dyn SockaddrLike| sendto(fd, b"from a lane", to, MsgFlags::empty());
        let refused = anybody.map(send);
        // One of them is of the other family.
        assert!(refused.contains(&Err(Errno::EPIPE)) && refused.iter().all(Result::is_err), "{refused:?}");
        assert_eq!(recv(fd, &mut [0; 16], MsgFlags::MSG_DONTWAIT), Err(Errno::EAGAIN));
        // Control's own copy can do what it must, and leaves the group that is held alone.
        let groups = ["239.1.1.9", "ff3e::8000:9"].map(|group| group.parse().unwrap());
        let joins = |group: &std::net::IpAddr| multicast::join(held.descriptor.as_fd(), out0, *group).is_ok();
        let more = groups.into_iter().find(joins).unwrap();
        multicast::leave(held.descriptor.as_fd(), out0, more).unwrap();
    }
    assert!(stage.is_joined());
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_all_lanes_share_can_be_read_by_a_lane_and_not_written() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let (lane, mut shown) = shown(&stage, &mut relay);
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", lane.pid())).unwrap();
    let table = maps.lines().find(|line| line.contains("/memfd:mcr-table")).unwrap();
    assert!(table.contains(" r--s "), "{table}");
    let outfit = shown.take_outfit().unwrap();
    let memos = shown.held.iter().filter(|held| held.note == b"memo").map(|held| &held.descriptor);
    let shared: Vec<_> = memos.chain([&outfit.table]).collect();
    assert_eq!(shared.len(), 3);
    for memory in shared {
        assert_eq!(Mapping::shared(memory, PAGE).unwrap_err().raw_os_error(), Some(nix::libc::EACCES));
        assert_eq!(nix::unistd::write(memory, b"mine"), Err(Errno::EBADF));
        assert_eq!(nix::unistd::ftruncate(memory, 0), Err(Errno::EINVAL));
    }
    // What is the lane's own keeps its length, which control relies on when it maps it.
    for own in [&outfit.table, &outfit.frames, &outfit.ledger, &outfit.counters, &outfit.tap] {
        let seals = SealFlag::from_bits_retain(fcntl(own, FcntlArg::F_GET_SEALS).unwrap());
        assert!(seals.contains(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW), "{seals:?}");
    }
}

/// Two lanes, of which the second one lies to the next control. It is followed by a lane that does not, and the first one
/// relays as if nothing were.
#[cfg(feature = "chaos")]
fn next_control_sees_through(lie: &str, told: &str) {
    let chaos = Path::new(env!("CARGO_BIN_EXE_mcr"));
    let stage = Stage::new(1);
    let config = stage.config().replace("[lanes]", "[lanes]\ncores = [0, 1]");
    let mut relay = Relay::launch(chaos, &stage.relay, &config, &[("MCR_LIE", &format!("1:{lie}"))]).unwrap();
    relay.wait_until_ready().unwrap();
    let before = relay.lanes();
    assert_eq!(before.len(), 2);
    let traffic = stage.stream_at(10_000);
    traffic.pass(100);
    kill_control(&mut relay);
    relay.process = relay.another(chaos, &stage.relay).unwrap();
    relay.wait_until_ready().unwrap();
    let line = relay.process.wait_for("was not taken over", SOON).unwrap();
    assert!(line.contains(&format!("lane 1 (pid {}) ", before[1])) && line.contains(told), "{lie}: {line}");
    wait_until("there is no other lane", || relay.lanes().len() == 2);
    let after = relay.lanes();
    assert_eq!(after[0], before[0], "{lie}: the lane that told the truth has ended too");
    assert_ne!(after[1], before[1], "{lie}: the lane that lied relays on");
    traffic.pass(100);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    account.balance(&report, 1);
    assert_eq!((account.lost(), report.restarts()), (account.lost_on_links, 1), "{lie}");
    wait_until("something stays behind", || !stage.is_attached() && !stage.is_joined());
}

#[cfg(feature = "chaos")]
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_says_what_it_is_not_is_followed_by_another_and_the_rest_is_taken_over() {
    for (lie, told) in [
        ("number=0", "it says that it is lane 0"),
        ("start-number=4294967295", "it says that it is lane"),
        ("frames=4194304", "mcr-frames has"),
        ("relays=65536", "mcr-table has"),
        ("relays=4294967295", "room for 4294967295 relays"),
        ("core=4294967295", "it was started with"),
        ("ring-size=64", "it was started with"),
        ("sockets=4294967295", "as much as it said"),
        ("table=counters", "in place of mcr-table"),
    ] {
        next_control_sees_through(lie, told);
    }
}

/// The lane that has the sockets: what it says of them.
#[cfg(feature = "chaos")]
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_whose_sockets_cannot_be_is_followed_by_another() {
    for (lie, told) in [("socket=64", "a socket of number 64"), ("output=65536", "there are 64")] {
        let chaos = Path::new(env!("CARGO_BIN_EXE_mcr"));
        let stage = Stage::new(1);
        let mut relay = stage.start_with(chaos, &[("MCR_LIE", &format!("0:{lie}"))]);
        kill_control(&mut relay);
        relay.process = relay.another(chaos, &stage.relay).unwrap();
        relay.wait_until_ready().unwrap();
        let line = relay.process.wait_for("was not taken over", SOON).unwrap();
        assert!(line.contains(told), "{lie}: {line}");
        let traffic = stage.stream_at(1000);
        traffic.wait_until_it_arrives();
        traffic.settle();
        relay.stop().unwrap();
    }
}

#[cfg(feature = "chaos")]
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_says_it_is_another_process_has_nobody_killed() {
    let chaos = Path::new(env!("CARGO_BIN_EXE_mcr"));
    let mut bystander = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let stage = Stage::new(1);
    let mut relay = stage.start_with(chaos, &[("MCR_LIE", &format!("0:pid={}", bystander.id()))]);
    let lanes = relay.lanes();
    kill_control(&mut relay);
    let path = door(&relay);
    let (lane, _) = inside(&stage, || LaneProcess::adopt(&path)).unwrap();
    assert_eq!(lane.pid(), lanes[0], "control would end another process");
    inside(&stage, || lane.end());
    wait_until("the lane lives", || !is_alive(lanes[0]));
    assert!(bystander.try_wait().unwrap().is_none(), "a bystander was killed");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}
