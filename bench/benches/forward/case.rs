//! What is measured: a name, and work that can be repeated.

use crate::{counters, decide, lane, parse, rewrite, table};
use relay_common::journal::BATCH;

/// Work that can be repeated, a batch of packets or a whole table at a time.
pub(crate) trait Round {
    /// Comes before the work and is not measured.
    fn prepare(&mut self) {}

    /// What is measured.
    fn work(&mut self);

    /// Comes after the work and is not measured.
    fn clean_up(&mut self) {}

    /// Fails when so many rounds did not do what they are there for.
    fn check(&self, _n_rounds: u64) {}
}

/// What a round works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    /// A batch of packets: nothing may be allocated.
    Packets,
    /// A table with so many relays.
    Table(usize),
}

/// One thing that is measured.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) per: Per,
    /// How much longer a round takes than one of few instructions a packet, roughly: so many times fewer are made.
    pub(crate) weight: usize,
    /// Makes the work. What one case did to memory and caches is not there for the next.
    pub(crate) make: Box<dyn Fn() -> Box<dyn Round>>,
}

impl Case {
    /// A function that is called once for each packet.
    pub(crate) fn of_packet<F: FnMut() + 'static>(name: impl Into<String>, make: impl Fn() -> F + 'static) -> Self {
        let make = move || -> Box<dyn Round> { Box::new(EachPacket(make())) };
        Self { name: name.into(), per: Per::Packets, weight: 1, make: Box::new(make) }
    }

    /// How many packets or relays a round is about.
    pub(crate) const fn units(&self) -> usize {
        match self.per {
            Per::Packets => BATCH,
            Per::Table(n_relays) => n_relays,
        }
    }
}

/// A function, called for a batch of packets.
struct EachPacket<F>(F);

impl<F: FnMut()> Round for EachPacket<F> {
    fn work(&mut self) {
        (0..BATCH).for_each(|_| (self.0)());
    }
}

/// Everything that is measured.
pub(crate) fn all() -> Vec<Case> {
    [parse::cases(), decide::cases(), rewrite::cases(), counters::cases(), lane::cases(), table::cases()]
        .into_iter()
        .flatten()
        .collect()
}
