//! How processes of a node die, and come again.

use crate::model::Model;
use crate::node::{NOTED, Node, SOON};
use crate::step::{Dies, Step, Text, is_deadly};
use crate::words::config;
use bench::clock::Deadline;
use bench::relay::binary;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;
use std::{fs, thread};

/// A trial of a second is over by then.
const EXPIRED: Duration = Duration::from_millis(1200);

impl Node<'_> {
    fn begin(&mut self) -> Result<(), String> {
        self.relay.process = self.relay.another(&binary(), &self.links.relay).unwrap();
        self.relay.wait_until_ready().map(drop).map_err(|error| format!("it does not start: {error:#}"))
    }

    /// Control dies of a signal, and another takes the lanes over.
    pub(crate) fn kill_control(&mut self, signal: Signal) -> Result<(), String> {
        let lanes = self.relay.lanes();
        self.end_control(signal);
        self.begin()?;
        self.same_lanes(&lanes)
    }

    fn end_control(&mut self, signal: Signal) {
        self.relay.process.signal(signal).unwrap();
        self.relay.process.wait(SOON).unwrap();
    }

    fn same_lanes(&self, lanes: &[u32]) -> Result<(), String> {
        if self.relay.lanes() == lanes { Ok(()) } else { Err("there are other lanes than before".to_owned()) }
    }

    pub(crate) fn signal_control(&mut self, signal: Signal) -> Result<(), String> {
        if is_deadly(signal) {
            return self.kill_control(signal);
        }
        let lanes = self.relay.lanes();
        self.relay.process.signal(signal).unwrap();
        thread::sleep(NOTED);
        if !self.relay.process.is_running().unwrap() {
            return Err(format!("control ended at {signal}"));
        }
        self.same_lanes(&lanes)
    }

    pub(crate) fn signal_lanes(&self, signal: Signal) -> Result<(), String> {
        let is_control_s_to_hear = matches!(signal, Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP);
        if is_deadly(signal) && !is_control_s_to_hear {
            return self.kill_lane(signal);
        }
        let lanes = self.signal_every_lane(signal);
        thread::sleep(NOTED);
        self.same_lanes(&lanes)
    }

    fn signal_every_lane(&self, signal: Signal) -> Vec<u32> {
        let lanes = self.relay.lanes();
        for lane in &lanes {
            // It may be gone already.
            let _ = kill(Pid::from_raw(lane.cast_signed()), signal);
        }
        lanes
    }

    pub(crate) fn kill_lane(&self, signal: Signal) -> Result<(), String> {
        let killed = self.signal_every_lane(signal);
        self.wait_for_another_lane(&killed)
    }

    /// Control stands still for a moment, and a lane dies meanwhile.
    pub(crate) fn stop_control(&self) -> Result<(), String> {
        self.relay.process.signal(Signal::SIGSTOP).unwrap();
        let killed = self.signal_every_lane(Signal::SIGKILL);
        thread::sleep(NOTED);
        self.relay.process.signal(Signal::SIGCONT).unwrap();
        self.wait_for_another_lane(&killed)
    }

    fn wait_for_another_lane(&self, killed: &[u32]) -> Result<(), String> {
        let deadline = Deadline::after(SOON);
        loop {
            let lanes = self.relay.lanes();
            if lanes.len() == killed.len() && lanes.iter().all(|lane| !killed.contains(lane)) {
                return Ok(());
            }
            if deadline.passed() {
                return Err(format!("no lane follows {killed:?}: {lanes:?}"));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Everything ends, in order or not, and is begun anew.
    pub(crate) fn begin_anew(&mut self, step: &Step, model: &mut Model) -> Result<(), String> {
        if !model.begins_with_file() {
            self.wait_for_last_good(model)?;
        }
        match step {
            Step::KillBoth => self.kill_everything(),
            Step::SignalControl(signal) => self.end_control(*signal),
            _ => self.relay.process.stop(SOON).map_err(|error| format!("it does not end: {error:#}"))?,
        }
        model.begin_anew(self.kept());
        self.begin()
    }

    fn kill_everything(&mut self) {
        self.end_control(Signal::SIGKILL);
        self.signal_every_lane(Signal::SIGKILL);
    }

    /// What is in force is soon the last good configuration.
    fn wait_for_last_good(&self, model: &Model) -> Result<(), String> {
        let text = config(&self.disk, &Text::Relays(model.file.clone()));
        let file = self.disk.path().join("relays.toml.last-good");
        let deadline = Deadline::after(SOON);
        loop {
            let kept = fs::read_to_string(&file);
            if kept.as_ref().is_ok_and(|kept| kept.ends_with(&text)) {
                return Ok(());
            }
            if deadline.passed() {
                return Err(format!("the last good configuration is {kept:?}, and must end with {text:?}"));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The file is taken for a second, and nobody confirms it.
    pub(crate) fn expire(&mut self, dies: Dies, step: &Step, model: &mut Model) -> Result<(), String> {
        let mark = self.relay.process.mark();
        self.ask(step, model)?;
        match dies {
            Dies::Nothing => {
                let told = self.relay.process.wait_for_after(mark, "config.rolled_back", SOON);
                told.map(drop).map_err(|error| format!("{error:#}"))?;
                model.expires(dies);
            }
            Dies::Control => {
                self.end_control(Signal::SIGKILL);
                thread::sleep(EXPIRED);
                model.expires(dies);
                self.begin()?;
            }
            Dies::Everything => {
                self.kill_everything();
                thread::sleep(EXPIRED);
                model.expires(dies);
                model.begin_anew(self.kept());
                self.begin()?;
            }
        }
        self.wait_until_given_up()
    }

    /// Whoever begins when the time of a trial is over gives it up a moment later.
    fn wait_until_given_up(&self) -> Result<(), String> {
        let deadline = Deadline::after(SOON);
        while !self.status()?["config"]["on_trial"].is_null() {
            if deadline.passed() {
                return Err("what was on trial is not given up".to_owned());
            }
        }
        Ok(())
    }
}
