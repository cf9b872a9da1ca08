//! What a lane gives up before it looks at the first packet: strangers write what it parses.
#![expect(unsafe_code, reason = "prctl for what nix does not wrap")]

use crate::xsk::options::{SOL_XDP, XDP_MMAP_OFFSETS};
use anyhow::Context;
use caps::CapSet;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// The system calls of a lane at work. Everything else ends it.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_sendto,   // transmit what is on a ring
    libc::SYS_recvfrom, // wake the receive side of a driver
    libc::SYS_sendmsg,  // answer control
    libc::SYS_recvmsg,  // hear control
    libc::SYS_accept4,  // let the next control in
    libc::SYS_poll,     // sleep
    libc::SYS_ppoll,
    libc::SYS_read,          // the doorbell
    libc::SYS_clock_gettime, // where the clock is not in the vDSO
    libc::SYS_exit_group,
    libc::SYS_exit,
    libc::SYS_munmap, // memory goes when the lane ends
    libc::SYS_close,
    libc::SYS_sigaltstack, // the runtime's, at the end of a thread
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall, // a sleep that was interrupted by a stop
    libc::SYS_write,           // the text of a panic
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

/// Gives up every capability, the right to gain any, and every system call but a few.
pub fn give_up_rights() -> anyhow::Result<()> {
    // The bounding set first: clearing it takes a right that goes with the others. Who lacks that right cannot gain
    // anything either, because of no_new_privs.
    let _ = caps::clear(None, CapSet::Bounding);
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).with_context(|| format!("cannot clear the {set:?} capabilities"))?;
    }
    nix::sys::prctl::set_no_new_privs().context("cannot set no_new_privs")?;
    // A lane's memory holds other people's streams: nobody attaches a debugger to it and nothing is dumped.
    // SAFETY: this call takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    let arch = TargetArch::try_from(std::env::consts::ARCH).context("no seccomp filter for this processor")?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|&call| (call, vec![])).collect();
    // A panic ends this process by a signal, and no other: the kernel lets equal users signal each other.
    let own = u64::from(std::process::id());
    let to_itself = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, own)?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![to_itself])?]);
    // Who is at the door, and where the rings of a new socket lie; nothing else is asked of any socket.
    let asks = |level: i32, name: i32| {
        let is = |argument, value: i32| {
            SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value as u64)
        };
        SeccompRule::new(vec![is(1, level)?, is(2, name)?])
    };
    let asked = vec![asks(libc::SOL_SOCKET, libc::SO_PEERCRED)?, asks(SOL_XDP, XDP_MMAP_OFFSETS)?];
    rules.insert(libc::SYS_getsockopt, asked);
    // A build with checks sees whether a descriptor is open before it closes it.
    if cfg!(debug_assertions) {
        let is_it_open = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::F_GETFD as u64)?;
        rules.insert(libc::SYS_fcntl, vec![SeccompRule::new(vec![is_it_open])?]);
    }
    // Memory for the allocator and for the rings of a new socket; none that could be executed.
    let executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64);
    let not_executable = SeccompCondition::new(2, SeccompCmpArgLen::Dword, executable, 0)?;
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![not_executable])?]);
    let filter = SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)
        .context("cannot apply the seccomp filter: use a kernel with CONFIG_SECCOMP_FILTER")?;
    Ok(())
}
