//! What a packet of an input link can put on each transmit ring: so a lane knows, before it takes a batch, whether the
//! rings can hold what comes of it.

use super::Table;
use crate::abi::MAX_LINKS;
use crate::entry::OutputEntry;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Input links that a table says this of. One that is not among them is never waited for.
pub const MAX_DEMANDS: usize = MAX_LINKS as usize;

/// What comes of one packet of an input link, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Demand {
    /// The output links that its relays send to: bit `i` stands for number `i`.
    pub links: u64,
    /// The input link's index; 0 where there is none.
    pub ifindex: u32,
    /// Always 0.
    pub zero: u32,
    /// By the output link's number: the most outputs that one of its relays has there and that can work.
    pub widest: [u8; MAX_LINKS as usize],
}
const _: () = assert!(MAX_LINKS as usize <= u64::BITS as usize, "a mask has a bit for each output link");
const _: () = assert!(crate::entry::MAX_OUTPUTS_PER_RELAY <= u8::MAX as usize);

impl Demand {
    /// Nothing comes of it.
    pub const NONE: Self = Self { links: 0, ifindex: 0, zero: 0, widest: [0; MAX_LINKS as usize] };

    /// The output links that its packets go to, and how many descriptors one packet can put on the ring of each.
    #[inline]
    pub fn outputs(&self) -> impl Iterator<Item = (usize, u32)> {
        let mut left = self.links;
        core::iter::from_fn(move || {
            let link = left.trailing_zeros() as usize;
            // Without the lowest bit that is left.
            left &= left.wrapping_sub(1);
            Some((link, u32::from(*self.widest.get(link)?)))
        })
    }
}

/// Writes down what the packets of each input link of a table can come to.
pub(super) fn write(table: &Table, demands: &mut [Demand]) {
    demands.fill(Demand::NONE);
    for entry in table.entries.iter().filter(|entry| entry.is_in_use()) {
        let wanted = [entry.key.ifindex, 0];
        let Some(place) = demands.iter().position(|demand| wanted.contains(&demand.ifindex)) else { continue };
        let demand = &mut demands[place];
        demand.ifindex = entry.key.ifindex;
        let mut of_relay = [0_u8; MAX_LINKS as usize];
        let outputs = table.outputs.iter().skip(entry.first_output as usize).take(entry.n_outputs.into());
        for output in outputs.filter(|output| output.flags & OutputEntry::PENDING == 0) {
            let link = usize::from(output.link);
            if let (Some(n), Some(widest)) = (of_relay.get_mut(link), demand.widest.get_mut(link)) {
                *n = n.saturating_add(1);
                *widest = (*widest).max(*n);
                demand.links |= 1 << link;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{compiled, facts, plan, relay};
    use super::*;
    use alloc::{vec, vec::Vec};

    #[test]
    fn each_input_link_is_said_what_its_widest_relay_puts_on_each_ring() {
        let wide = relay("wide", "239.1.0.1", &["239.2.1.1", "239.2.1.2", "239.2.1.3"]);
        let thin = relay("thin", "239.1.0.2", &["239.2.1.4"]);
        let table = compiled(&plan(vec![wide, thin]), &facts(), None).table;
        let mut demands = vec![Demand { links: !0, ..Demand::NONE }; 2];
        write(&table, &mut demands);
        assert_eq!(demands[0].ifindex, table.entries[0].key.ifindex);
        let link = usize::from(table.outputs[0].link);
        assert_eq!(demands[0].outputs().collect::<Vec<_>>(), [(link, 3)]);
        assert_eq!(demands[1], Demand::NONE, "one input link");
    }

    #[test]
    fn a_pending_output_puts_nothing_on_a_ring_and_links_without_a_place_are_left_out() {
        let mut table = compiled(&plan(vec![relay("r", "239.1.0.1", &["239.2.1.1"])]), &facts(), None).table;
        write(&table, &mut []);
        table.outputs[0].flags |= OutputEntry::PENDING;
        let mut demands = [Demand::NONE];
        write(&table, &mut demands);
        assert_eq!((demands[0].links, demands[0].outputs().count()), (0, 0));
    }
}
