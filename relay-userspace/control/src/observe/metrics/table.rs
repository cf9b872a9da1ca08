//! All families, in the order in which they are written.

mod lanes;
mod links;
mod node;
mod relays;

use super::family::{Family, Read, Type};

/// Everything that is measured. A new counter is one line in the list of what it belongs to.
pub fn families() -> impl Iterator<Item = &'static Family> {
    [relays::FAMILIES, lanes::FAMILIES, links::FAMILIES, node::FAMILIES].into_iter().flatten()
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str, read: Read) -> Family {
    Family::new(Type::Counter, name, labels, help, read)
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str, read: Read) -> Family {
    Family::new(Type::Gauge, name, labels, help, read)
}

const fn histogram(name: &'static str, help: &'static str, read: Read) -> Family {
    Family::new(Type::Histogram, name, &[], help, read)
}

const fn info(name: &'static str, labels: &'static [&'static str], help: &'static str, read: Read) -> Family {
    Family::new(Type::Info, name, labels, help, read)
}
