//! The API as its clients see it: real sockets, a real desk, and behind it a control that keeps relays in a list.

mod client; // one who asks
mod control; // who answers at the desk
mod stage; // all of it, set up

mod access; // who may
mod revoked; // who may no more
mod strangers; // who takes what there is
mod flood; // too much, too slow, too many
mod garbage; // whatever is sent
mod long; // long answers
mod page; // what browsers get
mod places; // sockets and their files
mod probes; // health, numbers, the node
mod many;
mod relays; // seeing and changing
mod tls; // certificates
mod stream; // events
