//! A terminal with a command in it: what is seen on it, and keys that are pressed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::{Pid, ttyname};

use crate::clock::Deadline;
use crate::sys;

/// How often it is looked whether something is seen now.
const LOOK: Duration = Duration::from_millis(5);

/// A terminal with a command in it, which is killed when this is dropped.
pub struct Terminal {
    child: Child,
    keys: File,
    name: std::path::PathBuf,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// Starts a command in a terminal of that size. Its environment is what the command says besides ours.
    pub fn start(command: &Command, columns: u16, rows: u16) -> Result<Self> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).context("open a terminal")?;
        let name = ttyname(&pty.slave).context("name the terminal")?;
        let end = || -> Result<Stdio> { Ok(pty.slave.try_clone()?.into()) };
        // A session of its own: only the terminal's first session is told of a new size.
        let mut inside = Command::new("setsid");
        inside.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(key, value),
                None => inside.env_remove(key),
            };
        }
        inside.stdin(end()?).stdout(end()?).stderr(end()?);
        sys::die_with_parent(&mut inside);
        let child = inside.spawn().context("start setsid")?;
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let keys = File::from(pty.master);
        let (mut output, drawn) = (keys.try_clone()?, Arc::clone(&screen));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Nobody holds the other end any more when this fails.
            while let Ok(n @ 1..) = output.read(&mut bytes) {
                lock(&drawn).process(&bytes[..n]);
            }
        });
        Ok(Self { child, keys, name, screen })
    }

    /// What is seen, line by line.
    pub fn seen(&self) -> String {
        lock(&self.screen).screen().contents()
    }

    /// Waits until what is seen is right, and returns it.
    pub fn wait_until(&self, what: &str, within: Duration, is_right: impl Fn(&str) -> bool) -> Result<String> {
        let deadline = Deadline::after(within);
        loop {
            let seen = self.seen();
            if is_right(&seen) {
                return Ok(seen);
            }
            if deadline.passed() {
                bail!("{what} was not seen within {within:?}, but:\n{seen}");
            }
            thread::sleep(LOOK);
        }
    }

    /// Waits until this text is seen, and returns all that is.
    pub fn wait_for(&self, text: &str, within: Duration) -> Result<String> {
        self.wait_until(text, within, |seen| seen.contains(text))
    }

    /// Presses keys: their bytes, as a terminal sends them.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes()).context("press keys")
    }

    /// Gives the terminal another size.
    pub fn resize(&mut self, columns: u16, rows: u16) -> Result<()> {
        lock(&self.screen).screen_mut().set_size(rows, columns);
        let size = [columns, rows].map(|n| n.to_string());
        let mut stty = Command::new("stty");
        stty.arg("-F").arg(&self.name).args(["cols", &size[0], "rows", &size[1]]);
        ensure!(stty.status().context("start stty")?.success(), "{stty:?} failed");
        Ok(())
    }

    /// Sends a signal to the command.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), signal).context("send a signal")
    }

    /// Waits for the command's end.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let deadline = Deadline::after(within);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if deadline.passed() {
                bail!("the command did not end within {within:?}; seen is:\n{}", self.seen());
            }
            thread::sleep(LOOK);
        }
    }

    /// Whether the command draws on a screen of its own, over what was there.
    pub fn is_covered(&self) -> bool {
        lock(&self.screen).screen().alternate_screen()
    }

    /// Whether the terminal is as it was: the first screen with its cursor, and lines are read and echoed.
    pub fn is_as_before(&self) -> Result<bool> {
        let flags = tcgetattr(&self.keys).context("look at the terminal")?.local_flags;
        let shown = lock(&self.screen);
        let screen = shown.screen();
        Ok(flags.contains(LocalFlags::ECHO | LocalFlags::ICANON) && !screen.alternate_screen() && !screen.hide_cursor())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lock(screen: &Mutex<vt100::Parser>) -> MutexGuard<'_, vt100::Parser> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_command_is_seen_typed_to_and_told_of_a_new_size() {
        let mut command = Command::new("sh");
        command.args(["-c", "stty size; trap 'stty size' WINCH; read word; echo \"got $word\"; read word; exit 7"]);
        let mut terminal = Terminal::start(&command, 80, 24).unwrap();
        terminal.wait_for("24 80", SOON).unwrap();
        terminal.resize(100, 30).unwrap();
        terminal.press("one\n").unwrap();
        terminal.wait_for("30 100", SOON).unwrap();
        assert!(terminal.is_as_before().unwrap() && !terminal.is_covered());
        assert!(terminal.wait_for("never", Duration::from_millis(1)).is_err());
        terminal.press("two\nthree\n").unwrap();
        assert_eq!(terminal.wait(SOON).unwrap().code(), Some(7));
    }
}
