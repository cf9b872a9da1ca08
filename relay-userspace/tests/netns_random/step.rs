//! What can happen to a node.

use nix::sys::signal::Signal;
use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::BTreeMap;

/// Relays there can be. Each has a group of its own, so that any set of them goes together.
pub(crate) const RELAYS: u8 = 6;
/// Output links.
pub(crate) const OUTPUTS: u8 = 2;

/// What a relay does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// A bit for each output link.
    pub(crate) outputs: u8,
    pub(crate) ttl: u8,
}

impl Spec {
    /// The output links.
    pub(crate) fn links(self) -> impl Iterator<Item = u8> {
        (0..OUTPUTS).filter(move |link| self.outputs & (1 << link) != 0)
    }
}

/// A switch of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switch {
    Enable,
    Disable,
    Mute,
    Unmute,
}

impl Switch {
    /// The command's name.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Mute => "mute",
            Self::Unmute => "unmute",
        }
    }
}

/// What is written to the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Relays(BTreeMap<u8, Spec>),
    Broken,
}

/// What dies while the time of a trial runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dies {
    Nothing,
    Control,
    Everything,
}

/// A step.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Add(u8, Spec),
    Set(u8, Spec),
    Remove(u8),
    Switch(u8, Switch),
    Adopt(u8),
    /// One of the first four, which need not be kept.
    Volatile(Box<Self>),
    Write(Text),
    Reload,
    /// Somebody writes the file and at once has it taken by SIGHUP.
    Hangup(Text),
    /// Somebody writes the file and has it taken on trial, for longer than this life lasts.
    Try(Text),
    Confirm,
    Rollback,
    /// The file is taken on trial for a second, in place of a trial that there is, and nobody confirms it.
    Expire(Dies),
    KillControl,
    /// Control is killed, lanes too while it is away, and then it is started again.
    KillBoth,
    KillLane,
    /// Control stands still for a moment, and a lane dies meanwhile.
    StopControl,
    /// A signal to control: one that ends it in order, kills it, or does nothing.
    SignalControl(Signal),
    /// A signal to every lane: one that kills it, or that is control's to hear.
    SignalLanes(Signal),
    RestartControl,
    /// To the same binary: the lanes are renewed.
    Upgrade,
    Output(u8, bool),
    Input(bool),
    Disk {
        full: bool,
    },
    /// A change is asked for while the disk hangs, and a lane dies meanwhile.
    DiskHangs(u8, Spec),
    /// Everything is ended in order and started again.
    Restart,
}

impl Step {
    /// The change that is asked for, whether it is to be kept or not.
    pub(crate) fn change(&self) -> &Self {
        if let Self::Volatile(change) = self { change } else { self }
    }

    /// Whether everything is begun anew by it.
    pub(crate) fn begins_anew(&self) -> bool {
        matches!(self, Self::KillBoth | Self::Restart | Self::SignalControl(Signal::SIGINT))
    }
}

/// Whether a process that does not heed a signal dies of it.
pub(crate) fn is_deadly(signal: Signal) -> bool {
    // Rust's start-up ignores SIGPIPE.
    !matches!(signal, Signal::SIGPIPE | Signal::SIGWINCH | Signal::SIGURG | Signal::SIGCONT | Signal::SIGCHLD)
}

fn spec() -> impl Strategy<Value = Spec> {
    (1..1_u8 << OUTPUTS, 5..9_u8).prop_map(|(outputs, ttl)| Spec { outputs, ttl })
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        4 => btree_map(0..RELAYS, spec(), 0..4).prop_map(Text::Relays),
        1 => Just(Text::Broken),
    ]
}

/// A change of one relay through the API.
fn change() -> impl Strategy<Value = Step> {
    let relay = 0..RELAYS;
    let switch = select(&[Switch::Enable, Switch::Disable, Switch::Mute, Switch::Unmute][..]);
    prop_oneof![
        8 => (relay.clone(), spec()).prop_map(|(relay, spec)| Step::Add(relay, spec)),
        4 => (relay.clone(), spec()).prop_map(|(relay, spec)| Step::Set(relay, spec)),
        3 => relay.clone().prop_map(Step::Remove),
        6 => (relay, switch).prop_map(|(relay, switch)| Step::Switch(relay, switch)),
    ]
}

/// What is done with the configuration file.
fn file() -> impl Strategy<Value = Step> {
    let dies = select(&[Dies::Nothing, Dies::Control, Dies::Everything][..]);
    prop_oneof![
        3 => text().prop_map(Step::Write),
        3 => Just(Step::Reload),
        3 => text().prop_map(Step::Hangup),
        2 => text().prop_map(Step::Try),
        1 => Just(Step::Confirm),
        1 => Just(Step::Rollback),
        1 => dies.prop_map(Step::Expire),
    ]
}

/// How processes die, and come again.
fn death() -> impl Strategy<Value = Step> {
    use Signal::{SIGALRM, SIGCONT, SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGURG, SIGUSR1, SIGUSR2, SIGWINCH};
    let to_control = select(&[SIGINT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE, SIGWINCH, SIGURG, SIGCONT][..]);
    let to_lanes = select(&[SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCONT, SIGUSR1][..]);
    prop_oneof![
        2 => Just(Step::KillControl),
        1 => Just(Step::KillBoth),
        2 => Just(Step::KillLane),
        1 => Just(Step::StopControl),
        1 => to_control.prop_map(Step::SignalControl),
        1 => to_lanes.prop_map(Step::SignalLanes),
        1 => Just(Step::RestartControl),
        1 => Just(Step::Upgrade),
        1 => Just(Step::Restart),
    ]
}

/// What happens to links and to the disk.
fn mishap() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..OUTPUTS, any::<bool>()).prop_map(|(link, up)| Step::Output(link, up)),
        2 => any::<bool>().prop_map(Step::Input),
        2 => any::<bool>().prop_map(|full| Step::Disk { full }),
        1 => (0..RELAYS, spec()).prop_map(|(relay, spec)| Step::DiskHangs(relay, spec)),
    ]
}

/// Any step.
pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => change(),
        4 => change().prop_map(|change| Step::Volatile(Box::new(change))),
        2 => (0..RELAYS).prop_map(Step::Adopt),
        14 => file(),
        11 => death(),
        8 => mishap(),
    ]
}
