//! Control: the one process that has rights. It makes what lanes work with, starts them, and carries every change
//! to where it takes effect. No packet passes through here.

// What is asked, decided and kept.
pub mod event; // everything that can happen
pub mod view; // what everybody may see of a node
pub mod origins; // where each relay was written
pub mod works; // how much of it works
pub mod tag; // what a relay is called in ETag and If-Match
pub mod durations; // how long something takes
pub mod http; // what of [http] is in force
pub mod edit; // what can be done to several relays at once
pub mod applied; // what a change did
pub mod desk; // where changes are asked for
pub mod book; // all relays, and what a question makes of them
pub mod store; // the state file: what came through the API
pub mod differs; // what the file says otherwise than what is in force
pub mod not_in_effect; // what of it waits for a start
pub mod previous; // what ran before, and whether what runs is on trial
pub mod last_good; // the configuration that ran last
pub mod disk; // what is done with files
pub mod memo; // what a successor must know
pub mod history; // what became of changes
pub mod urgent; // what does not wait for other changes
pub mod agenda; // what the worker does next
pub mod progress; // what it is at
pub mod sockets; // which sockets each lane must have
pub mod fits; // whether a plan fits this machine

// What is held, and how it changes.
pub mod lock; // one control per network namespace
pub mod facts; // what the kernel says of links and neighbours
pub mod descriptors; // those that are kept free
pub mod membership; // group joins that follow the table
pub mod offloads; // features of links that are off while we relay
pub mod own_ports; // sockets that have the ports of unicast inputs
pub mod reports; // groups are reported when a carrier returns
pub mod advice; // what hurts on the links in use
pub mod vault; // descriptors that must outlive control
pub mod unit; // lanes learn that systemd has stopped the unit
pub mod station; // what one lane works with
pub mod release; // has the kernel let go of a socket that is gone?
pub mod door; // where a later control comes in
pub mod talk; // what control and a lane say to each other
mod waited_for; // descriptors that the runtime waits for
pub mod process; // a lane's process
pub mod lane_user; // whom lanes run as
pub mod supervisor; // lanes that die are started again
pub mod crew; // all lanes, and the table they run
pub mod apply; // a change takes effect, step by step
pub mod node; // everything control holds, and how it comes up
pub mod attach; // programs on links
pub mod reach; // from one state to the next
mod tried; // a table that was compiled and is not in force yet
pub mod problem; // what the kernel did not hold as it should
pub mod inspect; // does the kernel hold what it should?
pub mod orphans; // lanes that relay without a control
pub mod running; // what runs, for whoever takes over
pub mod takeover; // going on where a dead control stood
pub mod away; // how lanes are while there is no control
pub mod handover; // what one control gives the next
pub mod successor; // a newer control that proves itself
pub mod predecessor; // the control that it proves itself to
pub mod upgrade; // a newer binary in the place of this one
pub mod starting; // a control that holds no lock yet
pub mod stop; // the end, also of lanes that have no control
mod chaos; // control dies at a named point, for tests

// The loop, and its worker.
pub mod sources; // where events come from
pub mod summary; // what systemctl status shows
pub mod tell; // what is told of what was done and seen
pub mod stalls; // lanes that do not come round
pub mod turns; // how long the loop's turns take
pub mod driver; // the loop hears, the worker does

// What it works on, and what it shows.
pub mod link; // what the kernel says of links
pub mod bpf; // the eBPF program and its maps
pub mod events; // what happened
pub mod observe; // how the node does, and its numbers
pub mod capture; // packets that lanes show, in a file
pub mod why; // what is known of a relay's way
pub mod preflight; // what must be so before anything is made
pub mod certificate; // a certificate with its key, and when it ends
pub mod rights; // what control keeps of its rights
pub mod notify; // what systemd is told
