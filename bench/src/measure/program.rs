//! What the bench runs in the kernel: the programs of `bench/ebpf`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use aya::maps::{Array, PerCpuArray};
use aya::programs::{SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::{Ebpf, Pod};

#[path = "../../ebpf/src/abi.rs"]
#[expect(dead_code, reason = "some words only the programs use")]
pub(crate) mod abi;

/// Where `cargo xtask build-ebpf` leaves them.
const OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench-ebpf.o");

/// Programs and maps, one set for each place they are used at. XDP programs leave what they are attached to when this is
/// dropped.
#[derive(Debug)]
pub(crate) struct Programs(Ebpf);

impl Programs {
    /// Loads the object; programs are loaded as they are asked for.
    pub(crate) fn open() -> Result<Self> {
        let path = Path::new(OBJECT);
        let object =
            fs::read(path).with_context(|| format!("read {}: `cargo xtask build-ebpf` makes it", path.display()))?;
        Ok(Self(Ebpf::load(&object).context("load the bench's maps; this needs root")?))
    }

    /// Loads an XDP program.
    pub(crate) fn xdp(&mut self, name: &str) -> Result<&mut Xdp> {
        let program = self.0.program_mut(name).with_context(|| format!("no program {name} in the object"))?;
        let program: &mut Xdp = program.try_into()?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("load {name}"))?;
        }
        Ok(program)
    }

    /// Attaches an XDP program in the driver of an interface of this thread's namespace.
    pub(crate) fn attach_xdp(&mut self, name: &str, interface: &str) -> Result<()> {
        let attached = self.xdp(name)?.attach(interface, XdpMode::Driver);
        attached.map(drop).with_context(|| format!("attach {name} to {interface}"))
    }

    /// Attaches a program to what comes in by an interface of this thread's namespace.
    pub(crate) fn attach_ingress(&mut self, name: &str, interface: &str) -> Result<()> {
        let program = self.0.program_mut(name).with_context(|| format!("no program {name} in the object"))?;
        let program: &mut SchedClassifier = program.try_into()?;
        program.load().with_context(|| format!("load {name}"))?;
        // Kernels before 6.6 need it; on those after it is not used.
        let _ = aya::programs::tc::qdisc_add_clsact(interface);
        let attached = program.attach(interface, TcAttachType::Ingress);
        let link = attached.with_context(|| format!("attach {name} to {interface}"))?;
        // It goes with the interface. To detach it before, kernels that need the classifier would have to be asked from
        // within the namespace: from outside they would detach it from an interface of the host.
        std::mem::forget(program.take_link(link)?);
        Ok(())
    }

    /// A map of one entry: what it holds.
    pub(crate) fn get<T: Pod>(&self, map: &str) -> Result<T> {
        let map = self.0.map(map).with_context(|| format!("no map {map} in the object"))?;
        Ok(Array::try_from(map)?.get(&0, 0)?)
    }

    /// A map of one entry: puts it in.
    pub(crate) fn put<T: Pod>(&mut self, map: &str, value: T) -> Result<()> {
        let map = self.0.map_mut(map).with_context(|| format!("no map {map} in the object"))?;
        Ok(Array::try_from(map)?.set(0, value, 0)?)
    }

    /// A map with an entry for each processor: their sum, word by word.
    pub(crate) fn sum<const WORDS: usize>(&self, map: &str, at: u32) -> Result<[u64; WORDS]> {
        let map = self.0.map(map).with_context(|| format!("no map {map} in the object"))?;
        let values = PerCpuArray::<_, [u64; WORDS]>::try_from(map)?.get(&at, 0)?;
        Ok(values.iter().fold([0; WORDS], |sum, value| std::array::from_fn(|word| sum[word] + value[word])))
    }

    /// A map of another kind.
    pub(crate) fn map_mut(&mut self, name: &str) -> Result<&mut aya::maps::Map> {
        self.0.map_mut(name).with_context(|| format!("no map {name} in the object"))
    }
}
