//! The eBPF program and its maps: loaded once, attached to each input link, written by control only.
#![expect(unsafe_code, reason = "map keys and values are declared plain data for aya")]

use super::link::{self, Hook};
use aya::maps::{HashMap, MapData, MapError, PerCpuArray, XskMap};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use nix::errno::Errno;
use relay_common::abi::{InputKey, InputValue, MacKey, SourceKey};
use relay_common::decide::Verdict;
use relay_common::plan::Mode;
use std::error::Error;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use tokio::io::unix::AsyncFd;

/// A key or value of a map. relay-common proves that these types have no padding.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Plain<T>(T);

// SAFETY: `T` is one of relay-common's map types, which zerocopy has checked to be plain bytes without padding.
unsafe impl<T: zerocopy::IntoBytes + zerocopy::FromBytes + Copy + 'static> aya::Pod for Plain<T> {}

/// Why the program could not be loaded, attached or told something.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// This binary carries no program.
    #[error("this mcr was built without its eBPF program: build it with `cargo xtask build`")]
    NotEmbedded,
    /// No rights.
    #[error("no right to load eBPF programs: run mcr as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NoRights,
    /// The kernel would not have it.
    #[error("the kernel does not take the eBPF program")]
    Load(#[source] Box<dyn Error + Send + Sync>),
    /// The object lacks a part: it is of another version.
    #[error("the eBPF object has no {0}: build mcr anew with `cargo xtask build`")]
    Lacks(&'static str),
    /// Another program is attached.
    #[error("another XDP program is attached to {link}: end what attached it, or `ip link set dev {link} xdp off`")]
    Occupied {
        /// The link.
        link: String,
    },
    /// The link cannot do it.
    #[error("cannot attach the XDP program to {link} in {hook} mode: {remedy}")]
    Attach {
        /// The link.
        link: String,
        /// The mode.
        hook: &'static str,
        /// What to do.
        remedy: &'static str,
        /// What the kernel said.
        #[source]
        errno: Errno,
    },
    /// A map could not be written.
    #[error("cannot write the eBPF map {map}")]
    Map {
        /// The map.
        map: &'static str,
        /// What the kernel said.
        #[source]
        source: MapError,
    },
}

/// A program on a link. It detaches when the last copy of the descriptor is closed: lanes have copies.
#[derive(Debug)]
pub struct Attached {
    /// Where it runs.
    pub hook: Hook,
    link: OwnedFd,
}

impl Attached {
    /// The descriptor that keeps it attached.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// Detaches it, whoever holds it too.
    pub fn detach(self) -> Result<(), Errno> {
        link::detach(self.link.as_fd())
    }
}

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

/// The loaded program and its maps.
#[expect(missing_debug_implementations, reason = "aya's types have none")]
pub struct Program {
    inputs: HashMap<MapData, Plain<InputKey>, Plain<InputValue>>,
    sources: HashMap<MapData, Plain<SourceKey>, u8>,
    own_macs: HashMap<MapData, Plain<MacKey>, u8>,
    sockets: XskMap<MapData>,
    verdicts: PerCpuArray<MapData, u64>,
    // The programs live as long as this does.
    ebpf: Ebpf,
}

impl Program {
    /// Loads the program that this binary carries.
    pub fn load(loading: Loading) -> Result<Self, ProgramError> {
        let object = object().ok_or(ProgramError::NotEmbedded)?;
        let level = if loading.debug { u8::MAX } else { 0 };
        let mut loader = EbpfLoader::new();
        loader
            .override_global(aya_log::LEVEL, &level, false)
            .map_max_entries("INPUTS", loading.max_relays)
            .map_max_entries("SOURCES", loading.max_relays.saturating_mul(SOURCES_PER_RELAY));
        let mut ebpf = loader.load(object).map_err(load_error)?;
        for name in ["relay", "pass"] {
            let program: &mut Xdp = ebpf
                .program_mut(name)
                .and_then(|program| program.try_into().ok())
                .ok_or(ProgramError::Lacks("XDP program"))?;
            program.load().map_err(load_error)?;
        }
        Ok(Self {
            inputs: map(&mut ebpf, "INPUTS")?,
            sources: map(&mut ebpf, "SOURCES")?,
            own_macs: map(&mut ebpf, "OWN_MACS")?,
            sockets: map(&mut ebpf, "SOCKETS")?,
            verdicts: map(&mut ebpf, "VERDICTS")?,
            ebpf,
        })
    }

    /// Writes the program's own lines to the log, for a person who debugs one relay, for as long as it is polled.
    pub fn follow_lines(&mut self) -> Result<impl Future<Output = ()> + Send + use<>, ProgramError> {
        let logger = EbpfLogger::init(&mut self.ebpf).map_err(load_error)?;
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
        let hooks: &[Hook] = match mode {
            Mode::Auto => &[Hook::Native, Hook::Generic],
            Mode::Native => &[Hook::Native],
            Mode::Generic => &[Hook::Generic],
        };
        let mut last = ProgramError::Lacks("XDP program");
        for &hook in hooks {
            match link::attach(self.fd("relay")?, ifindex, hook) {
                Ok(held) => return Ok(Attached { hook, link: held }),
                Err(errno) => last = attach_error(link, hook, errno),
            }
            if matches!(last, ProgramError::Occupied { .. } | ProgramError::NoRights) {
                break;
            }
        }
        Err(last)
    }

    /// Attaches the program that passes everything to a zero-copy output link: some drivers send nothing without.
    pub fn attach_pass(&self, link: &str, ifindex: u32) -> Result<Attached, ProgramError> {
        let held = link::attach(self.fd("pass")?, ifindex, Hook::Native)
            .map_err(|errno| attach_error(link, Hook::Native, errno))?;
        Ok(Attached { hook: Hook::Native, link: held })
    }

    fn fd(&self, name: &'static str) -> Result<BorrowedFd<'_>, ProgramError> {
        let program: &Xdp = self
            .ebpf
            .program(name)
            .and_then(|program| program.try_into().ok())
            .ok_or(ProgramError::Lacks("XDP program"))?;
        Ok(program.fd().map_err(load_error)?.as_fd())
    }

    /// Puts an input, in place of what its key says now.
    pub fn put_input(&mut self, key: InputKey, value: InputValue) -> Result<(), ProgramError> {
        self.inputs.insert(Plain(key), Plain(value), 0).map_err(|source| ProgramError::Map { map: "INPUTS", source })
    }

    /// Takes an input out.
    pub fn remove_input(&mut self, key: InputKey) -> Result<(), ProgramError> {
        absent_is_fine(self.inputs.remove(&Plain(key)), "INPUTS")
    }

    /// Allows a source.
    pub fn put_source(&mut self, key: SourceKey) -> Result<(), ProgramError> {
        self.sources.insert(Plain(key), 1, 0).map_err(|source| ProgramError::Map { map: "SOURCES", source })
    }

    /// Forbids a source.
    pub fn remove_source(&mut self, key: SourceKey) -> Result<(), ProgramError> {
        absent_is_fine(self.sources.remove(&Plain(key)), "SOURCES")
    }

    /// Adds a hardware address of ours.
    pub fn put_own_mac(&mut self, key: MacKey) -> Result<(), ProgramError> {
        self.own_macs.insert(Plain(key), 1, 0).map_err(|source| ProgramError::Map { map: "OWN_MACS", source })
    }

    /// Takes a hardware address of ours out.
    pub fn remove_own_mac(&mut self, key: MacKey) -> Result<(), ProgramError> {
        absent_is_fine(self.own_macs.remove(&Plain(key)), "OWN_MACS")
    }

    /// Gives a queue its socket.
    pub fn put_socket(&mut self, place: u32, socket: BorrowedFd<'_>) -> Result<(), ProgramError> {
        self.sockets.set(place, socket.as_raw_fd(), 0).map_err(|source| ProgramError::Map { map: "SOCKETS", source })
    }

    /// How often the program came to each verdict, over all processors.
    pub fn verdicts(&self) -> Result<Vec<(Verdict, u64)>, ProgramError> {
        let count = |verdict: Verdict| {
            let values = self.verdicts.get(&verdict.index(), 0);
            let values = values.map_err(|source| ProgramError::Map { map: "VERDICTS", source })?;
            Ok((verdict, values.iter().sum()))
        };
        Verdict::ALL.into_iter().map(count).collect()
    }
}

fn map<T: TryFrom<aya::maps::Map>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, ProgramError> {
    ebpf.take_map(name).and_then(|map| map.try_into().ok()).ok_or(ProgramError::Lacks(name))
}

fn absent_is_fine(removed: Result<(), MapError>, map: &'static str) -> Result<(), ProgramError> {
    match removed {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        Err(source) => Err(ProgramError::Map { map, source }),
    }
}

fn load_error(error: impl Error + Send + Sync + 'static) -> ProgramError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::PermissionDenied
        {
            return ProgramError::NoRights;
        }
        cause = error.source();
    }
    ProgramError::Load(Box::new(error))
}

fn attach_error(link: &str, hook: Hook, errno: Errno) -> ProgramError {
    let link = link.to_owned();
    let remedy = match errno {
        Errno::EBUSY | Errno::EEXIST => return ProgramError::Occupied { link },
        Errno::EPERM | Errno::EACCES => return ProgramError::NoRights,
        Errno::EOPNOTSUPP | Errno::EINVAL => "this driver has no native XDP: use mode = \"auto\" or \"generic\"",
        Errno::ERANGE => "the MTU of the link or of its peer is too long for XDP: lower it",
        Errno::ENOSPC => "give the link at least as many receive queues as its peer has transmit queues",
        _ => "see what the kernel log says",
    };
    ProgramError::Attach { link, hook: hook.name(), remedy, errno }
}

#[cfg(feature = "embed-ebpf")]
const fn object() -> Option<&'static [u8]> {
    Some(aya::include_bytes_aligned!(env!("MCR_EBPF_OBJECT")))
}

#[cfg(not(feature = "embed-ebpf"))]
const fn object() -> Option<&'static [u8]> {
    None
}
