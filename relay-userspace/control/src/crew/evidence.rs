//! What a lane shows, held against what the kernel says of it and against what control wrote down. Whoever has a lane in
//! his hands has it say anything; a control that believed it would map memory that is not there, or stand one lane in for
//! another.

use crate::lane_user::LaneUser;
use crate::talk::Shown;
use crate::vault::{Held, tag};
use anyhow::{Context as _, ensure};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{UnixAddr, getsockname, getsockopt, sockopt};
use relay_common::abi::MAX_LINKS;
use relay_common::journal::MAX_SOCKETS;
use relay_common::plan::{MAX_OUTPUTS, MAX_RELAYS};
use relay_common::table::image::image_size;
use relay_engine::lane::handoff::said::{Start, Take};
use relay_engine::lane::handoff::{Message, OUTFIT, Outfit};
use relay_engine::memory::counters::Counters;
use relay_engine::memory::log::Log;
use relay_engine::memory::table::TableMemory;
use relay_engine::memory::{About, tap, whole_pages};
use relay_engine::xsk::options::is_zero_copy;
use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

/// Whether a lane that stands behind the door of that number can be what it says. Its layout was looked at before.
///
/// # Errors
/// What cannot be.
pub fn check(number: u32, door: &Path, shown: &Shown) -> anyhow::Result<()> {
    ensure!(shown.number == number && shown.start.number == number, "it says that it is lane {}", shown.number);
    let outfit: [BorrowedFd<'_>; OUTFIT] = shown
        .outfit
        .iter()
        .map(OwnedFd::as_fd)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| anyhow::anyhow!("it shows {} descriptors of its own", shown.outfit.len()))?;
    check_outfit(&Outfit::from_array(outfit), &shown.start)?;
    let name = getsockname::<UnixAddr>(shown.outfit[DOOR].as_raw_fd()).context("its door is no socket")?;
    let listens = getsockopt(&shown.outfit[DOOR], sockopt::AcceptConn).unwrap_or_default();
    ensure!(listens && name.path() == Some(door), "it shows another door");
    check_sockets(shown)
}

/// Where the door lies in an outfit as a message carries it.
const DOOR: usize = 5;

/// What a lane says that it was started with, against what control wrote down.
///
/// # Errors
/// When they differ.
pub fn check_start(start: &Message, noted: &[[u32; 8]]) -> anyhow::Result<()> {
    // A memo that could not be read says nothing of any lane.
    if noted.is_empty() {
        return Ok(());
    }
    let (noted, said) = (noted.get(start.number as usize), start.numbers);
    ensure!(noted == Some(&said), "it says that it was started with {said:?}, not {:?}", noted.unwrap_or(&[0; 8]));
    Ok(())
}

/// Whether a lane can be that user: one that control is, or has lanes run as now, or had by what it wrote down.
///
/// # Errors
/// When it is somebody else.
pub fn check_user(uid: u32, wanted: &LaneUser, noted: &BTreeSet<u32>) -> anyhow::Result<()> {
    let own = nix::unistd::geteuid().as_raw();
    let is_known = [own, wanted.user().uid].contains(&uid) || noted.contains(&uid);
    ensure!(is_known, "it runs as user {uid}, and lanes run as {}", wanted.user().name);
    Ok(())
}

/// Whether what is held as the pipe that a lane writes to is the one that control made for that lane. What is held as
/// something else is left to others.
#[must_use]
pub fn is_its_output(tag: u64, held: &Held, noted: &[u64]) -> bool {
    let Some(lane) = tag.checked_sub(tag::STDERR).filter(|lane| *lane < tag::SPAN) else { return true };
    let inode = nix::sys::stat::fstat(&*held.fd).map(|found| found.st_ino);
    usize::try_from(lane).is_ok_and(|lane| inode.ok().as_ref() == noted.get(lane))
}

/// Whether a descriptor is one of the memo that a control of this user wrote, and that no lane could write.
///
/// # Errors
/// When it is something else.
pub fn check_memo(held: BorrowedFd<'_>) -> anyhow::Result<()> {
    check_memory(held, "mcr-memo", None)
}

fn check_outfit(outfit: &Outfit<BorrowedFd<'_>>, start: &Message) -> anyhow::Result<()> {
    let Start { frame_size, frames: n_frames, relays: max_relays, outputs: max_outputs, .. } = start.says();
    ensure!((1..=MAX_RELAYS).contains(&max_relays), "it says that there is room for {max_relays} relays");
    ensure!((1..=MAX_OUTPUTS).contains(&max_outputs), "it says that there is room for {max_outputs} outputs");
    let area = u64::from(n_frames) * u64::from(frame_size);
    ensure!(area > 0, "it says that it has no frames");
    let ledger = Log::BYTES + whole_pages(n_frames as usize * size_of::<u32>());
    let table = TableMemory::bytes(image_size(max_relays, max_outputs));
    check_memory(outfit.frames, "mcr-frames", Some(area))?;
    check_memory(outfit.ledger, "mcr-ledger", Some(ledger as u64))?;
    check_memory(outfit.table, "mcr-table", Some(table as u64))?;
    check_memory(outfit.counters, "mcr-counters", Some(Counters::bytes(max_relays, max_outputs) as u64))?;
    check_memory(outfit.tap, "mcr-tap", Some(tap::BYTES as u64))?;
    // Control writes to it, and must not wait for whoever reads.
    let doorbell = std::fs::read_link(format!("/proc/self/fd/{}", outfit.doorbell.as_raw_fd()))?;
    let how = OFlag::from_bits_truncate(fcntl(outfit.doorbell, FcntlArg::F_GETFL)?);
    let is_doorbell = doorbell.to_str() == Some("anon_inode:[eventfd]") && how.contains(OFlag::O_NONBLOCK);
    ensure!(is_doorbell, "it shows {} in place of its doorbell", doorbell.display());
    Ok(())
}

/// Lanes make no memory and cannot rename what they have: name and owner say that control made it as this.
fn check_memory(fd: BorrowedFd<'_>, name: &str, len: Option<u64>) -> anyhow::Result<()> {
    let about = About::of(fd).with_context(|| format!("it shows no {name}"))?;
    let own = nix::unistd::geteuid().as_raw();
    ensure!((about.name.as_str(), about.owner) == (name, own), "it shows {about:?} in place of {name}");
    if let Some(len) = len {
        ensure!(about.len == len && about.keeps_length, "its {name} has {} bytes, not {len}", about.len);
    }
    let is_shared = matches!(name, "mcr-table" | "mcr-memo");
    ensure!(about.is_read_only || !is_shared, "it can write {name}");
    Ok(())
}

fn check_sockets(shown: &Shown) -> anyhow::Result<()> {
    let mut numbers = BTreeSet::new();
    for (taken, fd) in &shown.sockets {
        let (number, Take { output, .. }) = (taken.number, taken.says());
        let is_number = (number as usize) < MAX_SOCKETS && numbers.insert(number);
        ensure!(is_number, "it shows a socket of number {number}, twice or beyond {MAX_SOCKETS}");
        ensure!(output <= MAX_LINKS, "socket {number} sends for output link {output}: there are {MAX_LINKS}");
        is_zero_copy(fd.as_fd()).with_context(|| format!("socket {number} is none of AF_XDP"))?;
    }
    Ok(())
}
