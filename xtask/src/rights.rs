//! Root, and how to get there: packages, namespaces and AF_XDP need it, compiling never does.

use std::{ffi::OsStr, io::IsTerminal, os::unix::fs::MetadataExt, process::Command};

use anyhow::{Result, bail};

use crate::step;

/// How this process may become root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rights {
    Root,
    /// By sudo; it may ask for a password when somebody is there to type one.
    Sudo {
        ask: bool,
    },
}

impl Rights {
    /// `None` when nobody could type a password and sudo wants one.
    pub(crate) fn find() -> Option<Self> {
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        if is_root {
            return Some(Self::Root);
        }
        if step::succeeds(Command::new("sudo").args(["-n", "true"])) {
            return Some(Self::Sudo { ask: false });
        }
        let can_ask = std::io::stdin().is_terminal() && step::succeeds(Command::new("sudo").arg("-V"));
        can_ask.then_some(Self::Sudo { ask: true })
    }

    pub(crate) fn need(what: &str) -> Result<Self> {
        match Self::find() {
            Some(rights) => Ok(rights),
            None => bail!("{what} needs root: run this as root, or from a terminal as a user who may use sudo"),
        }
    }

    /// `program` as root, with the variables of `env`, which sudo would take away.
    pub(crate) fn command(self, program: impl AsRef<OsStr>, env: &[(&str, &OsStr)]) -> Command {
        match self {
            Self::Root => {
                let mut command = Command::new(program);
                command.envs(env.iter().copied());
                command
            }
            Self::Sudo { ask } => {
                let mut command = Command::new("sudo");
                if !ask {
                    command.arg("-n");
                }
                command.arg("env");
                for (key, value) in env {
                    let mut assignment = std::ffi::OsString::from(key);
                    assignment.push("=");
                    assignment.push(value);
                    command.arg(assignment);
                }
                command.arg(program);
                command
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_hands_the_environment_over_in_words() {
        let env = [("MCR", OsStr::new("/x/mcr"))];
        let command = Rights::Sudo { ask: false }.command("netns", &env);
        assert_eq!(step::shown(&command), "sudo -n env MCR=/x/mcr netns");
        let command = Rights::Sudo { ask: true }.command("netns", &[]);
        assert_eq!(step::shown(&command), "sudo env netns");
    }

    #[test]
    fn root_needs_no_sudo() {
        assert_eq!(step::shown(&Rights::Root.command("netns", &[])), "netns");
    }
}
