//! Real packets through veth links between network namespaces. See README.md in this folder for the topology.

mod rig;

mod headers;
mod ipv6;
mod links;
mod loops;
mod many;
mod one_to_one;
mod outputs;
mod queues;
mod sizes;
mod sockets;
mod ssm;
mod unicast;
mod vlan;
mod waiting;
