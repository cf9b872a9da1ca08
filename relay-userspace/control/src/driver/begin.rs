//! How control begins: over lanes that run without one, or anew.

use super::Options;
use super::files::Files;
use super::unkept::definitions;
use super::worker::Worker;
use crate::book::Book;
use crate::desk::{Asked, Desk, Findings, Pulse};
use crate::differs::Differs;
use crate::disk::Disk;
use crate::events::{Event, EventLog};
use crate::last_good::{LastGood, Ran, state_file_of};
use crate::node::{Node, Start};
use crate::not_in_effect::other_lanes;
use crate::orphans::{Found, Orphans, end_strays};
use crate::previous::Previous;
use crate::problem::Problem;
use crate::process::Handle;
use crate::running::Running;
use crate::sources;
use crate::store::Store;
use crate::takeover::NotTaken;
use crate::tell;
use crate::view::{ConfigState, Unkept};
use futures_util::future::join_all;
use relay_common::plan::Relay;
use relay_common::unasked::Difference;
use relay_config as config;
use relay_config::{Configuration, Errors};
use relay_engine::clock::{now_ns, unix_ms};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A configuration to begin with.
pub(super) struct Beginning {
    pub(super) configuration: Configuration,
    /// Why the configuration file is not it.
    refused: Option<Errors>,
    /// What the configuration file says otherwise, which nobody has asked for: the lanes run as they did.
    other: Option<Configuration>,
    /// Since when it was in force, if it is the last one that was, and nothing runs.
    last_good: Option<String>,
    /// Where the last one that ran is kept.
    last: LastGood,
}

impl Beginning {
    /// The configuration file. Where lanes run, and where it is refused, the configuration that ran: its relays as the lanes have
    /// them, the rest of it as it was kept on disk. A control that takes lanes over was not asked to change what they do.
    ///
    /// # Errors
    /// What is wrong with the file, where nothing else is left.
    pub(super) async fn of(
        options: &Options,
        loaded: Result<Configuration, Errors>,
        running: Option<&Orphans>,
        files: &Files<'_>,
    ) -> Result<Self, Errors> {
        let lanes_run = running.is_some();
        // Lanes that were started and told nothing yet run nothing: this is a start like any other. Where there was nothing to
        // tell they run just that.
        let running = running.filter(|orphans| orphans.noted.generation > 0 || runs_nothing(options));
        let errors = match loaded {
            Ok(file) => return Ok(Self::of_a_good_file(options, file, running, files).await),
            Err(errors) => errors,
        };
        let last = last_of_refused(options);
        let ran = files.last(&last).await.ok().flatten();
        let (configuration, last_good) = match (ran, running) {
            (Some(ran), None) => (ran.configuration, Some(ran.since)),
            (None, None) if lanes_run => (config::parse("", "").map_err(|_| errors.clone())?, None),
            (None, None) => return Err(errors),
            (ran, Some(orphans)) => {
                // Where nothing was kept, all else is as it is in a file that does not speak of it.
                let kept = of_lanes(options, orphans, ran);
                let empty = || config::parse("", "").map(|empty| with_relays_of(empty, orphans));
                (kept.map_or_else(empty, Ok).map_err(|_| errors.clone())?, None)
            }
        };
        let last = if running.is_some() { last_of(options, &configuration) } else { last };
        Ok(Self { configuration, refused: Some(errors), other: None, last_good, last })
    }

    async fn of_a_good_file(
        options: &Options,
        file: Configuration,
        running: Option<&Orphans>,
        files: &Files<'_>,
    ) -> Self {
        let state = state_file(options, file.settings.state.file.clone());
        let last = LastGood::beside(&state, &options.config);
        let ran = match running {
            None => files.instead_of(&file.text, &last, Previous::beside(&state, &options.config)).await,
            Some(orphans) => {
                let kept = files.last(&last).await.ok().flatten();
                // Where nothing was kept, nobody can tell how all else was; the relays are as the lanes have them.
                of_lanes(options, orphans, kept).or_else(|| Some(with_relays_of(file.clone(), orphans)))
            }
        };
        let (configuration, other) = match ran {
            Some(ran) if !says_the_same(&ran, &file) => (ran, Some(file)),
            _ => (file, None),
        };
        let last = if running.is_some() { last_of(options, &configuration) } else { last };
        Self { configuration, refused: None, other, last_good: None, last }
    }
}

/// Whether the control before this one began with a configuration without relays.
fn runs_nothing(options: &Options) -> bool {
    let ran = Running::in_folder(&options.run_dir).ok().and_then(|running| running.read());
    ran.is_some_and(|ran| ran.plan.relays.is_empty())
}

/// What runs on lanes without a control: what the one before wrote into the run folder, or else what it kept beside the state
/// file, with the relays that the lanes have.
fn of_lanes(options: &Options, orphans: &Orphans, kept: Option<Ran>) -> Option<Configuration> {
    let running = Running::in_folder(&options.run_dir).ok().and_then(|running| running.read());
    let ran = running.or_else(|| kept.map(|kept| kept.configuration))?;
    Some(with_relays_of(ran, orphans))
}

fn with_relays_of(mut configuration: Configuration, orphans: &Orphans) -> Configuration {
    configuration.plan.relays = orphans.noted.of_file();
    configuration
}

/// Where that configuration is kept. A file that nobody has taken may name another place.
fn last_of(options: &Options, running: &Configuration) -> LastGood {
    LastGood::beside(&state_file(options, running.settings.state.file.clone()), &options.config)
}

fn says_the_same(one: &Configuration, other: &Configuration) -> bool {
    config::keys(one) == config::keys(other) && Difference::between(&one.plan.relays, &other.plan.relays).is_nothing()
}

/// Whether there is a configuration to begin with when the file is refused and no lane runs.
pub(super) fn can_do_without(options: &Options) -> bool {
    last_of_refused(options).read().is_some_and(|ran| ran.is_ok())
}

fn last_of_refused(options: &Options) -> LastGood {
    LastGood::beside(&state_file(options, state_file_of(&options.config)), &options.config)
}

fn state_file(options: &Options, named: Option<PathBuf>) -> PathBuf {
    named.unwrap_or_else(|| options.state_dir.join("relays.toml"))
}

impl Worker {
    pub(super) async fn begin(
        options: &Options,
        beginning: Beginning,
        found: Found,
        start: &Start,
        (log, pulse): (EventLog, Arc<Pulse>),
        disk: Disk,
    ) -> anyhow::Result<(Self, mpsc::Receiver<Asked>)> {
        let Beginning { configuration, refused, other, last_good, last } = beginning;
        let Found { orphans, strays } = found;
        let state = state_file(options, configuration.settings.state.file.clone());
        let files = Files { disk: &disk, progress: &start.progress, lanes_run: orphans.is_some() };
        let (mut store, loaded) = files.store(state.clone()).await;
        let mut config = config_at_the_start(options, refused, last_good, &log);
        let previous = Previous::beside(&state, &options.config);
        let running = Running::in_folder(&options.run_dir)?;
        let texts = (&configuration, other.as_ref());
        (config.trial, config.unnoted) = files.trial(&previous, &running, texts, &log).await;
        let kept = kept_relays(loaded, &mut store, &mut config, orphans.as_ref(), &log);
        let Configuration { mut plan, settings, text } = configuration;
        if let Some(orphans) = &orphans {
            let running = orphans.lanes(&plan.lanes);
            // Of a file that is refused nobody knows what it wants.
            config.failed = other_lanes(&running, &plan.lanes).filter(|_| config.refused.is_none());
            plan.lanes = running;
        }
        let book = Book::new(options.config.clone(), plan.clone(), kept);
        let health = settings.health;
        begin_with(&mut config, Configuration { plan, settings, text: Arc::clone(&text) }, other, &book, &log);
        book.shadowed.iter().for_each(|(name, why)| log.record(tell::shadowed(name, why)));
        // Nothing speaks against going on now.
        let n_strays = strays.len();
        end_strays(strays, start).await;
        // Before anything runs: whoever dies from here on leaves lanes that were begun with it.
        running.keep(&text);
        let (mut node, taken_over) = match orphans {
            Some(orphans) => take_over(orphans, &book, start, &log).await?,
            None => (Node::bring_up(&book, start).await?, None),
        };
        node.unkept = config.unkept.is_some().then(|| definitions(&book));
        let took_over = taken_over.is_some();
        match taken_over {
            Some(event) => log.record(event),
            None if n_strays > 0 => log.record(tell::begun_anew(n_strays)),
            None => {}
        }
        let (desk, asks) = Desk::open(node.view(&book, config.clone()), log, pulse);
        let found = inspect_first(&mut node, &desk).await;
        desk.health.store(Arc::new(health));
        let file = sources::Watched::new(&options.config).read_twice();
        let (doubted, follows, back_at, keep_at, quiet) = (now_ns(), None, None, None, None);
        let worker = Self {
            node,
            book,
            store,
            last,
            running,
            text,
            desk,
            config,
            found,
            file,
            disk,
            doubted,
            tried_to_write: 0,
            took_over,
            follows,
            quiet,
            previous,
            back_at,
            keep_at,
        };
        Ok((worker, asks))
    }
}

/// What is known of the configuration file before anything runs.
fn config_at_the_start(
    options: &Options,
    refused: Option<Errors>,
    last_good: Option<String>,
    log: &EventLog,
) -> ConfigState {
    if let Some(errors) = &refused {
        log.record(tell::refused_at_the_start(errors, last_good.as_deref()));
    }
    let is_refused = u64::from(refused.is_some());
    let (path, taken) = (options.config.clone(), 1 - is_refused);
    ConfigState { path, refused, last_good, taken, refusals: is_refused, ..ConfigState::default() }
}

/// The relays of the state file, and in the state of the configuration what is wrong with it.
fn kept_relays(
    loaded: Result<Vec<Relay>, String>,
    store: &mut Store,
    config: &mut ConfigState,
    orphans: Option<&Orphans>,
    log: &EventLog,
) -> Vec<Relay> {
    if let Some(unkept) = orphans.and_then(|orphans| orphans.noted.unkept()) {
        let problem = "the control before this one could not write it".to_owned();
        config.unkept = Some(Unkept { file: store.file().to_owned(), since_ms: unix_ms(), problem });
        store.forget_damage();
        return unkept;
    }
    // Those that a dead control knew are not lost.
    let known = || orphans.map_or_else(Vec::new, |orphans| orphans.noted.of_api());
    if let Some(why) = store.unwritable() {
        if store.is_open() && !store.is_anothers() {
            // It is tried again as soon as the node has begun.
            log.record(tell::unwritable(store.file(), why));
            config.unwritable = Some(why.to_owned());
        } else {
            let file = store.file().display();
            config.damaged = Some(format!("what changes through the API is not kept in {file}: {why}"));
        }
    }
    match loaded {
        // Two nodes would send the same.
        Ok(of_another) if store.is_anothers() => {
            let n = of_another.len();
            config.damaged = config.damaged.take().map(|text| format!("{text}; the {n} relays in it do not run here"));
            known()
        }
        Ok(kept) => kept,
        Err(problem) => {
            // Better the relays of the file than none.
            config.damaged = Some(format!("the state file cannot be read: {problem}"));
            let known = known();
            if orphans.is_some() {
                store.forget_damage();
                // The lanes know what runs, and not what is shadowed.
                let names = || Arc::new(known.iter().map(|relay| relay.name.clone()).collect());
                config.unread = (!store.is_open()).then(names);
            }
            known
        }
    }
}

/// Notes what of the file is in force, and tells what is not.
fn begin_with(
    config: &mut ConfigState,
    in_force: Configuration,
    other: Option<Configuration>,
    book: &Book,
    log: &EventLog,
) {
    let file = other.as_ref().unwrap_or(&in_force);
    config.tried = config.refused.is_none().then(|| Arc::clone(&file.text));
    if let Some(differs) = other.as_ref().and_then(|file| Differs::between(&in_force, book, file)) {
        log.record(tell::differs(&differs));
        config.differs = Some(Arc::new(differs));
    }
    let in_force = Arc::new(in_force);
    (config.started_with, config.read) = (Some(Arc::clone(&in_force)), Some(in_force));
}

/// Whoever asks first is not told to ask again: before anybody can, it is looked what the kernel holds.
async fn inspect_first(node: &mut Node, desk: &Desk) -> Vec<(u64, Problem)> {
    let (problems, now) = (node.inspect().await, now_ns());
    problems.iter().for_each(|problem| desk.events.record(tell::problem(problem)));
    let worked = desk.pulse.progress.worked(now);
    desk.pulse.found.store(Arc::new(Findings { at: now, worked, problems: problems.clone() }));
    problems.into_iter().map(|problem| (now, problem)).collect()
}

/// Takes lanes over. Those that cannot be are ended, and everything begins anew: a control that starts is in charge.
async fn take_over(
    orphans: Orphans,
    book: &Book,
    start: &Start,
    log: &EventLog,
) -> anyhow::Result<(Node, Option<Event>)> {
    let (event, processes) = (tell::taken_over(&orphans.noted), orphans.processes());
    let problem = match orphans.take_over(book, start).await {
        Ok(node) => return Ok((node, Some(event))),
        Err(NotTaken::Failed(error)) => return Err(error.context("the lanes relay on as they did, without a control")),
        Err(NotTaken::Unusable(error)) => format!("{error:#}"),
    };
    let n = processes.len();
    for (number, Handle { pid, .. }) in &processes {
        log.record(tell::lane_replaced(*number, *pid, &problem));
    }
    join_all(processes.into_iter().map(|(_, process)| process.end())).await;
    let node = Node::bring_up(book, start).await?;
    log.record(tell::begun_anew(n));
    Ok((node, None))
}
