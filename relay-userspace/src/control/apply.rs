//! A change takes effect: in the kernel's maps, in its group memberships, in the lanes.

use super::node::Node;
use anyhow::Context;
use relay_common::table::{Change, Table};

impl Node {
    /// Carries changes out, in their order. What lies in the kernel is written down step by step, so that after a
    /// failure the next attempt starts from what is.
    pub(super) async fn apply(&mut self, changes: &[Change], table: &Table) -> anyhow::Result<()> {
        for change in changes {
            self.carry_out(change, table).await.with_context(|| format!("generation {} failed", table.generation))?;
            self.kernel.apply(change);
        }
        Ok(())
    }

    async fn carry_out(&mut self, change: &Change, table: &Table) -> anyhow::Result<()> {
        match change {
            Change::Publish { .. } => self.crew.publish(table).await?,
            Change::Unmatch { key } => self.program.remove_input(*key)?,
            Change::Match { key, value } => self.program.put_input(*key, *value)?,
            Change::AllowSource(source) => self.program.put_source(*source)?,
            Change::ForbidSource(source) => self.program.remove_source(*source)?,
            Change::AddOwnMac(mac) => self.program.put_own_mac(*mac)?,
            Change::RemoveOwnMac(mac) => self.program.remove_own_mac(*mac)?,
            Change::Join(join) => {
                let sources: Vec<_> = join.sources.iter().copied().collect();
                self.memberships
                    .join(join.ifindex, join.group, &sources)
                    .with_context(|| format!("cannot join {} on {}", join.group, join.device))?;
            }
            Change::Leave { ifindex, group, .. } => self.memberships.leave(*ifindex, *group),
        }
        Ok(())
    }
}
