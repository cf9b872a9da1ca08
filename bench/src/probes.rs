//! Asks a node the same thing again and again, as whoever chooses between nodes does, only more often.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(2);
/// An answer takes no longer than this, or it is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody who asks. It ends when this is dropped.
#[derive(Debug)]
pub struct Probes {
    asked: Arc<Shared>,
    thread: Option<JoinHandle<Answers>>,
}

#[derive(Debug, Default)]
struct Shared {
    ends: AtomicBool,
    well: AtomicU64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Answers {
    /// Answers with status 200.
    pub well: u64,
    /// The bodies of those with another.
    pub failing: Vec<String>,
    /// How often nobody answered: control is away.
    pub unanswered: u64,
}

impl Probes {
    /// Begins to ask for this path, as `/healthz`, at a Unix socket.
    pub fn start(socket: PathBuf, path: &'static str) -> Self {
        let asked: Arc<Shared> = Arc::default();
        let shared = Arc::clone(&asked);
        let thread = thread::spawn(move || {
            let mut answers = Answers::default();
            while !shared.ends.load(Relaxed) {
                match ask(&socket, path) {
                    Some((200, _)) => answers.well = shared.well.fetch_add(1, Relaxed) + 1,
                    Some((status, body)) => answers.failing.push(format!("{status}: {body}")),
                    None => answers.unanswered += 1,
                }
                thread::sleep(PAUSE);
            }
            answers
        });
        Self { asked, thread: Some(thread) }
    }

    /// Waits until so many more answers were good; whoever waits for something else fails by its own time.
    pub fn pass(&self, n: u64) {
        let until = self.asked.well.load(Relaxed) + n;
        while self.asked.well.load(Relaxed) < until && self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
        {
            thread::sleep(PAUSE);
        }
    }

    /// Ends it.
    ///
    /// # Panics
    /// When the thread has.
    pub fn stop(mut self) -> Answers {
        self.asked.ends.store(true, Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.asked.ends.store(true, Relaxed);
    }
}

/// Status and body; none when nobody is there, or goes in the middle.
fn ask(socket: &PathBuf, path: &str) -> Option<(u16, String)> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
