//! A small disk that can be full.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk of 64 KiB; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Tmpfs(PathBuf);

impl Tmpfs {
    pub(super) fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("mcr-rig-disk-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=64k,mode=0700", "mcr-rig"];
        assert!(Command::new("mount").args(mount).arg(&folder).status().unwrap().success());
        Self(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Leaves no byte.
    pub(super) fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        while filler.write_all(&[0; 512]).is_ok() {}
    }

    pub(super) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
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
