//! A small disk that can be full.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

/// A disk of 64 KiB; it goes when this is dropped.
#[derive(Debug)]
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one, empty.
    pub fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("mcr-rig-disk-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let mount = ["-t", "tmpfs", "-o", "size=64k,mode=0700", "mcr-rig"];
        let mounted = Command::new("mount").args(mount).arg(&folder).status().context("run mount")?;
        ensure!(mounted.success(), "cannot mount {}", folder.display());
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Leaves no byte.
    pub fn fill(&self) -> Result<()> {
        let mut filler = fs::File::create(self.filler()).context("fill the disk")?;
        while filler.write_all(&[0; 512]).is_ok() {}
        Ok(())
    }

    /// Makes it read-only, or not any more: `ro`, `rw`.
    pub fn remount(&self, how: &str) -> Result<()> {
        let options = format!("remount,{how}");
        let mounted = Command::new("mount").args(["-o", &options]).arg(&self.0).status().context("run mount")?;
        ensure!(mounted.success(), "cannot make {} {how}", self.0.display());
        Ok(())
    }

    /// Takes away what filled it.
    pub fn make_room(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("make room on the disk")
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there, the disk is gone from the tree.
        let gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !gone.is_ok_and(|status| status.success()) || fs::remove_dir(&self.0).is_err() {
            eprintln!("{} is left over", self.0.display());
        }
    }
}
