//! A table in flat bytes, for memory that control writes and the lanes read: a header, what each input link can put on
//! the transmit rings, the relays by slot, the outputs, the sources that relays name, and an index from input keys and
//! sources to slots.

use super::Table;
use super::demand::{self, Demand, MAX_DEMANDS};
use super::index::{FREE, first_place, first_place_of, index_len};
use crate::abi::{Address, InputKey, MAX_LINKS};
use crate::entry::{OutputEntry, RelayEntry};
use crate::plan::MAX_SOURCES;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// The layout of an image and of the entries in it: another number is another layout.
pub const LAYOUT: u8 = 4;

/// What stands at the beginning of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ImageHeader {
    /// [`ImageHeader::MAGIC`].
    pub magic: u64,
    /// The table's generation.
    pub generation: u64,
    /// Relays that follow.
    pub max_relays: u32,
    /// Outputs that follow them.
    pub max_outputs: u32,
    /// Index places at the end, behind the sources.
    pub index_len: u32,
    /// The most outputs that one relay has on one link: so many descriptors on a ring can come of one packet.
    pub widest: u32,
    /// The most outputs that one relay has: so many frames can come of one packet.
    pub most_outputs: u32,
    /// Sources that follow the outputs.
    pub n_sources: u32,
    /// Bytes of the image, all in all.
    pub used: u64,
    /// Always 0.
    pub zero: [u32; 4],
}
const _: () = assert!(size_of::<ImageHeader>() == 64);

impl ImageHeader {
    /// Marks an image of this layout: its last byte is [`LAYOUT`].
    pub const MAGIC: u64 = u64::from_le_bytes(*b"MCRTABL\0") | (LAYOUT as u64) << 56;

    /// How many packets a lane may take at once, `most` at most.
    ///
    /// What comes of them fits half a transmit ring: the other half may hold the batch before, whose completions count
    /// only from the next commit on. Otherwise a relay with many outputs on one link would lose packets of every burst,
    /// however idle the link. And the copies of a batch fit the core's own cache, where the batch before has left them.
    #[must_use]
    pub fn batch(&self, ring_size: u32, most: usize) -> usize {
        if self.widest == 0 {
            return most;
        }
        let by_ring = (ring_size / 2 / self.widest).max(1);
        let by_cache = (CACHED_FRAMES / self.most_outputs).max(FEWEST_FOR_CACHE);
        most.min(by_ring as usize).min(by_cache as usize)
    }
}

/// Frames that a core's own cache holds, with room for the rest of what a lane needs: half a megabyte of 2048 bytes.
const CACHED_FRAMES: u32 = 256;
/// Smaller batches cost more in calls and commits than the cache gives back, for all other relays, too.
const FEWEST_FOR_CACHE: u32 = 16;

/// Bytes that an image takes at most: when each relay names as many sources as it may.
#[must_use]
pub const fn image_size(max_relays: u32, max_outputs: u32) -> usize {
    let n_sources = max_relays as usize * MAX_SOURCES;
    used((max_relays, max_outputs), n_sources, index_len(n_sources))
}

/// Bytes that an image with so many sources and index places takes.
const fn used((max_relays, max_outputs): (u32, u32), n_sources: usize, index_len: usize) -> usize {
    size_of::<ImageHeader>()
        + MAX_DEMANDS * size_of::<Demand>()
        + max_relays as usize * size_of::<RelayEntry>()
        + max_outputs as usize * size_of::<OutputEntry>()
        + n_sources * size_of::<Address>()
        + index_len * size_of::<u32>()
}

/// Writes a table's image over whatever `bytes` held.
///
/// # Panics
///
/// If `bytes` is shorter than [`image_size`] or not aligned to 8 bytes: the memory was made for this table.
pub fn write(table: &Table, bytes: &mut [u8]) {
    let (max_relays, max_outputs) = (table.max_relays(), table.max_outputs());
    let bytes = &mut bytes[..image_size(max_relays, max_outputs)];
    let n_places = index_len(keys(table).count());
    let used = used((max_relays, max_outputs), table.sources.len(), n_places);
    // What the image before did not use is 0 already, and what this one uses is written.
    let before = Image::view(bytes).and_then(|image| usize::try_from(image.header.used).ok());
    let dirty = before.map_or(bytes.len(), |before| before.clamp(used, bytes.len()));
    bytes[used..dirty].fill(0);
    let (header, rest) = ImageHeader::mut_from_prefix(bytes).expect("an image is aligned to 8 bytes");
    *header = ImageHeader {
        magic: ImageHeader::MAGIC,
        generation: table.generation,
        max_relays,
        max_outputs,
        index_len: u32::try_from(n_places).expect("max_relays is far below 2^31"),
        widest: widest(table),
        most_outputs: table.entries.iter().map(|entry| u32::from(entry.n_outputs)).max().unwrap_or(0),
        n_sources: u32::try_from(table.sources.len()).expect("relays have few sources"),
        used: used as u64,
        ..ImageHeader::new_zeroed()
    };
    let (demands, rest) = <[Demand]>::mut_from_prefix_with_elems(rest, MAX_DEMANDS).expect("sized above");
    demand::write(table, demands);
    let (relays, rest) = <[RelayEntry]>::mut_from_prefix_with_elems(rest, max_relays as usize).expect("sized above");
    copy(&table.entries, relays);
    let (outputs, rest) = <[OutputEntry]>::mut_from_prefix_with_elems(rest, max_outputs as usize).expect("sized above");
    copy(&table.outputs, outputs);
    let (sources, rest) = <[Address]>::mut_from_prefix_with_elems(rest, table.sources.len()).expect("sized above");
    sources.copy_from_slice(&table.sources);
    let (index, _) = <[u32]>::mut_from_prefix_with_elems(rest, n_places).expect("sized above");
    index.fill(FREE);
    let mask = n_places - 1;
    for (slot, key, source) in keys(table) {
        let mut place = source.map_or_else(|| first_place(key, mask), |source| first_place_of(key, source, mask));
        while index[place] != FREE {
            place = (place + 1) & mask;
        }
        index[place] = slot + 1;
    }
}

/// Copies entries, and leaves no other behind them.
fn copy<T: Copy + FromZeros>(entries: &[T], places: &mut [T]) {
    let (taken, free) = places.split_at_mut(entries.len());
    taken.copy_from_slice(entries);
    free.fill(T::new_zeroed());
}

/// What relays are looked up by, with their slots: the key, and each of the sources that a relay names.
fn keys(table: &Table) -> impl Iterator<Item = (u32, &InputKey, Option<&Address>)> {
    (0u32..).zip(&table.entries).filter(|(_, entry)| entry.is_in_use()).flat_map(|(slot, entry)| {
        let sources = &table.sources[entry.first_source as usize..][..entry.n_sources as usize];
        let any = sources.is_empty().then_some((slot, &entry.key, None));
        any.into_iter().chain(sources.iter().map(move |source| (slot, &entry.key, Some(source))))
    })
}

/// The most outputs that one relay has on one link. Pending ones count, too: they may work soon.
fn widest(table: &Table) -> u32 {
    let of_relay = |entry: &RelayEntry| {
        let outputs = &table.outputs[entry.first_output as usize..][..entry.n_outputs as usize];
        let mut on_links = [0_u32; MAX_LINKS as usize + 1];
        // Those without a number are counted together, behind the others.
        outputs.iter().for_each(|output| on_links[usize::from(output.link).min(MAX_LINKS as usize)] += 1);
        on_links.into_iter().max().unwrap_or(0)
    };
    table.entries.iter().map(of_relay).max().unwrap_or(0)
}

/// A table as a lane reads it.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// What the image says of itself.
    pub header: &'a ImageHeader,
    /// What a packet of each input link can put on the transmit rings, in no order.
    pub demands: &'a [Demand],
    /// The relays by slot.
    pub relays: &'a [RelayEntry],
    /// All outputs.
    pub outputs: &'a [OutputEntry],
    sources: &'a [Address],
    index: &'a [u32],
}

impl<'a> Image<'a> {
    /// Looks at bytes as an image; `None` if they are not one, or are not aligned to 8 bytes.
    #[inline]
    #[must_use]
    pub fn view(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = ImageHeader::ref_from_prefix(bytes).ok()?;
        if header.magic != ImageHeader::MAGIC || !header.index_len.is_power_of_two() {
            return None;
        }
        let (demands, rest) = <[Demand]>::ref_from_prefix_with_elems(rest, MAX_DEMANDS).ok()?;
        let (relays, rest) = <[RelayEntry]>::ref_from_prefix_with_elems(rest, header.max_relays as usize).ok()?;
        let (outputs, rest) = <[OutputEntry]>::ref_from_prefix_with_elems(rest, header.max_outputs as usize).ok()?;
        let (sources, rest) = <[Address]>::ref_from_prefix_with_elems(rest, header.n_sources as usize).ok()?;
        let (index, _) = <[u32]>::ref_from_prefix_with_elems(rest, header.index_len as usize).ok()?;
        Some(Self { header, demands, relays, outputs, sources, index })
    }

    /// The table's generation.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.header.generation
    }

    /// The slot of the relay that takes this input from this source.
    #[inline]
    #[must_use]
    pub fn find(&self, key: &InputKey, source: &Address) -> Option<u32> {
        let mask = self.index.len() - 1;
        let any = self.search(first_place(key, mask), key, source);
        if any.is_some() || self.sources.is_empty() { any } else { self.find_named(key, source) }
    }

    #[inline(never)]
    fn find_named(&self, key: &InputKey, source: &Address) -> Option<u32> {
        self.search(first_place_of(key, source, self.index.len() - 1), key, source)
    }

    /// Whether a relay takes this input from this source.
    #[inline]
    #[must_use]
    pub fn takes(&self, relay: &RelayEntry, key: &InputKey, source: &Address) -> bool {
        if relay.n_sources != 0 {
            // Another place than the caller's, which so may be a register.
            let source = *source;
            return relay.key.is(key) && self.names(relay, &source);
        }
        relay.key.is(key)
    }

    #[inline(never)]
    fn names(&self, relay: &RelayEntry, source: &Address) -> bool {
        let first = relay.first_source as usize;
        self.sources.get(first..first + relay.n_sources as usize).is_some_and(|sources| sources.contains(source))
    }

    #[inline]
    fn search(&self, mut place: usize, key: &InputKey, source: &Address) -> Option<u32> {
        let mask = self.index.len() - 1;
        // A sound index always has a free place; the bound holds for an unsound one.
        for _ in 0..self.index.len() {
            let slot = match *self.index.get(place)? {
                FREE => return None,
                number => number - 1,
            };
            if self.takes(self.relays.get(slot as usize)?, key, source) {
                return Some(slot);
            }
            place = (place + 1) & mask;
        }
        None
    }

    /// The relay at a slot, if the slot is in use.
    #[inline]
    #[must_use]
    pub fn relay(&self, slot: u32) -> Option<&'a RelayEntry> {
        self.relays.get(slot as usize).filter(|relay| relay.is_in_use())
    }

    /// The outputs of a relay.
    #[inline]
    #[must_use]
    pub fn outputs_of(&self, relay: &RelayEntry) -> &'a [OutputEntry] {
        let first = relay.first_output as usize;
        self.outputs.get(first..first + relay.n_outputs as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
