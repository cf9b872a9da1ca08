//! What everybody may see of a node: one immutable view, replaced as a whole after each change. Whoever looks at it
//! never waits for control and control never waits for them.

use super::desk::Refusal;
use super::differs::Differs;
use super::not_in_effect::{changed_keys, not_in_effect};
use super::origins::Origins;
use super::previous::Outcome;
use super::station::LaneSocket;
use super::works::Works;
use crate::bpf::link::Hook;
use crate::membership::Held;
use relay_common::facts::Facts;
use relay_common::plan::{Plan, Relay};
use relay_common::selector::Selector;
use relay_common::table::{Pending, Placement, Table};
use relay_common::trial::Trial;
use relay_config::model::ChangedKey;
use relay_config::{ConfigError, Configuration, Errors};
use relay_engine::memory::counters::Counters;
use relay_engine::memory::frames::Census;
use relay_engine::memory::log::Log;
use relay_engine::memory::{Mapping, whole_pages};
use relay_engine::xsk::options::{Statistics, statistics};
use relay_engine::xsk::socket::Bound;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};

/// Where a relay was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The configuration file.
    File,
    /// The API, and the state file behind it.
    Api,
}

impl Origin {
    /// The word in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Api => "api",
        }
    }
}

/// A node as it is in one moment. What is large in it is shared with the views before and after it.
#[derive(Clone, Debug)]
pub struct View {
    /// What is true: all relays, from wherever they came.
    pub plan: Arc<Plan>,
    /// Where each relay came from, by name.
    pub origins: Arc<Origins>,
    /// Relays of the API that do not run beside those of the file, and why.
    pub shadowed: Arc<Vec<(Relay, ConfigError)>>,
    /// The table in force.
    pub table: Arc<Table>,
    /// What cannot work yet.
    pub pending: Arc<Vec<Pending>>,
    /// What the kernel says of links and neighbours.
    pub facts: Arc<Facts>,
    /// The numbers of the links in use.
    pub place: Placement,
    /// The lanes.
    pub lanes: Vec<Arc<LaneView>>,
    /// Where programs are attached.
    pub attached: Vec<AttachedView>,
    /// The groups that this node has joined.
    pub joined: Arc<Vec<Held>>,
    /// Sockets of ours that only hold a port, by inode.
    pub own_ports: Arc<BTreeSet<u64>>,
    /// What became of the configuration file.
    pub config: ConfigState,
    /// The user that control runs as.
    pub user: String,
    /// What falls away on this machine, and is no fault of the node.
    pub warnings: Vec<String>,
    /// See [`View::works`].
    pub works: Arc<OnceLock<Works>>,
}

impl View {
    /// The names of the relays that are meant.
    ///
    /// # Errors
    /// What is meant and not there.
    pub fn choose(&self, selector: &Selector) -> Result<BTreeSet<String>, Refusal> {
        let relays = self.plan.relays.iter().chain(self.shadowed.iter().map(|(relay, _)| relay));
        let chosen = selector.choose(relays.map(Relay::known_by)).map_err(Refusal::NoneMeant)?;
        Ok(chosen.into_iter().map(str::to_owned).collect())
    }

    /// How much of this works. Who asks first finds it out.
    pub fn works(&self) -> &Works {
        self.works.get_or_init(|| Works::of(self))
    }
}

/// One lane, as others may see it.
#[derive(Debug)]
pub struct LaneView {
    /// Its number.
    pub number: u32,
    /// The core it is pinned to.
    pub core: Option<u32>,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// The user that it runs as, while it does.
    pub user: Option<String>,
    /// How often it was started again.
    pub restarts: u64,
    /// How many frames it has.
    pub n_frames: u32,
    /// Whether they are of huge pages.
    pub huge_pages: bool,
    /// Its counters, as they stand at every moment.
    pub counters: Arc<Counters>,
    /// The journal, and behind it the owner words.
    pub ledger: Arc<OwnedFd>,
    /// Where it shows packets to whoever captures them.
    pub tap: Arc<OwnedFd>,
    /// Its sockets.
    pub sockets: Vec<SocketView>,
}

/// One socket of a lane, as others may see it.
#[derive(Clone, Debug)]
pub struct SocketView {
    /// The link.
    pub link: String,
    /// The link's index.
    pub ifindex: u32,
    /// The link's queue.
    pub queue: u32,
    /// Whether it receives.
    pub receives: bool,
    /// Whether packets leave by it.
    pub sends: bool,
    /// Whether it has a transmit ring: some have one before their link becomes an output.
    pub has_transmit_ring: bool,
    /// Whether it is zero-copy.
    pub zero_copy: bool,
    /// Whether the kernel has granted busy polling.
    pub busy_polled: bool,
    /// The socket, as long as control has it: no view keeps a queue from being bound anew.
    socket: Weak<Bound>,
}

impl SocketView {
    /// A socket as others may see it, with the links in use as they are placed.
    #[must_use]
    pub fn of(socket: &LaneSocket, place: &Placement) -> Self {
        let input = place.input(&socket.need.link).filter(|_| socket.need.receives);
        Self {
            link: socket.need.link.clone(),
            ifindex: socket.need.ifindex,
            queue: socket.need.queue,
            receives: input.is_some_and(|input| input.queues.contains(&socket.need.queue)),
            sends: socket.output.is_some(),
            has_transmit_ring: socket.need.sends,
            zero_copy: socket.bound.zero_copy,
            busy_polled: socket.busy_polled,
            socket: Arc::downgrade(&socket.bound),
        }
    }

    /// The socket itself, if control has it still.
    #[must_use]
    pub fn bound(&self) -> Option<Arc<Bound>> {
        self.socket.upgrade()
    }

    /// What the kernel has counted; nothing of a socket that is gone.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.bound().and_then(|socket| statistics(socket.fd.as_fd()).ok()).unwrap_or_default()
    }
}

impl LaneView {
    /// Whether the kernel has granted busy polling on all its sockets.
    #[must_use]
    pub fn is_busy_polled(&self) -> bool {
        !self.sockets.is_empty() && self.sockets.iter().all(|socket| socket.busy_polled)
    }

    /// Whose its frames are.
    pub fn census(&self) -> io::Result<Census> {
        let n_frames = self.n_frames as usize;
        let words = Mapping::shared_at(&*self.ledger, whole_pages(n_frames * 4), Log::BYTES as i64)?;
        Ok(Census::of(words.words32(0, n_frames)))
    }
}

/// A program on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedView {
    /// The link.
    pub link: String,
    /// The link's index.
    pub ifindex: u32,
    /// Where the program runs.
    pub hook: Hook,
    /// Whether it is the relay program; else it is the one that passes everything.
    pub relays: bool,
}

/// What became of the configuration file.
#[derive(Clone, Debug, Default)]
pub struct ConfigState {
    /// The file.
    pub path: PathBuf,
    /// Why the file as it is now is not in force; `None` when it is.
    pub refused: Option<Errors>,
    /// Why the file, which is right, is not in force all the same.
    pub failed: Option<String>,
    /// What of the file, which nobody has asked to be taken yet, is not in force.
    pub differs: Option<Arc<Differs>>,
    /// The text that was last taken, tried or told to differ.
    pub tried: Option<Arc<str>>,
    /// The file's part of what is in force, as it was read. See [`ConfigState::in_force`].
    pub read: Option<Arc<Configuration>>,
    /// What control began with. See [`ConfigState::not_in_effect`].
    pub started_with: Option<Arc<Configuration>>,
    /// What is in force is given up unless it is confirmed.
    pub trial: Option<Trial>,
    /// Why what is in force is not what should be: a change failed, and could not be taken back.
    pub torn: Option<String>,
    /// Why the relays of the state file are not in force.
    pub damaged: Option<String>,
    /// The relays of the API that the lanes knew, where nobody could look at the state file yet: what else it has is to come.
    pub unread: Option<Arc<BTreeSet<String>>>,
    /// Why what comes through the API could not be kept: nobody could write the state file now.
    pub unwritable: Option<String>,
    /// What came through the API is in force and not on disk.
    pub unkept: Option<Unkept>,
    /// How the file stands, and what ran before, is not on disk.
    pub unnoted: Option<Unnoted>,
    /// Since when the configuration was in force that runs in place of a file which was refused at the start, when no lane
    /// was there that could tell what ran.
    pub last_good: Option<String>,
    /// How often the file was taken since the start, and how often refused.
    pub taken: u64,
    /// See `taken`.
    pub refusals: u64,
    /// How long the last change took to be in force, in nanoseconds.
    pub last_apply_ns: u64,
    /// When a reload that failed is tried again.
    pub retry: Option<Retry>,
}

/// Changes that are in force and that the disk has not taken yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unkept {
    /// The state file.
    pub file: PathBuf,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// Why.
    pub problem: String,
}

impl Unkept {
    /// What that means, for people.
    #[must_use]
    pub fn told(&self) -> String {
        let (file, problem) = (self.file.display(), &self.problem);
        format!(
            "{file} has not what is in force: {problem}; mcr writes it as soon as that works, and a start of everything \
             before that undoes it"
        )
    }
}

/// What has become of the configuration file, and the disk does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unnoted {
    /// What it is to know.
    pub outcome: Outcome,
    /// Why it does not.
    pub problem: String,
    /// When that is tried again.
    pub retry: Retry,
}

impl Unnoted {
    /// What could not be noted, after what could not be before.
    #[must_use]
    pub fn after(before: Option<&Self>, outcome: Outcome, problem: String, now: u64) -> Self {
        let retry = Retry::of_a_disk(before.map(|before| before.retry), now);
        let way_back = outcome.before.or_else(|| before?.outcome.before.clone());
        Self { outcome: Outcome { before: way_back, ..outcome }, problem, retry }
    }

    /// What that means, for people.
    #[must_use]
    pub fn told(&self) -> String {
        let problem = &self.problem;
        format!(
            "how the configuration file stands is not on disk: {problem}; mcr writes it as soon as that works, and a start of \
             everything before that may begin with what was given up"
        )
    }
}

/// Something that failed is tried again, each time it fails twice as late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often it has failed.
    pub failures: u32,
    /// When it is tried again, in nanoseconds of the monotonic clock.
    pub at: u64,
}

impl Retry {
    /// The longest pause, in seconds.
    const LONGEST: u64 = 64;
    /// The same of a disk: who makes room on it is not kept waiting for longer.
    const LONGEST_OF_A_DISK_NS: u64 = 10_000_000_000;

    /// After one more failure of a disk.
    #[must_use]
    pub fn of_a_disk(before: Option<Self>, now: u64) -> Self {
        let retry = Self::after(before, now);
        Self { at: retry.at.min(now.saturating_add(Self::LONGEST_OF_A_DISK_NS)), ..retry }
    }

    /// After one more failure.
    #[must_use]
    pub fn after(before: Option<Self>, now: u64) -> Self {
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        let pause = (1 << failures.min(8)).min(Self::LONGEST);
        Self { failures, at: now.saturating_add(pause * 1_000_000_000) }
    }
}

impl ConfigState {
    /// Why the file as it is now is not in force, all of it; `None` when it is.
    #[must_use]
    pub fn not_in_force(&self) -> Option<String> {
        self.error().or_else(|| self.differs.as_ref().map(|differs| differs.told()))
    }

    /// What went wrong when the file was to be taken, all of it.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        let refused = self.refused.as_ref().map(ToString::to_string);
        refused.or_else(|| self.failed.clone()).or_else(|| self.torn.clone())
    }

    /// The keys of what was taken that count from a start of control on.
    #[must_use]
    pub fn not_in_effect(&self) -> Vec<ChangedKey> {
        self.read.as_ref().map_or_else(Vec::new, |read| self.not_in_effect_of(read))
    }

    /// The same, of a file that may be taken.
    #[must_use]
    pub fn not_in_effect_of(&self, file: &Configuration) -> Vec<ChangedKey> {
        self.started_with.as_ref().map_or_else(Vec::new, |started_with| not_in_effect(started_with, file))
    }

    /// The keys that a file would change, whether or not they count before a start.
    #[must_use]
    pub fn changed_by(&self, file: &Configuration) -> Vec<ChangedKey> {
        self.read.as_ref().map_or_else(Vec::new, |read| changed_keys(read, file))
    }

    /// What was read of the file and is in force.
    #[must_use]
    pub fn in_force(&self) -> Arc<Configuration> {
        self.read.clone().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Retry;

    #[test]
    fn what_fails_again_is_tried_again_twice_as_late() {
        let mut retry = None;
        let pauses = [2, 4, 8, 16, 32, 64, 64, 64].map(|_| {
            let now = retry.map_or(7, |retry: Retry| retry.at);
            retry.insert(Retry::after(retry, now)).at - now
        });
        assert_eq!(pauses.map(|pause| pause / 1_000_000_000), [2, 4, 8, 16, 32, 64, 64, 64]);
    }
}
