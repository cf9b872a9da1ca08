//! What a node must be after what happened to it.

use crate::step::{Dies, OUTPUTS, RELAYS, Spec, Step, Switch, Text};
use std::collections::{BTreeMap, BTreeSet};

/// A relay that came through the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) spec: Spec,
    pub(crate) enabled: bool,
    pub(crate) muted: bool,
}

/// A relay as it is listed: number, whether it is the file's, whether another has its place, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    pub(crate) relay: u8,
    pub(crate) is_of_file: bool,
    pub(crate) shadowed: bool,
    pub(crate) enabled: bool,
    pub(crate) muted: bool,
    pub(crate) outputs: u8,
    pub(crate) ttl: u8,
}

/// What must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    /// What stands in the configuration file.
    pub(crate) written: Text,
    /// What of it is in force.
    pub(crate) file: BTreeMap<u8, Spec>,
    pub(crate) on_trial: bool,
    /// What a rollback brings back.
    before: Before,
    /// And while something is on trial: what ran before that.
    before_trial: BTreeMap<u8, Spec>,
    /// What stood in the configuration file when it was given up: no start begins with that.
    given_up: Option<Text>,
    pub(crate) api: BTreeMap<u8, Asked>,
    /// What of the API's relays the disk has, where that may be something else than what is in force.
    pub(crate) kept: Option<BTreeMap<u8, Asked>>,
    pub(crate) input: bool,
    pub(crate) outputs: [bool; OUTPUTS as usize],
    pub(crate) disk_is_full: bool,
}

impl Default for Model {
    fn default() -> Self {
        let file = BTreeMap::from([(0, Spec { outputs: 1, ttl: 7 })]);
        let written = Text::Relays(file.clone());
        let outputs = [true; OUTPUTS as usize];
        Self {
            written,
            file,
            on_trial: false,
            before: Before::Nothing,
            before_trial: BTreeMap::new(),
            given_up: None,
            api: BTreeMap::new(),
            kept: None,
            input: true,
            outputs,
            disk_is_full: false,
        }
    }
}

/// What ran before the last reload.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Ran(BTreeMap<u8, Spec>),
    /// One of two.
    Unknown,
}

/// What the node answers to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Refused,
    /// It may do it or not; what it says must be so.
    Either,
}

impl Model {
    /// Whether a step can happen now. What is as it is said to become is no step.
    pub(crate) fn allows(&self, step: &Step) -> bool {
        match step {
            Step::Output(link, up) => self.outputs[usize::from(*link)] != *up,
            Step::Input(up) => self.input != *up,
            Step::Disk { full } => self.disk_is_full != *full,
            Step::DiskHangs(..) => !self.disk_is_full,
            // What begins without its file begins with the last good one, which a full disk may not have taken.
            step if step.begins_anew() => self.begins_with_file() || !self.disk_is_full,
            // A full disk does not take down that it was given up.
            Step::Rollback => !self.disk_is_full && (self.on_trial || self.before != Before::Unknown),
            Step::Expire(_) => !self.disk_is_full && self.written != Text::Broken,
            _ => true,
        }
    }

    /// Whether a start of everything takes the configuration file.
    pub(crate) fn begins_with_file(&self) -> bool {
        self.written != Text::Broken && self.given_up.as_ref() != Some(&self.written)
    }

    /// What must be answered to a change that is asked for.
    pub(crate) fn answer(&self, step: &Step) -> Answer {
        let has = |relay: &u8| (self.file.contains_key(relay), self.api.contains_key(relay));
        let wanted = match step.change() {
            Step::Add(relay, _) | Step::DiskHangs(relay, _) => has(relay) == (false, false),
            // Of two of a name the one that runs is meant, which is the file's, unless the other can be told.
            Step::Set(relay, _) | Step::Remove(relay) | Step::Switch(relay, _) => match has(relay) {
                (true, true) => return Answer::Either,
                (_, api) => api,
            },
            // Nothing is to be done where the API has none of that name.
            Step::Adopt(relay) => has(relay).0,
            Step::Reload | Step::Hangup(_) => self.written != Text::Broken && !self.on_trial,
            Step::Try(_) | Step::Expire(_) => self.written != Text::Broken,
            Step::Confirm => self.on_trial,
            Step::Rollback => self.on_trial || self.before != Before::Nothing,
            // What is to follow reads the file first.
            Step::Upgrade if self.written == Text::Broken => return Answer::Either,
            _ => true,
        };
        let needs_no_disk = matches!(step, Step::Volatile(_) | Step::Confirm | Step::RestartControl | Step::Upgrade);
        match wanted {
            true if matches!(step, Step::DiskHangs(..)) || (self.disk_is_full && !needs_no_disk) => Answer::Either,
            true => Answer::Done,
            false => Answer::Refused,
        }
    }

    /// The change was made.
    pub(crate) fn apply(&mut self, step: &Step) {
        let before = matches!(step, Step::Volatile(_)).then(|| self.api.clone());
        match step.change() {
            Step::Add(relay, spec) | Step::DiskHangs(relay, spec) => {
                self.api.insert(*relay, Asked { spec: *spec, enabled: true, muted: false });
            }
            Step::Set(relay, spec) => {
                self.api.entry(*relay).and_modify(|asked| asked.spec = *spec);
            }
            Step::Remove(relay) | Step::Adopt(relay) => drop(self.api.remove(relay)),
            Step::Switch(relay, switch) => {
                self.api.entry(*relay).and_modify(|asked| match switch {
                    Switch::Enable => asked.enabled = true,
                    Switch::Disable => asked.enabled = false,
                    Switch::Mute => asked.muted = true,
                    Switch::Unmute => asked.muted = false,
                });
            }
            Step::Reload | Step::Hangup(_) => return self.reload(),
            Step::Try(_) | Step::Expire(_) => return self.try_file(),
            Step::Confirm => return self.confirm(),
            Step::Rollback => return self.go_back(),
            _ => return,
        }
        // A change that is kept writes all of it.
        self.kept = before.filter(|_| self.disk_is_full).map(|before| self.kept.take().unwrap_or(before));
    }

    /// The file is taken, if it can be.
    fn reload(&mut self) {
        let Text::Relays(relays) = self.written.clone() else { return };
        let before = std::mem::replace(&mut self.file, relays);
        if before != self.file {
            self.before = if self.disk_is_full { Before::Unknown } else { Before::Ran(before) };
        }
        self.given_up = None;
    }

    /// The file is taken on trial. Of a trial that follows one the way back is the first one's.
    fn try_file(&mut self) {
        let Text::Relays(relays) = self.written.clone() else { return };
        let before = std::mem::replace(&mut self.file, relays);
        if !self.on_trial {
            self.before_trial = before;
        }
        (self.on_trial, self.given_up) = (true, None);
    }

    fn confirm(&mut self) {
        if self.before_trial != self.file {
            self.before = Before::Ran(self.before_trial.clone());
        }
        self.on_trial = false;
    }

    /// What is in force is given up for what ran before.
    fn go_back(&mut self) {
        let before = match &self.before {
            _ if self.on_trial => self.before_trial.clone(),
            Before::Ran(before) => before.clone(),
            _ => return,
        };
        let given_up = std::mem::replace(&mut self.file, before);
        if given_up != self.file {
            self.before = Before::Ran(given_up);
        }
        self.on_trial = false;
        self.given_up = Some(self.written.clone()).filter(|text| *text != Text::Relays(self.file.clone()));
    }

    /// Nobody has confirmed it in time.
    pub(crate) fn expires(&mut self, dies: Dies) {
        self.go_back();
        if dies == Dies::Everything {
            // Whoever begins anew begins with what ran before, or it was given up a moment earlier.
            self.before = Before::Unknown;
        }
    }

    /// Everything is begun anew, with what the state file had.
    pub(crate) fn begin_anew(&mut self, kept: BTreeMap<u8, Asked>) {
        (self.api, self.kept) = (kept, None);
        if let Text::Relays(relays) = &self.written
            && self.begins_with_file()
        {
            let relays = relays.clone();
            self.file = relays;
        }
    }

    /// Whether every link is up.
    pub(crate) fn all_is_up(&self) -> bool {
        self.input && self.outputs == [true; OUTPUTS as usize]
    }

    /// All relays, as they must be listed.
    pub(crate) fn listed(&self) -> BTreeSet<Listed> {
        let one = |relay, is_of_file, shadowed, asked: Asked| Listed {
            relay,
            is_of_file,
            shadowed,
            enabled: asked.enabled,
            muted: asked.muted,
            outputs: asked.spec.outputs,
            ttl: asked.spec.ttl,
        };
        let of_file =
            |(relay, spec): (&u8, &Spec)| one(*relay, true, false, Asked { spec: *spec, enabled: true, muted: false });
        let of_api = |(relay, asked): (&u8, &Asked)| one(*relay, false, self.file.contains_key(relay), *asked);
        self.file.iter().map(of_file).chain(self.api.iter().map(of_api)).collect()
    }

    /// Where a packet to each group comes out: relay, output link, TTL.
    pub(crate) fn sent(&self) -> BTreeSet<(u8, u8, u8)> {
        let running = (0..RELAYS).filter_map(|relay| {
            let asked = self.api.get(&relay).filter(|asked| asked.enabled && !asked.muted).map(|asked| asked.spec);
            Some((relay, self.file.get(&relay).copied().or(asked)?))
        });
        let running = running.filter(|_| self.input);
        let up = |link: &u8| self.outputs[usize::from(*link)];
        running.flat_map(|(relay, spec)| spec.links().filter(up).map(move |link| (relay, link, spec.ttl))).collect()
    }
}
