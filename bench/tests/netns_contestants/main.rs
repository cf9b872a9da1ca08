//! The contestants of the bench at work: each relays what a scenario asks for, packet by packet, and counts what it loses.

#[cfg(test)]
mod play;

#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod ours;
#[cfg(test)]
mod theirs;
