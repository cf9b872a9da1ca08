//! What can happen to a node.

use proptest::collection::btree_map;
use proptest::prelude::*;
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

/// A step.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Add(u8, Spec),
    Set(u8, Spec),
    Remove(u8),
    Switch(u8, Switch),
    Adopt(u8),
    Write(Text),
    Reload,
    /// Somebody writes the file and at once has it taken by SIGHUP.
    Hangup(Text),
    KillControl,
    /// Control is killed, lanes too while it is away, and then it is started again.
    KillBoth,
    KillLane,
    /// Control stands still for a moment, and a lane dies meanwhile.
    StopControl,
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

fn spec() -> impl Strategy<Value = Spec> {
    (1..1_u8 << OUTPUTS, 5..9_u8).prop_map(|(outputs, ttl)| Spec { outputs, ttl })
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        4 => btree_map(0..RELAYS, spec(), 0..4).prop_map(Text::Relays),
        1 => Just(Text::Broken),
    ]
}

/// Any step.
pub(crate) fn step() -> impl Strategy<Value = Step> {
    let relay = 0..RELAYS;
    let switch = prop_oneof![Just(Switch::Enable), Just(Switch::Disable), Just(Switch::Mute), Just(Switch::Unmute)];
    prop_oneof![
        8 => (relay.clone(), spec()).prop_map(|(relay, spec)| Step::Add(relay, spec)),
        4 => (relay.clone(), spec()).prop_map(|(relay, spec)| Step::Set(relay, spec)),
        3 => relay.clone().prop_map(Step::Remove),
        6 => (relay.clone(), switch).prop_map(|(relay, switch)| Step::Switch(relay, switch)),
        2 => relay.clone().prop_map(Step::Adopt),
        3 => text().prop_map(Step::Write),
        3 => Just(Step::Reload),
        3 => text().prop_map(Step::Hangup),
        2 => Just(Step::KillControl),
        1 => Just(Step::KillBoth),
        2 => Just(Step::KillLane),
        1 => Just(Step::StopControl),
        3 => (0..OUTPUTS, any::<bool>()).prop_map(|(link, up)| Step::Output(link, up)),
        2 => any::<bool>().prop_map(Step::Input),
        2 => any::<bool>().prop_map(|full| Step::Disk { full }),
        1 => (relay, spec()).prop_map(|(relay, spec)| Step::DiskHangs(relay, spec)),
        1 => Just(Step::Restart),
    ]
}
