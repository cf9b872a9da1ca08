//! A table for people.

use relay_common::abi::Address;
use relay_common::entry::{OutputEntry, Rewrite, Vlans};
use relay_common::plan::{Input, Output};
use relay_common::table::{Join, SlotRelay, Table};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Shows the relays of a table with their outputs in the user's order, and the groups that are joined.
#[must_use]
pub fn show_table(table: &Table) -> String {
    let mut rows = vec![["SLOT", "RELAY", "INPUT", "OUTPUT", "SENT AS"].map(str::to_owned).to_vec()];
    for (slot, relay) in table.slots() {
        for (i, output) in relay.relay.outputs.iter().enumerate() {
            let [number, name, input] = match i {
                0 => [slot.to_string(), relay.relay.name.clone(), show_input(relay)],
                _ => [const { String::new() }; 3],
            };
            rows.push(vec![number, name, input, show_output(output), show_sent(table, (slot, relay), i)]);
        }
    }
    let mut text = columns(&rows);
    if !table.kernel.joins.is_empty() {
        let mut rows = vec![["JOINED ON", "GROUP", "SOURCES"].map(str::to_owned).to_vec()];
        rows.extend(table.kernel.joins.values().map(show_join));
        let _ = write!(text, "\n{}", columns(&rows)); // Writing to a String cannot fail.
    }
    text
}

fn show_input(relay: &SlotRelay) -> String {
    let Input { interface, vlans, destination, port, sources } = &relay.relay.input;
    let mut text = format!("{interface}{} {}", suffix(vlans), SocketAddr::new(*destination, port.get()));
    if !sources.is_empty() {
        let _ = write!(text, " from {}", list(sources.iter()));
    }
    match (relay.key, relay.relay.enabled) {
        (Some(_), _) if relay.relay.muted => text + " (muted)",
        (Some(_), _) => text,
        (None, true) => text + " (pending)",
        (None, false) => text + " (disabled)",
    }
}

fn show_output(output: &Output) -> String {
    let vlan = match output.vlans {
        Vlans::Keep => " vlan kept".to_owned(),
        Vlans::Set { ids, .. } => suffix(&ids),
    };
    format!("{}{vlan} {}", output.interface, SocketAddr::new(output.destination, output.port.get()))
}

/// What an output's packets look like on the wire, as far as its relay decides.
fn show_sent(table: &Table, (slot, relay): (u32, &SlotRelay), i: usize) -> String {
    let output = &relay.outputs[i];
    if let Some(reason) = &output.pending {
        return format!("pending: {}", reason.name());
    }
    let Some(entry) = table.entry(slot, i) else { return "-".to_owned() };
    let Rewrite { source, destination_mac, source_port, ttl, dscp, flags, .. } = entry.rewrite;
    let kept = || "kept".to_owned();
    let source = if flags & Rewrite::SET_SOURCE == 0 { kept() } else { show_address(source) };
    let source_port = if source_port == 0 { kept() } else { source_port.to_string() };
    let ttl = if ttl == Rewrite::DECREMENT_TTL { "less one".to_owned() } else { ttl.to_string() };
    let dscp = if flags & Rewrite::SET_DSCP == 0 { kept() } else { dscp.to_string() };
    let mac = destination_mac.map(|byte| format!("{byte:02x}")).join(":");
    let shares = if entry.flags & OutputEntry::SHARES == 0 { "" } else { ", shared" };
    format!("to {mac} from {source} port {source_port}, ttl {ttl}, dscp {dscp}{shares}")
}

fn show_address(address: Address) -> String {
    IpAddr::from(address).to_string()
}

fn show_join(join: &Join) -> Vec<String> {
    let sources = if join.sources.is_empty() { "any".to_owned() } else { list(join.sources.iter()) };
    vec![join.device.clone(), join.group.to_string(), sources]
}

fn list<'a>(addresses: impl Iterator<Item = &'a IpAddr>) -> String {
    addresses.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn suffix(vlans: &[u16; 2]) -> String {
    vlans.iter().filter(|id| **id != 0).map(|id| format!(".{id}")).collect()
}

/// Lines up rows in columns; the last column ends where its text does.
fn columns(rows: &[Vec<String>]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..n_columns).map(|i| width(i).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
