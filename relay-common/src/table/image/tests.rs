//! What is written is what a lane finds.

use super::super::Table;
use super::super::fixtures::{compiled, facts, plan, relay};
use super::{Image, image_size, write};
use crate::abi::Address;
use crate::plan::Relay;
use alloc::{format, vec, vec::Vec};
use core::net::IpAddr;
use zerocopy::IntoBytes;

/// Somebody.
const ANY: Address = Address::v4([10, 0, 0, 1]);

fn table(n: u32) -> Table {
    let relays = (0..n).map(|i| {
        let [_, _, a, b] = i.to_be_bytes();
        relay(&format!("r{i}"), &format!("239.1.{a}.{b}"), &["239.2.1.1", "10.0.2.9"])
    });
    let mut plan = plan(relays.collect());
    plan.lanes.max_relays = 1000;
    compiled(&plan, &facts(), None).table
}

/// Memory aligned as a mapping is.
fn memory(table: &Table) -> Vec<u64> {
    vec![u64::MAX; image_size(table.max_relays(), table.max_outputs()).div_ceil(8)]
}

#[test]
fn everything_is_found_again() {
    let table = table(1000);
    let mut memory = memory(&table);
    write(&table, memory.as_mut_bytes());
    let image = Image::view(memory.as_bytes()).unwrap();
    assert_eq!(image.generation(), table.generation);
    for (key, value) in &table.kernel.inputs {
        assert_eq!(image.find(key, &ANY), Some(value.slot));
        let relay = image.relay(value.slot).unwrap();
        assert_eq!(relay.key, *key);
        let first = relay.first_output as usize;
        assert_eq!(image.outputs_of(relay), &table.outputs[first..first + 2]);
        let mut other = *key;
        other.port += 1;
        assert_eq!(image.find(&other, &ANY), None);
    }
    assert_eq!(image.relay(1000), None);
}

#[test]
fn nothing_of_the_table_before_stays() {
    let (before, after) = (table(1000), table(1));
    let mut memory = memory(&before);
    write(&before, memory.as_mut_bytes());
    write(&after, memory.as_mut_bytes());
    let image = Image::view(memory.as_bytes()).unwrap();
    let found = before.kernel.inputs.keys().filter(|key| image.find(key, &ANY).is_some()).count();
    assert_eq!((found, image.relay(1)), (1, None));
}

#[test]
fn other_bytes_are_no_image() {
    let table = table(1);
    let mut memory = memory(&table);
    assert!(Image::view(memory.as_bytes()).is_none());
    write(&table, memory.as_mut_bytes());
    let size = usize::try_from(Image::view(memory.as_bytes()).unwrap().header.used).unwrap();
    assert!(size < image_size(table.max_relays(), table.max_outputs()));
    assert!(Image::view(&memory.as_bytes()[..size]).is_some());
    assert!(Image::view(&memory.as_bytes()[..size - 4]).is_none());
    assert!(Image::view(&memory.as_bytes()[4..]).is_none());
}

#[test]
fn an_index_without_a_free_place_ends_the_search() {
    let table = table(2);
    let mut memory = memory(&table);
    write(&table, memory.as_mut_bytes());
    let header = *Image::view(memory.as_bytes()).unwrap().header;
    let (size, places) = (usize::try_from(header.used).unwrap(), 4 * header.index_len as usize);
    for place in memory.as_mut_bytes()[size - places..size].chunks_exact_mut(4) {
        place.copy_from_slice(&1u32.to_ne_bytes());
    }
    let image = Image::view(memory.as_bytes()).unwrap();
    assert_eq!(image.find(&table.relays[1].as_ref().unwrap().key.unwrap(), &ANY), None);
}

/// Forty relays with one group and port, from two sources each, and one whose input is its own.
#[test]
fn relays_that_share_an_input_are_told_apart_by_their_sources() {
    let source = |i: u8, of: u8| Address::v4([10, 9, i, of]);
    let mut relays: Vec<Relay> = (0..40)
        .map(|i| {
            let mut relay = relay(&format!("r{i}"), "239.1.1.1", &["239.2.1.1"]);
            relay.input.sources = [1, 2].map(|of| IpAddr::from(source(i, of))).to_vec();
            relay
        })
        .collect();
    relays.push(relay("any", "239.1.1.2", &["239.2.1.2"]));
    let compiled = compiled(&plan(relays), &facts(), None);
    assert_eq!((compiled.refused, compiled.table.kernel.inputs.len()), (vec![], 2));
    let table = compiled.table;
    let mut memory = memory(&table);
    write(&table, memory.as_mut_bytes());
    let image = Image::view(memory.as_bytes()).unwrap();
    let (any, _) = table.relay("any").unwrap();
    for (name, i) in (0..40).map(|i| (format!("r{i}"), i)) {
        let (slot, relay) = table.relay(&name).unwrap();
        let key = relay.key.unwrap();
        for of in [1, 2] {
            assert_eq!(image.find(&key, &source(i, of)), Some(slot));
            assert!(image.takes(image.relay(slot).unwrap(), &key, &source(i, of)));
        }
        assert_eq!(image.find(&key, &source(i, 3)), None);
        assert!(!image.takes(image.relay(slot).unwrap(), &key, &source(i + 1, 1)), "its neighbour's source");
        assert!(!image.takes(image.relay(any).unwrap(), &key, &source(i, 1)), "another input");
    }
    assert_eq!(image.find(&table.entries[any as usize].key, &source(7, 7)), Some(any));
}

/// What a half held before is not in the image that is written over it, so that two can be compared byte by byte.
#[test]
fn the_same_table_is_the_same_image_whatever_was_there_before() {
    let small = table(3);
    let mut one = memory(&small);
    write(&small, one.as_mut_bytes());
    let mut large: Vec<Relay> = Vec::new();
    for i in 0..200_u8 {
        let mut relay = relay(&format!("r{i}"), "239.1.1.1", &["239.2.1.1"]);
        relay.input.sources = vec![IpAddr::from(Address::v4([10, 9, 9, i]))];
        large.push(relay);
    }
    let mut plan = plan(large);
    plan.lanes.max_relays = 1000;
    let mut other = memory(&small);
    write(&compiled(&plan, &facts(), None).table, other.as_mut_bytes());
    write(&small, other.as_mut_bytes());
    assert!(one == other);
}

mod widest {
    use crate::entry::{OutputEntry, RelayEntry};
    use crate::table::Table;
    use crate::table::image::{Image, ImageHeader, image_size, write};
    use alloc::vec;
    use zerocopy::{FromZeros as _, IntoBytes as _};

    /// The header of a table whose relays have outputs on these links.
    fn header_of(relays: &[&[u16]]) -> ImageHeader {
        let mut table = Table::empty(4, 256);
        for links in relays {
            let mut entry = RelayEntry::new_zeroed();
            entry.first_output = u32::try_from(table.outputs.len()).unwrap();
            entry.n_outputs = u16::try_from(links.len()).unwrap();
            entry.flags = RelayEntry::IN_USE;
            table.entries.push(entry);
            let output = |link: &u16| OutputEntry { link: *link, ..OutputEntry::new_zeroed() };
            table.outputs.extend(links.iter().map(output));
        }
        let mut words = vec![0_u64; image_size(4, 256).div_ceil(8)];
        let bytes = words.as_mut_slice().as_mut_bytes();
        write(&table, bytes);
        *Image::view(bytes).unwrap().header
    }

    #[test]
    fn what_comes_of_a_batch_fits_half_a_transmit_ring() {
        let wide = header_of(&[&[0], &[1; 64], &[0, 1, 2, 1]]);
        assert_eq!(wide.widest, 64);
        assert_eq!((wide.batch(512, 64), wide.batch(1024, 64), wide.batch(2048, 64)), (4, 8, 16));
        assert_eq!(wide.batch(32, 64), 1, "one packet at least, whatever becomes of it");
        let spread = header_of(&[&[0, 1, 2, 1]]);
        assert_eq!((spread.widest, spread.batch(64, 64)), (2, 16));
        assert_eq!(header_of(&[]).batch(64, 64), 64, "an empty table limits nothing");
    }

    #[test]
    fn copies_of_a_batch_stay_in_the_cache() {
        let of = |links: &[u16]| header_of(&[&[0], links]).batch(1 << 15, 64);
        assert_eq!((of(&[0]), of(&[0; 4])), (64, 64));
        assert_eq!((of(&[0, 1, 2, 3, 0, 1, 2, 3]), of(&[0; 16])), (32, 16), "on one link or on several");
        assert_eq!(of(&[0; 64]), 16, "but no relay makes the others' batches tiny");
    }
}
