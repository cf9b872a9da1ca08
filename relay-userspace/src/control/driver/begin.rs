//! How control begins: over lanes that run without one, or anew.

use super::{Control, Options, changes};
use crate::config::{Configuration, Errors};
use crate::control::book::Book;
use crate::control::desk::{Asked, Desk};
use crate::control::door;
use crate::control::node::{Node, Start};
use crate::control::sources;
use crate::control::store::Store;
use crate::control::takeover::Orphans;
use crate::control::tell;
use crate::control::view::ConfigState;
use crate::events::EventLog;
use tokio::sync::mpsc;

impl Control {
    pub(super) async fn begin(
        options: &Options,
        configuration: &Configuration,
        start: &Start,
    ) -> anyhow::Result<(Self, mpsc::Receiver<Asked>)> {
        let log = EventLog::open(&options.run_dir, door::namespace()?);
        let state_file = configuration.settings.state.file.clone();
        let mut store = Store::open(&state_file.unwrap_or_else(|| options.state_dir.join("relays.toml")));
        let orphans = Orphans::find(start).await?;
        let mut config = ConfigState { path: options.config.clone(), taken: 1, ..ConfigState::default() };
        let kept = match store.load() {
            Ok(kept) => kept,
            Err(errors) => {
                // Better the relays of the file than none. Those that a dead control knew are not lost.
                config.damaged = Some(format!("the state file cannot be read: {errors}"));
                orphans.as_ref().map_or_else(Vec::new, |orphans| {
                    store.forget_damage();
                    orphans.noted.of_api()
                })
            }
        };
        let mut plan = configuration.plan.clone();
        if let Some(orphans) = &orphans {
            let running = orphans.lanes(&plan.lanes);
            if running != plan.lanes {
                config.failed = Some(changes::lanes_differ());
                plan.lanes = running;
            }
        }
        let (config_file, state_file) = (options.config.display(), store.file().display().to_string());
        let clash = |errors: Errors| {
            format!("the relays of {state_file} (made through the API) do not go with those of {config_file}: {errors}")
        };
        let book = match Book::new(options.config.clone(), plan.clone(), kept) {
            Ok(book) => book,
            // Lanes that run know better than either file which relays there are: nobody takes one away from them.
            Err(errors) if orphans.is_some() => anyhow::bail!(clash(errors)),
            Err(errors) => {
                let clash = clash(errors);
                store.leave_alone(&clash);
                config.damaged = Some(clash);
                Book::new(options.config.clone(), plan, [])?
            }
        };
        let (node, taken_over) = match orphans {
            Some(orphans) => {
                let event = tell::taken_over(&orphans.noted);
                (orphans.take_over(&book, start).await?, Some(event))
            }
            None => (Node::bring_up(&book, start).await?, None),
        };
        let took_over = taken_over.is_some();
        if let Some(event) = taken_over {
            log.record(event);
        }
        let (desk, asks) = Desk::open(node.view(&book, config.clone()), log);
        let file = sources::Watched::new(&options.config);
        let (found, streams, health, links_due, ticks) = Default::default();
        Ok((Self { node, book, store, desk, config, found, file, streams, health, links_due, ticks, took_over }, asks))
    }
}
