//! The eBPF program and its maps: loaded once, attached to each input link, written by control only, and handed from
//! one control to the next as descriptors.
#![expect(
    unsafe_code,
    reason = "a logger is registered by its descriptor, and the kernel writes a list of map numbers"
)]

mod entries; // what lies in the maps
mod error;

pub use self::error::ProgramError;

use self::error::{attach_error, load_error};
use super::attached::Attached;
use super::beside;
use super::link::{self, Hook};
use super::map::{Kind, Map};
use super::verdicts::VerdictReader;
use crate::bpf::syscall;
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use nix::errno::Errno;
use relay_common::abi::{InputKey, InputValue, MacKey, SourceKey};
use relay_common::decide::Verdict;
use relay_common::plan::Mode;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use tokio::io::unix::AsyncFd;
use zerocopy::{FromBytes, IntoBytes};

/// How to load the program.
#[derive(Clone, Copy, Debug)]
pub struct Loading {
    /// Relays that there is room for.
    pub max_relays: u32,
    /// Whether the program writes a line for each frame of a relay: for a person who debugs one.
    pub debug: bool,
}

/// Sources of one relay, on average, that there is room for.
const SOURCES_PER_RELAY: u32 = 16;

const RELAY: &str = "relay";
const PASS: &str = "pass";
const INPUTS: &str = "INPUTS";
const SOURCES: &str = "SOURCES";
const OWN_MACS: &str = "OWN_MACS";
const SOCKETS: &str = "SOCKETS";
const VERDICTS: &str = "VERDICTS";

/// The loaded program and its maps.
#[expect(missing_debug_implementations, reason = "aya's types have none")]
pub struct Program {
    relay: OwnedFd,
    pass: OwnedFd,
    inputs: Map<InputKey, InputValue>,
    sources: Map<SourceKey, u32>,
    own_macs: Map<MacKey, u8>,
    sockets: Map<u32, u32>,
    verdicts: VerdictReader,
    /// The object that it was loaded from in this process: it has the map of the program's own lines.
    object: Option<Ebpf>,
    /// The kernel's number of the function that tells of tags beside a frame, once it was looked for.
    tag_function: OnceLock<i32>,
}

impl Program {
    /// Loads the program that this binary carries.
    pub fn load(loading: Loading) -> Result<Self, ProgramError> {
        let object = object().ok_or(ProgramError::NotEmbedded)?;
        let level = if loading.debug { u8::MAX } else { 0 };
        let mut loader = EbpfLoader::new();
        loader
            .override_global(aya_log::LEVEL, &level, false)
            .map_max_entries(INPUTS, loading.max_relays)
            .map_max_entries(SOURCES, loading.max_relays.saturating_mul(SOURCES_PER_RELAY));
        let mut ebpf = loader.load(object).map_err(load_error)?;
        let mut parts = Vec::new();
        for name in [RELAY, PASS] {
            let program: &mut Xdp = ebpf
                .program_mut(name)
                .and_then(|program| program.try_into().ok())
                .ok_or(ProgramError::Lacks("XDP program"))?;
            program.load().map_err(load_error)?;
            parts.push((name, program.fd().map_err(load_error)?.as_fd().try_clone_to_owned().map_err(load_error)?));
        }
        for name in [INPUTS, SOURCES, OWN_MACS, SOCKETS, VERDICTS] {
            parts.push((name, take_map(&mut ebpf, name)?));
        }
        Ok(Self { object: Some(ebpf), ..Self::adopt(parts)? })
    }

    /// Goes on with a program that another process has loaded, from what [`Program::parts`] gave there.
    pub fn adopt(parts: impl IntoIterator<Item = (impl AsRef<str>, OwnedFd)>) -> Result<Self, ProgramError> {
        let mut parts: BTreeMap<String, OwnedFd> =
            parts.into_iter().map(|(name, fd)| (name.as_ref().to_owned(), fd)).collect();
        let mut take = |name| parts.remove(name).ok_or(ProgramError::Missing(name));
        let program = Self {
            relay: take(RELAY)?,
            pass: take(PASS)?,
            inputs: Map::adopt(INPUTS, Kind::Hash, take(INPUTS)?)?,
            sources: Map::adopt(SOURCES, Kind::Hash, take(SOURCES)?)?,
            own_macs: Map::adopt(OWN_MACS, Kind::Hash, take(OWN_MACS)?)?,
            sockets: Map::adopt(SOCKETS, Kind::Sockets, take(SOCKETS)?)?,
            verdicts: VerdictReader::adopt(VERDICTS, take(VERDICTS)?)?,
            object: None,
            tag_function: OnceLock::new(),
        };
        program.check()?;
        Ok(program)
    }

    /// Its descriptors by name, to be handed to another process.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, BorrowedFd<'_>)> {
        [
            (RELAY, self.relay.as_fd()),
            (PASS, self.pass.as_fd()),
            (INPUTS, self.inputs.as_fd()),
            (SOURCES, self.sources.as_fd()),
            (OWN_MACS, self.own_macs.as_fd()),
            (SOCKETS, self.sockets.as_fd()),
            (VERDICTS, self.verdicts.as_fd()),
        ]
        .into_iter()
    }

    /// The SHA-256 of the object that this binary carries: a program that was loaded from an object of the same hash
    /// need not be replaced.
    pub fn object_hash() -> Result<[u8; 32], ProgramError> {
        Ok(Sha256::digest(object().ok_or(ProgramError::NotEmbedded)?).into())
    }

    /// The kernel's number of the relay program: what [`LinkInfo::program`](super::link::LinkInfo) says of an input link.
    pub fn id(&self) -> Result<u32, ProgramError> {
        read_info(RELAY, self.relay.as_fd()).map(|(info, _)| info.id)
    }

    /// The kernel's number of the program that passes everything.
    pub fn pass_id(&self) -> Result<u32, ProgramError> {
        read_info(PASS, self.pass.as_fd()).map(|(info, _)| info.id)
    }

    /// Relays that there is room for.
    #[must_use]
    pub const fn max_relays(&self) -> u32 {
        self.inputs.capacity()
    }

    /// How often the program came to each verdict, over all processors.
    pub fn verdicts(&self) -> Result<Vec<(Verdict, u64)>, ProgramError> {
        self.verdicts.read()
    }

    /// Reads the verdicts elsewhere, in another thread for one.
    pub fn verdict_reader(&self) -> Result<VerdictReader, ProgramError> {
        self.verdicts.duplicate()
    }

    /// Writes the program's own lines to the log, for a person who debugs one relay, for as long as it is polled. Those
    /// of a program that was adopted are found by its number, which needs root.
    pub fn follow_lines(&mut self) -> Result<impl Future<Output = ()> + Send + use<>, ProgramError> {
        let logger = match &mut self.object {
            Some(object) => EbpfLogger::init(object).map_err(load_error)?,
            None => EbpfLogger::init_from_id(self.id()?).map_err(load_error)?,
        };
        // SAFETY: the logger owns the descriptor that it shows, and nobody replaces it.
        let lines = unsafe { AsyncFd::register(logger) };
        let mut lines = lines.map_err(|error| load_error(std::io::Error::from(error)))?;
        Ok(async move {
            while let Ok(mut ready) = lines.readable_mut().await {
                ready.get_inner_mut().flush();
                ready.clear_ready();
            }
        })
    }

    /// Attaches the relay program to an input link.
    pub fn attach(&self, link: &str, ifindex: u32, mode: Mode) -> Result<Attached, ProgramError> {
        let mut last = ProgramError::Lacks("XDP program");
        for &hook in Hook::of(mode) {
            match link::attach(self.relay.as_fd(), ifindex, hook) {
                Ok(held) => return Ok(Attached::new(held, hook, false)),
                Err(errno) => last = attach_error(link, hook, errno),
            }
            if last.is_final() {
                break;
            }
        }
        Err(last)
    }

    /// The program that asks the driver of this link for tags; nothing, with a line in the log, where that cannot be.
    fn load_asking(&self, ifindex: u32) -> Option<OwnedFd> {
        let maps = self.parts().filter(|(name, _)| ![RELAY, PASS].contains(name)).collect();
        let function = match self.tag_function.get() {
            Some(function) => Ok(*function),
            None => beside::function().inspect(|function| _ = self.tag_function.set(*function)),
        };
        let loaded = function.and_then(|function| beside::load(object().unwrap_or_default(), &maps, ifindex, function));
        let tell = |error: &beside::BesideError| {
            let error: &dyn std::error::Error = error;
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            tracing::warn!(ifindex, "a VLAN tag beside a frame is not seen on this interface: {error}{cause}");
        };
        loaded.inspect_err(tell).ok()
    }

    /// Attaches the program that passes everything: to a zero-copy output link, since some drivers send nothing without,
    /// and to an input link, until its attachment is held and another takes its place.
    pub fn attach_pass(&self, link: &str, ifindex: u32, hook: Hook) -> Result<Attached, ProgramError> {
        let held = link::attach(self.pass.as_fd(), ifindex, hook).map_err(|errno| attach_error(link, hook, errno))?;
        Ok(Attached::new(held, hook, false))
    }

    /// Puts the program that passes everything on a link, behind its driver, and takes it off again: whether a descriptor
    /// can hold one.
    pub fn try_links(&self, link: &str, ifindex: u32) -> Result<(), ProgramError> {
        let held = link::attach(self.pass.as_fd(), ifindex, Hook::Generic);
        held.map(drop).map_err(|errno| attach_error(link, Hook::Generic, errno))
    }

    /// Takes the place of the program that runs on an input link, between one frame and the next. Whatever the other one's
    /// maps held must stand in these before. Where the driver can be asked for VLAN tags ([`Attached::asks`]) a program that
    /// asks takes the place, if this kernel can load one; it says whether it did.
    pub fn replace(&self, attached: &Attached) -> Result<bool, ProgramError> {
        let asking = if attached.asks { self.load_asking(attached.info()?.ifindex) } else { None };
        attached.update(asking.as_ref().map_or_else(|| self.relay.as_fd(), AsFd::as_fd))?;
        Ok(asking.is_some())
    }

    /// Takes the place of the passing program on an output link.
    pub fn replace_pass(&self, attached: &Attached) -> Result<(), ProgramError> {
        attached.update(self.pass.as_fd())
    }

    /// Whether the parts belong together: the relay program uses these maps and no others of their names.
    fn check(&self) -> Result<(), ProgramError> {
        let (info, maps) = read_info(RELAY, self.relay.as_fd())?;
        let (pass, _) = read_info(PASS, self.pass.as_fd())?;
        for (name, info) in [(RELAY, &info), (PASS, &pass)] {
            if info.kind != PROGRAM_TYPE_XDP || !syscall::is_name(info.name, name) {
                return Err(ProgramError::Foreign(name));
            }
        }
        let ids = [
            (INPUTS, self.inputs.id()?),
            (SOURCES, self.sources.id()?),
            (OWN_MACS, self.own_macs.id()?),
            (SOCKETS, self.sockets.id()?),
            (VERDICTS, self.verdicts.map_id()?),
        ];
        let stranger = ids.into_iter().find(|(_, id)| !maps.contains(id));
        stranger.map_or(Ok(()), |(name, _)| Err(ProgramError::Foreign(name)))
    }
}

/// Takes a map's descriptor out of the object. The program itself keeps the map.
fn take_map(ebpf: &mut Ebpf, name: &'static str) -> Result<OwnedFd, ProgramError> {
    use aya::maps::Map::{HashMap, PerCpuArray, XskMap};
    match ebpf.take_map(name) {
        Some(HashMap(map) | PerCpuArray(map) | XskMap(map)) => {
            map.fd().as_fd().try_clone_to_owned().map_err(load_error)
        }
        _ => Err(ProgramError::Lacks(name)),
    }
}

const PROGRAM_TYPE_XDP: u32 = 6;
/// Maps of a program that are looked at: it has five, one of constants and one of its lines.
const MOST_MAPS: u32 = 16;

/// The kernel's struct bpf_prog_info, as far as it is read.
#[derive(Default, FromBytes, IntoBytes)]
#[repr(C)]
struct Info {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    instructions: [u64; 2],
    load_time: u64,
    uid: u32,
    n_maps: u32,
    maps: u64,
    name: [u8; 16],
}

/// What the kernel says of a program, with the numbers of its maps.
fn read_info(name: &'static str, fd: BorrowedFd<'_>) -> Result<(Info, Vec<u32>), ProgramError> {
    let mut maps = vec![0_u32; MOST_MAPS as usize];
    let mut info = Info { n_maps: MOST_MAPS, maps: syscall::address(maps.as_mut_ptr()), ..Info::default() };
    // SAFETY: there is room for `n_maps` numbers at `maps`, and every other address and length is zero. A descriptor of
    // something else gets numbers written over numbers, and only its own kind of it says so.
    unsafe { syscall::info(fd, &mut info) }.map_err(|errno| match errno {
        Errno::EPERM | Errno::EACCES => ProgramError::NoRights,
        _ => ProgramError::Foreign(name),
    })?;
    maps.truncate(info.n_maps as usize);
    Ok((info, maps))
}

#[cfg(feature = "embed-ebpf")]
const fn object() -> Option<&'static [u8]> {
    Some(aya::include_bytes_aligned!(env!("MCR_EBPF_OBJECT")))
}

#[cfg(not(feature = "embed-ebpf"))]
const fn object() -> Option<&'static [u8]> {
    None
}
