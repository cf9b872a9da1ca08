//! `mcr stop`: ends the control of this network namespace, or the lanes of one that died.

use super::lane_user::LaneUser;
use super::lock;
use super::node::Start;
use super::offloads::Offloads;
use super::orphans::Found;
use super::starting;
use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use relay_engine::sys::process;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Control has so long to send what came in and to leave nothing behind.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Ends what runs here, whatever state it is in, and says what that was.
///
/// # Errors
/// When nothing runs, or it cannot be ended.
pub async fn stop(run_dir: &Path) -> anyhow::Result<String> {
    let mut ended = Vec::new();
    loop {
        // In the middle of an upgrade another may follow the one that was asked.
        if let Some(pid) = lock::holder(run_dir)? {
            ended.push(end_control(run_dir, pid).await?);
        } else if let Some(pid) = starting::find(run_dir)? {
            ended.push(end_starting(pid).await?);
        } else {
            break;
        }
    }
    let _lock = lock::take(run_dir, None)?;
    let (events, _taken) = mpsc::unbounded_channel();
    let (own, progress) = (LaneUser::own(), Arc::default());
    let start = Start {
        run_dir: run_dir.to_owned(),
        debug: false,
        events,
        rebinds: false,
        lane_user: own,
        progress,
        unit: None,
    };
    ended.extend(end_lanes(&start).await?);
    // What a control that was killed together with its lanes left behind.
    Offloads::open(run_dir)?.restore(|_| false);
    if ended.is_empty() {
        bail!("no mcr runs in this network namespace with the run folder {}", run_dir.display());
    }
    Ok(ended.join("\n"))
}

/// Asks control to end, which ends its lanes too; one that does not is killed.
async fn end_control(run_dir: &Path, pid: i32) -> anyhow::Result<String> {
    let cannot = || format!("cannot end mcr (pid {pid}): run mcr stop as root, or as its user");
    let number = u32::try_from(pid).with_context(cannot)?;
    let process = match process::open(number) {
        Ok(process) => process,
        Err(_) if lock::holder(run_dir)? != Some(pid) => return Ok(format!("mcr (pid {pid}) has ended")),
        Err(error) => return Err(error).with_context(cannot),
    };
    kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(cannot)?;
    if has_let_go(run_dir, pid, PATIENCE).await? {
        return Ok(format!("mcr (pid {pid}) has ended"));
    }
    process::kill(process.as_fd()).with_context(cannot)?;
    if !has_let_go(run_dir, pid, PATIENCE).await? {
        bail!("mcr (pid {pid}) was killed and is still there: the kernel holds it, see dmesg");
    }
    Ok(format!("mcr (pid {pid}) did not end within {} seconds and was killed: see its log", PATIENCE.as_secs()))
}

/// Ends a control that has just been started: it takes down what it has begun. Until it listens the signal waits for it.
async fn end_starting(pid: i32) -> anyhow::Result<String> {
    let cannot = || format!("cannot end mcr (pid {pid}), which is starting: run mcr stop as root, or as its user");
    let process = match process::open(u32::try_from(pid).with_context(cannot)?) {
        Ok(process) => process,
        Err(_) => return Ok(format!("mcr (pid {pid}) has ended")),
    };
    let has_ended = async || {
        let mut waited = Duration::ZERO;
        while !process::has_ended(process.as_fd()) && waited < PATIENCE {
            tokio::time::sleep(LOOK_AGAIN).await;
            waited += LOOK_AGAIN;
        }
        process::has_ended(process.as_fd())
    };
    match kill(Pid::from_raw(pid), Signal::SIGTERM) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => return Err(error).with_context(cannot),
    }
    if has_ended().await {
        return Ok(format!("mcr (pid {pid}), which was starting, has ended"));
    }
    process::kill(process.as_fd()).with_context(cannot)?;
    if !has_ended().await {
        bail!("mcr (pid {pid}) was killed and is still there: the kernel holds it, see dmesg");
    }
    Ok(format!("mcr (pid {pid}), which was starting, did not end within {} seconds and was killed", PATIENCE.as_secs()))
}

async fn has_let_go(run_dir: &Path, pid: i32, patience: Duration) -> anyhow::Result<bool> {
    let mut waited = Duration::ZERO;
    while lock::holder(run_dir)? == Some(pid) {
        if waited > patience {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        waited += LOOK_AGAIN;
    }
    Ok(true)
}

/// Ends all lanes that have no control, whatever they hold, and says what was done to them.
async fn end_lanes(start: &Start) -> anyhow::Result<Vec<String>> {
    let Found { orphans, strays } = Found::look(start).await?;
    let mut ended = Vec::new();
    if let Some(orphans) = orphans {
        let processes = orphans.processes();
        match orphans.end(start).await {
            Ok(1) => ended.push("one lane that had no control has ended".to_owned()),
            Ok(n) => ended.push(format!("{n} lanes that had no control have ended")),
            Err(error) => {
                for (number, process) in processes {
                    let pid = process.pid;
                    process.end().await;
                    ended.push(format!(
                        "lane {number} (pid {pid}) could not be ended in order, and was killed: {error:#}"
                    ));
                }
            }
        }
    }
    for stray in strays {
        let (number, pid, problem) = (stray.number, stray.pid(), stray.problem.to_string());
        stray.end().await;
        ended.push(format!("lane {number} (pid {pid}) had no control and has ended, not in order: {problem}"));
    }
    Ok(ended)
}
