//! What happened, for whoever looks: each event is a line of the log and an entry of the stream that the API shows.

mod event;
mod logged; // an event that was told
mod journal; // events as they outlive control
mod log;
mod journald; // entries of systemd's journal
mod writer; // lines on their way to standard error

pub mod audit; // who asked for what, and what became of it
pub mod logging; // the log on standard error
mod loops; // whose packets come round over other nodes
pub mod streams; // which inputs fell silent

pub use event::{Event, HELD_BACK, Kind, Level};
pub use log::{Count, EventLog, Followed, KEPT};
pub use logged::Logged;
pub use relay_config::event_id::{After, Id};
pub use relay_config::time::{rfc3339, unix_ms_of, unix_ms_of_utc};
