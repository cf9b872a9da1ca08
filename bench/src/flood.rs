//! As many packets as the machine can make: the kernel's own packet generator on one core, and a sink that only counts.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::clock::monotonic_ns;
use crate::netns::Namespace;
use crate::sys::bpf::{Does, Program};

/// Frames of one call. A call costs about a millisecond to set up.
const CALL: u32 = 200_000;

/// A running flood of one frame; it ends when dropped.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<u64>>>,
    started_ns: u64,
}

impl Flood {
    /// Sends `frame` by an interface of a namespace, as fast as this core can. The interface at the other end must
    /// take frames from XDP: it has a program, or `ethtool -K IF gro on`.
    pub fn start(namespace: &Namespace, interface: &str, core: usize, frame: Vec<u8>) -> Result<Self> {
        let index = namespace.index(interface)?;
        let program = Program::load(Does::Redirect(index)).context("load the generator's program")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = namespace.spawn("flood", move || {
            let mut cores = CpuSet::new();
            cores.set(core)?;
            sched_setaffinity(Pid::from_raw(0), &cores)?;
            let mut sent = 0;
            while !stopped.load(Ordering::Relaxed) {
                program.run_on_live_frames(&frame, CALL)?;
                sent += u64::from(CALL);
            }
            Ok(sent)
        })?;
        Ok(Self { stop, thread: Some(thread), started_ns: monotonic_ns() })
    }

    /// Ends the flood; says how many frames were made, and how long that took.
    pub fn stop(mut self) -> Result<(u64, Duration)> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a flood ends once")?;
        let sent = thread.join().map_err(|_| anyhow!("the flood's thread panicked"))?.context("make frames")?;
        Ok((sent, Duration::from_nanos(monotonic_ns() - self.started_ns)))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// An interface that drops every frame in XDP, and counts it, until this is dropped.
#[derive(Debug)]
pub struct Drain {
    _link: OwnedFd,
}

impl Drain {
    /// Begins to drop.
    pub fn start(namespace: &Namespace, interface: &str) -> Result<Self> {
        let index = namespace.index(interface)?;
        let program = Program::load(Does::Drop).context("load the sink's program")?;
        let link = namespace.run(|| program.attach(index)).context("attach the sink's program")?;
        Ok(Self { _link: link })
    }
}
