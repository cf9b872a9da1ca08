//! The desk: where people and programs ask control for a change and get its answer. Cheap to clone; every clone leads
//! to the same control.

pub use super::applied::Applied;
use super::durations::Durations;
use super::edit::Edit;
use super::handover::Handover;
use super::history::Changes;
use super::http::HttpDesk;
use super::problem::Problem;
use super::progress::Progress;
use super::turns::Turns;
use super::view::{LaneView, View};
use crate::events::EventLog;
use arc_swap::ArcSwap;
use relay_common::health::HoldDown;
use relay_common::plan::Relay;
use relay_common::selector::Selector;
use relay_common::table::Placement;
use relay_config::{Configuration, Errors, Health};
use relay_engine::clock::now_ns;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Who asks: the name in the audit line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A process on this machine, by the Unix socket.
    User {
        /// Its user.
        uid: u32,
        /// Its number.
        pid: i32,
    },
    /// The holder of a token, by TCP.
    Token {
        /// The token's name.
        name: String,
        /// The relays that it is for, as patterns; none: all.
        relays: Vec<String>,
    },
    /// The configuration file, because it changed or somebody sent SIGHUP.
    File,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A new relay.
    Create(Relay),
    /// This relay in the place of the one of its name, or as a new one.
    Put {
        /// The relay.
        relay: Relay,
        /// What the one in force must be.
        expected: Expected,
    },
    /// No such relay any more.
    Remove {
        /// Its name.
        name: String,
        /// What the one in force must be.
        expected: Expected,
    },
    /// A switch of a relay.
    Switch {
        /// Its name.
        name: String,
        /// Which, and how.
        switch: Switch,
    },
    /// The same done to several relays: to all of them, or to none.
    Many {
        /// Which.
        selector: Selector,
        /// The names that it meant for whoever looked whether they may be changed.
        names: BTreeSet<String>,
        /// What.
        edit: Edit,
    },
    /// These relays in the place of all that came through the API.
    PutAll {
        /// The relays.
        relays: Vec<Relay>,
        /// What the set in force must be.
        expected: Expected,
    },
    /// A relay that stands in the configuration file is the file's alone: what the API has of it is forgotten.
    Adopt {
        /// Its name.
        name: String,
    },
    /// Another configuration file, and other relays of the API in the place of all that there are, in one step.
    Import {
        /// The configuration file.
        file: Arc<Configuration>,
        /// The relays of the API.
        relays: Vec<Relay>,
    },
    /// The configuration file as it is now.
    Reload,
    /// The same on trial: it is given up after so many milliseconds, unless it is confirmed.
    Try {
        /// How many.
        length_ms: u64,
    },
    /// What is on trial is kept.
    Confirm,
    /// The configuration that ran before the last reload.
    Rollback,
    /// Control anew, and nothing else, without losing a packet.
    Restart,
    /// A newer binary in the place of this one, without losing a packet.
    Upgrade {
        /// The binary.
        binary: PathBuf,
    },
}

/// What must be in force for a change to be made (If-Match, If-None-Match).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Anything.
    #[default]
    Anything,
    /// Something, whatever it is.
    Something,
    /// Nothing.
    Nothing,
    /// What one of these tags names.
    Tags(Vec<String>),
}

/// A switch of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Whether it runs.
    Enabled(bool),
    /// Whether it is received and measured but not sent.
    Muted(bool),
}

/// Why a change was not made. Nothing has changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// What was asked for is wrong.
    #[error("{0}")]
    Invalid(Errors),
    /// It does not fit this node.
    #[error("this does not fit this node: {}", .0.join("; "))]
    Conflict(Vec<String>),
    /// There is no such relay.
    #[error("there is no relay \"{0}\": see mcr relay ls")]
    NotFound(String),
    /// No relay is chosen.
    #[error("{0}: see mcr relay ls --labels")]
    NoneMeant(String),
    /// There is such a relay already.
    #[error("there is a relay \"{0}\" already: change it (mcr relay set, PUT), or use another name")]
    Exists(String),
    /// One set names a relay twice.
    #[error("relay \"{0}\" is named twice: give one of them another name")]
    Twice(String),
    /// The relay stands in the configuration file.
    #[error("relay \"{name}\" stands in {file}: change it there; the API changes only what came through it")]
    OfFile {
        /// The relay.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// The relay does not stand in the configuration file.
    #[error("relay \"{name}\" does not stand in {file}: write it there, mcr reload, and then mcr relay adopt {name}")]
    NotOfFile {
        /// The relay.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// What is in force is not what was expected.
    #[error("what is in force is not what you have seen: it has changed since; read it again and decide anew")]
    Changed {
        /// The tag of what is in force, if there is anything.
        tag: Option<String>,
    },
    /// It could not be carried out; what was before is in force again.
    #[error("not applied, everything is as it was: {0}")]
    Failed(String),
    /// It could not be written down, so it was not carried out either.
    #[error("cannot keep the change in {file}: {problem}; nothing was changed")]
    NotKept {
        /// The state file.
        file: PathBuf,
        /// What went wrong, with the remedy.
        problem: String,
    },
    /// It is in force, and whether it was written down is not known.
    #[error(
        "the change is in force, and nobody knows whether {file} holds it: {problem}; ask for it again when the disk answers"
    )]
    InDoubt {
        /// The state file.
        file: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// It was asked for before a relay was muted or disabled, which did not wait for it, and would have undone that.
    #[error("change {by} has {how} relay \"{relay}\" since, and this one would undo it: look, and ask again")]
    Overtaken {
        /// The change that did not wait.
        by: u64,
        /// The relay.
        relay: String,
        /// What it did: `muted` or `disabled`.
        how: &'static str,
    },
    /// Control is ending, or too many wait already.
    #[error("{0}")]
    Unavailable(&'static str),
}

impl Refusal {
    /// The next one to ask is one too many.
    pub const TOO_MANY: Self = Self::Unavailable("too many changes wait already: ask again");
    /// Nothing is begun any more.
    pub const ENDING: Self = Self::Unavailable("mcr is ending: ask again when it runs");
    /// Nothing is begun any more, and another control follows at once.
    pub const REPLACED: Self = Self::Unavailable("another control takes over: ask again, of that one");
}

/// How a change is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct How {
    /// It is only to be said what would change.
    pub dry: bool,
    /// It is to be made also where it cannot be kept. It is kept as soon as that works.
    pub volatile: bool,
}

/// One thing that is asked.
#[derive(Debug)]
pub struct Asked {
    /// The number of the change.
    pub id: u64,
    /// Who asks.
    pub who: Who,
    /// For what.
    pub ask: Ask,
    /// How.
    pub how: How,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Applied, Refusal>>,
}

/// So many may wait for control at once, and as many of those that do not wait for the others; the next is told so.
pub const QUEUE: usize = 64;

/// Where control is asked, and what can be seen of it.
#[derive(Clone, Debug)]
pub struct Desk {
    asks: mpsc::Sender<Asked>,
    view: Arc<ArcSwap<View>>,
    /// Held while one view takes the place of another: the loop and the worker both show.
    shows: Arc<Mutex<Retired>>,
    /// Everything that has happened.
    pub events: EventLog,
    /// What was asked for lately, and what became of it.
    pub changes: Changes,
    /// Signs of life and of trouble.
    pub pulse: Arc<Pulse>,
    /// Whom the API lets in.
    pub http: HttpDesk,
    /// What the next control in this process is given.
    pub handover: Handover,
    /// How health is judged: what the configuration file says of it.
    pub health: Arc<ArcSwap<Health>>,
    /// When control opened the desk, in nanoseconds of the monotonic clock.
    pub started: u64,
}

/// The view before the present one. It is kept until the next: the loop, which may look at it still, is not the one that
/// frees what a large node takes.
type Retired = Option<Arc<View>>;

/// Signs of life that control gives: its loop on each round, its worker with each step.
#[derive(Debug, Default)]
pub struct Pulse {
    /// When control's loop last came round, in nanoseconds of the monotonic clock.
    pub turned: AtomicU64,
    /// How long changes took to be in force.
    pub applied: Durations,
    /// What control last found wrong in the kernel.
    pub found: ArcSwap<Findings>,
    /// The last fault that anybody saw who looked at the node's health.
    pub hold_down: Mutex<HoldDown>,
    /// What the worker is at.
    pub progress: Arc<Progress>,
    /// How long the loop's turns take.
    pub turns: Turns,
}

/// What control found when it last looked whether the kernel holds what it should.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// When, in nanoseconds of the monotonic clock.
    pub at: u64,
    /// For how long the worker had had something to do by then, in nanoseconds: see
    /// [`Progress::worked`](super::progress::Progress::worked).
    pub worked: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Desk {
    /// A desk, and the end at which control takes what is asked.
    #[must_use]
    pub fn open(view: View, events: EventLog, pulse: Arc<Pulse>) -> (Self, mpsc::Receiver<Asked>) {
        let (asks, taken) = mpsc::channel(2 * QUEUE);
        let view = Arc::new(ArcSwap::from_pointee(view));
        let (shows, changes, http, handover, health) = Default::default();
        (Self { asks, view, shows, events, changes, pulse, http, handover, health, started: now_ns() }, taken)
    }

    /// The node as it is now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Shows a new view, with the lanes as they are when it is shown. Only control does.
    pub fn show(&self, view: View, lanes: impl FnOnce(&Placement) -> Vec<Arc<LaneView>>) {
        let mut retired = self.shows.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.view.swap(Arc::new(View { lanes: lanes(&view.place), ..view }));
        let older = retired.replace(before);
        drop(retired);
        drop(older);
    }

    /// Shows the lanes as they are now, and the rest as it was. Only control does; it waits for nothing.
    pub fn show_lanes(&self, lanes: impl FnOnce(&Placement) -> Vec<Arc<LaneView>>) {
        let _one_at_a_time = self.shows.lock().unwrap_or_else(PoisonError::into_inner);
        let view = View::clone(&self.view.load());
        self.view.store(Arc::new(View { lanes: lanes(&view.place), ..view }));
    }

    /// What the configuration file asks for. Nobody waits for the answer: what comes of it is told.
    #[must_use]
    pub fn file_asks(&self) -> Asked {
        let (who, ask, answer) = (Who::File, Ask::Reload, oneshot::channel().0);
        Asked { id: self.changes.ask(&who, &ask, false), who, ask, how: How::default(), answer }
    }

    /// Asks for a change, which has a number from now on.
    ///
    /// # Errors
    /// When control cannot be asked.
    pub fn ask(&self, who: Who, ask: Ask, how: How) -> Result<Waiting, Refusal> {
        let id = self.changes.ask(&who, &ask, how.dry);
        let (answer, answered) = oneshot::channel();
        self.asks.try_send(Asked { id, who, ask, how, answer }).map_err(|error| {
            self.changes.forget(id);
            match error {
                mpsc::error::TrySendError::Full(_) => Refusal::TOO_MANY,
                mpsc::error::TrySendError::Closed(_) => Refusal::ENDING,
            }
        })?;
        Ok(Waiting { id, answered })
    }
}

/// A change that was asked for.
#[derive(Debug)]
pub struct Waiting {
    /// Its number: what becomes of it is known by that, also to whoever does not wait.
    pub id: u64,
    answered: oneshot::Receiver<Result<Applied, Refusal>>,
}

impl Waiting {
    /// Waits until every lane has confirmed it, or until it is refused.
    ///
    /// # Errors
    /// Why it was not made.
    pub async fn answer(self) -> Result<Applied, Refusal> {
        self.answered.await.unwrap_or(Err(Refusal::ENDING))
    }
}
