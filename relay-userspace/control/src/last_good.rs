//! The last configuration that ran, beside the state file: a node whose file is bad comes up with it after a reboot, when
//! no lane is left that could tell what ran.

use super::store::{beside, write_in_place};
use relay_config as config;
use relay_config::time::rfc3339;
use relay_config::{Configuration, Errors};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

/// What stands above it; the path of the configuration file follows. A copy of another node's file is not taken for this
/// one's.
const HEAD: &str = "# The last configuration that mcr ran of ";
const REST: &str =
    "\n# mcr writes this, and reads it when it starts and that file is refused. Change that file, not this one.\n\n";

/// A write that failed is tried again after so long, and then after twice that, up to a limit.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(15);

/// Where the last configuration that ran is kept.
#[derive(Clone, Debug)]
pub struct LastGood {
    path: PathBuf,
    /// The configuration file.
    of: PathBuf,
    /// How many there were to keep: the newest wins.
    newest: Arc<Mutex<u64>>,
    writing: Arc<Mutex<()>>,
}

/// A configuration that ran, and since when.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The configuration.
    pub configuration: Configuration,
    /// When it came into force, for people.
    pub since: String,
}

impl LastGood {
    /// The one that belongs to a configuration file and lies beside that state file.
    #[must_use]
    pub fn beside(state_file: &Path, of: &Path) -> Self {
        let path = beside(state_file, "last-good");
        Self { path, of: of.to_owned(), newest: Arc::default(), writing: Arc::default() }
    }

    /// Reads it. `None` when there is none, or another file's.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self) -> Option<Result<Ran, Errors>> {
        let since = fs::metadata(&self.path).and_then(|file| file.modified()).ok()?;
        let mut first = String::new();
        BufReader::new(File::open(&self.path).ok()?).read_line(&mut first).ok()?;
        if first.trim_end() != self.head() {
            return None;
        }
        let ms = since.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0));
        Some(config::load(&self.path).map(|mut configuration| {
            // What is kept is what was written there, and no more.
            if let Some((_, text)) = configuration.text.split_once(REST) {
                configuration.text = text.into();
            }
            Ran { configuration, since: rfc3339(ms) }
        }))
    }

    /// Keeps a configuration, in a thread: a disk that hangs holds nobody up, and on one that is full it is tried again until
    /// there is room or a newer configuration runs. One that is kept already stays as it is, with the time at which it came
    /// into force.
    pub fn keep(&self, text: Arc<str>) {
        let number = self.number();
        let this = self.clone();
        let write = move || {
            let mut pause = FIRST_RETRY;
            let is_kept = loop {
                let error = match this.write_unless_newer(number, &text) {
                    Ok(is_kept) => break is_kept,
                    Err(error) => error,
                };
                if pause == FIRST_RETRY {
                    let path = this.path.display();
                    tracing::warn!(
                        "cannot keep the configuration that runs in {path}: {error}; until it is there, mcr cannot start \
                         with it when its file is refused; trying again"
                    );
                }
                thread::sleep(pause);
                pause = (pause * 2).min(LAST_RETRY);
            };
            if is_kept && pause > FIRST_RETRY {
                tracing::info!("the configuration that runs is kept in {}", this.path.display());
            }
        };
        if let Err(error) = thread::Builder::new().name("last-good".to_owned()).spawn(write) {
            tracing::warn!(%error, "cannot keep the configuration that runs");
        }
    }

    /// Keeps a configuration, and returns when it is on disk.
    ///
    /// # Errors
    /// When that failed: the one before is still there.
    pub fn keep_now(&self, text: &str) -> io::Result<()> {
        self.write_unless_newer(self.number(), text).map(drop)
    }

    fn number(&self) -> u64 {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest += 1;
        *newest
    }

    /// Writes that configuration down, but not over a newer one. Says whether it did.
    fn write_unless_newer(&self, number: u64, text: &str) -> io::Result<bool> {
        // Whoever is newer waits for this lock, and then writes over what an older one wrote.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_newest = *self.newest.lock().unwrap_or_else(PoisonError::into_inner) == number;
        if is_newest { self.write(text).map(|()| true) } else { Ok(false) }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let whole = format!("{}{REST}{text}", self.head());
        if fs::read_to_string(&self.path).is_ok_and(|kept| kept == whole) {
            return Ok(());
        }
        write_in_place(&self.path, &whole)
    }

    fn head(&self) -> String {
        format!("{HEAD}{}", self.of.display())
    }
}

/// The state file that a configuration file names, as far as that can be told of one that is refused: a file that is cut
/// off, or has a key that is not known, tells it all the same.
#[must_use]
pub fn state_file_of(path: &Path) -> Option<PathBuf> {
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.split('#').next().unwrap_or_default().trim();
        } else if section == "[state]"
            && let Some((key, _)) = line.split_once('=')
            && key.trim() == "file"
        {
            let root: toml::Table = toml::from_str(line).ok()?;
            return Some(PathBuf::from(root.get("file")?.as_str()?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{LastGood, state_file_of};
    use std::fs;
    use std::path::PathBuf;
    use std::time::Duration;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("mcr-last-good-{}-{name}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_ran_is_read_again_by_whoever_has_that_configuration_file() {
        let folder = Folder::new("read");
        let (state, of) = (folder.file("relays.toml"), folder.file("relay.toml"));
        let last = LastGood::beside(&state, &of);
        assert!(last.read().is_none(), "there is none yet");
        let text = "[lanes]\nring_size = 512\n";
        last.write(text).unwrap();
        let ran = last.read().unwrap().unwrap();
        assert_eq!((ran.configuration.plan.lanes.ring_size, &*ran.configuration.text), (512, text));
        assert!(ran.since.ends_with('Z') && ran.since.starts_with("20"), "{}", ran.since);
        assert!(LastGood::beside(&state, &folder.file("other.toml")).read().is_none(), "another node's");
        fs::write(folder.file("relays.toml.last-good"), "broken").unwrap();
        assert!(last.read().is_none());
    }

    #[test]
    fn the_newest_is_kept_and_what_stays_keeps_its_time() {
        let folder = Folder::new("keep");
        let last = LastGood::beside(&folder.file("relays.toml"), &folder.file("relay.toml"));
        for number in 0..20 {
            last.keep(format!("# {number}\n").into());
        }
        let kept = || fs::read_to_string(folder.file("relays.toml.last-good")).unwrap_or_default();
        while !kept().ends_with("# 19\n") {
            std::thread::sleep(Duration::from_millis(1));
        }
        let time = || fs::metadata(folder.file("relays.toml.last-good")).unwrap().modified().unwrap();
        let before = time();
        last.write("# 19\n").unwrap();
        assert_eq!(time(), before);
    }

    #[test]
    fn what_could_not_be_kept_is_kept_as_soon_as_it_can_be() {
        let folder = Folder::new("retry");
        let disk = folder.file("disk");
        let last = LastGood::beside(&disk.join("relays.toml"), &folder.file("relay.toml"));
        last.keep("# old\n".into());
        last.keep("# new\n".into());
        // Both have been tried by now, or will be tried for the first time: it is the same.
        std::thread::sleep(Duration::from_millis(50));
        fs::create_dir(&disk).unwrap();
        let kept = || fs::read_to_string(disk.join("relays.toml.last-good")).unwrap_or_default();
        for _ in 0..60_000 {
            if kept().ends_with("# new\n") {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("it is not tried again: {:?}", kept());
    }

    #[test]
    fn the_state_file_is_known_of_a_file_that_is_refused() {
        let folder = Folder::new("named");
        let file = folder.file("relay.toml");
        let named = |text: &str| {
            fs::write(&file, text).unwrap();
            state_file_of(&file)
        };
        assert_eq!(named("[lanes]\n[state]\n file = \"/a/b.toml\" # here\nx = = 1\n"), Some("/a/b.toml".into()));
        assert_eq!(named("[state] # where\nfile = '/c'\n[[relay]\n"), Some("/c".into()));
        assert_eq!(named("[http]\nfile = \"/no\"\n"), None);
        assert_eq!(named("[state]\nfile = \"/cut"), None);
        assert_eq!(state_file_of(&folder.file("gone")), None);
    }
}
