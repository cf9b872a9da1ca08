//! What tests of lanes have in common: keys, outputs, tables, and what should come out.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use relay_common::abi::{Address, InputKey};
use relay_common::entry::{OutputEntry, RelayEntry, Rewrite};
use relay_common::fixtures::Recipe;
use relay_common::table::{Table, image};
use zerocopy::IntoBytes;

/// Bytes per frame.
pub(super) const SIZE: u32 = 2048;
/// Where the kernel puts a packet in its frame.
pub(super) const HEADROOM: u32 = 256;
/// The link that everything comes in on.
pub(super) const IFINDEX: u32 = 7;
/// Relays that the tables have room for.
pub(super) const MAX_RELAYS: u32 = 8;
/// Outputs that the tables have room for.
pub(super) const MAX_OUTPUTS: u32 = 64;

/// What a datagram to 239.1.2.3 or ff3e::8000:1 is looked up by.
pub(super) fn key(port: u16, v6: bool) -> InputKey {
    let destination = if v6 { "ff3e::8000:1" } else { "239.1.2.3" };
    let destination = Address::from(destination.parse::<std::net::IpAddr>().unwrap());
    InputKey { ifindex: IFINDEX, destination, port, vlans: [0; 2], zero: 0 }
}

/// A table of relays by their keys, in the order of their slots.
pub(super) fn table_of(relays: &[(InputKey, Vec<OutputEntry>)]) -> Table {
    let mut table = Table::empty(MAX_RELAYS, MAX_OUTPUTS);
    table.generation = 1;
    for (key, outputs) in relays {
        let (first_output, n_outputs) = (table.outputs.len() as u32, outputs.len() as u16);
        let (flags, silence_ms, epoch) = (RelayEntry::IN_USE, 1000, 1);
        let (first_source, n_sources, zero) = (0, 0, 0);
        let entry =
            RelayEntry { key: *key, first_output, n_outputs, flags, silence_ms, epoch, first_source, n_sources, zero };
        table.entries.push(entry);
        table.outputs.extend(outputs);
    }
    table
}

/// Its image, in words because an image is aligned.
pub(super) fn image_of(relays: &[(InputKey, Vec<OutputEntry>)]) -> Vec<u64> {
    let mut bytes = vec![0_u64; image::image_size(MAX_RELAYS, MAX_OUTPUTS).div_ceil(8)];
    image::write(&table_of(relays), bytes.as_mut_bytes());
    bytes
}

/// An output that sends to 239.2.2.`last` on a link.
pub(super) fn output(counter: u32, link: u16, last: u8) -> OutputEntry {
    OutputEntry {
        rewrite: Rewrite {
            destination: Address::v4([239, 2, 2, last]),
            source: Address::NONE,
            destination_mac: [1, 0, 0x5e, 2, 2, last],
            source_mac: [2, 0, 0, 0, 0, 0x77],
            destination_port: 6000,
            source_port: 0,
            vlan_ids: [0; 2],
            n_vlans: 0,
            ttl: 16,
            dscp: 0,
            flags: 0,
        },
        link,
        flags: 0,
        mtu: 1500,
        counter,
        zero: 0,
    }
}

/// The same rewrite as the output before it.
pub(super) fn sharing(counter: u32, link: u16, last: u8) -> OutputEntry {
    OutputEntry { flags: OutputEntry::SHARES, ..output(counter, link, last) }
}

/// What comes out when `recipe` goes to 239.2.2.`last`.
pub(super) fn rewritten(recipe: &Recipe, last: u8) -> Vec<u8> {
    let mut bytes = Recipe {
        source_mac: [2, 0, 0, 0, 0, 0x77],
        destination: std::net::IpAddr::from([239, 2, 2, last]),
        port: 6000,
        ttl: 16,
        padding: 0,
        ..recipe.clone()
    }
    .bytes();
    bytes[..6].copy_from_slice(&[1, 0, 0x5e, 2, 2, last]);
    bytes
}
