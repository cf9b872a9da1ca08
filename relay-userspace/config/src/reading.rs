//! The bytes of a configuration file.

use nix::fcntl::OFlag;
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The file of a hundred thousand relays is smaller.
const LONGEST: u64 = 64 << 20;

/// Reads a regular file; `look` sees it before. What is none is refused and not read: a FIFO has its reader wait for ever.
pub(super) fn of_file(path: &Path, look: impl FnOnce(&File)) -> io::Result<Vec<u8>> {
    // With this the open of a FIFO does not wait either.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    look(&file);
    let kind = file.metadata()?.file_type();
    if !kind.is_file() {
        return Err(io::Error::other(format!("it is {}, not a file", name_of(kind))));
    }
    all(file)
}

/// Reads a file, or what somebody writes into a pipe.
pub(super) fn of_anything(path: &Path) -> io::Result<Vec<u8>> {
    File::open(path).and_then(all)
}

fn all(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("it is longer than {} MiB", LONGEST >> 20)));
    }
    Ok(bytes)
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, of_anything, of_file};
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use std::fs::{self, File};
    use std::path::{Path, PathBuf};
    use std::{env, process, thread};

    /// Gone when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = env::temp_dir().join(format!("mcr-reading-{name}-{}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn refused(path: &Path) -> String {
        of_file(path, |_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_file_is_refused_at_once_and_named() {
        let folder = Folder::new("kinds");
        let fifo = folder.0.join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        assert_eq!(refused(&fifo), "it is a FIFO, not a file");
        assert_eq!(refused(&folder.0), "it is a directory, not a file");
        assert_eq!(refused(Path::new("/dev/zero")), "it is a device, not a file");
    }

    #[test]
    fn a_file_that_is_far_too_long_is_not_read_into_memory() {
        let folder = Folder::new("long");
        let long = folder.0.join("long");
        File::create(&long).unwrap().set_len(LONGEST << 10).unwrap();
        assert_eq!(refused(&long), "it is longer than 64 MiB");
    }

    #[test]
    fn what_a_program_writes_into_a_pipe_can_be_checked() {
        let folder = Folder::new("pipe");
        let fifo = folder.0.join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let writes = fifo.clone();
        let writer = thread::spawn(move || fs::write(writes, "[lanes]\n").unwrap());
        assert_eq!(of_anything(&fifo).unwrap(), b"[lanes]\n");
        writer.join().unwrap();
    }
}
