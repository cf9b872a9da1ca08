//! Real packets through veth links between network namespaces. See README.md in this folder for the topology.

mod rig;

mod one_to_one;
mod outputs;
