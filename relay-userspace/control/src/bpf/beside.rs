//! The relay program for one link whose VLAN tags may travel beside their frames: loaded for that device alone, so that its
//! driver can be asked for the tag.
//!
//! aya loads programs for no particular device and knows no functions of the kernel. The object is read as aya reads it; the
//! place that `relay_common::abi::RX_VLAN_TAG` holds becomes the call.
#![expect(unsafe_code, reason = "bpf(2) itself")]

use super::program::ProgramError;
use crate::bpf::syscall::{self, address, command};
use aya_obj::btf::{Btf, BtfKind};
use aya_obj::generated::bpf_insn;
use aya_obj::{Object, relocation::EbpfRelocationError};
use nix::errno::Errno;
use relay_common::abi::RX_VLAN_TAG;
use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use zerocopy::{Immutable, IntoBytes};

const NAME: &str = "relay_tags";
const FUNCTION: &str = "bpf_xdp_metadata_rx_vlan_tag";
const PROGRAM_TYPE_XDP: u32 = 6;
const ATTACH_TYPE_XDP: u32 = 37;
/// The program is for one device, and runs on the processor all the same.
const XDP_DEV_BOUND_ONLY: u32 = 1 << 6;
/// An instruction that calls, and what makes it call a function of the kernel instead of a helper.
const CALL: u8 = 0x85;
const KERNEL_FUNCTION: u8 = 2;
/// Descriptor of a map that this program does not use.
const NO_MAP: i32 = -1;

/// Why it could not be loaded. The relay program without the question takes its place.
#[derive(Debug, thiserror::Error)]
pub(super) enum BesideError {
    /// The kernel has no such function, or does not tell the numbers of its functions.
    #[error("this kernel cannot tell of VLAN tags beside a frame (Linux 6.8 and CONFIG_DEBUG_INFO_BTF are needed)")]
    NotKnown(#[source] Box<dyn Error + Send + Sync>),
    /// The object is not what it should be.
    #[error("the eBPF object cannot be read")]
    Object(#[source] Box<dyn Error + Send + Sync>),
    /// The kernel refused it.
    #[error("the kernel does not take the program: {}", .0.desc())]
    Refused(Errno),
}

/// The number of the kernel's function; it takes a moment to find, and stays while the kernel runs.
pub(super) fn function() -> Result<i32, BesideError> {
    let not_known = |error| BesideError::NotKnown(Box::new(error));
    let number = Btf::from_sys_fs().and_then(|btf| btf.id_by_type_name_kind(FUNCTION, BtfKind::Func));
    Ok(number.map_err(not_known)?.cast_signed())
}

/// Loads the program for the device of this number, with these maps.
pub(super) fn load(
    object: &[u8],
    maps: &BTreeMap<&str, BorrowedFd<'_>>,
    ifindex: u32,
    function: i32,
) -> Result<OwnedFd, BesideError> {
    let mut object = Object::parse(object).map_err(|error| BesideError::Object(Box::new(error)))?;
    link(&mut object, maps).map_err(|error| BesideError::Object(Box::new(error)))?;
    let program = object.programs.get(NAME).ok_or(ProgramError::Lacks(NAME));
    let program = program.map_err(|error| BesideError::Object(Box::new(error)))?;
    let mut instructions = object.functions[&program.function_key()].instructions.clone();
    for call in instructions.iter_mut().filter(|one| one.code == CALL && one.imm == RX_VLAN_TAG) {
        call.set_src_reg(KERNEL_FUNCTION);
        call.imm = function;
    }
    prog_load(&instructions, program.license.as_bytes_with_nul(), ifindex).map_err(BesideError::Refused)
}

fn link(object: &mut Object, maps: &BTreeMap<&str, BorrowedFd<'_>>) -> Result<(), EbpfRelocationError> {
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let known = std::mem::take(&mut object.maps);
    let with_fd = known.iter().map(|(name, map)| {
        let fd = maps.get(name.as_str()).map_or(NO_MAP, |fd| fd.as_raw_fd());
        (name.as_str(), fd, map)
    });
    object.relocate_maps(with_fd, &sections)?;
    object.relocate_calls(&sections)
}

/// The part of `union bpf_attr` that BPF_PROG_LOAD reads, as far as it is used.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct ProgLoad {
    kind: u32,
    n_instructions: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    attach_type: u32,
}
const _: () = assert!(size_of::<ProgLoad>() == 72);

fn prog_load(instructions: &[bpf_insn], license: &[u8], ifindex: u32) -> Result<OwnedFd, Errno> {
    let mut name = [0; 16];
    name[..NAME.len()].copy_from_slice(NAME.as_bytes());
    let mut attr = ProgLoad {
        kind: PROGRAM_TYPE_XDP,
        n_instructions: u32::try_from(instructions.len()).map_err(|_| Errno::E2BIG)?,
        instructions: address(instructions.as_ptr()),
        license: address(license.as_ptr()),
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: XDP_DEV_BOUND_ONLY,
        name,
        ifindex,
        attach_type: ATTACH_TYPE_XDP,
    };
    // SAFETY: as many instructions as are said lie at their address, and the licence ends in a zero byte; the kernel reads
    // both before the call returns, and writes no log.
    let fd = unsafe { syscall::call(command::PROG_LOAD, &mut attr) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
