//! Driver, channels, rings and features, by the ethtool ioctl of the network namespace of the calling thread.
//!
//! Everything here answers `None` where the driver has no answer: that is common, and no error.
#![expect(unsafe_code, reason = "SIOCETHTOOL takes a pointer to a structure that begins with its own command")]

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::AsRawFd;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GRINGPARAM: u32 = 0x10;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
/// The set of strings that names the features.
const ETH_SS_FEATURES: u32 = 4;
/// Bytes of one name.
const NAME: usize = 32;
/// Features that are read: four times as many as the kernel has in 2026.
const MAX_FEATURES: usize = 256;

/// What takes VLAN tags out of frames, customer's and provider's, by the kernel's names.
pub const STRIPS: [&str; 2] = ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"];

/// A link's driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// Its name.
    pub name: String,
    /// Its version: the kernel's, for most.
    pub version: String,
    /// The version of the hardware's firmware; often empty.
    pub firmware: String,
    /// Where the hardware is, such as `0000:01:00.0`; often empty.
    pub bus: String,
}

/// How many queues a link uses, and how many it could use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Receive queues in use.
    pub rx: u32,
    /// Transmit queues in use.
    pub tx: u32,
    /// Receive queues that it could use.
    pub max_rx: u32,
    /// Transmit queues that it could use.
    pub max_tx: u32,
    /// Whether its queues come in pairs, so that `ethtool -L` calls them `combined`.
    pub combined: bool,
}

/// How many frames a queue of the hardware holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// Received frames.
    pub rx: u32,
    /// Frames to be transmitted.
    pub tx: u32,
    /// What `rx` could be.
    pub max_rx: u32,
    /// What `tx` could be.
    pub max_tx: u32,
}

/// One feature of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The kernel's name of it, which `ethtool -K` takes.
    pub name: String,
    /// Whether it is on.
    pub on: bool,
    /// Whether `ethtool -K` cannot change it.
    pub fixed: bool,
}

/// The features of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(pub Vec<Feature>);

impl Features {
    /// The feature of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Feature> {
        self.0.iter().find(|feature| feature.name == name)
    }

    /// Whether the feature of this name is on.
    #[must_use]
    pub fn on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|feature| feature.on)
    }
}

/// The link's driver.
#[must_use]
pub fn driver(link: &str) -> Option<Driver> {
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    struct DrvInfo {
        command: u32,
        driver: [u8; NAME],
        version: [u8; NAME],
        firmware: [u8; NAME],
        bus: [u8; NAME],
        option_rom: [u8; NAME],
        unused: [u8; 12],
        counts: [u32; 5],
    }
    const _: () = assert!(size_of::<DrvInfo>() == 196);
    let mut info = DrvInfo::new_zeroed();
    info.command = ETHTOOL_GDRVINFO;
    ask(link, info.as_mut_bytes())?;
    Some(Driver {
        name: text(&info.driver),
        version: text(&info.version),
        firmware: text(&info.firmware),
        bus: text(&info.bus),
    })
}

/// The link's queues in use, as a socket can be bound to them.
#[must_use]
pub fn channels(link: &str) -> Option<Channels> {
    asked_channels(link).ok().flatten()
}

/// The same, where it matters whether the driver has no answer or gives none at this moment.
///
/// # Errors
/// What the kernel said instead of an answer, or of that there is none.
pub fn asked_channels(link: &str) -> Result<Option<Channels>, Errno> {
    /// In the order of the kernel's structure.
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    struct Raw {
        command: u32,
        max_rx: u32,
        max_tx: u32,
        max_other: u32,
        max_combined: u32,
        rx: u32,
        tx: u32,
        other: u32,
        combined: u32,
    }
    const _: () = assert!(size_of::<Raw>() == 36);
    let mut raw = Raw::new_zeroed();
    raw.command = ETHTOOL_GCHANNELS;
    match asked(link, raw.as_mut_bytes()) {
        Ok(()) => {}
        Err(Errno::EOPNOTSUPP | Errno::ENODEV) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    // A driver has queues in pairs, single ones, or pairs and single ones beyond.
    Ok(Some(Channels {
        rx: raw.rx.saturating_add(raw.combined),
        tx: raw.tx.saturating_add(raw.combined),
        max_rx: raw.max_rx.max(raw.max_combined),
        max_tx: raw.max_tx.max(raw.max_combined),
        combined: raw.max_combined > 0,
    }))
}

/// How many frames the link's queues hold.
#[must_use]
pub fn rings(link: &str) -> Option<Rings> {
    /// In the order of the kernel's structure.
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    struct Raw {
        command: u32,
        max_rx: u32,
        max_other: [u32; 2],
        max_tx: u32,
        rx: u32,
        other: [u32; 2],
        tx: u32,
    }
    const _: () = assert!(size_of::<Raw>() == 36);
    let mut raw = Raw::new_zeroed();
    raw.command = ETHTOOL_GRINGPARAM;
    ask(link, raw.as_mut_bytes())?;
    Some(Rings { rx: raw.rx, tx: raw.tx, max_rx: raw.max_rx, max_tx: raw.max_tx })
}

/// The link's features, by the kernel's own names (`rx-lro`, `rx-gro-hw`, `rx-vlan-hw-parse`, …).
#[must_use]
pub fn features(link: &str) -> Option<Features> {
    let count = count_of_features(link)?;
    let names = names_of_features(link, count)?;
    let n_blocks = count.div_ceil(32);
    // command, number of blocks, then per block: available, requested, active, never changed.
    let mut buffer = vec![0_u32; 2 + 4 * n_blocks];
    buffer[0] = ETHTOOL_GFEATURES;
    buffer[1] = u32::try_from(n_blocks).ok()?;
    ask(link, buffer.as_mut_bytes())?;
    let blocks = &buffer[2..];
    let bit = |number: usize, word: usize| blocks[number / 32 * 4 + word] & 1 << (number % 32) != 0;
    let feature = |(number, name): (usize, String)| Feature {
        name,
        on: bit(number, 2),
        fixed: !bit(number, 0) || bit(number, 3),
    };
    Some(Features(names.into_iter().enumerate().map(feature).filter(|feature| !feature.name.is_empty()).collect()))
}

/// Turns features on or off, by the kernel's own names. That it was asked for says nothing: read them again. `None` when
/// the kernel refused, or knows none of the names.
pub fn set_features(link: &str, features: &[&str], on: bool) -> Option<()> {
    let count = count_of_features(link)?;
    let names = names_of_features(link, count)?;
    let n_blocks = count.div_ceil(32);
    // command, number of blocks, then per block: which are meant, which of these shall be on.
    let mut buffer = vec![0_u32; 2 + 2 * n_blocks];
    buffer[0] = ETHTOOL_SFEATURES;
    buffer[1] = u32::try_from(n_blocks).ok()?;
    let meant = names.iter().enumerate().filter(|(_, name)| features.contains(&name.as_str()));
    for (number, _) in meant {
        let block = 2 + number / 32 * 2;
        buffer[block] |= 1 << (number % 32);
        buffer[block + 1] |= u32::from(on) << (number % 32);
    }
    ask(link, buffer.as_mut_bytes())
}

fn count_of_features(link: &str) -> Option<usize> {
    // command, reserved, the 64-bit mask of sets, and the length of the one set that is asked for.
    let mut buffer = [ETHTOOL_GSSET_INFO, 0, 0, 0, 0];
    let mask = (1_u64 << ETH_SS_FEATURES).to_ne_bytes();
    buffer.as_mut_bytes()[8..16].copy_from_slice(&mask);
    ask(link, buffer.as_mut_bytes())?;
    // The kernel clears the bit of a set that it does not have.
    let known = buffer.as_bytes()[8..16] == mask;
    usize::try_from(buffer[4]).ok().filter(|count| known && (1..=MAX_FEATURES).contains(count))
}

fn names_of_features(link: &str, count: usize) -> Option<Vec<String>> {
    // The kernel writes as many names as it has, whatever length it is given: there is room for MAX_FEATURES.
    let mut buffer = vec![0_u8; 12 + MAX_FEATURES * NAME];
    buffer[0..4].copy_from_slice(&ETHTOOL_GSTRINGS.to_ne_bytes());
    buffer[4..8].copy_from_slice(&ETH_SS_FEATURES.to_ne_bytes());
    buffer[8..12].copy_from_slice(&u32::try_from(count).ok()?.to_ne_bytes());
    ask(link, &mut buffer)?;
    Some(buffer[12..].chunks_exact(NAME).take(count).map(text).collect())
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Asks with a structure that begins with its command, and that the kernel fills in.
///
/// It is private because its safety rests on the callers above: each gives a buffer at least as long as what the kernel
/// writes for its command.
fn asked(link: &str, buffer: &mut [u8]) -> Result<(), Errno> {
    let name = link.as_bytes();
    // SAFETY: ifreq is made of integers, arrays and unions of them and of pointers, for which all bits zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::ENODEV);
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name) {
        *place = libc::c_char::from_ne_bytes([*byte]);
    }
    request.ifr_ifru.ifru_data = buffer.as_mut_ptr().cast();
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: the name ends in a zero byte because it is shorter than its array. `ifru_data` points to `buffer`, which
    // is borrowed exclusively for the call. The kernel writes: for GDRVINFO, GCHANNELS and GRINGPARAM one structure,
    // whose size is asserted; for GSSET_INFO one number per bit of the mask, of which there is one; for GFEATURES as
    // many blocks as the buffer says it has, and reads as many for SFEATURES; for GSTRINGS one name per feature, whose number is a constant of the
    // running kernel that was read before and checked against the room in the buffer.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    // SFEATURES answers with bits that say what it could not do.
    Errno::result(answer).map(drop)
}

fn ask(link: &str, buffer: &mut [u8]) -> Option<()> {
    asked(link, buffer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_features_and_no_channels() {
        let features = features("lo").unwrap();
        assert!(features.get("rx-lro").is_some(), "{features:?}");
        assert!(features.on("loopback") && features.get("loopback").unwrap().fixed, "{features:?}");
        assert_eq!(channels("lo"), None);
    }

    #[test]
    fn a_name_that_is_none_has_no_answers() {
        assert_eq!(driver("no-such-link"), None);
        assert_eq!(features("a-name-that-is-longer-than-the-kernel-allows"), None);
    }
}
