//! Who answers at the desk: by the rules of control, but what is in force is only a list.

use relay_common::facts::Facts;
use relay_common::plan::{Lanes, Plan, Relay};
use relay_common::table::{Placement, Table};
use relay_config as config;
use relay_control::desk::{Applied, Ask, Asked, Desk, Expected, Refusal, Switch, Who};
use relay_control::edit::Edit;
use relay_control::events::EventLog;
use relay_control::origins::Origins;
use relay_control::tag;
use relay_control::view::{ConfigState, View};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// The relays, and who asked for what.
#[derive(Debug, Default)]
pub(super) struct Control {
    file: Vec<Relay>,
    api: Vec<Relay>,
    generation: u64,
    pub(super) asked: Vec<(Who, String)>,
    /// What everything is refused with.
    pub(super) refuses: Option<Refusal>,
}

/// A desk, and a task that answers at it.
pub(super) fn open(file: Vec<Relay>) -> (Desk, Arc<Mutex<Control>>) {
    let control = Control { file, ..Control::default() };
    let (desk, mut asks): (_, mpsc::Receiver<Asked>) = Desk::open(control.view(), EventLog::default(), Arc::default());
    let control = Arc::new(Mutex::new(control));
    let (shown, answering) = (desk.clone(), Arc::clone(&control));
    tokio::spawn(async move {
        while let Some(Asked { id, who, ask, how, answer }) = asks.recv().await {
            let mut control = answering.lock().unwrap();
            control.asked.push((who, format!("{ask:?}")));
            let answered = control.answer(ask, how.dry);
            shown.show(control.view(), |_| Vec::new());
            shown.changes.over(id, &answered);
            let _ = answer.send(answered);
        }
    });
    (desk, control)
}

impl Control {
    fn view(&self) -> View {
        let relays: Vec<Relay> = self.file.iter().chain(&self.api).cloned().collect();
        let names = |relays: &[Relay]| relays.iter().map(|relay| relay.name.clone()).collect();
        let origins = Origins::new(Arc::new(names(&self.file)), names(&self.api));
        let plan = Plan { interfaces: Vec::new(), lanes: Lanes::default(), relays };
        let mut table = Table::empty(4096, 16_384);
        table.generation = self.generation;
        let facts = Facts::default();
        View {
            place: Placement::new(&plan, &facts, None),
            plan: Arc::new(plan),
            origins: Arc::new(origins),
            shadowed: Arc::default(),
            table: Arc::new(table),
            pending: Arc::default(),
            facts: Arc::new(facts),
            lanes: Vec::new(),
            attached: Vec::new(),
            joined: Arc::default(),
            own_ports: Arc::default(),
            config: ConfigState { path: PathBuf::from("/etc/mcr/relay.toml"), ..ConfigState::default() },
            user: "mcr".to_owned(),
            warnings: Vec::new(),
            works: Arc::default(),
        }
    }

    fn answer(&mut self, ask: Ask, dry: bool) -> Result<Applied, Refusal> {
        if let Some(refusal) = &self.refuses {
            return Err(refusal.clone());
        }
        let before = self.api.clone();
        let after = self.wanted(ask)?;
        let all = self.file.iter().chain(&after).cloned().collect();
        let plan = Plan { interfaces: Vec::new(), lanes: Lanes::default(), relays: all };
        config::check(&plan).map_err(Refusal::Invalid)?;
        let find = |relays: &[Relay], name: &str| relays.iter().find(|relay| relay.name == name).cloned();
        let names = |relays: &[Relay], keep: &dyn Fn(&Relay) -> bool| {
            relays.iter().filter(|relay| keep(relay)).map(|relay| relay.name.clone()).collect::<Vec<_>>()
        };
        let applied = Applied {
            generation: self.generation + 1,
            changes: Vec::new(),
            created: names(&after, &|relay| find(&before, &relay.name).is_none()),
            changed: names(&after, &|relay| find(&before, &relay.name).is_some_and(|old| old != *relay)),
            removed: names(&before, &|relay| find(&after, &relay.name).is_none()),
            not_kept: None,
            keys: Vec::new(),
            not_in_effect: Vec::new(),
        };
        if !dry {
            self.api = after;
            self.generation += 1;
        }
        Ok(applied)
    }

    fn wanted(&self, ask: Ask) -> Result<Vec<Relay>, Refusal> {
        let mut api = self.api.clone();
        match ask {
            Ask::Create(relay) => {
                self.not_of_file(&relay.name)?;
                if api.iter().any(|other| other.name == relay.name) {
                    return Err(Refusal::Exists(relay.name.clone()));
                }
                api.push(relay);
            }
            Ask::Put { relay, expected } => {
                self.not_of_file(&relay.name)?;
                let place = api.iter().position(|other| other.name == relay.name);
                meets(&expected, place.map(|i| tag::of_relay(&api[i])))?;
                match place {
                    Some(i) => api[i] = relay,
                    None => api.push(relay),
                }
            }
            Ask::Remove { name, expected } => {
                self.not_of_file(&name)?;
                let place = api.iter().position(|other| other.name == name);
                meets(&expected, place.map(|i| tag::of_relay(&api[i])))?;
                api.remove(place.ok_or(Refusal::NotFound(name))?);
            }
            Ask::Switch { name, switch } => {
                self.not_of_file(&name)?;
                let relay = api.iter_mut().find(|other| other.name == name).ok_or(Refusal::NotFound(name))?;
                if let Switch::Enabled(enabled) = switch {
                    relay.enabled = enabled;
                }
            }
            Ask::Many { names, edit, .. } => {
                names.iter().try_for_each(|name| self.not_of_file(name))?;
                match edit {
                    Edit::Remove => api.retain(|relay| !names.contains(&relay.name)),
                    Edit::Change(change) => {
                        api.iter_mut()
                            .filter(|relay| names.contains(&relay.name))
                            .for_each(|relay| change.apply(relay));
                    }
                }
            }
            Ask::PutAll { relays, expected } => {
                meets(&expected, Some(tag::of_relays(&api)))?;
                relays.iter().try_for_each(|relay| self.not_of_file(&relay.name))?;
                let twice = relays.iter().enumerate().find(|(i, r)| relays[..*i].iter().any(|o| o.name == r.name));
                if let Some((_, relay)) = twice {
                    return Err(Refusal::Twice(relay.name.clone()));
                }
                api = relays;
            }
            Ask::Adopt { name } => {
                if self.not_of_file(&name).is_ok() {
                    return Err(Refusal::NotOfFile { name, file: PathBuf::from("/etc/mcr/relay.toml") });
                }
                api.retain(|relay| relay.name != name);
            }
            Ask::Import { relays, .. } => api = relays,
            Ask::Reload | Ask::Try { .. } | Ask::Confirm | Ask::Rollback | Ask::Restart | Ask::Upgrade { .. } => {}
        }
        Ok(api)
    }

    fn not_of_file(&self, name: &str) -> Result<(), Refusal> {
        if self.file.iter().any(|relay| relay.name == name) {
            return Err(Refusal::OfFile { name: name.to_owned(), file: PathBuf::from("/etc/mcr/relay.toml") });
        }
        Ok(())
    }
}

fn meets(expected: &Expected, tag: Option<String>) -> Result<(), Refusal> {
    let is_met = match (expected, &tag) {
        (Expected::Anything, _) | (Expected::Something, Some(_)) | (Expected::Nothing, None) => true,
        (Expected::Tags(tags), Some(tag)) => tags.contains(tag),
        _ => false,
    };
    if is_met { Ok(()) } else { Err(Refusal::Changed { tag }) }
}
