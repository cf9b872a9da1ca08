//! Files as Linux 6.18 writes them, and this very process.

use super::{Socket, find, socket};
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

#[test]
#[cfg(target_endian = "little")]
fn lines_of_sockets_are_read() {
    let v4 = "  612: 010101EF:1388 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 48213 2 00000000b1 0";
    let expected = Socket { address: [239, 1, 1, 1].into(), port: 5000, inode: 48213 };
    assert_eq!(socket(v4), Some(expected));
    let v6 = " 4711: 00003EFF000000000000000001000080:1388 00000000000000000000000000000000:0000 07 00000000:00000000 \
              00:00000000 00000000     0        0 99 2 00000000b1 0";
    let expected = Socket { address: "ff3e::8000:1".parse().unwrap(), port: 5000, inode: 99 };
    assert_eq!(socket(v6), Some(expected));
    let mapped = " 1: 0000000000000000FFFF0000010101EF:0001 0:0 07 0:0 0:0 0 0 0 98 2 0 0";
    assert_eq!(socket(mapped).unwrap().address, std::net::IpAddr::from([239, 1, 1, 1]));
    assert_eq!(socket("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt"), None);
}

#[test]
fn this_process_is_found_by_its_socket() {
    let listening = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = listening.local_addr().unwrap().port();
    let find_but = |address: [u8; 4], own: &BTreeSet<u64>| {
        let found = find(Path::new("/proc/thread-self/net"), Path::new("/proc"), address.into(), port, own).unwrap();
        found
            .into_iter()
            .filter(|listener| listener.address == std::net::IpAddr::from([127, 0, 0, 1]))
            .collect::<Vec<_>>()
    };
    let find = |address| find_but(address, &BTreeSet::new());
    let found = find([127, 0, 0, 1]);
    let (pid, name) = found[0].process.clone().unwrap();
    assert_eq!((found.len(), found[0].port, pid), (1, port, std::process::id()));
    let own = std::fs::read_to_string("/proc/self/comm").unwrap();
    assert_eq!(name, own.trim_end());
    assert_eq!(find([239, 1, 1, 1]), [], "bound to another address");
    let inode = std::fs::metadata(format!("/proc/self/fd/{}", listening.as_raw_fd())).unwrap().ino();
    assert_eq!(find_but([127, 0, 0, 1], &[inode].into()), [], "one of our own");
}
