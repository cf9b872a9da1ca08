//! Evidence of a relay of which everything works, and of one that is dark, to be changed.

use crate::counters::LaneCounter;
use crate::decide::Verdict;
use crate::drops::Drop;
use crate::entry::Vlans;
use crate::facts::{Link, LinkCounts};
use crate::plan::{Definition, Input, Meters, Output, Relay, Source};
use crate::why::{Attachment, Counts, Evidence, Lane, Membership, OutputCounts, Queue, Wire, WireFrames};
use alloc::{string::ToString, vec, vec::Vec};
use core::num::{NonZeroU8, NonZeroU16};

pub(super) const MS: u64 = 1_000_000;

pub(super) fn output(destination: &str) -> Output {
    Output {
        interface: "out0".to_string(),
        vlans: Vlans::Set { n: 0, ids: [0; 2] },
        destination: destination.parse().unwrap(),
        port: NonZeroU16::new(5001).unwrap(),
        ttl: NonZeroU8::new(16),
        dscp: None,
        source: Source::Link,
        source_port: None,
    }
}

pub(super) fn link() -> Link {
    let v4 = vec![([10, 1, 0, 2].into(), 24)];
    Link {
        name: "in0".to_string(),
        ifindex: 7,
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
        up: true,
        carrier: true,
        v4,
        v6: Vec::new(),
        n_rx_queues: 2,
        n_tx_queues: 2,
    }
}

/// A relay of which everything works: 100 packets in, 100 out on each of two outputs, within a second.
pub(super) fn works() -> Evidence {
    let input = Input {
        interface: "in0".to_string(),
        vlans: [0; 2],
        destination: [239, 1, 1, 1].into(),
        port: NonZeroU16::new(5000).unwrap(),
        sources: Vec::new(),
    };
    let outputs = vec![output("239.2.1.1"), output("10.2.0.9")].into();
    let counts = |packets: u64| Counts {
        packets,
        last_age_ns: Some(MS),
        drops: vec![(Drop::NoOutput, 3)],
        comes_round: None,
        outputs: vec![OutputCounts { packets, drops: vec![(Drop::TxFull, 5)] }; 2],
        kicks: vec![(LaneCounter::KickBusy, 2)],
        verdicts: vec![(Verdict::Ours, packets), (Verdict::NotOurs, 10 + packets), (Verdict::WrongSource, 4)],
        link: Some(LinkCounts { rx_packets: 20 + packets, rx_errors: 7, rx_dropped: 9, ..LinkCounts::default() }),
    };
    Evidence {
        relay: Relay::from(Definition {
            name: "ch1".to_string(),
            description: alloc::string::String::new(),
            labels: Default::default(),
            enabled: true,
            muted: false,
            silence_after_ms: None,
            meters: Meters::Off,
            input,
            outputs,
        }),
        file: None,
        mute: None,
        pending: Vec::new(),
        link: Some(link()),
        membership: Membership::Group {
            device: "in0".to_string(),
            is_held: true,
            is_in_kernel: true,
            missing_sources: Vec::new(),
        },
        attachment: Attachment::Ours { mode: "native" },
        is_matched: Some(true),
        queues: (0..2).map(|number| Queue { number, has_socket: true }).collect(),
        lanes: vec![Lane {
            number: 0,
            is_alive: true,
            heartbeat_age_ns: MS,
            heartbeat_limit_ns: 1000 * MS,
            generation: 7,
            in_force: 7,
        }],
        silence_after_ns: 1000 * MS,
        longest_packet: 1766,
        before: counts(100),
        now: counts(200),
        window_ns: 1000 * MS,
        wire: Some(Wire { watched_ns: 1000 * MS, frames: Vec::new(), missed: 0 }),
        listeners: Vec::new(),
        foreign_members: 0,
    }
}

/// The same, and no packet comes to a lane any more.
pub(super) fn dark() -> Evidence {
    let mut evidence = works();
    evidence.now.packets = 100;
    evidence.now.last_age_ns = Some(62_300 * MS);
    evidence.now.outputs = evidence.before.outputs.clone();
    evidence
}

pub(super) fn with(mut evidence: Evidence, change: impl FnOnce(&mut Evidence)) -> Evidence {
    change(&mut evidence);
    evidence
}

pub(super) fn passes(evidence: &mut Evidence, frames: &[(&str, [u16; 2], Option<u16>, u64)]) {
    let frames = frames.iter().map(|(source, vlans, port, count)| WireFrames {
        source: source.parse().unwrap(),
        vlans: *vlans,
        port: *port,
        count: *count,
    });
    evidence.wire = Some(Wire { watched_ns: 1000 * MS, frames: frames.collect(), missed: 0 });
}

pub(super) fn risen(evidence: &mut Evidence, verdict: Verdict, by: u64) {
    let before = evidence.before.verdicts.iter().find(|(of, _)| *of == verdict).map_or(0, |(_, n)| *n);
    evidence.now.verdicts.retain(|(of, _)| *of != verdict);
    evidence.now.verdicts.push((verdict, before + by));
}
