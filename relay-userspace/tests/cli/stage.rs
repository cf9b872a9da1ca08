//! The binary and its socket: each test has its own.

use crate::play::Play;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A folder with a socket behind which the API is played.
pub(crate) struct Stage {
    pub(crate) folder: PathBuf,
    pub(crate) play: Play,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) side: String,
}

impl Stage {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let folder = std::env::temp_dir().join(format!("mcr-cli-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let play = Play::at(&folder.join("mcr.sock"));
        Self { folder, play }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// Runs a command whose words are separated by spaces.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.run_with(line, "")
    }

    /// The same with something on standard input.
    pub(crate) fn run_with(&self, line: &str, input: &str) -> Ran {
        run(self.command(line), input)
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        command(line, &self.path("mcr.sock"))
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub(crate) fn out(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        ran.out
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn command(line: &str, socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcr"));
    command.args(line.split(' ')).env_remove("MCR_URL").env_remove("MCR_TOKEN").env("MCR_SOCKET", socket);
    command
}

pub(crate) fn run(mut command: Command, input: &str) -> Ran {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // A command that reads nothing may be gone by now.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    ran(child.wait_with_output().unwrap())
}

pub(crate) fn ran(output: Output) -> Ran {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), side: text(output.stderr) }
}
