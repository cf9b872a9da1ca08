//! A lane in a stranger's hands: what it holds reaches nobody, and what it says of itself is believed by nobody.

use crate::adopt::inside;
use crate::control::kill_control;
use crate::stage::Stage;
use crate::wire::door;
use bench::Relay;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::socket::{MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, recv, sendto};
use relay_userspace::control::process::LaneProcess;
use relay_userspace::control::talk::Shown;
use relay_userspace::kernel::multicast;
use relay_userspace::memory::{Mapping, PAGE};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd as _, AsRawFd as _};

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
    inside(stage, || LaneProcess::adopt(&path, 0)).unwrap()
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
