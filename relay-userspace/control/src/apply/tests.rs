//! A change that fails at any step is taken back, and everything is as it was.

use super::{Effects, apply};
use crate::progress::Progress;
use anyhow::bail;
use relay_common::abi::{InputKey, InputValue, MacKey, SourceKey};
use relay_common::facts::{Facts, Link};
use relay_common::table::{Join, Kernel, Placement, Table, compile, diff, towards};
use relay_config::parse;
use std::net::IpAddr;

/// A world that fails at its `fail_at`-th step.
#[derive(Debug, Default)]
struct World {
    holds: Kernel,
    /// What the lanes run: generation, and how many relays.
    lanes: (u64, usize),
    steps: usize,
    fail_at: Option<usize>,
}

impl World {
    fn step(&mut self) -> anyhow::Result<()> {
        self.steps += 1;
        if self.fail_at == Some(self.steps) {
            bail!("step {} fails", self.steps);
        }
        Ok(())
    }
}

impl Effects for World {
    async fn publish(&mut self, table: &Table) -> anyhow::Result<()> {
        assert!(table.generation > self.lanes.0, "a generation is used once");
        let relays = table.entries.iter().filter(|entry| entry.is_in_use()).count();
        // As with real lanes: the table is in force when it turns out that one does not confirm it.
        self.lanes = (table.generation, relays);
        self.step()
    }
    fn put_input(&mut self, key: InputKey, value: InputValue) -> anyhow::Result<()> {
        self.step()?;
        self.holds.inputs.insert(key, value);
        Ok(())
    }
    fn remove_input(&mut self, key: InputKey) -> anyhow::Result<()> {
        self.step()?;
        self.holds.inputs.remove(&key);
        Ok(())
    }
    fn put_source(&mut self, source: SourceKey, slot: u32) -> anyhow::Result<()> {
        self.step()?;
        self.holds.sources.insert(source, slot);
        Ok(())
    }
    fn remove_source(&mut self, source: SourceKey) -> anyhow::Result<()> {
        self.step()?;
        self.holds.sources.remove(&source);
        Ok(())
    }
    fn put_own_mac(&mut self, mac: MacKey) -> anyhow::Result<()> {
        self.step()?;
        self.holds.own_macs.insert(mac);
        Ok(())
    }
    fn remove_own_mac(&mut self, mac: MacKey) -> anyhow::Result<()> {
        self.step()?;
        self.holds.own_macs.remove(&mac);
        Ok(())
    }
    async fn join(&mut self, join: &Join) -> anyhow::Result<()> {
        self.step()?;
        self.holds.joins.insert((join.ifindex, join.group), join.clone());
        Ok(())
    }
    async fn leave(&mut self, ifindex: u32, group: IpAddr) {
        self.holds.joins.remove(&(ifindex, group));
    }
}

fn facts() -> Facts {
    let link = |(ifindex, name): (u32, &str)| Link {
        name: name.to_owned(),
        ifindex,
        mac: [2, 0, 0, 0, 0, u8::try_from(ifindex).unwrap()],
        mtu: 1500,
        up: true,
        carrier: true,
        v4: vec![([10, 0, 0, u8::try_from(ifindex).unwrap()].into(), 24)],
        v6: vec![],
        n_rx_queues: 1,
        n_tx_queues: 1,
    };
    Facts { links: [(1, "in0"), (2, "out0"), (3, "out1")].map(link).into(), ..Facts::default() }
}

fn table(relays: &[(&str, u8, &str)], before: Option<&(Table, Placement)>) -> (Table, Placement) {
    let one = |(name, last, out): &(&str, u8, &str)| {
        format!(
            "[[relay]]\nname = \"{name}\"\ninput = {{ interface = \"in0\", group = \"239.1.1.{last}\", port = 5, sources = [\"10.0.0.{last}\"] }}\n\
             outputs = [{{ interface = \"{out}\", group = \"239.2.1.{last}\", port = 5 }}]\n"
        )
    };
    let plan = parse("test", &relays.iter().map(one).collect::<String>()).unwrap().plan;
    let place = Placement::new(&plan, &facts(), before.map(|(_, place)| place));
    (compile(&plan, &facts(), &place, before.map(|(table, _)| table)).table, place)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn whatever_step_fails_everything_is_as_it_was() {
    let before = table(&[("a", 1, "out0"), ("b", 2, "out0")], None);
    // One goes, one changes its source and group, one comes on another link.
    let after = table(&[("b", 3, "out0"), ("c", 4, "out1")], Some(&before)).0;
    let changes = diff(&before.0, &after);
    let mut failed = 0;
    for fail_at in 1.. {
        let mut world = World::default();
        let mut kernel = Kernel::default();
        run(apply(
            &mut world,
            &mut kernel,
            &towards(&Kernel::default(), &before.0, &before.0),
            &before.0,
            &Progress::default(),
        ))
        .unwrap();
        assert_eq!((&world.holds, &kernel), (&before.0.kernel, &before.0.kernel));
        (world.steps, world.fail_at) = (0, Some(fail_at));
        if run(apply(&mut world, &mut kernel, &changes, &after, &Progress::default())).is_ok() {
            assert_eq!((&world.holds, world.lanes.1), (&after.kernel, 2));
            break;
        }
        failed += 1;
        assert_eq!(world.holds, kernel, "what was done is written down, step {fail_at}");
        // Back: a new generation with the old contents.
        let mut back = before.0.clone();
        back.generation = world.lanes.0 + 1;
        world.fail_at = None;
        let changes = towards(&kernel, &after, &back);
        run(apply(&mut world, &mut kernel, &changes, &back, &Progress::default())).unwrap();
        assert_eq!((&world.holds, &kernel), (&before.0.kernel, &before.0.kernel), "step {fail_at}");
        assert_eq!(world.lanes, (back.generation, 2), "step {fail_at}");
    }
    assert!(failed >= 8, "only {failed} steps could fail");
}
