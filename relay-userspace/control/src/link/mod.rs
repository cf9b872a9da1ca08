//! What the kernel says of links: facts for the compiler of tables, and what people should know of each.

pub mod ability; // what a link's driver can do, gathered from all of the below
pub mod ethtool; // driver, channels, rings, features
pub mod event; // what changed
pub mod groups; // which groups are joined, as the kernel lists them
pub mod hardware; // NUMA node, near cores, interrupts
pub mod hint; // what hurts, and the remedy
pub mod neighbour; // hardware addresses of unicast destinations
pub mod netlink; // links, addresses, routes, neighbours
pub mod queues; // how many a link uses, also while its driver does not say
pub mod quirk; // what is known of drivers besides
pub mod traffic; // what came, went and was dropped on each link
pub mod xdp; // what a driver says of XDP
pub mod module; // whether a driver is a module of the kernel
pub mod release; // which kernel this is
