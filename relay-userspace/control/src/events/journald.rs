//! systemd's journal, where standard error leads there: an entry is fields, so that `journalctl MCR_RELAY=ch1` finds what
//! concerns a relay.
//!
//! An entry waits to be written as one text, its fields ended by a NUL each; [`Journal`] makes of it what journald reads.
//! A line that is no entry goes to standard error: journald looks up whose an entry is when it reads it, and a process that
//! has ended by then is nobody's; standard error belongs to the unit for good.

use super::writer::write_all;
use relay_config::time::rfc3339;
use serde_json::{Map, Value};
use std::env;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use tracing::Level;

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// The end of a field.
const END: char = '\0';
/// Bytes of a value: journald cuts lines there, too, and an entry of a few fits into what a socket sends at once.
const LONGEST: usize = 48 << 10;
/// Bytes of an entry: the room that a socket has by default, less what the form takes.
const LONGEST_ENTRY: usize = 160 << 10;
/// Bytes of the name of a field, as journald has it.
const LONGEST_NAME: usize = 64;

/// The journal.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// The journal, if standard error leads there.
    pub(super) fn of_stderr() -> Option<Self> {
        let named = env::var("JOURNAL_STREAM").ok()?;
        let (device, inode) = named.split_once(':')?;
        let stderr = std::fs::File::from(io::stderr().as_fd().try_clone_to_owned().ok()?).metadata().ok()?;
        let is_it = device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino());
        if is_it { Self::at(Path::new(SOCKET)).ok() } else { None }
    }

    fn at(path: &Path) -> io::Result<Self> {
        // It is not connected: another journald may listen there later.
        Ok(Self { socket: UnixDatagram::unbound()?, path: path.to_owned() })
    }
}

impl AsFd for Journal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Write for Journal {
    /// Writes one entry, or one line.
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        if is_entry(entry) {
            self.socket.send_to(&encoded(entry), &self.path)?;
        } else {
            write_all(&mut io::stderr(), entry)?;
        }
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_entry(line: &[u8]) -> bool {
    line.ends_with(b"\0")
}

/// The last words of a process as they go to standard error, which has the level in front.
pub(super) fn last_words(line: &str) -> String {
    line.lines().fold(String::new(), |said, line| said + "<3>" + line + "\n")
}

/// An entry as journald reads it: `KEY=value` where the value is one line, else its length in front.
fn encoded(entry: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(entry.len() + 64);
    for field in entry.split(|byte| *byte == 0).filter(|field| !field.is_empty()) {
        let at = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
        let (name, value) = (&field[..at], field.get(at + 1..).unwrap_or_default());
        encoded.extend_from_slice(name);
        if value.contains(&b'\n') {
            encoded.push(b'\n');
            encoded.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            encoded.push(b'=');
        }
        encoded.extend_from_slice(value);
        encoded.push(b'\n');
    }
    encoded
}

/// An entry in the making.
#[derive(Debug, Default)]
pub(super) struct Entry(String);

impl Entry {
    /// An entry with what all have.
    pub(super) fn new(level: Level, message: &str) -> Self {
        let priority = match level {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            _ => "7",
        };
        let mut entry = Self::default();
        entry.put("MESSAGE", message.trim_end());
        entry.put("PRIORITY", priority);
        entry.put("SYSLOG_IDENTIFIER", "mcr");
        entry
    }

    /// What kind of event it is, and when that happened if it was before.
    pub(super) fn event(&mut self, event: &str, happened_ms: Option<u64>) {
        self.put("MCR_EVENT", event);
        if let Some(then) = happened_ms {
            self.put("MCR_TIME", &rfc3339(then));
        }
    }

    /// The fields of an event: `relay` is `MCR_RELAY`.
    pub(super) fn fields(&mut self, fields: &Map<String, Value>) {
        for (name, value) in fields {
            let known = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            let name: String = "MCR_".chars().chain(name.chars().map(known)).take(LONGEST_NAME).collect();
            match value {
                Value::String(text) => self.put(&name, text),
                other => self.put(&name, &other.to_string()),
            }
        }
    }

    fn put(&mut self, name: &str, value: &str) {
        let end = value.floor_char_boundary(LONGEST);
        if self.0.len() + end > LONGEST_ENTRY {
            return;
        }
        // Writing to a String cannot fail.
        let _ = write!(self.0, "{name}={}{END}", value[..end].replace(END, " "));
    }

    /// The entry as it waits to be written.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Journal, LONGEST};
    use serde_json::json;
    use std::io::Write as _;
    use std::os::unix::net::UnixDatagram;
    use tracing::Level;

    #[test]
    fn an_entry_comes_as_fields_whatever_stands_in_them() {
        let path = std::env::temp_dir().join(format!("mcr-journald-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let journald = UnixDatagram::bind(&path).unwrap();
        let mut entry = Entry::new(Level::WARN, "ch1: two\nlines\n");
        entry.event("stream.interrupted", Some(1_000));
        let fields = json!({ "relay": "ch1", "gap-ms": 7, "before": { "a": [1] }, "odd": "a=b\0c" });
        entry.fields(fields.as_object().unwrap());
        Journal::at(&path).unwrap().write_all(entry.text().as_bytes()).unwrap();
        let mut bytes = [0; 1024];
        let n = journald.recv(&mut bytes).unwrap();
        std::fs::remove_file(&path).unwrap();
        let message = [b"MESSAGE\n".as_slice(), &14_u64.to_le_bytes(), b"ch1: two\nlines\n"].concat();
        assert!(bytes[..n].starts_with(&message), "{:?}", String::from_utf8_lossy(&bytes[..n]));
        let rest = std::str::from_utf8(&bytes[message.len()..n]).unwrap();
        assert_eq!(
            rest,
            "PRIORITY=4\nSYSLOG_IDENTIFIER=mcr\nMCR_EVENT=stream.interrupted\nMCR_TIME=1970-01-01T00:00:01.000Z\n\
             MCR_BEFORE={\"a\":[1]}\nMCR_GAP_MS=7\nMCR_ODD=a=b c\nMCR_RELAY=ch1\n"
        );
    }

    #[test]
    fn what_is_too_long_is_cut_and_the_entry_can_be_sent() {
        let long = "é".repeat(LONGEST);
        let mut entry = Entry::new(Level::ERROR, &long);
        entry.fields(json!({ "a": long, "b": long, "c": long, "relay": "ch1" }).as_object().unwrap());
        assert!(entry.text().len() < 200_000, "{}", entry.text().len());
        assert!(entry.text().contains("MCR_RELAY=ch1"));
    }
}
