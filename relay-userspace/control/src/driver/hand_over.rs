//! The end of the worker, and of this control where another follows: `docs/decisions/0030-an-upgrade-stands-on-two-feet.md`.

use super::worker::Worker;
use super::{Becomes, Ended, Loop};
use crate::agenda::End;
use crate::book::differences;
use crate::desk::{Applied, Asked, Desk, Refusal};
use crate::event::Event;
use crate::events::audit::audit;
use crate::handover::{Handover, own_path};
use crate::notify;
use crate::predecessor::Predecessor;
use crate::progress::Progress;
use crate::sources;
use crate::successor::{Successor, Unfit};
use crate::upgrade;
use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// Longer than a newer control has for all of its steps: until then this one is not stuck.
const HANDS_OVER_WITHIN_NS: u64 = 40_000_000_000;

/// A newer control that is to follow, and who asked for it.
pub(super) struct Follows {
    successor: Successor,
    asked: Asked,
    applied: Applied,
}

impl Worker {
    /// Has a binary prove itself, and says whether it is to follow. Whoever asked is answered when it leads, or does not.
    pub(super) async fn upgrade(&mut self, binary: PathBuf, asked: Asked, progress: &Progress) -> Option<End> {
        match self.prove(binary, progress).await {
            Ok((mut successor, applied)) if asked.how.dry => {
                successor.end().await;
                answer(&self.desk, asked, Ok(applied));
                None
            }
            Ok((successor, applied)) => {
                self.follows = Some(Follows { successor, asked, applied });
                Some(End::HandsOver)
            }
            Err(refusal) => {
                answer(&self.desk, asked, Err(refusal));
                None
            }
        }
    }

    async fn prove(&self, binary: PathBuf, progress: &Progress) -> Result<(Successor, Applied), Refusal> {
        let named = binary.clone();
        // It is given time to answer, in which others want something too.
        let layouts = tokio::task::spawn_blocking(move || upgrade::check(&named)).await;
        let layouts = layouts.unwrap_or_else(|_| Err(anyhow::anyhow!("the binary could not be asked")));
        let refused = |error: anyhow::Error| Refusal::Conflict(vec![format!("{error:#}")]);
        let layouts = layouts.map_err(refused)?;
        progress.step_within("the newer binary proves itself", HANDS_OVER_WITHIN_NS);
        let mut successor = Successor::start(&binary, &self.desk.handover).map_err(refused)?;
        let prepared = successor.prepared(|| progress.is_ending()).await;
        prepared.map_err(|unfit| Refusal::Conflict(vec![format!("{}: {unfit}", binary.display())]))?;
        let change = format!("upgrade from mcr {} to mcr {}", env!("CARGO_PKG_VERSION"), layouts.version);
        let plan = &self.node.plan;
        Ok((successor, Applied { changes: vec![change], ..differences(plan, plan, self.node.table.generation) }))
    }

    /// This control is the one from now on.
    pub(super) async fn leads(&mut self, before: &Predecessor) -> anyhow::Result<()> {
        if let Err(error) = self.desk.handover.leads() {
            tracing::error!("the lock names another process than this one: {error}");
        }
        before.leads()?;
        self.node.ask_unit();
        self.follow_unit().await;
        Ok(())
    }

    /// What the next control is given from now on.
    pub(super) async fn take_handover(&mut self, handover: Handover) {
        self.desk.handover = handover;
        self.follow_unit().await;
    }

    /// Lanes and whoever follows have what there is to have of the unit by now.
    pub(super) async fn follow_unit(&mut self) {
        let unit = self.node.follow_unit().await;
        self.desk.handover.keep_unit(unit);
    }

    /// Ends as it is to end. `served` is what answers.
    pub(super) async fn end<S>(mut self, end: End, served: S, progress: &Progress) -> anyhow::Result<Ended> {
        if end != End::Stops {
            self.desk.handover.keep_listening();
        }
        match end {
            End::Stops => {
                if let Some(Follows { mut successor, asked, .. }) = self.follows.take() {
                    successor.end().await;
                    answer(&self.desk, asked, Err(Refusal::ENDING));
                }
                drop(served);
                Ok(Ended::Stopped(Box::new(self.node.take_down().await?)))
            }
            End::Restarts => {
                drop(served);
                Ok(Ended::Becomes(again(&self.desk, false)))
            }
            End::HandsOver => {
                progress.step_within("a newer control takes over", HANDS_OVER_WITHIN_NS);
                let Self { node, store, desk, follows, .. } = self;
                // The lanes have no control now, and go on; the state file is free for the next one.
                drop((node, store));
                let follows = follows.context("nobody is to follow")?;
                let ended = hand_over(&desk, follows, progress).await;
                drop(served);
                Ok(ended)
            }
        }
    }
}

impl Loop {
    /// How the worker ended. What was asked of mcr while it was about to be followed by another is asked of that.
    pub(super) async fn ended(&mut self, events: &mut UnboundedReceiver<Event>) -> anyhow::Result<Ended> {
        // What comes from now on is for who follows; what has come is told by a task of its own, once the runtime has looked.
        if let Err(error) = sources::hold_signals() {
            tracing::warn!(%error, "a stop that comes now may be lost");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut stops = self.pulse.progress.is_ending();
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Stop => stops = true,
                Event::Reload => self.gives.owe_reload(true),
                _ => {}
            }
        }
        let mut ended = self.worker.ended();
        match &mut ended {
            Ok(Ended::Becomes(becomes)) => becomes.is_to_end |= stops,
            Ok(Ended::Followed(pid)) => {
                let asked = [(stops, Signal::SIGTERM), (self.gives.owes_reload(), Signal::SIGHUP)];
                for (_, signal) in asked.into_iter().filter(|(is_asked, _)| *is_asked) {
                    // One that is gone is followed by another.
                    let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
                }
            }
            _ => {}
        }
        ended
    }
}

/// The newer control takes the lanes over. Where it fails, this one begins anew.
async fn hand_over(desk: &Desk, Follows { mut successor, asked, applied }: Follows, progress: &Progress) -> Ended {
    let is_ending = || progress.is_ending();
    let names_main = notify::can_name_main();
    let mut led = successor.take_over(is_ending).await;
    if led.is_ok() && names_main {
        led = successor.answer(is_ending).await;
    }
    if let Err(unfit) = led {
        let text = format!("{}: {unfit}", successor.binary.display());
        answer(desk, asked, Err(Refusal::Failed(text)));
        return Ended::Becomes(again(desk, unfit == Unfit::Ending));
    }
    if !names_main {
        // Whoever started this process waits for it under its number.
        successor.end().await;
        let (binary, handover) = (successor.binary.clone(), desk.handover.clone());
        answer(desk, asked, Ok(applied));
        return Ended::Becomes(Becomes { binary, handover, comes_back: true, is_to_end: is_ending() });
    }
    notify::main_is(successor.pid());
    if let Err(unfit) = successor.lead().await {
        // It is the one for systemd, which starts another when it is gone.
        tracing::error!("the newer control does not say that it leads: {unfit}");
    }
    answer(desk, asked, Ok(applied));
    Ended::Followed(successor.pid())
}

/// This control, once more.
fn again(desk: &Desk, is_to_end: bool) -> Becomes {
    Becomes { binary: own_path(), handover: desk.handover.clone(), comes_back: false, is_to_end }
}

fn answer(desk: &Desk, asked: Asked, said: Result<Applied, Refusal>) {
    if !asked.how.dry {
        desk.events.record(audit(&asked.who, &asked.ask, &[], &[], &said).with("change", asked.id));
    }
    desk.changes.over(asked.id, &said);
    // Whoever asked may have gone.
    let _ = asked.answer.send(said);
}
