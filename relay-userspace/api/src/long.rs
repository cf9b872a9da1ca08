//! Long answers: kept compressed, in a few places, and shared by whoever asks for the same within a second. A reader who
//! does not read keeps nobody from them: where there is no place, the oldest answer is given up.

use super::problem::{Kind, Problem};
use super::shared::Api;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use futures_util::stream;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

/// Long answers that are kept at once, whoever reads them and however slowly.
const PLACES: usize = 8;
/// Names under which answers are shared at once.
const NAMES: usize = 64;
/// How often it is looked whether there is a place.
const LOOK: Duration = Duration::from_millis(100);
/// What is shorter is no long answer: it takes no place, and is written at once.
const SHORT: usize = 64 << 10;
/// So much is read, or made plain, at once.
const PIECE: usize = 64 << 10;

/// The long answers of the API.
pub(super) struct LongAnswers {
    places: Arc<Semaphore>,
    /// Those that are kept, in the order in which they were made.
    kept: Mutex<Vec<Weak<Answer>>>,
    /// The last one of each name, for whoever asks for it within its time.
    shared: Mutex<BTreeMap<String, Place>>,
}

/// Where the last answer of a name is; whoever makes one has it locked.
type Place = Arc<tokio::sync::Mutex<Option<Arc<Answer>>>>;

/// An answer, whole and compressed.
struct Answer {
    made: Instant,
    /// How long it is when it is plain.
    length: u64,
    /// Nothing when it was given up.
    compressed: Mutex<Option<(Vec<u8>, Option<OwnedSemaphorePermit>)>>,
}

impl Default for LongAnswers {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), kept: Mutex::default(), shared: Mutex::default() }
    }
}

/// What an answer is written to.
pub(super) type To<'a> = &'a mut dyn Write;

impl Api {
    /// An answer that may be long, for this one who asks.
    pub(super) async fn long_answer(
        &self,
        kind: HeaderValue,
        headers: &HeaderMap,
        write: impl FnOnce(&Self, To<'_>) -> io::Result<()> + Send + 'static,
    ) -> Result<Response, Problem> {
        let answer = self.make(write).await?;
        Ok(send(&answer, self, kind, headers))
    }

    /// The same for everybody who asks for what has this name: it is made once in its time.
    pub(super) async fn shared_answer(
        &self,
        name: String,
        kind: HeaderValue,
        headers: &HeaderMap,
        write: impl FnOnce(&Self, To<'_>) -> io::Result<()> + Send + 'static,
    ) -> Result<Response, Problem> {
        let every = self.limits.shared_for;
        let Some(place) = self.long.place_of(name) else {
            return self.long_answer(kind, headers, write).await;
        };
        let made = timeout(self.limits.answer_time, async {
            let mut last = place.lock().await;
            let fresh = last.as_ref().filter(|answer| answer.made.elapsed() < every && !answer.is_given_up());
            if let Some(fresh) = fresh {
                return Ok::<_, Problem>(Arc::clone(fresh));
            }
            let answer = self.make(write).await?;
            *last = Some(Arc::clone(&answer));
            // Nobody asks for an old one: it is kept for its readers only.
            let api = self.clone();
            tokio::spawn(async move {
                sleep(every).await;
                api.long.forget(every);
            });
            Ok(answer)
        });
        let late = |_| Problem::new(Kind::NoAnswer, "the node is too busy to answer this: ask again");
        let answer = made.await.map_err(late)??;
        Ok(send(&answer, self, kind, headers))
    }

    /// Makes an answer on a thread of its own, once there is a place for it.
    async fn make(
        &self,
        write: impl FnOnce(&Self, To<'_>) -> io::Result<()> + Send + 'static,
    ) -> Result<Arc<Answer>, Problem> {
        let place = timeout(self.limits.answer_time, self.long.place(self.limits.grace));
        let Ok(place) = place.await else {
            return Err(Problem::new(Kind::Unavailable, "too many clients read long answers already: ask again"));
        };
        let written = self.apart(move |api| {
            let mut to = Counting { to: GzEncoder::new(Vec::new(), Compression::fast()), length: 0 };
            write(api, &mut to)?;
            Ok::<_, io::Error>((to.length, to.to.finish()?))
        });
        let broken = |_| Problem::new(Kind::Failed, "this is a fault of mcr itself: please report it");
        let (length, bytes) = written.await?.map_err(broken)?;
        let permit = (bytes.len() > SHORT).then_some(place);
        let compressed = Mutex::new(Some((bytes, permit)));
        let answer = Arc::new(Answer { made: Instant::now(), length, compressed });
        lock(&self.long.kept).push(Arc::downgrade(&answer));
        Ok(answer)
    }
}

impl LongAnswers {
    /// A place, as soon as there is one or an old answer is given up for it.
    async fn place(&self, grace: Duration) -> OwnedSemaphorePermit {
        loop {
            if let Ok(Ok(place)) = timeout(LOOK, Arc::clone(&self.places).acquire_owned()).await {
                return place;
            }
            let kept: Vec<Arc<Answer>> = lock(&self.kept).iter().filter_map(Weak::upgrade).collect();
            if let Some(old) = kept.iter().find(|answer| answer.has_place() && answer.made.elapsed() >= grace) {
                old.give_up();
            }
        }
    }

    /// Where the last answer of that name is, or is to be; nothing when too many names are asked for.
    fn place_of(&self, name: String) -> Option<Place> {
        let mut shared = lock(&self.shared);
        if shared.len() >= NAMES && !shared.contains_key(&name) {
            return None;
        }
        Some(Arc::clone(shared.entry(name).or_default()))
    }

    /// Lets go of what is shared no more.
    fn forget(&self, every: Duration) {
        lock(&self.shared).retain(|_, place| {
            // Whoever makes one just now has the lock.
            let Ok(mut last) = place.try_lock() else { return true };
            if last.as_ref().is_some_and(|answer| answer.made.elapsed() >= every) {
                *last = None;
            }
            last.is_some()
        });
        lock(&self.kept).retain(|answer| answer.strong_count() > 0);
    }
}

impl Answer {
    fn is_given_up(&self) -> bool {
        lock(&self.compressed).is_none()
    }

    fn has_place(&self) -> bool {
        lock(&self.compressed).as_ref().is_some_and(|(_, place)| place.is_some())
    }

    /// Frees its memory: whoever has not read it to its end is cut off.
    fn give_up(&self) {
        *lock(&self.compressed) = None;
    }

    /// Copies what is compressed from there on: what is lent would be kept for as long as one reader has it.
    fn copy(&self, at: usize, to: &mut [u8]) -> io::Result<usize> {
        let held = lock(&self.compressed);
        let (bytes, _) = held.as_ref().ok_or_else(|| io::Error::other("the answer was not read in time"))?;
        let rest = bytes.get(at..).unwrap_or_default();
        let n = rest.len().min(to.len());
        to[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn compressed_length(&self) -> u64 {
        lock(&self.compressed).as_ref().map_or(0, |(bytes, _)| bytes.len() as u64)
    }
}

/// What one reader has of an answer.
struct Compressed {
    answer: Arc<Answer>,
    at: usize,
}

impl Read for Compressed {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = self.answer.copy(self.at, to)?;
        self.at += n;
        Ok(n)
    }
}

/// Sends an answer to one reader, compressed if that is welcome.
fn send(answer: &Arc<Answer>, api: &Api, kind: HeaderValue, headers: &HeaderMap) -> Response {
    const GZIP: HeaderValue = HeaderValue::from_static("gzip");
    let compressed = Compressed { answer: Arc::clone(answer), at: 0 };
    let is_welcome = accepts_gzip(headers);
    let (reader, length): (Box<dyn Read + Send>, u64) = if is_welcome {
        (Box::new(compressed), answer.compressed_length())
    } else {
        (Box::new(GzDecoder::new(compressed)), answer.length)
    };
    let api = api.clone();
    let pieces = stream::unfold(Some(reader), move |reader| {
        let api = api.clone();
        async move {
            let mut reader = reader?;
            match piece(&mut reader) {
                Ok(piece) if piece.is_empty() => None,
                Ok(piece) => Some((Ok(piece), Some(reader))),
                Err(error) => {
                    api.counts.requests.cut_off.fetch_add(1, Relaxed);
                    Some((Err(error), None))
                }
            }
        }
    });
    let mut response = ([(header::CONTENT_TYPE, kind)], Body::from_stream(pieces)).into_response();
    let to = response.headers_mut();
    to.insert(header::CONTENT_LENGTH, length.into());
    to.insert(header::VARY, HeaderValue::from_name(header::ACCEPT_ENCODING));
    if is_welcome {
        to.insert(header::CONTENT_ENCODING, GZIP);
    }
    response
}

/// The next piece; an empty one at the end.
fn piece(reader: &mut dyn Read) -> io::Result<Bytes> {
    let mut piece = Vec::new();
    reader.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}

/// Counts what is written through it.
struct Counting<W> {
    to: W,
    length: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.length += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Whether whoever asks takes gzip (RFC 9110, 12.5.3). Who says nothing is answered plainly.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut best = (None, None);
    for coding in lines.flat_map(|line| line.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
        match name.as_str() {
            "gzip" | "x-gzip" => best.0 = Some(weight),
            "*" => best.1 = Some(weight),
            _ => {}
        }
    }
    best.0.or(best.1).is_some_and(|weight| weight > 0.0)
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::accepts_gzip;
    use axum::http::{HeaderMap, HeaderValue};

    #[test]
    fn gzip_is_for_who_takes_it() {
        let takes = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("accept-encoding", HeaderValue::from_static(line));
            }
            accepts_gzip(&headers)
        };
        let welcome: [&[&'static str]; 7] = [
            &["gzip"],
            &["deflate, GZIP;q=0.5"],
            &["*"],
            &["br", "gzip"],
            &["gzip;q=1.0, *;q=0"],
            &["identity, *;q=0.1"],
            &["x-gzip"],
        ];
        assert!(welcome.iter().all(|lines| takes(lines)));
        let not: [&[&'static str]; 6] =
            [&[], &[""], &["identity"], &["gzip;q=0"], &["*;q=1, gzip;q=0"], &["br;q=1.0, *;q=0"]];
        assert!(!not.iter().any(|lines| takes(lines)));
    }
}
