//! The configuration that runs, in the run folder: whoever takes lanes over goes on with it. The disk of the state file may be
//! full or away, and the configuration file may name another one by now.

use super::door;
use super::store::beside;
use relay_config as config;
use relay_config::{Configuration, Errors};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const HEAD: &str = "# The configuration that mcr runs. mcr writes this, and reads it when it takes over lanes that have no control.\n\n";

/// Where it lies.
#[derive(Clone, Debug)]
pub struct Running {
    path: PathBuf,
}

impl Running {
    /// That of the control of this network namespace.
    ///
    /// # Errors
    /// When the namespace cannot be told.
    pub fn in_folder(run_dir: &Path) -> anyhow::Result<Self> {
        Ok(Self { path: run_dir.join(format!("running.{}.toml", door::namespace()?)) })
    }

    /// What ran, if that was written down and this version can read it.
    #[must_use]
    pub fn read(&self) -> Option<Configuration> {
        self.written()?.ok()
    }

    /// What runs, as [`read`](Self::read) gives it.
    ///
    /// # Errors
    /// What this version does not understand of it: whoever goes on with it all the same would do what nobody has asked for.
    pub fn understood(&self) -> Result<Option<Configuration>, Errors> {
        self.written().transpose()
    }

    fn written(&self) -> Option<Result<Configuration, Errors>> {
        let written = fs::read_to_string(&self.path).ok()?;
        Some(config::parse("the configuration that runs", written.strip_prefix(HEAD)?))
    }

    /// Writes it down, whole or not at all; where that fails it is told. It need not outlast the machine, as the lanes do not:
    /// nothing is flushed.
    pub fn keep(&self, text: &str) {
        if let Err(error) = self.write(text) {
            let path = self.path.display();
            tracing::warn!("cannot write {path}: {error}; a control that takes over may go on with what ran before");
        }
    }

    /// Keeps for whoever takes over what the disk is to know of the configuration file; nothing once it does.
    pub fn keep_unnoted(&self, outcome: Option<String>) {
        let path = beside(&self.path, "unnoted");
        let kept = match outcome {
            Some(text) => write(&path, &text),
            None => fs::remove_file(&path).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        };
        if let Err(error) = kept {
            let path = path.display();
            tracing::warn!(
                "cannot write {path}: {error}; a control that takes over may forget that a file was given up"
            );
        }
    }

    /// What the control before this one could not note, as a text.
    #[must_use]
    pub fn unnoted(&self) -> Option<String> {
        fs::read_to_string(beside(&self.path, "unnoted")).ok()
    }

    fn write(&self, text: &str) -> io::Result<()> {
        write(&self.path, &format!("{HEAD}{text}"))
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let aside = beside(path, "new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::Running;
    use std::fs;

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        let folder = std::env::temp_dir().join(format!("mcr-running-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let running = Running::in_folder(&folder).unwrap();
        assert!(running.read().is_none() && running.understood().unwrap().is_none(), "there is none");
        let text = "[lanes]\nring_size = 512\n";
        running.write(text).unwrap();
        let read = running.read().unwrap();
        assert_eq!((read.plan.lanes.ring_size, &*read.text), (512, text));
        fs::write(&running.path, text).unwrap();
        assert!(running.read().is_none(), "somebody else's");
        running.write("[lanes]\nring_size = \"of a later version\"\n").unwrap();
        assert!(running.read().is_none(), "not to be read");
        let errors = running.understood().unwrap_err();
        assert_eq!(errors.errors[0].key, "lanes.ring_size", "{errors}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
