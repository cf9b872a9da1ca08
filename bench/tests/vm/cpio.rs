//! An archive in the form that a kernel unpacks as its first file system (cpio, "newc").

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive that grows.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a folder; folders come before what lies in them.
    pub(crate) fn folder(&mut self, name: &str) {
        self.entry(name, FOLDER, &[]);
    }

    /// Adds a file that can be run.
    pub(crate) fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, PROGRAM, content);
    }

    /// Adds all that lies in a folder of this machine: folders, files and links, each as it is.
    pub(crate) fn tree(&mut self, root: &Path, leave_out: &[&str]) -> Result<()> {
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
                let path = entry?.path();
                let name = path.strip_prefix(root)?.to_str().context("a name that is no text")?;
                if leave_out.contains(&name) {
                    continue;
                }
                let facts = path.symlink_metadata()?;
                let content = if facts.is_symlink() {
                    fs::read_link(&path)?.into_os_string().into_encoded_bytes()
                } else if facts.is_file() {
                    fs::read(&path).with_context(|| format!("read {}", path.display()))?
                } else {
                    Vec::new()
                };
                self.entry(name, facts.mode(), &content);
                if facts.is_dir() {
                    folders.push(path);
                }
            }
        }
        Ok(())
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(content.len()).expect("a file of an initramfs is small");
        let name_size = u32::try_from(name.len() + 1).expect("a name is short");
        // Number, mode, owner, group, links, time, size, two devices of two numbers each, length of the name, checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        let mut header = "070701".to_owned();
        for field in fields {
            // Writing to a string cannot fail.
            let _ = write!(header, "{field:08x}");
        }
        self.bytes.extend(header.bytes());
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[test]
fn an_archive_is_as_the_kernel_reads_it() {
    let mut archive = Archive::default();
    archive.folder("bin");
    archive.file("bin/a", b"hello");
    let bytes = archive.finish();
    assert_eq!(&bytes[..6], b"070701");
    assert_eq!(&bytes[14..22], b"000041ed", "the mode of a folder");
    assert_eq!(&bytes[110..114], b"bin\0");
    // The header of 110 bytes and the name of 4 end at a multiple of four with two bytes more.
    let second = &bytes[116..];
    assert_eq!((&second[..6], &second[54..62], &second[94..102]), (&b"070701"[..], &b"00000005"[..], &b"00000006"[..]));
    assert_eq!(&second[116..121], b"hello");
    assert!(bytes.len().is_multiple_of(4) && bytes.ends_with(b"TRAILER!!!\0\0\0\0"));
}
