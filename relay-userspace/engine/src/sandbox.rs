//! What a lane gives up before it looks at the first packet: strangers write what it parses.
#![expect(unsafe_code, reason = "prctl for what nix does not wrap")]

use crate::xsk::options::{SOL_XDP, XDP_MMAP_OFFSETS, XDP_OPTIONS};
use anyhow::{Context, ensure};
use caps::CapSet;
use nix::unistd::{Gid, Uid, getresgid, getresuid, setgroups, setresgid, setresuid};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// The system calls of a lane at work. Everything else ends it.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_sendmsg, // answer control
    libc::SYS_recvmsg, // hear control
    libc::SYS_accept4, // let the next control in
    libc::SYS_poll,    // sleep
    libc::SYS_ppoll,
    libc::SYS_clock_gettime, // where the clock is not in the vDSO
    libc::SYS_exit_group,
    libc::SYS_exit,
    libc::SYS_munmap, // memory goes when the lane ends
    libc::SYS_close,
    libc::SYS_sigaltstack, // the runtime's, at the end of a thread
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall, // a sleep that was interrupted by a stop
    libc::SYS_futex,
    libc::SYS_rt_sigprocmask, // abort
    libc::SYS_rt_sigaction,
    libc::SYS_gettid,
    libc::SYS_getpid,
    #[cfg(feature = "chaos")]
    libc::SYS_kill, // a signal to itself, in tests of sudden death
    libc::SYS_brk, // the allocator, when a socket is taken and in a panic
    libc::SYS_mremap,
    libc::SYS_madvise,
];

/// Closes every descriptor but the three that each program has, and one. What control had open is none of a lane's
/// business, and would be in use for as long as the lane lives.
pub fn close_what_was_inherited(but: &OwnedFd) -> io::Result<()> {
    let kept = but.as_raw_fd().cast_unsigned();
    for (first, last) in [(3, kept.saturating_sub(1)), (kept + 1, u32::MAX)] {
        // SAFETY: this call takes numbers only, and nothing in this process owns a descriptor that was inherited.
        if first <= last && unsafe { libc::close_range(first, last, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Closes nothing, to see whether this kernel can close many at once.
pub fn close_nothing() -> io::Result<()> {
    // SAFETY: the call takes numbers only, and no descriptor has that one.
    if unsafe { libc::close_range(u32::MAX, u32::MAX, 0) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Becomes another user, with the numbers of user and group, and gives up every capability and the right to gain any.
/// Groups besides that one are left.
pub fn become_user(user: Option<(u32, u32)>) -> anyhow::Result<()> {
    // The bounding set first: clearing it takes a right that goes with the others. Who lacks that right cannot gain
    // anything either, because of no_new_privs.
    let _ = caps::clear(None, CapSet::Bounding);
    if let Some((uid, gid)) = user {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let remedy = "is it a user of this namespace? name another in lanes.user";
        setgroups(&[]).with_context(|| format!("cannot leave the groups of the user before: {remedy}"))?;
        setresgid(gid, gid, gid).with_context(|| format!("cannot become group {gid}: {remedy}"))?;
        setresuid(uid, uid, uid).with_context(|| format!("cannot become user {uid}: {remedy}"))?;
        // A number that means nobody leaves everything as it is.
        let (users, groups) = (getresuid()?, getresgid()?);
        let is_all = [users.real, users.effective, users.saved] == [uid; 3];
        let is_all = is_all && [groups.real, groups.effective, groups.saved] == [gid; 3];
        ensure!(is_all && !uid.is_root(), "is user {}, and not {uid}: {remedy}", users.effective);
    }
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).with_context(|| format!("cannot clear the {set:?} capabilities"))?;
    }
    nix::sys::prctl::set_no_new_privs().context("cannot set no_new_privs")?;
    // A lane's memory holds other people's streams: nothing is dumped, and nobody attaches a debugger to it, other lanes of
    // the same user neither. After that user, with whom the kernel sets it anew.
    // SAFETY: this call takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error()).context("cannot keep others from this lane's memory");
    }
    Ok(())
}

/// Gives up every system call but a few. `read` is the only descriptor that is read from.
pub fn give_up_calls(read: &OwnedFd) -> anyhow::Result<()> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).context("no seccomp filter for this processor")?;
    let filter = SeccompFilter::new(rules(read)?, SeccompAction::KillProcess, SeccompAction::Allow, arch)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)
        .context("cannot apply the seccomp filter: use a kernel with CONFIG_SECCOMP_FILTER")?;
    Ok(())
}

/// The calls that are allowed, and with which arguments. A rule holds when all of its conditions do, a call passes when
/// one of its rules holds.
fn rules(read: &OwnedFd) -> anyhow::Result<BTreeMap<i64, Vec<SeccompRule>>> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|&call| (call, vec![])).collect();
    let mut pin = |call, conditions: Vec<SeccompCondition>| -> anyhow::Result<()> {
        rules.entry(call).or_default().push(SeccompRule::new(conditions)?);
        Ok(())
    };
    // To transmit what is on a ring, and to wake the receive side of a driver. Neither carries a byte or an address: the
    // sockets of group memberships, which every lane holds, reach nobody by these.
    pin(libc::SYS_sendto, vec![address(1, 0)?, address(2, 0)?, address(4, 0)?, number(5, 0)?])?;
    pin(libc::SYS_recvfrom, vec![address(1, 0)?, address(2, 0)?, address(4, 0)?, address(5, 0)?])?;
    // The doorbell, and nothing that is held for others.
    pin(libc::SYS_read, vec![number(0, read.as_raw_fd())?])?;
    // The text of a panic, and into no memory that others read.
    pin(libc::SYS_write, vec![number(0, libc::STDERR_FILENO)?])?;
    // A panic ends this process by a signal, and no other: the kernel lets equal users signal each other.
    pin(libc::SYS_tgkill, vec![number(0, std::process::id().cast_signed())?])?;
    // Who is at the door, where the rings of a new socket lie, and whether it is zero-copy; nothing else is asked of any
    // socket.
    pin(libc::SYS_getsockopt, vec![number(1, libc::SOL_SOCKET)?, number(2, libc::SO_PEERCRED)?])?;
    pin(libc::SYS_getsockopt, vec![number(1, SOL_XDP)?, number(2, XDP_MMAP_OFFSETS)?])?;
    pin(libc::SYS_getsockopt, vec![number(1, SOL_XDP)?, number(2, XDP_OPTIONS)?])?;
    // A build with checks sees whether a descriptor is open before it closes it.
    if cfg!(debug_assertions) {
        pin(libc::SYS_fcntl, vec![number(1, libc::F_GETFD)?])?;
    }
    // Memory for the allocator and for the rings of a new socket; none that could be executed.
    let executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
    pin(libc::SYS_mmap, vec![SeccompCondition::new(2, SeccompCmpArgLen::Dword, executable, 0)?])?;
    Ok(rules)
}

/// That an argument of 32 bits has this value.
fn number(argument: u8, value: i32) -> anyhow::Result<SeccompCondition> {
    let value = u64::from(value.cast_unsigned());
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?)
}

/// That an argument of 64 bits has this value.
fn address(argument: u8, value: u64) -> anyhow::Result<SeccompCondition> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)?)
}

#[cfg(test)]
mod tests;
