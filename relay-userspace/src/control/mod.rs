//! Control: the one process that has rights. It makes what lanes work with, starts them, and carries every change
//! to where it takes effect. No packet passes through here.

pub mod event; // everything that can happen
pub mod lock; // one control per network namespace
pub mod facts; // what the kernel says of links and neighbours
pub mod membership; // group joins that follow the table
pub mod advice; // what hurts on the links in use
pub mod station; // what one lane works with
pub mod door; // where a later control comes in to a lane
pub mod talk; // questions to a lane, its answers, and deadlines
pub mod process; // a lane's process
pub mod crew; // all lanes, and the table they run
pub mod apply; // a change takes effect
pub mod node; // everything control holds, and how it comes up
pub mod driver; // the loop: wait, decide, apply
