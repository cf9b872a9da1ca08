//! A node without a kernel: two lanes whose counters the test writes.

use crate::bpf::link::Hook;
use crate::desk::{Desk, Findings};
use crate::events::EventLog;
use crate::origins::Origins;
use crate::view::{AttachedView, ConfigState, LaneView, View};
use relay_common::counters::LaneCounter;
use relay_common::facts::{Facts, Link};
use relay_common::table::{Placement, SlotRelay, compile};
use relay_config::parse;
use relay_engine::memory::counters::Counters;
use relay_engine::memory::log::Log;
use relay_engine::memory::{self, whole_pages};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const N_LANES: u32 = 2;
const N_FRAMES: u32 = 1024;
/// When this node is looked at.
pub(crate) const NOW: u64 = 1_000_000_000_000;

/// What a node shows.
pub(crate) struct Node {
    pub(crate) view: View,
}

impl Node {
    /// A node with relays of these names, of two outputs each, the second pending.
    pub(crate) fn new(names: &[&str]) -> Self {
        let mut text = String::from("[lanes]\ncores = [0, 1]\nmax_relays = 4200\nmax_outputs = 9000\n");
        for (i, name) in names.iter().enumerate() {
            let (high, low) = (i / 250, i % 250 + 1);
            writeln!(
                text,
                "[[relay]]\nname = {name:?}\ninput = {{ interface = \"in0\", group = \"239.1.{high}.{low}\", port = 5000 }}\n\
                 outputs = [{{ interface = \"out0\", group = \"239.2.{high}.{low}\", port = 5001 }},\n\
                 {{ interface = \"gone0\", group = \"239.3.{high}.{low}\", port = 5002 }}]"
            )
            .unwrap();
        }
        let plan = parse("test", &text).unwrap().plan;
        let facts = Facts { links: vec![link("in0", 1), link("out0", 2), link("idle0", 3)], ..Facts::default() };
        let place = Placement::new(&plan, &facts, None);
        let compiled = compile(&plan, &facts, &place, None);
        assert!(compiled.refused.is_empty(), "{:?}", compiled.refused);
        let (max_relays, max_outputs) = (plan.lanes.max_relays, plan.lanes.max_outputs);
        let lanes = (0..N_LANES).map(|number| Arc::new(lane(number, max_relays, max_outputs))).collect();
        let view = View {
            origins: Arc::new(
                Origins::default().with_api(plan.relays.iter().map(|relay| relay.name.clone()).collect()),
            ),
            plan: Arc::new(plan),
            shadowed: Arc::default(),
            table: Arc::new(compiled.table),
            pending: Arc::new(compiled.pending),
            facts: Arc::new(facts),
            place,
            lanes,
            attached: vec![AttachedView { link: "in0".into(), ifindex: 1, hook: Hook::Native, relays: true }],
            joined: Arc::default(),
            own_ports: Arc::default(),
            user: "mcr".to_owned(),
            warnings: vec!["this kernel lacks something".into()],
            works: Arc::default(),
            config: ConfigState { path: "/etc/mcr/relay.toml".into(), taken: 3, ..ConfigState::default() },
        };
        Self { view }
    }

    /// The relay at a slot.
    pub(crate) fn relay(&mut self, slot: usize) -> &mut SlotRelay {
        Arc::make_mut(&mut self.view.table).relays[slot].as_mut().unwrap()
    }

    /// The counters of a lane.
    pub(crate) fn lane(&self, number: u64) -> &Counters {
        &self.view.lanes.iter().find(|lane| u64::from(lane.number) == number).unwrap().counters
    }

    /// The desk of this node, well at [`NOW`].
    pub(crate) fn desk(self) -> Desk {
        for lane in &self.view.lanes {
            lane.counters.set(LaneCounter::Heartbeat, NOW - 50_000_000);
            lane.counters.set(LaneCounter::Generation, self.view.table.generation);
        }
        let (mut desk, _) = Desk::open(self.view, EventLog::default(), Arc::default());
        desk.started = NOW - 90_000_000_000;
        desk.pulse.turned.store(NOW - 100_000_000, Relaxed);
        desk.pulse.found.store(Arc::new(Findings { at: NOW - 500_000_000, worked: 0, problems: Vec::new() }));
        desk
    }
}

fn link(name: &str, ifindex: u32) -> Link {
    Link {
        name: name.to_owned(),
        ifindex,
        mac: [2, 0, 0, 0, 0, 7],
        mtu: 1500,
        up: true,
        carrier: name != "idle0",
        v4: vec![([10, 0, 0, 1].into(), 24)],
        v6: Vec::new(),
        n_rx_queues: 2,
        n_tx_queues: 2,
    }
}

fn lane(number: u32, max_relays: u32, max_outputs: u32) -> LaneView {
    let ledger = memory::create(c"test", Log::BYTES + whole_pages(N_FRAMES as usize * 4)).unwrap();
    LaneView {
        number,
        core: Some(number),
        pid: Some(100 + number),
        user: Some("mcr-lane".to_owned()),
        restarts: u64::from(number),
        n_frames: N_FRAMES,
        huge_pages: false,
        counters: Arc::new(Counters::private(max_relays, max_outputs).unwrap()),
        ledger: Arc::new(ledger),
        tap: Arc::new(relay_engine::memory::tap::create().unwrap()),
        sockets: Vec::new(),
    }
}
