//! Outputs that lead back to where they came from.
//!
//! An output that is some relay's input on the same link feeds no relay of this node: what we send carries the MAC of
//! one of our links, and what comes with such a MAC is dropped as `loop`. It may be another node's business. But when the
//! way closes, nothing good can be meant, and only that verdict keeps each packet from going round, multiplied by
//! each further output. What closes over several nodes nobody can see here: see [`crate::looping`].

use crate::entry::Vlans;
use crate::plan::{Output, Relay};
use alloc::{collections::BTreeMap, vec::Vec};
use core::net::IpAddr;
use core::num::NonZeroU16;

/// The outputs of one circle, each as its relay's and its own number: each leads into the relay of the next, and
/// the last into that of the first.
pub type Circle = Vec<(usize, usize)>;

/// What is sent and taken in: link, tags, destination, port.
pub(crate) type Wire<'a> = (&'a str, [u16; 2], IpAddr, NonZeroU16);

/// Finds the circles among the enabled relays: at least one for every set of relays that feed each other.
#[must_use]
pub fn circles(relays: &[Relay]) -> Vec<Circle> {
    let marks = Marks::of(relays);
    // Mostly nothing that is sent is heard by any relay, and it is not looked for whom.
    let mut inputs = None;
    let edges: Vec<Vec<(usize, usize)>> = relays
        .iter()
        .map(|relay| {
            let may_be_heard = |output: &Output| relay.enabled && marks.have(output.destination, output.port);
            let outputs = relay.outputs.iter().enumerate().filter(|(_, output)| may_be_heard(output));
            let mut edges = Vec::new();
            for (i, output) in outputs {
                let inputs = inputs.get_or_insert_with(|| by_input(relays));
                edges.extend(inputs.get(&sent(relay, output)).into_iter().flatten().map(|next| (i, *next)));
            }
            edges
        })
        .collect();
    let mut search = Search { edges, seen: alloc::vec![Seen::No; relays.len()], circles: Vec::new() };
    for relay in 0..relays.len() {
        search.from(relay);
    }
    search.circles
}

/// Who hears what; relays with different sources may hear the same wire.
fn by_input(relays: &[Relay]) -> BTreeMap<Wire<'_>, Vec<usize>> {
    let mut inputs: BTreeMap<Wire<'_>, Vec<usize>> = BTreeMap::new();
    for (i, relay) in relays.iter().enumerate().filter(|(_, relay)| relay.enabled) {
        inputs.entry(heard(relay)).or_default().push(i);
    }
    inputs
}

/// Destinations and ports that are heard.
struct Marks {
    /// In order; two of IPv6 may have the same.
    keys: Vec<u64>,
    /// A bit for each by a hash: most of what is sent is found out by it.
    bits: Vec<u64>,
    shift: u32,
}

impl Marks {
    fn of(relays: &[Relay]) -> Self {
        let inputs = relays.iter().filter(|relay| relay.enabled).map(|relay| &relay.input);
        let mut keys: Vec<u64> = inputs.map(|input| key(input.destination, input.port)).collect();
        keys.sort_unstable();
        // Sixteen bits an input: one output in sixteen that nobody hears is looked for in vain.
        let n_bits = (keys.len() * 16).next_power_of_two().clamp(64, 1 << 24);
        let mut marks = Self { keys: Vec::new(), bits: alloc::vec![0; n_bits / 64], shift: 32 - n_bits.ilog2() };
        for key in &keys {
            let at = marks.place(*key);
            marks.bits[at / 64] |= 1 << (at % 64);
        }
        Self { keys, ..marks }
    }

    fn have(&self, destination: IpAddr, port: NonZeroU16) -> bool {
        let key = key(destination, port);
        let at = self.place(key);
        self.bits[at / 64] & 1 << (at % 64) != 0 && self.keys.binary_search(&key).is_ok()
    }

    /// Multiplied by a number without a pattern, the highest bits depend on all of them.
    const fn place(&self, key: u64) -> usize {
        let mixed = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
        (mixed >> self.shift) as usize
    }
}

fn key(destination: IpAddr, port: NonZeroU16) -> u64 {
    let address = match destination {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.segments().map(u64::from);
            (a ^ d ^ g) << 32 | (b ^ e ^ h) << 16 | (c ^ f)
        }
    };
    address << 16 | u64::from(port.get())
}

fn heard(relay: &Relay) -> Wire<'_> {
    let input = &relay.input;
    (&input.interface, input.vlans, input.destination, input.port)
}

/// What an output sends.
pub(crate) fn sent<'a>(relay: &Relay, output: &'a Output) -> Wire<'a> {
    let vlans = match output.vlans {
        Vlans::Keep => relay.input.vlans,
        Vlans::Set { ids, .. } => ids,
    };
    (&output.interface, vlans, output.destination, output.port)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    No,
    /// On the way from the start to here.
    OnTheWay,
    Done,
}

/// A search in depth without recursion: chains can be as long as there are relays.
struct Search {
    /// Of each relay, its outputs that lead into relays, and into which.
    edges: Vec<Vec<(usize, usize)>>,
    seen: Vec<Seen>,
    circles: Vec<Circle>,
}

impl Search {
    fn from(&mut self, start: usize) {
        if self.seen[start] != Seen::No {
            return;
        }
        self.seen[start] = Seen::OnTheWay;
        // Relays on the way, each with the number of its edges that were tried.
        let mut way = alloc::vec![(start, 0)];
        while let Some((relay, tried)) = way.last_mut() {
            let Some(&(_, next)) = self.edges[*relay].get(*tried) else {
                self.seen[*relay] = Seen::Done;
                way.pop();
                continue;
            };
            *tried += 1;
            match self.seen[next] {
                Seen::Done => {}
                Seen::No => {
                    self.seen[next] = Seen::OnTheWay;
                    way.push((next, 0));
                }
                Seen::OnTheWay => {
                    let begin = way.iter().position(|(relay, _)| *relay == next).unwrap_or(0);
                    let circle = way[begin..].iter().map(|(relay, tried)| (*relay, self.edges[*relay][tried - 1].0));
                    self.circles.push(circle.collect());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
