//! Real packets through veth links between network namespaces. See README.md in this folder for the topology.

#[cfg(test)]
mod rig;

#[cfg(test)]
mod bursts;
#[cfg(test)]
mod control;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod ipv6;
#[cfg(test)]
mod links;
#[cfg(test)]
mod loops;
#[cfg(test)]
mod nodes;
#[cfg(test)]
mod many;
#[cfg(test)]
mod muted;
#[cfg(test)]
mod one_to_one;
#[cfg(test)]
mod outputs;
#[cfg(test)]
mod pressure;
#[cfg(test)]
mod quality;
#[cfg(test)]
mod queues;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod sockets;
#[cfg(test)]
mod ssm;
#[cfg(test)]
mod stale;
#[cfg(test)]
mod stripped;
#[cfg(test)]
mod unicast;
#[cfg(test)]
mod vlan;
#[cfg(test)]
mod waiting;
