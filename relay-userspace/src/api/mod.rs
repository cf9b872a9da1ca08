//! The API: HTTP on a Unix socket and on TCP. It looks at the node's view and asks at its desk; it never touches a lane.

pub mod model; // what goes over the wire
