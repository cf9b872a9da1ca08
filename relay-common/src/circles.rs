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
    // Relays with different sources may hear the same wire.
    let mut inputs: BTreeMap<Wire<'_>, Vec<usize>> = BTreeMap::new();
    for (i, relay) in relays.iter().enumerate().filter(|(_, relay)| relay.enabled) {
        inputs.entry(heard(relay)).or_default().push(i);
    }
    let marks = Marks::of(&inputs);
    let edges: Vec<Vec<(usize, usize)>> = relays
        .iter()
        .map(|relay| {
            let may_be_heard = |output: &Output| relay.enabled && marks.has(output.destination, output.port);
            let outputs = relay.outputs.iter().enumerate().filter(|(_, output)| may_be_heard(output));
            let into = |(i, output)| inputs.get(&sent(relay, output)).into_iter().flatten().map(move |next| (i, *next));
            outputs.flat_map(into).collect()
        })
        .collect();
    let mut search = Search { edges, seen: alloc::vec![Seen::No; relays.len()], circles: Vec::new() };
    for relay in 0..relays.len() {
        search.from(relay);
    }
    search.circles
}

/// Destinations and ports that are heard, by a hash: most of what is sent is heard by nobody, and needs no look at who hears what.
struct Marks {
    bits: Vec<u64>,
    shift: u32,
}

impl Marks {
    fn of(inputs: &BTreeMap<Wire<'_>, Vec<usize>>) -> Self {
        // Sixteen bits an input: one in sixteen that nobody hears is looked for in vain.
        let n_bits = (inputs.len() * 16).next_power_of_two().clamp(64, 1 << 24);
        let mut marks = Self { bits: alloc::vec![0; n_bits / 64], shift: 32 - n_bits.ilog2() };
        for (_, _, destination, port) in inputs.keys() {
            let at = marks.place(*destination, *port);
            marks.bits[at / 64] |= 1 << (at % 64);
        }
        marks
    }

    fn has(&self, destination: IpAddr, port: NonZeroU16) -> bool {
        let at = self.place(destination, port);
        self.bits[at / 64] & 1 << (at % 64) != 0
    }

    fn place(&self, destination: IpAddr, port: NonZeroU16) -> usize {
        let address = match destination {
            IpAddr::V4(address) => address.to_bits(),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h] = address.segments().map(u32::from);
                (a ^ c ^ e ^ g) << 16 | (b ^ d ^ f ^ h)
            }
        };
        // Multiplied by a number without a pattern, the highest bits depend on all of them.
        let mixed = (address ^ u32::from(port.get()).rotate_left(16)).wrapping_mul(0x9e37_79b1);
        (mixed >> self.shift) as usize
    }
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
