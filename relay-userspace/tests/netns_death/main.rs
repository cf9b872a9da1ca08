//! Sudden death: lanes and control are killed under traffic, and every packet and every frame is accounted for.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod stage; // the links, the streams, the account
mod wire; // what the neighbours see

mod answers; // what is told of a node while its control is away
mod adopt; // somebody takes over lanes whose control was killed
mod busy; // lanes are killed while control is busy
mod disk; // the disk hangs when a control starts
mod control; // control dies, is asked to end, or is there twice
mod gone; // a link and the lane go together
mod groups; // thousands of groups, and a control that dies or a lane that hangs
mod hangs; // a lane hangs
mod held; // the kernel keeps a socket that was dropped
mod lanes; // lanes are killed from outside
mod compromised; // a lane in a stranger's hands
mod lane_user; // whom lanes run as
mod takeover; // the next control goes on where a dead one stood
mod told; // what was told outlives whoever told it
mod refused; // the configuration file is refused when a control starts
mod way_back; // what ran before the configuration file was taken
mod orphans; // lanes that no control can go on with
mod shadowed; // file and API have the same relay
mod moments; // control is killed at any moment of a start and of an upgrade
#[cfg(feature = "chaos")]
mod lane_output; // what lanes write
#[cfg(feature = "chaos")]
mod given; // lanes die, or are late, while they are given a socket
#[cfg(feature = "chaos")]
mod noted; // a lane dies while control notes what it has done with a socket
#[cfg(feature = "chaos")]
mod leaving; // lanes die while they drop a socket
#[cfg(feature = "chaos")]
mod points; // control dies at each point of a start and of an upgrade
#[cfg(feature = "chaos")]
mod comes_back; // a binary that works beside the old one, and not in its place
#[cfg(feature = "chaos")]
mod flushed; // what is said of a disk that does not say that it has something
#[cfg(feature = "chaos")]
mod unit; // the unit is stopped while control is away
#[cfg(feature = "chaos")]
mod trial; // a configuration is on trial meanwhile
#[cfg(feature = "chaos")]
mod phases; // lanes kill themselves in the middle of a commit
