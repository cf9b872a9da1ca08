//! Who takes part: MCR, its peers, and the ceilings.

use std::path::PathBuf;

use anyhow::Result;

use super::results::{Kind, Loss};
use super::scenario::Scenario;
use super::stage::Stage;

/// Someone who takes part, by the name that scenarios know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contestant {
    /// Its name.
    pub name: String,
    /// What it is, in one line.
    pub about: String,
    /// What it is.
    pub kind: Kind,
}

/// The programs that contestants need.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The binary of MCR.
    pub mcr: PathBuf,
    /// Our relay of plain sockets.
    pub peer: PathBuf,
}

/// A contestant at work: packets that come in by `in0` leave by its outputs. It ends when dropped.
pub struct Running {
    /// Its processes, those of the kernel not among them.
    pub pids: Vec<u32>,
    /// Packets that have got through it, where they do not come to the sinks.
    pub received: Option<Box<dyn Fn() -> u64>>,
    /// Ends it in order and says what it, or the kernel on its behalf, counted as lost since its start.
    pub end: Box<dyn FnOnce() -> Result<Vec<Loss>>>,
}

impl Contestant {
    /// Starts it on a stage and waits until packets would flow.
    pub fn start(&self, _programs: &Programs, _stage: &Stage, _scenario: &Scenario) -> Result<Running> {
        todo!()
    }
}
