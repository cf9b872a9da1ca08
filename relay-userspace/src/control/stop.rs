//! `mcr stop`: ends the control of this network namespace, or the lanes of one that died.

use super::lane_user::LaneUser;
use super::lock;
use super::node::Start;
use super::offloads::Offloads;
use super::takeover::Orphans;
use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;

/// Control has so long to send what came in and to leave nothing behind.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Ends what runs here, and says what that was.
///
/// # Errors
/// When nothing runs, or it does not end.
pub async fn stop(run_dir: &Path) -> anyhow::Result<String> {
    if let Some(pid) = lock::holder(run_dir)? {
        kill(Pid::from_raw(pid), Signal::SIGTERM).with_context(|| format!("cannot end mcr (pid {pid})"))?;
        let mut waited = Duration::ZERO;
        while lock::holder(run_dir)?.is_some() {
            if waited > PATIENCE {
                bail!(
                    "mcr (pid {pid}) was asked to end and still runs: see its log, or kill -9 {pid} and mcr stop again"
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            waited += LOOK_AGAIN;
        }
        return Ok(format!("mcr (pid {pid}) has ended"));
    }
    let _lock = lock::take(run_dir)?;
    let (events, _taken) = mpsc::unbounded_channel();
    let start = Start { run_dir: run_dir.to_owned(), debug: false, events, rebinds: false, lane_user: LaneUser::own() };
    match Orphans::find(&start).await? {
        Some(orphans) => Ok(match orphans.end(&start).await? {
            1 => "one lane that had no control has ended".to_owned(),
            n => format!("{n} lanes that had no control have ended"),
        }),
        None => {
            // What a control that was killed together with its lanes left behind.
            Offloads::open(run_dir)?.restore(|_| false);
            bail!("no mcr runs in this network namespace with the run folder {}", run_dir.display())
        }
    }
}
