//! A map of the program: typed, writable, readable as a whole, and a descriptor that can be handed on.
#![expect(unsafe_code, reason = "bpf(2) reads and writes keys and values by address")]

use super::program::ProgramError;
use crate::bpf::syscall::{self, address, command, number};
use nix::errno::Errno;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What an update asks of an entry that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It is made or replaced.
    Any = 0,
    /// It is replaced; one that is not there is an error (`ENOENT`).
    Existing = 2,
}

/// The kinds of maps that the program has, as the kernel numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Hash = 1,
    PerCpuArray = 6,
    Sockets = 17,
}

/// What a key or value is: plain bytes without padding.
pub(super) trait Plain: FromBytes + IntoBytes + Immutable + Copy {}
impl<T: FromBytes + IntoBytes + Immutable + Copy> Plain for T {}

/// A map whose keys and values are as long as `K` and `V`.
#[derive(Debug)]
pub(super) struct Map<K, V> {
    name: &'static str,
    fd: OwnedFd,
    capacity: u32,
    types: PhantomData<fn(K) -> V>,
}

/// The kernel's struct bpf_map_info, as far as it is read.
#[derive(Default, FromBytes, IntoBytes)]
#[repr(C)]
struct Info {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    name: [u8; 16],
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Element {
    map: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Batch {
    from: u64,
    to: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Entries that are read with one call. Buckets of the kernel's hash are far smaller.
const BATCH: u32 = 4096;

impl<K: Plain, V: Plain> Map<K, V> {
    /// Takes a descriptor that is said to be this map; refuses one that is not.
    pub(super) fn adopt(name: &'static str, kind: Kind, fd: OwnedFd) -> Result<Self, ProgramError> {
        let info = read_info(fd.as_fd()).map_err(|_| ProgramError::Foreign(name))?;
        let sizes = (info.key_size as usize, info.value_size as usize);
        let is_it =
            info.kind == kind as u32 && sizes == (size_of::<K>(), size_of::<V>()) && syscall::is_name(info.name, name);
        if !is_it {
            return Err(ProgramError::Foreign(name));
        }
        Ok(Self { name, fd, capacity: info.max_entries, types: PhantomData })
    }

    /// How many entries it has room for.
    pub(super) const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The kernel's number of it.
    pub(super) fn id(&self) -> Result<u32, ProgramError> {
        read_info(self.fd.as_fd()).map(|info| info.id).map_err(|errno| self.refused(errno))
    }

    /// Writes an entry.
    pub(super) fn put(&self, key: &K, value: &V, put: Put) -> Result<(), ProgramError> {
        self.update(key, value, put).map_err(|errno| self.refused(errno))
    }

    /// Whether an entry is there; it holds `value` afterwards.
    pub(super) fn put_if_there(&self, key: &K, value: &V) -> Result<bool, ProgramError> {
        match self.update(key, value, Put::Existing) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(self.refused(errno)),
        }
    }

    /// Takes an entry out; one that is not there is no error.
    pub(super) fn remove(&self, key: &K) -> Result<(), ProgramError> {
        // SAFETY: a live key stands at its address, as long as the map's keys are, and is only read.
        match unsafe { self.element(command::MAP_DELETE, key, 0, 0) } {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(self.refused(errno)),
        }
    }

    fn update(&self, key: &K, value: &V, put: Put) -> Result<(), Errno> {
        // SAFETY: live values of the map's sizes stand at both addresses, and are only read.
        unsafe { self.element(command::MAP_UPDATE, key, address(value), put as u64) }
    }

    /// # Safety
    /// `value` is good for what the command does there with as many bytes as the map's values have. Keys are only read,
    /// and those of the map are as long as `K`: that was seen when it was adopted.
    unsafe fn element(&self, command: libc::c_long, key: &K, value: u64, flags: u64) -> Result<(), Errno> {
        let mut attr = Element { map: number(self.fd.as_fd()), zero: 0, key: address(key), value, flags };
        // SAFETY: `key` is as long as the command reads; for the value the caller answers.
        unsafe { syscall::call(command, &mut attr) }.map(|_| ())
    }

    /// Everything in it, in no order. The map is a hash.
    pub(super) fn entries<C: FromIterator<(K, V)>>(&self) -> Result<C, ProgramError> {
        let room = BATCH.min(self.capacity) as usize;
        let (mut keys, mut values) = (vec![K::new_zeroed(); room], vec![V::new_zeroed(); room]);
        let (mut from, mut to) = (0_u32, 0_u32);
        let mut entries = Vec::new();
        for round in 0.. {
            let mut attr = Batch {
                from: if round == 0 { 0 } else { address(&raw const from) },
                to: address(&raw mut to),
                keys: address(keys.as_mut_ptr()),
                values: address(values.as_mut_ptr()),
                count: u32::try_from(keys.len()).unwrap_or(u32::MAX),
                map: number(self.fd.as_fd()),
                element_flags: 0,
                flags: 0,
            };
            // SAFETY: there is room for `count` keys and values of the map's sizes (see `adopt`), of which any bytes are
            // values; a hash keeps its place in 32 bits, which `from` and `to` have.
            let answer = unsafe { syscall::call(command::MAP_LOOKUP_BATCH, &mut attr) };
            if let Err(errno) = answer
                && errno != Errno::ENOENT
            {
                return Err(self.refused(errno));
            }
            let n = attr.count as usize;
            entries.extend(keys.iter().copied().zip(values.iter().copied()).take(n));
            if answer.is_err() {
                break; // That was the last of it.
            }
            from = to;
        }
        Ok(entries.into_iter().collect())
    }

    /// Another descriptor of the same map.
    pub(super) fn duplicate(&self) -> Result<Self, ProgramError> {
        let fd = self
            .fd
            .try_clone()
            .map_err(|error| self.refused(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EMFILE))))?;
        Ok(Self { name: self.name, fd, capacity: self.capacity, types: PhantomData })
    }

    fn refused(&self, errno: Errno) -> ProgramError {
        ProgramError::Map { map: self.name, errno }
    }
}

impl Map<u32, u64> {
    /// The sum over all processors of an entry of a per-processor array.
    pub(super) fn sum(&self, key: u32) -> Result<u64, ProgramError> {
        let mut values = vec![0_u64; n_processors().ok_or(ProgramError::Map { map: self.name, errno: Errno::ENOSYS })?];
        // SAFETY: the kernel writes a value for each possible processor, and there is room for so many.
        unsafe { self.element(command::MAP_LOOKUP, &key, address(values.as_mut_ptr()), 0) }
            .map_err(|errno| self.refused(errno))?;
        Ok(values.iter().sum())
    }
}

/// Processors that are possible on this machine: the kernel never changes that while it runs.
fn n_processors() -> Option<usize> {
    static PROCESSORS: OnceLock<Option<usize>> = OnceLock::new();
    *PROCESSORS.get_or_init(|| aya::util::nr_cpus().ok())
}

impl<K, V> AsFd for Map<K, V> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn read_info(fd: BorrowedFd<'_>) -> Result<Info, Errno> {
    let mut info = Info::default();
    // SAFETY: whatever object of bpf(2) this is, the kernel takes no address from zeros and writes numbers over numbers.
    unsafe { syscall::info(fd, &mut info) }?;
    Ok(info)
}
