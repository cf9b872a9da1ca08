//! A lane in a stranger's hands, for tests: the feature `chaos` builds it. The lane whose number `MCR_TRIES` has tries what
//! its user must not, before the filter of system calls would end it for that, and writes what came of each try.

use super::handoff::Outfit;
use crate::memory::Mapping;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::socket::{UnixAddr, getsockname};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::{Pid, Uid, setresuid};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

/// Tries everything, if this is the lane that is to: `MCR_TRIES` is its number, and that of a process of another user.
pub(super) fn all(number: u32, outfit: &Outfit, controls_user: u32) {
    let wanted = std::env::var("MCR_TRIES").unwrap_or_default();
    let Some((lane, bystander)) = wanted.split_once(':') else { return };
    let (Ok(lane), Ok(bystander)) = (lane.parse::<u32>(), bystander.parse()) else { return };
    if lane != number {
        return;
    }
    let (table, control) = (&outfit.table, Pid::parent());
    let door = getsockname::<UnixAddr>(outfit.door.as_raw_fd());
    let folder = door.ok().and_then(|door| Some(door.path()?.parent()?.to_owned())).unwrap_or_default();
    let other = of_control(control).map_or_else(|| Pid::from_raw(0), Pid::from_raw);
    let user = Uid::from_raw(controls_user);
    let tried: [(&str, io::Result<()>); 14] = [
        ("signal-control", kill(control, None).map_err(io::Error::from)),
        ("signal-other-user", kill(Pid::from_raw(bystander), None).map_err(io::Error::from)),
        ("read-control", read(control)),
        ("read-lane", read(other)),
        ("open-control", File::open(format!("/proc/{control}/mem")).map(drop)),
        ("open-lane", File::open(format!("/proc/{other}/mem")).map(drop)),
        ("environment-of-lane", File::open(format!("/proc/{other}/environ")).map(drop)),
        ("reopen-table", reopen(table)),
        ("map-table", Mapping::shared(table, crate::memory::PAGE).map(drop)),
        ("read-own-output", File::open("/proc/self/fd/2").map(drop)),
        ("api", UnixStream::connect(folder.join("mcr.sock")).map(drop)),
        ("write-folder", File::create(folder.join("tried")).map(drop)),
        ("become-control", setresuid(user, user, user).map_err(io::Error::from)),
        ("become-root", setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).map_err(io::Error::from)),
    ];
    let told = tried.map(|(name, outcome)| match outcome {
        Ok(()) => format!("{name}=done"),
        Err(error) => format!("{name}={:?}", Errno::from_raw(error.raw_os_error().unwrap_or(0))),
    });
    let _ = writeln!(io::stderr(), "tries: {}", told.join(" "));
}

/// Another lane of that control.
fn of_control(control: Pid) -> Option<i32> {
    let own = std::process::id();
    let parent = format!("\nPPid:\t{control}\n");
    let is_lane = |pid: &u32| {
        *pid != own && fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| status.contains(&parent))
    };
    let mut pids = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.find(is_lane).map(u32::cast_signed)
}

/// Where nothing forbids it the address is still nobody's: that is another error.
fn read(process: Pid) -> io::Result<()> {
    let mut bytes = [0; 8];
    let there = [RemoteIoVec { base: 4096, len: bytes.len() }];
    Ok(process_vm_readv(process, &mut [IoSliceMut::new(&mut bytes)], &there).map(drop)?)
}

fn reopen(memory: &OwnedFd) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", memory.as_fd().as_raw_fd());
    OpenOptions::new().read(true).write(true).open(path).map(drop)
}
