//! What was asked of the API, by method and by what became of it. Whoever serves it counts, whoever looks reads.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The methods that are told apart: whatever else is sent counts as `other`, so that strangers make no labels.
pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"];
/// The classes of answers.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counters of requests.
#[derive(Debug, Default)]
pub struct Requests {
    counts: [[AtomicU64; CLASSES.len()]; METHODS.len()],
    /// Questions over TCP with a token that is none.
    pub wrong_tokens: AtomicU64,
    /// Clients that were turned away because there were too many.
    pub turned_away: AtomicU64,
    /// Clients that were silent, and made room for others.
    pub made_room: AtomicU64,
    /// Streams of events that were cut off because their reader was too slow.
    pub cut_off: AtomicU64,
}

impl Requests {
    /// Counts a request of that method with that status.
    pub fn count(&self, method: &str, status: u16) {
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        self.counts[method][class].fetch_add(1, Relaxed);
    }

    /// Who was not served, by the reason.
    pub fn refused(&self) -> [(&'static str, u64); 4] {
        let counts = [
            ("wrong_token", &self.wrong_tokens),
            ("no_room", &self.turned_away),
            ("made_room", &self.made_room),
            ("too_slow", &self.cut_off),
        ];
        counts.map(|(reason, count)| (reason, count.load(Relaxed)))
    }

    /// Every count with its method and class.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        METHODS.iter().zip(&self.counts).flat_map(|(method, counts)| {
            CLASSES.iter().zip(counts).map(|(class, count)| (*method, *class, count.load(Relaxed)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Requests;

    #[test]
    fn requests_are_counted_by_method_and_class() {
        let requests = Requests::default();
        for (method, status) in [("GET", 200), ("GET", 204), ("PUT", 412), ("BREW", 405), ("GET", 0), ("GET", 999)] {
            requests.count(method, status);
        }
        let counts: Vec<_> = requests.counts().filter(|(.., n)| *n > 0).collect();
        let expected =
            [("GET", "1xx", 1), ("GET", "2xx", 2), ("GET", "5xx", 1), ("PUT", "4xx", 1), ("other", "4xx", 1)];
        assert_eq!(counts, expected);
    }
}
