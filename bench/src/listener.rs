//! Plain UDP sockets, as a decoder has them: the proof that what arrives is good for an ordinary program.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};

use crate::clock::monotonic_ns;
use crate::ledger::{self, SharedLedger};
use crate::netns::Namespace;
use crate::payload::{self, Shape};
use crate::sys;

/// Holds what arrives before anyone reads.
const SOCKET_BUFFER: usize = 16 << 20;

/// A UDP socket in a namespace.
#[derive(Debug)]
pub struct UdpListener {
    socket: UdpSocket,
}

impl UdpListener {
    /// Listens for `destination` on an interface: joins it when it is a group.
    pub fn start(namespace: &Namespace, interface: &str, destination: SocketAddr) -> Result<Self> {
        let index = namespace.index(interface)?;
        let socket = namespace.run(|| UdpSocket::bind(destination));
        let socket = socket.with_context(|| format!("bind {destination} in {}", namespace.name()))?;
        setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).context("enlarge the listener's buffer")?;
        // Otherwise a socket hears the groups that others of its namespace have joined.
        match destination.ip() {
            IpAddr::V4(Ipv4Addr { .. }) => sys::set_option(&socket, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, 0)?,
            IpAddr::V6(Ipv6Addr { .. }) => sys::set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_ALL, 0)?,
        }
        if destination.ip().is_multicast() {
            sys::join_group(&socket, destination.ip(), index)
                .with_context(|| format!("join {} on {interface}", destination.ip()))?;
        }
        Ok(Self { socket })
    }

    /// The next datagram and its sender; none when it does not come in time.
    pub fn receive(&self, within: Duration) -> Result<Option<(Vec<u8>, SocketAddr)>> {
        self.socket.set_read_timeout(Some(within.max(Duration::from_millis(1))))?;
        let mut buffer = vec![0; 65_536];
        match self.socket.recv_from(&mut buffer) {
            Ok((length, sender)) => {
                buffer.truncate(length);
                Ok(Some((buffer, sender)))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("receive"),
        }
    }

    /// Enters every datagram into a ledger until none has come for the time `quiet`; says how many there were.
    pub fn drain(&self, ledger: &SharedLedger, shape: Shape, quiet: Duration) -> Result<u64> {
        let mut count = 0;
        while let Some((datagram, _)) = self.receive(quiet)? {
            count += 1;
            let mut ledger = ledger::lock(ledger);
            match payload::verify(shape, &datagram) {
                Ok(stamp) => ledger.arrived(&stamp, monotonic_ns()),
                Err(flaw) => ledger.spoilt(&flaw.to_string()),
            }
        }
        Ok(count)
    }
}
