//! How much of everything: what strangers send, how long they may take, and how many they may be.

use relay_control::observe::Requests;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Bytes of a request's head.
pub(super) const HEAD: usize = 16 << 10;
/// Bytes of a body: a relay with 64 outputs takes a hundredth of that.
pub(super) const BODY: usize = 1 << 20;
/// Bytes of a body that replaces all relays: 4000 take 3 MiB.
pub(super) const SET: usize = 16 << 20;
/// Bodies of more bytes are read on a thread of their own, so that nobody's probe waits for them.
pub(super) const SHORT: usize = 8 << 10;
/// Threads on which long bodies are read and long answers written.
pub(super) const THREADS: usize = 4;
/// Bodies that replace all relays, read at once.
pub(super) const SETS: usize = 2;
/// Clients that are told at once that there is no room; further ones are told nothing.
pub(super) const TURNED_AWAY: usize = 32;
/// Wrong tokens whose answer is held back at once.
pub(super) const WRONG_TOKENS: usize = 8;

/// What a test makes shorter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Clients of the TCP address at once.
    pub(super) tcp: usize,
    /// Of these, those of one address.
    pub(super) share: usize,
    /// Clients of each door besides, who may ask for nothing but health.
    pub(super) probes: usize,
    /// Clients of the Unix socket at once.
    pub(super) unix: usize,
    /// Streams of events at once.
    pub(super) streams: usize,
    /// How long a client may take to send a request's head, and be silent before it.
    pub(super) head_time: Duration,
    /// How long it may take to send a body.
    pub(super) body_time: Duration,
    /// How long it may be silent in the middle of one.
    pub(super) body_silence: Duration,
    /// How long it may take to read an answer, or one event.
    pub(super) read_time: Duration,
    /// How long an answer may take to be made, that of control included.
    pub(super) answer_time: Duration,
    /// How long a disk may take to give what is asked of files.
    pub(super) file_time: Duration,
    /// How long whoever asks for the numbers is given the same.
    pub(super) shared_for: Duration,
    /// How long a long answer may be read before it can be given up for another.
    pub(super) grace: Duration,
    /// How long a wrong token is held back.
    pub(super) wrong_token: Duration,
    /// How often a silent stream says that it is alive.
    pub(super) keep_alive: Duration,
    /// How long a client has to read its last answer, or that there is no room.
    pub(super) turning_away: Duration,
    /// How long clients have when the API ends.
    pub(super) ending: Duration,
    /// The same when others wait for the control that follows.
    pub(super) handing_over: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tcp: 64,
            share: 32,
            probes: 8,
            unix: 64,
            streams: 16,
            head_time: Duration::from_secs(10),
            body_time: Duration::from_secs(20),
            body_silence: Duration::from_secs(5),
            read_time: Duration::from_secs(30),
            answer_time: Duration::from_secs(30),
            file_time: Duration::from_secs(20),
            shared_for: Duration::from_secs(1),
            grace: Duration::from_secs(2),
            wrong_token: Duration::from_millis(500),
            keep_alive: Duration::from_secs(15),
            turning_away: Duration::from_secs(1),
            ending: Duration::from_secs(1),
            handing_over: Duration::from_millis(200),
        }
    }
}

/// What the API has counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Answers, by the hundreds of their status: 1xx is 0, 5xx is 4.
    answers: [AtomicU64; 5],
    /// The same by method, and who was not served, for the metrics.
    pub requests: Arc<Requests>,
}

impl Counts {
    /// Counts an answer.
    pub(super) fn answered(&self, method: &str, status: u16) {
        self.requests.count(method, status);
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.answers[class].fetch_add(1, Relaxed);
    }

    /// How many answers there were, by class of status: `2xx` and so on.
    pub fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        classes.into_iter().zip(self.answers.iter().map(|count| count.load(Relaxed)))
    }
}
