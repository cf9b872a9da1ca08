//! A configuration file that lies, whole and flushed, beside the one whose place it is to take.

use anyhow::Context as _;
use nix::unistd::{Gid, Uid, chown};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Who may read a file that there was none of: it can hold the hashes of tokens.
const MODE: u32 = 0o640;

/// What is written and counts not yet. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Aside {
    written: PathBuf,
    file: PathBuf,
}

impl Aside {
    /// Writes it, with the owner and the rights of the file that is there.
    ///
    /// # Errors
    /// When it cannot be written; nothing is left of it.
    pub(super) fn write(file: &Path, text: &str) -> anyhow::Result<Self> {
        // Where it is a link, that stays.
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".import");
        let aside = Self { written: file.with_file_name(name), file };
        aside.fill(text).with_context(|| {
            format!("nothing was changed: {} cannot be written (run mcr import as root)", aside.written.display())
        })?;
        Ok(aside)
    }

    fn fill(&self, text: &str) -> std::io::Result<()> {
        let there = fs::metadata(&self.file).ok();
        match fs::remove_file(&self.written) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.written)?;
        written.write_all(text.as_bytes())?;
        if let Some(there) = &there {
            chown(&self.written, Some(Uid::from_raw(there.uid())), Some(Gid::from_raw(there.gid())))?;
        }
        let mode = there.map_or(MODE, |there| there.mode() & 0o7777);
        written.set_permissions(Permissions::from_mode(mode))?;
        written.sync_all()
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// When that failed; what was there is there.
    pub(super) fn put(self) -> anyhow::Result<()> {
        fs::rename(&self.written, &self.file).with_context(|| format!("cannot replace {}", self.file.display()))?;
        let folder = self.file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new("."))).and_then(|folder| folder.sync_all())?;
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // After it was put in its place it is not there.
        let _ = fs::remove_file(&self.written);
    }
}
