//! What this machine knows of a node whose control does not answer: its lock, and what its lanes say.

use relay_cli::local::{Away, Later, LocalNode};
use relay_config::model::Health;
use relay_control::observe::health::while_away;
use relay_control::{away, lock};
use relay_engine::sys::process;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often a process that was killed is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// The nodes of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl LocalNode for Machine {
    fn control(&self, run_dir: &Path) -> anyhow::Result<Option<i32>> {
        lock::holder(run_dir)
    }

    fn has_lanes(&self, run_dir: &Path) -> bool {
        away::has_doors(run_dir)
    }

    fn health<'a>(&self, run_dir: &'a Path, asked: Away<'a>) -> Later<'a, Option<Health>> {
        Box::pin(async move {
            let seen = away::look(run_dir, asked.patience, asked.is_silent).await?;
            Ok(seen.map(|seen| while_away(&seen, asked.relays, asked.min, asked.limit)))
        })
    }

    fn kill(&self, pid: u32, within: Duration) -> Later<'static, bool> {
        Box::pin(async move {
            let process = process::open(pid)?;
            process::kill(process.as_fd())?;
            let gone = async {
                while !process::has_ended(process.as_fd()) {
                    sleep(LOOK).await;
                }
            };
            Ok(timeout(within, gone).await.is_ok())
        })
    }
}
