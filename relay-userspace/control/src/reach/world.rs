//! What a change does to lanes, program and memberships.

use crate::apply::Effects;
use crate::bpf::program::Program;
use crate::crew::Crew;
use crate::membership::Memberships;
use relay_common::abi::{InputKey, InputValue, MacKey, SourceKey};
use relay_common::table::{Join, Lines, Table};
use std::net::IpAddr;

/// The effects of a change on the world.
pub(super) struct World<'a> {
    pub(super) crew: &'a mut Crew,
    pub(super) program: &'a mut Program,
    pub(super) memberships: &'a mut Memberships,
    /// A lane that hangs may be left where it is, because what it reads is what is brought back.
    pub(super) takes_back: bool,
    /// Lines of counters that have another owner in the new table.
    pub(super) handed_on: &'a Lines,
}

impl Effects for World<'_> {
    async fn publish(&mut self, table: &Table) -> anyhow::Result<()> {
        if self.takes_back {
            self.crew.publish_back(table).await?;
        } else {
            self.crew.publish(table).await?;
        }
        // Nothing of a new owner is matched yet, and nothing of the old one any more. What still lay in a ring may be
        // counted at this very moment, and then a number of the old owner stays: that is a full table's price.
        self.crew.clear(self.handed_on);
        Ok(())
    }
    fn put_input(&mut self, key: InputKey, value: InputValue) -> anyhow::Result<()> {
        Ok(self.program.put_input(key, value)?)
    }
    fn remove_input(&mut self, key: InputKey) -> anyhow::Result<()> {
        Ok(self.program.remove_input(key)?)
    }
    fn put_source(&mut self, source: SourceKey, slot: u32) -> anyhow::Result<()> {
        Ok(self.program.put_source(source, slot)?)
    }
    fn remove_source(&mut self, source: SourceKey) -> anyhow::Result<()> {
        Ok(self.program.remove_source(source)?)
    }
    fn put_own_mac(&mut self, mac: MacKey) -> anyhow::Result<()> {
        Ok(self.program.put_own_mac(mac)?)
    }
    fn remove_own_mac(&mut self, mac: MacKey) -> anyhow::Result<()> {
        Ok(self.program.remove_own_mac(mac)?)
    }
    async fn join(&mut self, join: &Join) -> anyhow::Result<()> {
        let sources: Vec<IpAddr> = join.sources.iter().copied().collect();
        self.memberships.join(join.ifindex, join.group, &sources)?;
        // The kernel took fewer on a socket than it said, and another one was needed.
        hold_memberships(self.crew, self.memberships).await;
        Ok(())
    }
    async fn leave(&mut self, ifindex: u32, group: IpAddr) {
        self.memberships.leave(ifindex, group);
    }
}

/// Has the lanes hold membership sockets that are new: a group is left when its last descriptor closes.
pub(super) async fn hold_memberships(crew: &mut Crew, memberships: &mut Memberships) {
    let new: Vec<_> = memberships.take_new().into_iter().map(|(tag, fd)| (tag, fd, "membership".to_owned())).collect();
    if !new.is_empty() {
        crew.hold_all(new).await;
    }
}
