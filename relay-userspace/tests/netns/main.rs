//! Real packets through veth links between network namespaces. See README.md in this folder for the topology.

mod rig;

mod ipv6;
mod links;
mod many;
mod one_to_one;
mod outputs;
mod queues;
mod ssm;
mod unicast;
mod vlan;
