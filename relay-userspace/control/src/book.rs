//! The book: all relays, by where they were written, and what a question makes of them. Nothing here has an effect.

use super::desk::{Applied, Ask, Expected, Refusal, Switch};
use super::edit::Edit;
use super::origins::Origins;
use super::tag;
use relay_common::label::MAX_LABELS;
use relay_common::plan::{Interface, Lanes, Plan, Relay};
use relay_common::selector::Selector;
use relay_config as config;
use relay_config::{ConfigError, Errors};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// All relays, and how the node runs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// The configuration file.
    pub file: PathBuf,
    /// What it says.
    pub of_file: Plan,
    /// The relays that came through the API, by name.
    pub of_api: BTreeMap<String, Relay>,
    /// Those of them that do not run, because they do not go with what the file says, and why.
    pub shadowed: BTreeMap<String, ConfigError>,
    origins: Arc<Origins>,
}

impl Book {
    /// A book with what the file says and what the API was told before. Where the two do not go together the file wins, for
    /// those relays alone.
    #[must_use]
    pub fn new(file: PathBuf, of_file: Plan, of_api: impl IntoIterator<Item = Relay>) -> Self {
        let of_api = of_api.into_iter().map(|relay| (relay.name.clone(), relay)).collect();
        let names = of_file.relays.iter().map(|relay| relay.name.clone()).collect();
        let origins = Arc::new(Origins::new(Arc::new(names), BTreeSet::new()));
        Self { file, of_file, of_api, shadowed: BTreeMap::new(), origins }.told_apart()
    }

    fn told_apart(self) -> Self {
        let shadowed = config::clashes(&self.of_file, self.of_api.values());
        let run = self.of_api.keys().filter(|name| !shadowed.contains_key(*name));
        let origins = Arc::new(self.origins.with_api(run.cloned().collect()));
        Self { shadowed, origins, ..self }
    }

    /// The plan that both make.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let mut plan = self.of_file.clone();
        plan.relays.extend(self.running().cloned());
        plan
    }

    fn all_that_run(&self) -> impl Iterator<Item = &Relay> {
        self.of_file.relays.iter().chain(self.running())
    }

    /// The relays of the API that run.
    fn running(&self) -> impl Iterator<Item = &Relay> {
        self.of_api.values().filter(|relay| !self.shadowed.contains_key(&relay.name))
    }

    /// The relays of the API that do not run, with what is wrong.
    pub fn shadowed(&self) -> impl Iterator<Item = (&Relay, &ConfigError)> {
        self.shadowed.iter().filter_map(|(name, why)| Some((self.of_api.get(name)?, why)))
    }

    /// How the lanes run.
    #[must_use]
    pub const fn lanes(&self) -> &Lanes {
        &self.of_file.lanes
    }

    /// How links are used.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        &self.of_file.interfaces
    }

    /// Where each relay that runs came from.
    #[must_use]
    pub const fn origins(&self) -> &Arc<Origins> {
        &self.origins
    }

    /// The relay of that name: the one that runs, if there are two.
    #[must_use]
    pub fn relay(&self, name: &str) -> Option<&Relay> {
        let of_file = self.of_file.relays.iter().find(|relay| relay.name == name);
        of_file.or_else(|| self.of_api.get(name))
    }

    /// The same book with another configuration file.
    #[must_use]
    pub fn with_file(&self, of_file: Plan) -> Self {
        Self::new(self.file.clone(), of_file, self.of_api.values().cloned())
    }

    /// The same book with more relays of the API.
    #[must_use]
    pub fn with_more(&self, relays: impl IntoIterator<Item = Relay>) -> Self {
        Self::new(self.file.clone(), self.of_file.clone(), self.of_api.values().cloned().chain(relays))
    }

    /// The book after a change of the API's relays.
    ///
    /// # Errors
    /// Why there is no such book. What concerns the file, and [`Ask::Upgrade`], changes no relay of the API; [`Ask::Import`]
    /// changes the file, too.
    pub fn after(&self, ask: &Ask) -> Result<Self, Refusal> {
        let mut book = self.clone();
        match ask {
            Ask::Create(relay) => {
                if self.relay(&relay.name).is_some() {
                    return Err(Refusal::Exists(relay.name.clone()));
                }
                book.of_api.insert(relay.name.clone(), relay.clone());
            }
            Ask::Put { relay, expected } => {
                self.expect(&relay.name, expected)?;
                book.of_api.insert(relay.name.clone(), relay.clone());
            }
            Ask::Remove { name, expected } => {
                self.must_exist(name)?;
                self.expect(name, expected)?;
                book.of_api.remove(name);
            }
            Ask::Switch { name, switch } => {
                self.must_exist(name)?;
                self.expect(name, &Expected::Anything)?;
                if let Some(relay) = book.of_api.get_mut(name) {
                    match *switch {
                        Switch::Enabled(enabled) => relay.enabled = enabled,
                        Switch::Muted(muted) => relay.muted = muted,
                    }
                }
            }
            Ask::Many { selector, names, edit } => {
                if self.chosen(selector)? != *names {
                    return Err(Refusal::Changed { tag: None });
                }
                names.iter().try_for_each(|name| book.edit(name, edit))?;
            }
            Ask::PutAll { relays, expected } => {
                check_tag(expected, Some(tag::of_relays(self.of_api.values())))?;
                book.of_api = BTreeMap::new();
                for relay in relays {
                    // One that does not run can be sent back as it was shown.
                    if !self.shadowed.contains_key(&relay.name) || self.of_api.get(&relay.name) != Some(relay) {
                        self.must_not_be_of_file(&relay.name)?;
                    }
                    if book.of_api.insert(relay.name.clone(), relay.clone()).is_some() {
                        return Err(Refusal::Twice(relay.name.clone()));
                    }
                }
            }
            Ask::Adopt { name } => {
                self.must_exist(name)?;
                if !self.is_of_file(name) {
                    return Err(Refusal::NotOfFile { name: name.clone(), file: self.file.clone() });
                }
                book.of_api.remove(name);
            }
            Ask::Import { .. } | Ask::Reload | Ask::Try { .. } | Ask::Confirm | Ask::Rollback => {}
            Ask::Restart | Ask::Upgrade { .. } => {}
        }
        // Those of the API go together by themselves, whatever the file says.
        let Plan { interfaces, lanes, .. } = &self.of_file;
        let relays = book.of_api.values().cloned().collect();
        config::check(&Plan { relays, interfaces: interfaces.clone(), lanes: lanes.clone() })
            .map_err(Refusal::Invalid)?;
        let book = book.told_apart();
        let of_now = |(name, _): &(&String, &ConfigError)| {
            !self.shadowed.contains_key(*name) || self.of_api.get(*name) != book.of_api.get(*name)
        };
        let new: Vec<ConfigError> = book.shadowed.iter().filter(of_now).map(|(_, why)| why.clone()).collect();
        if new.is_empty() { Ok(book) } else { Err(Refusal::Invalid(Errors::of(new))) }
    }

    /// What of the relays differs in another book, those that do not run among them.
    #[must_use]
    pub fn differences(&self, after: &Self, generation: u64) -> Applied {
        let mut applied = between(self.all_that_run(), after.all_that_run(), generation);
        for name in self.of_api.keys().filter(|name| !after.of_api.contains_key(*name)) {
            if after.is_of_file(name) {
                applied.changes.push(format!("adopt relay \"{name}\""));
            } else if !applied.removed.contains(name) {
                applied.changes.push(format!("remove relay \"{name}\""));
                applied.removed.push(name.clone());
            }
        }
        applied
    }

    fn edit(&mut self, name: &str, edit: &Edit) -> Result<(), Refusal> {
        self.must_not_be_of_file(name)?;
        match (edit, self.of_api.get_mut(name)) {
            (Edit::Change(change), Some(relay)) => {
                change.apply(relay);
                check_labels(relay)
            }
            _ => {
                self.of_api.remove(name);
                Ok(())
            }
        }
    }

    /// The names of the relays that are meant.
    fn chosen(&self, selector: &Selector) -> Result<BTreeSet<String>, Refusal> {
        let chosen = selector.choose(self.of_file.relays.iter().chain(self.of_api.values()).map(Relay::known_by));
        Ok(chosen.map_err(Refusal::NoneMeant)?.into_iter().map(str::to_owned).collect())
    }

    fn must_exist(&self, name: &str) -> Result<(), Refusal> {
        self.relay(name).map(drop).ok_or_else(|| Refusal::NotFound(name.to_owned()))
    }

    fn is_of_file(&self, name: &str) -> bool {
        self.origins.is_of_file(name)
    }

    fn must_not_be_of_file(&self, name: &str) -> Result<(), Refusal> {
        if self.is_of_file(name) {
            return Err(Refusal::OfFile { name: name.to_owned(), file: self.file.clone() });
        }
        Ok(())
    }

    fn expect(&self, name: &str, expected: &Expected) -> Result<(), Refusal> {
        self.must_not_be_of_file(name)?;
        check_tag(expected, self.of_api.get(name).map(tag::of_relay))
    }
}

/// Many changes of labels, each of which is right, can make too many of them.
fn check_labels(relay: &Relay) -> Result<(), Refusal> {
    if relay.labels.len() <= MAX_LABELS {
        return Ok(());
    }
    Err(Refusal::Invalid(Errors::of(vec![ConfigError {
        line: None,
        key: format!("relay \"{}\" labels", relay.name),
        problem: format!("would be {} labels", relay.labels.len()),
        remedy: format!("keep at most {MAX_LABELS}"),
    }])))
}

fn check_tag(expected: &Expected, tag: Option<String>) -> Result<(), Refusal> {
    let is_met = match expected {
        Expected::Anything => true,
        Expected::Something => tag.is_some(),
        Expected::Nothing => tag.is_none(),
        Expected::Tags(tags) => tag.as_ref().is_some_and(|tag| tags.contains(tag)),
    };
    if is_met { Ok(()) } else { Err(Refusal::Changed { tag }) }
}

/// What of the relays differs between two plans, by name.
#[must_use]
pub fn differences(before: &Plan, after: &Plan, generation: u64) -> Applied {
    between(before.relays.iter(), after.relays.iter(), generation)
}

fn between<'a>(
    before: impl Iterator<Item = &'a Relay>,
    after: impl Iterator<Item = &'a Relay>,
    generation: u64,
) -> Applied {
    let (before, after): (Vec<&Relay>, Vec<&Relay>) = (before.collect(), after.collect());
    // Mostly all but one are what they were, where they were.
    let n_same = before.iter().zip(&after).take_while(|(old, new)| old == new).count();
    let (before, after) = (&before[n_same..], &after[n_same..]);
    let n_same = before.iter().rev().zip(after.iter().rev()).take_while(|(old, new)| old == new).count();
    let (before, after) = (&before[..before.len() - n_same], &after[..after.len() - n_same]);
    let old: BTreeMap<&str, &Relay> = before.iter().map(|relay| (relay.name.as_str(), *relay)).collect();
    let new: BTreeMap<&str, &Relay> = after.iter().map(|relay| (relay.name.as_str(), *relay)).collect();
    let names = |wanted: &dyn Fn(&str) -> bool, of: &BTreeMap<&str, &Relay>| -> Vec<String> {
        of.keys().filter(|name| wanted(name)).map(|name| (*name).to_owned()).collect()
    };
    let created = names(&|name| !old.contains_key(name), &new);
    let removed = names(&|name| !new.contains_key(name), &old);
    let changed = names(&|name| old.get(name).is_some_and(|relay| new.get(name) != Some(relay)), &new);
    let lines = |verb: &'static str, names: &[String]| -> Vec<String> {
        names.iter().map(|name| format!("{verb} relay \"{name}\"")).collect()
    };
    let changes = [lines("add", &created), lines("change", &changed), lines("remove", &removed)].concat();
    Applied { generation, changes, created, changed, removed, ..Applied::default() }
}

#[cfg(test)]
mod tests;
