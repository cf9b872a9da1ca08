//! What is given is taken.

use super::{Given, Handover, Listening, take};
use crate::lock;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

/// What a control that becomes another binary gives it.
fn given(handover: &Handover) -> Given {
    let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
    let (near, far) = pair.unwrap();
    handover.send(near.as_fd(), None, false).unwrap();
    take(far).unwrap()
}

#[test]
fn everything_that_is_given_is_taken_in_its_order() {
    let folder = std::env::temp_dir().join(format!("mcr-handover-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("mcr.sock");
    let handover = Handover::default();
    let taken = given(&handover);
    assert!(taken.lock.is_none() && taken.listening.is_none() && taken.before.is_none());

    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let unix = UnixListener::bind(&path).unwrap();
    let place = (path.clone(), (1, 2));
    let listening = Listening { unix: unix.into(), place: place.clone(), tcp: Some(tcp.into()), stays: Arc::default() };
    handover.listening(listening);
    let taken = given(&handover).listening.unwrap();
    assert_eq!(taken.place, place);
    let [unix, tcp] = [&taken.unix, taken.tcp.as_ref().unwrap()].map(|fd| fd.try_clone().unwrap());
    assert_eq!(TcpListener::from(tcp).local_addr().unwrap(), address);
    assert_eq!(UnixListener::from(unix).local_addr().unwrap().as_pathname(), Some(path.as_path()));

    handover.hold(lock::take(&folder, None).unwrap());
    handover.has_ended();
    let taken = given(&handover);
    assert!(taken.listening.is_none());
    drop(handover);
    assert!(lock::take(&folder, None).is_err(), "who was given it holds it");
    drop(lock::take(&folder, taken.lock).unwrap());
    assert!(lock::take(&folder, None).is_err(), "it can be given on");
    drop(taken.handover);
    drop(lock::take(&folder, None).unwrap());
    std::fs::remove_dir_all(folder).unwrap();
}
