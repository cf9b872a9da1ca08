//! What happened, for whoever looks: each event is a line of the log and an entry of the stream that the API shows.

mod event;
mod log;

pub use event::{Event, Kind, Level};
pub use log::{EventLog, KEPT, Logged};
