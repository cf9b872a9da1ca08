//! The disk of a node: what is on it, and how it hangs.

use crate::model::{Asked, Model};
use crate::node::{Node, SOON};
use crate::step::{Spec, Step};
use crate::words::{kept, words};
use bench::clock::Deadline;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;
use std::{fs, thread};

impl Node<'_> {
    /// The relays that the state file has.
    pub(crate) fn kept(&self) -> BTreeMap<u8, Asked> {
        // There is none before the first change.
        kept(&fs::read_to_string(self.disk.path().join("relays.toml")).unwrap_or_default())
    }

    /// What is told of the disk is so: as long as it is said that something is not kept, and no longer, that may be.
    pub(crate) fn check_disk(&self, model: &mut Model) -> Result<(), String> {
        let status = self.status()?;
        if status["config"]["on_trial"].is_null() == model.on_trial {
            return Err(format!("on trial: {}, and status says {}", model.on_trial, status["config"]));
        }
        let told = &status["not_kept"];
        let kept = self.kept();
        match &model.kept {
            None if !told.is_null() => return Err(format!("all is kept, and status says {told}")),
            Some(before) if !told.is_null() && kept == *before => return Ok(()),
            _ => model.kept = None,
        }
        if kept == model.api { Ok(()) } else { Err(format!("the disk has {kept:?}, and must {:?}", model.api)) }
    }

    /// The file that the state is written to is a pipe: to open it waits, as on a disk that hangs.
    pub(crate) fn hang_disk(&self, relay: u8, spec: Spec, step: &Step, model: &mut Model) -> Result<(), String> {
        let pipe = self.disk.path().join("relays.toml.new");
        mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let mut add = self.mcr(&words(&Step::Add(relay, spec)));
        let mut add = add.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let waits = self.waits_for_the_disk(&mut add);
        let lane = self.kill_lane(Signal::SIGKILL);
        if waits {
            fs::File::open(&pipe).and_then(|mut pipe| pipe.read_to_end(&mut Vec::new())).unwrap();
        }
        let output = add.wait_with_output().unwrap();
        // It is gone if something was written in its place.
        let _ = fs::remove_file(&pipe);
        lane?;
        self.answered(step, model, &output)
    }

    /// Whether a thread of control waits for the pipe; not if the change was answered before.
    fn waits_for_the_disk(&self, change: &mut Child) -> bool {
        let threads = PathBuf::from(format!("/proc/{}/task", self.relay.process.pid()));
        let deadline = Deadline::after(SOON);
        while change.try_wait().unwrap().is_none() {
            let waits = |thread: fs::DirEntry| {
                fs::read_to_string(thread.path().join("wchan")).is_ok_and(|place| place == "wait_for_partner")
            };
            if fs::read_dir(&threads).unwrap().flatten().any(waits) {
                return true;
            }
            assert!(!deadline.passed(), "the change is neither answered nor waits for the disk");
            thread::sleep(Duration::from_millis(1));
        }
        false
    }
}
