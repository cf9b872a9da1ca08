//! A change takes effect, step by step; what lies in the kernel is written down after each, so that whoever goes on
//! after a failure starts from what is.

use super::progress::Progress;
use anyhow::Context;
use relay_common::abi::{InputKey, InputValue, MacKey, SourceKey};
use relay_common::table::{Change, Join, Kernel, Table};
use std::net::IpAddr;

/// Everything that a change can do to the world.
pub(super) trait Effects {
    /// Gives the lanes a table and waits until each has confirmed it.
    async fn publish(&mut self, table: &Table) -> anyhow::Result<()>;
    /// Puts an input into the program's map.
    fn put_input(&mut self, key: InputKey, value: InputValue) -> anyhow::Result<()>;
    /// Takes an input out of it.
    fn remove_input(&mut self, key: InputKey) -> anyhow::Result<()>;
    /// Allows a source, for the relay at that slot.
    fn put_source(&mut self, source: SourceKey, slot: u32) -> anyhow::Result<()>;
    /// Forbids a source.
    fn remove_source(&mut self, source: SourceKey) -> anyhow::Result<()>;
    /// Adds a hardware address of ours.
    fn put_own_mac(&mut self, mac: MacKey) -> anyhow::Result<()>;
    /// Takes a hardware address of ours out.
    fn remove_own_mac(&mut self, mac: MacKey) -> anyhow::Result<()>;
    /// Is joined with exactly these sources.
    async fn join(&mut self, join: &Join) -> anyhow::Result<()>;
    /// Leaves a group.
    async fn leave(&mut self, ifindex: u32, group: IpAddr);
}

/// Carries changes out, in their order. `kernel` follows what was done, and `progress` says how far that is.
pub(super) async fn apply(
    effects: &mut impl Effects,
    kernel: &mut Kernel,
    changes: &[Change],
    table: &Table,
    progress: &Progress,
) -> anyhow::Result<()> {
    for run in changes.chunk_by(|one, next| phase(one) == phase(next)) {
        progress.steps(phase(&run[0]), run.len());
        for change in run {
            carry_out(effects, change, table).await.with_context(|| format!("generation {}", table.generation))?;
            kernel.apply(change);
            let goes_on = progress.advance();
            // Whoever is about to end needs no group; what was begun with the lanes is brought to its end.
            if phase(change) == JOINING {
                goes_on?;
            }
        }
    }
    Ok(())
}

const JOINING: &str = "joining groups";

/// What is done with a change, for people.
const fn phase(change: &Change) -> &'static str {
    match change {
        Change::Join(_) => JOINING,
        Change::Publish { .. } => "waiting until every lane has confirmed the table",
        Change::Leave { .. } => "leaving groups",
        Change::Unmatch { .. }
        | Change::Match { .. }
        | Change::AllowSource { .. }
        | Change::ForbidSource(_)
        | Change::AddOwnMac(_)
        | Change::RemoveOwnMac(_) => "telling the XDP program of inputs",
    }
}

async fn carry_out(effects: &mut impl Effects, change: &Change, table: &Table) -> anyhow::Result<()> {
    match change {
        Change::Publish { .. } => effects.publish(table).await,
        Change::Unmatch { key } => effects.remove_input(*key),
        Change::Match { key, value } => effects.put_input(*key, *value),
        Change::AllowSource { source, slot } => effects.put_source(*source, *slot),
        Change::ForbidSource(source) => effects.remove_source(*source),
        Change::AddOwnMac(mac) => effects.put_own_mac(*mac),
        Change::RemoveOwnMac(mac) => effects.remove_own_mac(*mac),
        Change::Join(join) => {
            effects.join(join).await.with_context(|| format!("cannot join {} on {}", join.group, join.device))
        }
        Change::Leave { ifindex, group, .. } => {
            effects.leave(*ifindex, *group).await;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
