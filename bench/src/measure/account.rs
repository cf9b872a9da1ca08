//! Where packets and time went, as the kernel counts it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use super::results::Loss;
use super::stage::{RELAY_CORE, SOURCE_LINK, Stage};
use crate::Namespace;

/// The kernel counts processor time in hundredths of a second there.
const TICK: Duration = Duration::from_millis(10);

/// What was offered, and what links refused meanwhile.
#[derive(Debug)]
pub struct Account<'a> {
    stage: &'a Stage,
    /// How many packets should come of one.
    outputs: u64,
    offered: u64,
    refused_before: u64,
    sinks_refused_before: u64,
}

impl<'a> Account<'a> {
    /// Begins to count.
    pub fn open(stage: &'a Stage, outputs: u64) -> Result<Self> {
        let mut account = Self { stage, outputs, offered: 0, refused_before: 0, sinks_refused_before: 0 };
        account.refused_before = account.refused_by_link()?;
        account.sinks_refused_before = account.refused_by_sinks()?;
        Ok(account)
    }

    /// Enters what the generator made.
    pub fn offered(&mut self, packets: u64) {
        self.offered += packets;
    }

    /// Packets that the generator made and its link had no room for.
    pub fn refused_by_link(&self) -> Result<u64> {
        refused(&self.stage.source, SOURCE_LINK)
    }

    fn refused_by_sinks(&self) -> Result<u64> {
        self.stage.outputs.iter().map(|(near, _)| refused(&self.stage.relay, &near.name)).sum()
    }

    /// Balances what was offered with what arrived and what the contestant says it has lost.
    pub fn close(self, arrived: u64, counted: Vec<Loss>) -> Result<Vec<Loss>> {
        let by_link = (self.refused_by_link()? - self.refused_before) * self.outputs;
        let by_sinks = self.refused_by_sinks()? - self.sinks_refused_before;
        let mut losses = vec![
            Loss { name: "generator's own link full".to_owned(), packets: by_link },
            Loss { name: "output link full".to_owned(), packets: by_sinks },
        ];
        losses.extend(counted);
        let named: u64 = losses.iter().map(|loss| loss.packets).sum();
        let missing = (self.offered * self.outputs).saturating_sub(arrived);
        losses.push(Loss { name: UNCOUNTED.to_owned(), packets: missing.saturating_sub(named) });
        losses.push(Loss { name: COUNTED_TWICE.to_owned(), packets: named.saturating_sub(missing) });
        losses.retain(|loss| loss.packets > 0);
        Ok(losses)
    }
}

/// The name of what no counter tells.
pub const UNCOUNTED: &str = "uncounted";
/// The name of what more than one counter tells.
pub const COUNTED_TWICE: &str = "counted twice";

/// Packets that an interface had to drop when sending.
fn refused(namespace: &Namespace, name: &str) -> Result<u64> {
    let text = namespace.run(|| fs::read_to_string("/proc/thread-self/net/dev"))?;
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'));
    let column = line.and_then(|line| line.split_whitespace().nth(11));
    Ok(column.with_context(|| format!("no interface {name}"))?.parse()?)
}

/// Time that the relay's core was not idle: all processes, and the kernel on anybody's behalf.
pub fn core_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("read the cores' times")?;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("cpu{RELAY_CORE} ")));
    let line = line.with_context(|| format!("this machine has no core {RELAY_CORE}: the bench needs two"))?;
    let ticks: Vec<u32> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    // User, nice, system, idle, waiting, interrupts, soft interrupts.
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|at| ticks.get(*at)).sum::<u32>();
    Ok(TICK * busy)
}

/// Time that all threads of these processes have run.
pub fn processor_time(pids: &[u32]) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for pid in pids {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).context("read a relay's threads")?;
        for thread in threads {
            // A thread may end meanwhile.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            sum += Duration::from_nanos(text.split(' ').next().unwrap_or_default().parse()?);
        }
    }
    Ok(sum)
}

/// Memory of these processes: what several have is divided among them.
pub fn memory_kib(pids: &[u32]) -> Result<u64> {
    let share = |pid: &u32| -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("read a relay's memory")?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        Ok(line.and_then(|rest| rest.split_whitespace().next()).context("no Pss in smaps_rollup")?.parse()?)
    };
    pids.iter().map(share).sum()
}
