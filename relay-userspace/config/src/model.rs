//! What goes over the wire, as JSON: the same types for the server, its OpenAPI document and the command line.

mod config; // whether the configuration file is in force
mod diff; // the configuration file against what runs
mod export; // a whole node in one document
mod health; // how the node is
mod http; // where the API answers, and whom it lets in

pub use config::{Config, Differs, NotKept, OnTrial};
pub use diff::{ChangedKey, ChangedRelay, Diff, is_of_lanes, key_value};
pub use export::{Export, ExportedFile};
pub use health::{Check, Health, Partial, Share};
pub use http::{Certificate, Http, Token};

mod change; // what was asked for, and what became of it
mod doing; // what control is at

pub use change::{Applied, Change, Done};
pub use doing::{Doing, Progress};

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// A relay as it is shown: its definition in the file's own form, and how it does. What was read can be sent back:
/// `origin`, `tag` and `status` are ignored in what is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Relay {
    /// Name, input, outputs and switches, as config/relay.toml documents them.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub definition: serde_json::Map<String, serde_json::Value>,
    /// Where it was written: `file` or `api`.
    pub origin: String,
    /// What it is called in ETag and If-Match, without quotes.
    pub tag: String,
    /// How it does.
    pub status: RelayStatus,
}

/// How a relay does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RelayStatus {
    /// `running`, `silent` (nothing comes in), `pending` (its input cannot work yet, or
    /// packets come in and none of its outputs can send), `muted`, `disabled`, or `shadowed` (it came through the API and does
    /// not run, because the configuration file has its name, its input or its place).
    pub state: String,
    /// What of it cannot work yet.
    pub pending: Vec<Pending>,
    /// What works and is probably not meant.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What came in.
    pub input: Traffic,
    /// What went out, by output in the order of the definition.
    pub outputs: Vec<Traffic>,
}

/// Something that cannot work yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    /// The relay.
    pub relay: String,
    /// `input` or `outputs[0]`.
    pub part: String,
    /// The reason's stable name.
    pub reason: String,
    /// What is wrong and what to do.
    pub text: String,
}

/// Packets through one end of a relay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// Where: `ens1f0/239.1.1.1:5000`.
    pub at: String,
    /// Packets since the start.
    pub packets: u64,
    /// Bytes since the start, as IP packets.
    pub bytes: u64,
    /// Packets a second, over the last seconds.
    pub pps: f64,
    /// Bits a second, over the last seconds.
    pub bps: f64,
    /// Seconds since the last packet; none where there was none, or at an output.
    pub last_packet_age_s: Option<f64>,
    /// Packets that were not passed on, by reason.
    pub drops: BTreeMap<String, u64>,
}

/// Relays, and the tag of all that came through the API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Relays {
    /// The tag of the set that `PUT /api/v1/relays` replaces.
    pub tag: String,
    /// All relays, by name. A name is there twice where a relay of the API is shadowed by one of the file.
    pub relays: Vec<Relay>,
}

/// What is changed of each of several relays; what is not there stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RelayPatch {
    /// Whether they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether they are received and measured, and not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<bool>,
    /// Labels with their new values; `null` takes one away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Option<String>>,
}

/// What went wrong (RFC 9457), with the same words as on the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of problem, as an address under /problems/.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The status again.
    pub status: u16,
    /// What is wrong here and what to do.
    pub detail: String,
    /// The number of the change that was asked for, if it came so far: see `/api/v1/changes/{id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<u64>,
    /// Every error of a definition, each with its key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
}

/// One error of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// The file and line, as in `/etc/mcr/relay.toml:7`; absent when it was no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The key, as in `relay "ch1" outputs[0].group`.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.as_deref().unwrap_or_default();
        for part in [place, &self.key].into_iter().filter(|part| !part.is_empty()) {
            write!(f, "{part}: ")?;
        }
        write!(f, "{}: {}", self.problem, self.remedy)
    }
}

/// A node at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The version of mcr.
    pub version: String,
    /// Control's process.
    pub pid: u32,
    /// Seconds since control started.
    pub uptime_s: f64,
    /// When control started, by the machine's monotonic clock: another number is another control.
    #[serde(default)]
    pub started_ns: u64,
    /// `standalone`: this node is always active.
    pub role: String,
    /// The generation in force.
    pub generation: u64,
    /// How healthy it is.
    pub health: Health,
    /// Whether it is ready.
    pub ready: Health,
    /// The configuration file, and whether it is in force.
    pub config: Config,
    /// That what came through the API is in force and not on disk, because somebody wanted it so (`volatile`).
    #[serde(default)]
    pub not_kept: Option<NotKept>,
    /// Where the API answers, and whom it lets in.
    #[serde(default)]
    pub http: Http,
    /// What control is at; null while it waits for something to do.
    #[serde(default)]
    pub doing: Option<Doing>,
    /// The longest turn of control's loop in the last five to ten minutes, in seconds of processor time: it hears nothing for so
    /// long.
    #[serde(default)]
    pub longest_turn_s: f64,
    /// Why a newer binary, which was to take over, failed: this one came back. Null where nothing of that kind happened since this
    /// control started.
    #[serde(default)]
    pub went_back: Option<String>,
    /// How many relays there are, by state.
    pub relays: BTreeMap<String, u64>,
    /// What cannot work yet.
    pub pending: Vec<Pending>,
    /// The lanes.
    pub lanes: Vec<Lane>,
    /// The user that control runs as.
    #[serde(default)]
    pub user: String,
    /// The capabilities that control has kept.
    #[serde(default)]
    pub rights: Vec<String>,
    /// What falls away on this machine, with its cost and the remedy; nothing is wrong with the node for it.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// A lane at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lane {
    /// Its number.
    pub number: u32,
    /// The core it is pinned to.
    pub core: Option<u32>,
    /// Its process.
    pub pid: Option<u32>,
    /// The user that it runs as.
    #[serde(default)]
    pub user: Option<String>,
    /// Milliseconds since it last came round.
    pub heartbeat_age_ms: u64,
    /// The generation it runs.
    pub generation: u64,
    /// How often it was started again.
    pub restarts: u64,
    /// Its frames, and how many of them are free.
    pub frames: u64,
    /// See `frames`.
    pub free_frames: u64,
    /// Its sockets.
    pub sockets: Vec<Socket>,
}

/// A socket at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Socket {
    /// The link.
    pub link: String,
    /// The queue.
    pub queue: u32,
    /// Whether it receives.
    pub receives: bool,
    /// Whether it sends.
    pub sends: bool,
    /// `zero-copy` or `copy`.
    pub mode: String,
}

/// A link of this node, and what is made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// The kernel's index of it.
    pub ifindex: u32,
    /// `up`, `no carrier` or `down`.
    pub state: String,
    /// Its hardware address.
    pub mac: String,
    /// The longest IP packet it takes.
    pub mtu: u32,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<String>,
    /// Receive queues in use.
    pub rx_queues: u32,
    /// Transmit queues in use.
    pub tx_queues: u32,
    /// Whether relays take in from it.
    pub input: bool,
    /// Whether relays send to it.
    pub output: bool,
    /// Where our program runs on it, if it does: `native` or `generic`.
    pub program: Option<String>,
    /// Whether all its sockets are zero-copy; none where it has none.
    pub zero_copy: Option<bool>,
    /// The groups that are joined on it.
    pub groups: u64,
    /// What the kernel and the card lost on it since it is there, whosever it was: `rx_dropped` (no room, or nobody on this
    /// host wanted it, as with LLDP and STP), `tx_dropped`, `rx_errors` (damaged), `tx_errors`. Empty where nobody can tell.
    #[serde(default)]
    pub losses: BTreeMap<String, u64>,
}

/// One event of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// What it is called: the history that it belongs to, a dash, and its number there. No other event ever has it.
    #[serde(deserialize_with = "id")]
    pub id: String,
    /// When it happened, as RFC 3339 in UTC.
    pub time: String,
    /// When it was told: later than `time` where events came too fast and this one was held back.
    #[serde(default)]
    pub told_at: String,
    /// Its stable name: `relay.created`, `stream.interrupted`, …
    pub event: String,
    /// `info`, `warn` or `error`.
    pub level: String,
    /// A sentence.
    pub text: String,
    /// What it concerns.
    #[schema(value_type = Object)]
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// An older node has numbers only.
fn id<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(from)? {
        serde_json::Value::String(id) => Ok(id),
        number => Ok(number.to_string()),
    }
}

/// Why a relay's stream is dark, or that it is not: the stream's way, step by step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// The relay.
    pub relay: String,
    /// `flows`, `dark` or `partly` (some outputs).
    pub verdict: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What does not stop the stream but somebody should know.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One step of a stream's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Its stable name: `link`, `joined`, `seen`, …
    pub name: String,
    /// Which part: `input` or `outputs[0]`.
    pub part: String,
    /// `ok`, `broken`, `unknown` or `not_reached`.
    pub state: String,
    /// What was found.
    pub text: String,
    /// What to do, when it is broken.
    pub remedy: Option<String>,
}

/// What the log says, and how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`; or `MODULE=LEVEL`, with commas between.
    pub level: String,
}

/// The binary that is to take over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// Its whole path.
    pub binary: String,
}

#[cfg(test)]
mod tests {
    use super::{Link, Relay};
    use serde_json::json;

    /// While a node is upgraded, its command line is newer than what answers, or older.
    #[test]
    fn what_an_older_node_does_not_tell_is_none() {
        let traffic = json!({ "at": "in0", "packets": 0, "bytes": 0, "pps": 0.0, "bps": 0.0, "last_packet_age_s": null, "drops": {} });
        let relay: Relay = serde_json::from_value(json!({
            "name": "one", "origin": "api", "tag": "t",
            "status": { "state": "running", "pending": [], "input": traffic, "outputs": [] },
        }))
        .unwrap();
        assert!(relay.status.warnings.is_empty());
        let link: Link = serde_json::from_value(json!({
            "name": "in0", "ifindex": 1, "state": "up", "mac": "", "mtu": 1500, "addresses": [], "rx_queues": 1,
            "tx_queues": 1, "input": true, "output": false, "program": null, "zero_copy": null, "groups": 0,
        }))
        .unwrap();
        assert!(link.losses.is_empty());
    }
}
