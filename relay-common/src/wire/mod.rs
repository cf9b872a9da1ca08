//! The headers as they lie on the wire, one a file, each with the picture from its specification.
//!
//! Every type has alignment 1 and fields in network order, so a header can be looked at where it lies.

pub mod checksum;
pub mod ethernet;
pub mod ipv4;
pub mod ipv6;
pub mod udp;
pub mod vlan;
