//! The program as control loads it, on a pair of links of its own, with the relays of the table.

use aya::maps::{HashMap, MapData, PerCpuArray, XskMap};
use aya::programs::{Xdp, xdp::XdpMode};
use aya::{Ebpf, EbpfLoader, TestRun as _, TestRunOptions};
use nix::sched::{CloneFlags, unshare};
use relay_common::abi::{InputKey, InputValue, MacKey, SourceKey, Stamp};
use relay_common::decide::Verdict;
use relay_common::fixtures::{Case, Lists, N_QUEUES};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::Command;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The verdicts' counters, in their order.
pub(crate) type Counters = Vec<u64>;

/// What became of a frame.
pub(crate) struct Outcome {
    /// What the program returned.
    pub(crate) action: u32,
    /// The stamp in front of the frame, if there is one.
    pub(crate) stamp: Option<Stamp>,
    /// The frame behind it.
    pub(crate) frame: Vec<u8>,
    /// By how much each counter rose.
    pub(crate) counted: Counters,
}

/// The context that a test run takes and gives: `struct xdp_md`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Context {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

/// The loaded program.
pub(crate) struct Program {
    ebpf: Ebpf,
}

impl Program {
    /// Loads the object, with its log lines up to this level.
    pub(crate) fn load(log_level: u8) -> Self {
        let path = std::env::var("MCR_EBPF_OBJECT")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../target/relay-ebpf.o").to_owned());
        assert!(Path::new(&path).exists(), "{path} is not there: run `cargo xtask build-ebpf`");
        let mut ebpf = EbpfLoader::new()
            .override_global("AYA_LOG_LEVEL", &log_level, true)
            .load_file(&path)
            .unwrap_or_else(|error| panic!("{path}: {error:?}"));
        for name in ["relay", "pass"] {
            let program: &mut Xdp = ebpf.program_mut(name).unwrap().try_into().unwrap();
            program.load().unwrap_or_else(|error| panic!("the kernel refuses {name}: {error:#?}"));
        }
        Self { ebpf }
    }

    /// How many bytes of instructions are left after the verifier.
    pub(crate) fn size(&self) -> u32 {
        self.xdp("relay").info().unwrap().size_translated().unwrap()
    }

    /// Makes two links with these indices in a network namespace that ends with this thread, and attaches `pass` to
    /// them: only then do their queues exist for XDP.
    pub(crate) fn make_links(&mut self, ifindices: [u32; 2]) {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let queues = N_QUEUES.to_string();
        let [one, two] = ifindices.map(|ifindex| ifindex.to_string());
        let mut ip = Command::new("ip");
        ip.args(["link", "add", "name", "one", "index", &one, "numrxqueues", &queues, "numtxqueues", &queues]);
        ip.args(["type", "veth", "peer", "name", "two", "index", &two, "numrxqueues", &queues]);
        ip.args(["numtxqueues", &queues]);
        assert!(ip.status().unwrap().success());
        for name in ["one", "two"] {
            assert!(Command::new("ip").args(["link", "set", name, "up"]).status().unwrap().success());
        }
        let pass: &mut Xdp = self.ebpf.program_mut("pass").unwrap().try_into().unwrap();
        for ifindex in ifindices {
            pass.attach_to_if_index(ifindex, XdpMode::Driver).unwrap();
        }
    }

    /// Writes these relays into the maps.
    pub(crate) fn write(&mut self, lists: &Lists) {
        let mut inputs: HashMap<&mut MapData, [u8; size_of::<InputKey>()], [u8; size_of::<InputValue>()]> =
            self.ebpf.map_mut("INPUTS").unwrap().try_into().unwrap();
        for (key, value) in &lists.inputs {
            inputs.insert(zerocopy::transmute_ref!(key), zerocopy::transmute_ref!(value), 0).unwrap();
        }
        let mut sources: HashMap<&mut MapData, [u8; size_of::<SourceKey>()], u32> =
            self.ebpf.map_mut("SOURCES").unwrap().try_into().unwrap();
        for (key, slot) in &lists.sources {
            sources.insert(zerocopy::transmute_ref!(key), slot, 0).unwrap();
        }
        let mut own_macs: HashMap<&mut MapData, [u8; size_of::<MacKey>()], u8> =
            self.ebpf.map_mut("OWN_MACS").unwrap().try_into().unwrap();
        for key in &lists.own_macs {
            own_macs.insert(zerocopy::transmute_ref!(key), 1, 0).unwrap();
        }
    }

    /// Puts a socket into the socket map.
    pub(crate) fn set_socket(&mut self, index: u32, socket: &OwnedFd) {
        let mut sockets: XskMap<&mut MapData> = self.ebpf.map_mut("SOCKETS").unwrap().try_into().unwrap();
        sockets.set(index, socket.as_raw_fd(), 0).unwrap();
    }

    /// Runs a frame of the table through the program.
    pub(crate) fn run(&self, case: &Case) -> Outcome {
        let len = u32::try_from(case.frame.len()).unwrap();
        let given =
            Context { data_end: len, ingress_ifindex: case.ifindex, rx_queue_index: case.queue, ..Context::default() };
        let mut context = Context::default();
        let mut bytes = vec![0; case.frame.len() + 256];
        let before = self.counters();
        let result = self
            .xdp("relay")
            .test_run(TestRunOptions {
                data_in: Some(&case.frame),
                data_out: Some(&mut bytes),
                ctx_in: Some(given.as_bytes()),
                ctx_out: Some(context.as_mut_bytes()),
                ..TestRunOptions::default()
            })
            .unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
        let counted = self.counters().iter().zip(before).map(|(after, before)| after - before).collect();
        bytes.truncate(result.data_size_out as usize);
        let frame = bytes.split_off(context.data as usize);
        Outcome { action: result.return_value, stamp: Stamp::read_from_bytes(&bytes).ok(), frame, counted }
    }

    fn counters(&self) -> Counters {
        let verdicts: PerCpuArray<&MapData, u64> = self.ebpf.map("VERDICTS").unwrap().try_into().unwrap();
        Verdict::ALL.iter().map(|verdict| verdicts.get(&verdict.index(), 0).unwrap().iter().sum()).collect()
    }

    fn xdp(&self, name: &str) -> &Xdp {
        self.ebpf.program(name).unwrap().try_into().unwrap()
    }
}
