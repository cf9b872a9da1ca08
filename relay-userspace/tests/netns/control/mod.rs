//! A node at work is asked, changed, hurt and mended, and packets do not notice.

mod behind; // what others took out of the kernel
mod browser; // a real one, driven by a wire
mod desk; // the node, asked by its command line

mod both_ways;
mod capture;
mod channels;
mod churn;
mod dark;
mod file;
mod health;
mod kept;
mod labels;
mod losses;
mod more_queues;
mod owners;
mod page;
mod recreated;
mod restart;
mod schema;
mod starts;
mod top;
mod upgrade;
mod waits;
mod scale; // what four thousand relays cost
mod whole_set;
