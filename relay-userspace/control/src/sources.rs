//! Where events come from: signals, the kernel's notices, the clock, the configuration file, and whoever asks.

use super::driver::SETTLE;
use super::event::Event;
use crate::link::event::{LinkEvent, LinkEvents};
use anyhow::Context as _;
use nix::sys::signal::{SigSet, Signal};
use relay_common::health::RENEW_CONTROL;
use relay_config as config;
use relay_config::{Configuration, Errors};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often control looks whether everybody is well.
const TICK: Duration = Duration::from_secs(1);

/// Signals to control wait from now on, until somebody listens: in this thread and those that it starts. They outlast an execve.
///
/// # Errors
/// When the kernel refuses.
pub fn hold_signals() -> nix::Result<()> {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect::<SigSet>().thread_block()
}

/// Whoever started us may have had more of them blocked, and that is inherited. What has come so far is heard now: before
/// somebody listened it would have ended us. No other thread may take them: what one has taken cannot be held any more.
pub fn hear_signals() -> anyhow::Result<()> {
    SigSet::all().thread_unblock().context("cannot unblock signals")
}

/// SIGTERM and SIGINT ask to end, SIGHUP to read the file again.
pub fn listen_for_signals(events: &UnboundedSender<Event>) -> anyhow::Result<()> {
    let wanted: [(SignalKind, fn() -> Event); 3] = [
        (SignalKind::terminate(), || Event::Stop),
        (SignalKind::interrupt(), || Event::Stop),
        (SignalKind::hangup(), || Event::Reload),
    ];
    for (kind, event) in wanted {
        let mut signal = signal(kind).context("cannot listen for signals")?;
        let events = events.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                let _ = events.send(event());
            }
        });
    }
    Ok(())
}

/// The next notice of the kernel on links, addresses, neighbours and routes. Once they have ended there is none.
pub async fn notice(notices: &mut Option<LinkEvents>) -> LinkEvent {
    if let Some(listens) = notices {
        match listens.next().await {
            Ok(notice) => return notice,
            Err(error) => tracing::error!(%error, "the kernel's notices of links have ended: {RENEW_CONTROL}"),
        }
        *notices = None;
        return LinkEvent::Lost;
    }
    std::future::pending().await
}

/// A burst of notices is read once, a while after the first.
pub fn settle(events: &UnboundedSender<Event>) {
    let events = events.clone();
    tokio::spawn(async move {
        tokio::time::sleep(SETTLE).await;
        let _ = events.send(Event::LinksSettled);
    });
}

/// One tick a second. While control is busy none piles up.
#[must_use]
pub fn ticks() -> Interval {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// A file that is looked at now and then.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    /// As it was when it was last taken.
    taken: Option<Signature>,
    /// As it was at the last look: a file that is being written is looked into once it stays the same.
    last: Option<Signature>,
    /// So many looks later it counts as changed though it looks as it was.
    unsure: u8,
    /// How many, after it was taken.
    doubt: u8,
}

/// Looks until a file that is read twice is read again.
const LOOKS_UNTIL_SURE: u8 = 2;

/// What changes when a file is written or replaced.
pub type Signature = (u64, u64, u64, [i64; 4]);

/// Reads a configuration, and says which file it was: the one that was opened, whatever lies there now.
pub fn read(path: &Path) -> (Option<Signature>, Result<Configuration, Errors>) {
    let mut signature = None;
    let configuration = config::load_with(path, |file| signature = file.metadata().ok().as_ref().map(signature_of));
    // One that cannot be opened is another only once something about it is.
    (signature.or_else(|| self::signature(path)), configuration)
}

impl Watched {
    /// The file as it is now counts as taken.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let now = signature(path);
        Self { path: path.to_owned(), taken: now, last: now, unsure: 0, doubt: 0 }
    }

    /// The same, read once more a while after it was taken: what is written within a tick of the kernel's clock after that
    /// may look the same.
    #[must_use]
    pub fn read_twice(self) -> Self {
        Self { unsure: LOOKS_UNTIL_SURE, doubt: LOOKS_UNTIL_SURE, ..self }
    }

    /// The file as it is now counts as taken.
    pub fn seen(&mut self) {
        self.took(signature(&self.path));
    }

    /// The file that was read counts as taken.
    pub fn took(&mut self, read: Option<Signature>) {
        if self.unsure > 0 || self.taken != read {
            self.unsure = self.doubt;
        }
        (self.taken, self.last) = (read, read);
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is another than was taken, or gone, and as it was at the look before.
    pub fn has_changed(&mut self) -> bool {
        let now = signature(&self.path);
        self.is_changed(now)
    }

    /// The same, of a file that looks like this now.
    pub fn is_changed(&mut self, now: Option<Signature>) -> bool {
        let settled = now == std::mem::replace(&mut self.last, now);
        if !settled {
            return false;
        }
        let was_unsure = self.unsure > 0;
        self.unsure = self.unsure.saturating_sub(1);
        now != self.taken || was_unsure && self.unsure == 0
    }
}

/// What a file looks like now, if it is there.
#[must_use]
pub fn signature(path: &Path) -> Option<Signature> {
    fs::metadata(path).ok().as_ref().map(signature_of)
}

fn signature_of(file: &Metadata) -> Signature {
    // The second of them is another also when somebody else may read it.
    let times = [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()];
    (file.dev(), file.ino(), file.len(), times)
}

#[cfg(test)]
mod tests {
    use super::{Watched, read};
    use std::fs;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_file_is_looked_into_once_it_stays_the_same() {
        let path = std::env::temp_dir().join(format!("mcr-watched-{}", std::process::id()));
        fs::write(&path, "one").unwrap();
        let mut watched = Watched::new(&path).read_twice();
        let mut once = Watched::new(&path);
        assert!(!watched.has_changed());
        fs::write(&path, "one and").unwrap();
        assert!(!watched.has_changed(), "it may be half written");
        fs::write(&path, "one and another").unwrap();
        assert!(!watched.has_changed(), "it was being written");
        assert!(watched.has_changed());
        watched.took(read(&path).0);
        assert!(!watched.has_changed());
        // What is written while the file that was read is brought into force is another file.
        let (signature, _) = read(&path);
        fs::write(&path, "one and another, and a third").unwrap();
        watched.took(signature);
        assert!(!watched.has_changed() && watched.has_changed());
        watched.took(read(&path).0);
        // Its time may be that of what was read: it is read once more, and no more.
        assert!(!watched.has_changed() && watched.has_changed());
        watched.took(read(&path).0);
        once.seen();
        assert!((0..10).all(|_| !watched.has_changed() && !once.has_changed()));
        fs::remove_file(&path).unwrap();
        // Nobody opens that as a file.
        let socket = UnixListener::bind(&path).unwrap();
        assert!(!watched.has_changed() && watched.has_changed(), "what nobody can read is looked into once");
        watched.took(read(&path).0);
        watched.took(read(&path).0);
        assert!((0..10).filter(|_| watched.has_changed()).count() <= 1);
        drop(socket);
        fs::remove_file(&path).unwrap();
        assert!(
            !watched.has_changed() && watched.has_changed(),
            "a file that is gone is told of, unless it is back at once"
        );
        watched.took(read(&path).0);
        assert!((0..10).filter(|_| watched.has_changed()).count() <= 1);
        fs::write(&path, "one").unwrap();
        assert!(!watched.has_changed() && watched.has_changed(), "and so is one that is back");
        fs::remove_file(&path).unwrap();
    }
}
