//! Real packets through veth links between network namespaces. See README.md in this folder for the topology.

mod one_to_one;
