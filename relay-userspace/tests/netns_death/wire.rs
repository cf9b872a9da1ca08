//! What the neighbours see: the reports of the relay's kernel on the input link, and strangers at a lane's door.

use crate::stage::Stage;
use bench::Relay;
use bench::sys::{self, ReceiveBatch};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

const IGMP: u8 = 2;
const IGMPV2_LEAVE: u8 = 0x17;
const IGMPV3_REPORT: u8 = 0x22;
/// Kinds of records that say how things are.
const STAYS: [u8; 2] = [1, 2];
/// Kinds of records that give something up: "to include" without a source, "block".
const GIVE_UP: [u8; 2] = [3, 6];

/// Hears what comes from the relay by the input link, from the moment it is made.
pub(crate) struct Reports(OwnedFd);

impl Reports {
    pub(crate) fn listen(stage: &Stage) -> Self {
        let index = stage.source.index("src0").unwrap();
        let socket = stage.source.run(|| sys::frame_receiver(index)).unwrap();
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(20)).unwrap();
        Self(socket)
    }

    /// How often a group was given up since the last time.
    pub(crate) fn leaves(&self) -> usize {
        let mut batch = ReceiveBatch::new(9216, 0);
        let mut leaves = 0;
        while batch.receive(self.0.as_fd()).is_ok() {
            leaves += batch.frames().filter(|(frame, _)| gives_up(frame)).count();
        }
        leaves
    }

    /// Records that change something, and reports of IGMPv2, since the last time: what a join or a leave sends. What only
    /// says how things are is no change.
    pub(crate) fn changes(&self) -> usize {
        let mut batch = ReceiveBatch::new(9216, 0);
        let mut changes = 0;
        while batch.receive(self.0.as_fd()).is_ok() {
            changes += batch.frames().map(|(frame, _)| n_changes(frame)).sum::<usize>();
        }
        changes
    }
}

fn n_changes(frame: &[u8]) -> usize {
    let ip = frame.get(14..).unwrap_or_default();
    if frame.get(12..14) != Some(&[8, 0]) || ip.get(9) != Some(&IGMP) {
        return 0;
    }
    let igmp = &ip[usize::from(ip[0] & 15) * 4..];
    if igmp[0] != IGMPV3_REPORT {
        return 1;
    }
    let (mut rest, mut changes) = (&igmp[8..], 0);
    for _ in 0..u16::from_be_bytes([igmp[6], igmp[7]]) {
        changes += usize::from(!STAYS.contains(&rest[0]));
        rest = &rest[8 + 4 * usize::from(u16::from_be_bytes([rest[2], rest[3]]))..];
    }
    changes
}

fn gives_up(frame: &[u8]) -> bool {
    let ip = frame.get(14..).unwrap_or_default();
    if frame.get(12..14) != Some(&[8, 0]) || ip.get(9) != Some(&IGMP) {
        return false;
    }
    let igmp = &ip[usize::from(ip[0] & 15) * 4..];
    // The kernel writes the records of a change that it makes at once in one report, one after the other.
    igmp[0] == IGMPV2_LEAVE || igmp[0] == IGMPV3_REPORT && GIVE_UP.contains(&igmp[8])
}

/// Where a control that follows a dead one comes in.
pub(crate) fn door(relay: &Relay) -> PathBuf {
    let paths = fs::read_dir(relay.folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut doors = paths.filter(|path| path.extension().is_some_and(|extension| extension == "door"));
    doors.next().expect("a lane has a door")
}

/// Somebody at a lane's door.
pub(crate) struct Stranger(OwnedFd);

impl Stranger {
    pub(crate) fn come_in(door: &Path) -> Self {
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(10)).unwrap();
        connect(socket.as_raw_fd(), &UnixAddr::new(door).unwrap()).unwrap();
        Self(socket)
    }

    pub(crate) fn say(&self, words: &[u8]) {
        send(self.0.as_raw_fd(), words, MsgFlags::MSG_NOSIGNAL).unwrap();
    }

    /// What is said to it; nothing when it is shown out.
    pub(crate) fn hear(&self) -> Vec<u8> {
        let mut words = vec![0; 256];
        let length = recv(self.0.as_raw_fd(), &mut words, MsgFlags::empty()).expect("neither answered nor shown out");
        words.truncate(length);
        words
    }
}
