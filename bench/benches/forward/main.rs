//! What the functions on the way of a packet cost, in nanoseconds per packet, and that they allocate nothing.
//!
//! `cargo bench -p bench` prints a table. Times are of this machine at this moment: compare within one run, or count
//! instructions (docs/benchmarks.md). The only failure is an allocation.

mod rig; // a lane without a kernel
mod timing; // batches, medians, allocations

use bench::packet::Vlan;
use bench::sys::allocations::Counting;
use relay_common::abi::{Address, InputKey, InputValue, MacKey, SourceKey};
use relay_common::datagram::Datagram;
use relay_common::decide::{Groups, decide};
use relay_common::entry::Rewrite;
use relay_common::rewrite::{NewHeader, rewrite};
use rig::{IFINDEX, Outputs, Rig};
use std::env;
use std::hint::black_box;
use std::process::ExitCode;
use timing::{Figures, Timing};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // Without `--bench` this is `cargo test --benches`, which only wants to know that nothing is allocated.
    let n_batches = if arguments.iter().any(|argument| argument == "--bench") { 20_000 } else { 50 };
    // A name, or a part of one, runs what has it.
    let wanted =
        |name: &str| arguments.iter().filter(|a| !a.starts_with("--")).all(|part| name.contains(part.as_str()));
    let mut figures = Figures::default();
    parts(&mut figures, n_batches, &wanted);
    lanes(&mut figures, n_batches, &wanted);
    figures.print();
    if figures.n_allocations() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The parts: parse, decide, rewrite.
fn parts(figures: &mut Figures, n_batches: usize, wanted: &dyn Fn(&str) -> bool) {
    let v4 = rig::frame("10.1.0.1:4000", "239.1.1.1:5000", &[]);
    let v6 = rig::frame("[fd00::1]:4000", "[ff3e::8000:1]:5000", &[]);
    let tagged = rig::frame("10.1.0.1:4000", "239.1.1.1:5000", &[Vlan::new(100)]);
    let to_v4 = rig::rewrite(Address::v4([239, 2, 1, 1]), 5001);
    let to_v6 = rig::rewrite(Address([0xff, 0x3e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 2]), 5001);
    let push = Rewrite { n_vlans: 1, vlan_ids: [200, 0], ..to_v4 };
    for (kind, frame) in [("v4", &v4), ("v6", &v6), ("v4 with a tag", &tagged)] {
        let kernel = Kernel(Datagram::parse(&frame[..]).expect("a datagram").key(IFINDEX));
        figures.part(&format!("parse {kind}"), n_batches, wanted, || Datagram::parse(&black_box(frame)[..]));
        figures
            .part(&format!("decide {kind}"), n_batches, wanted, || decide(&black_box(frame)[..], IFINDEX, 0, &kernel));
    }
    for (kind, frame, to) in
        [("v4", &v4, &to_v4), ("v6", &v6, &to_v6), ("v4, keep a tag", &tagged, &to_v4), ("v4, push a tag", &v4, &push)]
    {
        let datagram = Datagram::parse(&frame[..]).expect("a datagram");
        let mut header = NewHeader::EMPTY;
        figures.part(&format!("rewrite {kind}"), n_batches, wanted, || {
            rewrite(&black_box(frame)[..], &datagram, black_box(to), &mut header).expect("it can be sent");
            black_box(&mut header);
        });
    }
}

/// One input in the kernel's maps, and no source or hardware address.
struct Kernel(InputKey);

impl Groups for Kernel {
    fn input(&self, key: &InputKey) -> Option<InputValue> {
        (*key == self.0).then_some(InputValue { slot: 1, has_sources: 0, socket_base: 0, n_queues: 1 })
    }

    fn source(&self, _: &SourceKey) -> bool {
        false
    }

    fn own_mac(&self, _: &MacKey) -> bool {
        false
    }
}

/// Whole batches: forward, commit, and everything a lane does for a batch besides its system calls.
fn lanes(figures: &mut Figures, n_batches: usize, wanted: &dyn Fn(&str) -> bool) {
    for (n_outputs, outputs) in
        [(1, Outputs::Differ), (2, Outputs::Differ), (4, Outputs::Differ), (16, Outputs::Differ), (4, Outputs::Share)]
    {
        for stamped in [true, false] {
            let share = if outputs == Outputs::Share { ", shared" } else { "" };
            let name = format!("1 to {n_outputs}{share}, {}", if stamped { "stamp" } else { "lookup" });
            if wanted(&name) {
                lane(figures, &name, Rig::new(n_outputs, outputs, stamped), n_outputs, n_batches);
            }
        }
    }
}

fn lane(figures: &mut Figures, name: &str, mut rig: Rig, n_outputs: u16, n_batches: usize) {
    let mut apart = [Timing::new(n_batches), Timing::new(n_batches)];
    for _ in 0..n_batches {
        rig.receive();
        apart[0].batch(|| rig.forward());
        apart[1].batch(|| rig.commit());
        rig.turn_over();
        rig.commit();
    }
    let mut together = Timing::new(n_batches);
    for _ in 0..n_batches {
        rig.receive();
        together.batch(|| {
            rig.forward();
            // Completions and refills of a steady stream: those of the same batch stand for those of an earlier one.
            rig.commit();
            rig.turn_over();
            rig.commit();
        });
    }
    let n_packets = 2 * n_batches as u64 * relay_common::journal::BATCH as u64;
    assert_eq!(rig.n_relayed(), n_packets, "not every packet was relayed");
    assert_eq!(rig.n_sent(), 0);
    let [forward, commit] = apart;
    figures.lane(name, n_outputs, forward, commit, together);
}
