//! What was sent on a stream, and what of it arrived at one output.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use hdrhistogram::Histogram;

use crate::clock::Deadline;
use crate::payload::Stamp;

/// A ledger that a sink writes and others read.
pub type SharedLedger = Arc<Mutex<Ledger>>;

/// How many spoilt packets, and how many gaps, are described; the others are only counted.
const DESCRIBED: usize = 5;

/// The largest sequence number that is believed: its bitmap takes 128 MiB.
const MAX_SEQUENCE: u64 = 1 << 30;

/// The account of one stream at one output. Exact over any number of packets: every sequence number has a bit.
#[derive(Clone, Debug)]
pub struct Ledger {
    name: String,
    stream: u32,
    sent: u64,
    seen: Vec<u64>,
    distinct: u64,
    doubled: u64,
    out_of_order: u64,
    highest: Option<u64>,
    corrupt: u64,
    descriptions: Vec<String>,
    latencies: Histogram<u64>,
    longest_ns: u64,
    last_ns: u64,
}

impl Ledger {
    /// An empty ledger for the stream numbered `stream`; `name` says in reports which stream at which output it is.
    pub fn new(name: &str, stream: u32) -> Self {
        let latencies = Histogram::new_with_bounds(1, 60_000_000_000, 2).expect("constant bounds that fit");
        Self {
            name: name.to_owned(),
            stream,
            sent: 0,
            seen: Vec::new(),
            distinct: 0,
            doubled: 0,
            out_of_order: 0,
            highest: None,
            corrupt: 0,
            descriptions: Vec::new(),
            latencies,
            longest_ns: 0,
            last_ns: 0,
        }
    }

    /// An empty ledger to be shared with a [`Sink`](crate::Sink).
    pub fn shared(name: &str, stream: u32) -> SharedLedger {
        Arc::new(Mutex::new(Self::new(name, stream)))
    }

    /// Enters a packet whose bytes were right.
    pub fn arrived(&mut self, stamp: &Stamp, arrived_ns: u64) {
        if stamp.stream != self.stream {
            return self.spoilt(&format!("it is number {} of stream {}", stamp.sequence, stamp.stream));
        }
        if stamp.sequence >= MAX_SEQUENCE {
            return self.spoilt(&format!("sequence number {} was never sent", stamp.sequence));
        }
        let (word, bit) = place(stamp.sequence);
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit != 0 {
            self.doubled += 1;
            return;
        }
        self.seen[word] |= bit;
        self.distinct += 1;
        if self.highest.is_some_and(|highest| stamp.sequence < highest) {
            self.out_of_order += 1;
        }
        self.highest = self.highest.max(Some(stamp.sequence));
        let took = arrived_ns.saturating_sub(stamp.sent_ns);
        self.latencies.saturating_record(took);
        self.longest_ns = self.longest_ns.max(took);
        self.last_ns = self.last_ns.max(arrived_ns);
    }

    /// Enters a packet that arrived in this place but is not what was sent; the first few are described in reports.
    pub fn spoilt(&mut self, description: &str) {
        self.corrupt += 1;
        if self.descriptions.len() < DESCRIBED {
            self.descriptions.push(description.to_owned());
        }
    }

    /// Enters how many packets the source has sent so far, numbered from 0 without a gap.
    pub fn sent_is(&mut self, sent: u64) {
        self.sent = sent;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of its stream.
    pub fn stream(&self) -> u32 {
        self.stream
    }

    /// How many were sent, as last entered.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// How many different packets arrived intact.
    pub fn received(&self) -> u64 {
        self.distinct
    }

    /// How many of those sent have not arrived (yet).
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.distinct)
    }

    /// How many are missing below the highest number that has arrived: the losses that are known while the source runs.
    pub fn lost_so_far(&self) -> u64 {
        self.highest.map_or(0, |highest| highest + 1 - self.distinct)
    }

    /// How many arrived once more than they should.
    pub fn doubled(&self) -> u64 {
        self.doubled
    }

    /// How many arrived after one that was sent later.
    pub fn out_of_order(&self) -> u64 {
        self.out_of_order
    }

    /// How many arrived with wrong bytes.
    pub fn corrupt(&self) -> u64 {
        self.corrupt
    }

    /// What was wrong with the first corrupt packets.
    pub fn descriptions(&self) -> &[String] {
        &self.descriptions
    }

    /// When the last one arrived, by the clock of [`monotonic_ns`](crate::clock::monotonic_ns); 0 before the first.
    pub fn last_ns(&self) -> u64 {
        self.last_ns
    }

    /// Nanoseconds between sending and arriving.
    pub fn latencies(&self) -> &Histogram<u64> {
        &self.latencies
    }

    /// The longest that one took of those that arrived since this was taken before, in nanoseconds; 0 if none did.
    pub fn take_longest_ns(&mut self) -> u64 {
        std::mem::take(&mut self.longest_ns)
    }

    /// The runs of numbers that were sent and have not arrived: first and last of each, at most `most` runs.
    pub fn gaps(&self, most: usize) -> Vec<(u64, u64)> {
        let mut gaps: Vec<(u64, u64)> = Vec::new();
        for sequence in (0..self.sent).filter(|sequence| !self.has(*sequence)) {
            let full = gaps.len() == most;
            match gaps.last_mut() {
                Some((_, last)) if *last + 1 == sequence => *last = sequence,
                _ if full => break,
                _ => gaps.push((sequence, sequence)),
            }
        }
        gaps
    }

    /// Whether packet `sequence` has arrived.
    pub fn has(&self, sequence: u64) -> bool {
        let (word, bit) = place(sequence);
        self.seen.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Balances the account: everything that was sent has arrived once, in order and intact, but for exactly
    /// `expected_drops` packets that the relay itself counted as dropped.
    pub fn check(&self, expected_drops: u64) -> Result<()> {
        let mut faults = Vec::new();
        if self.sent == 0 {
            faults.push("nothing was sent".to_owned());
        }
        if self.lost() != expected_drops {
            let lost = self.lost();
            faults.push(format!("{lost} lost where {expected_drops} drops are accounted for{}", self.describe_gaps()));
        }
        if self.distinct > self.sent {
            faults.push(format!("{} more arrived than were sent", self.distinct - self.sent));
        }
        if self.doubled > 0 {
            faults.push(format!("{} doubled", self.doubled));
        }
        if self.out_of_order > 0 {
            faults.push(format!("{} out of order", self.out_of_order));
        }
        if self.corrupt > 0 {
            faults.push(format!("{} corrupt: {}", self.corrupt, self.descriptions.join("; ")));
        }
        if faults.is_empty() {
            return Ok(());
        }
        bail!("{}: {} of {} arrived; {}", self.name, self.distinct, self.sent, faults.join("; "));
    }

    fn describe_gaps(&self) -> String {
        let mut text = String::new();
        for (number, (first, last)) in self.gaps(DESCRIBED + 1).into_iter().enumerate() {
            let separator = if number == 0 { " (missing " } else { ", " };
            // Writing to a string cannot fail.
            let _ = match number {
                DESCRIBED => write!(text, "{separator}…"),
                _ if first == last => write!(text, "{separator}{first}"),
                _ => write!(text, "{separator}{first}–{last}"),
            };
        }
        if !text.is_empty() {
            text.push(')');
        }
        text
    }
}

fn place(sequence: u64) -> (usize, u64) {
    (usize::try_from(sequence / 64).unwrap_or(usize::MAX), 1 << (sequence % 64))
}

/// Waits until nothing is missing in any of the ledgers, whose `sent` must be final; says whether that came true in time.
pub fn wait_for_tail(ledgers: &[SharedLedger], within: Duration) -> bool {
    let deadline = Deadline::after(within);
    loop {
        if ledgers.iter().all(|ledger| lock(ledger).lost() == 0) {
            return true;
        }
        if deadline.passed() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Locks a shared ledger; a panic of another holder does not make the numbers less true. Two of these
/// in one expression wait for each other for ever: the first guard lives until the end of its statement.
pub fn lock(ledger: &SharedLedger) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::Ledger;
    use crate::payload::Stamp;

    fn ledger_of(sent: u64, sequences: impl IntoIterator<Item = u64>) -> Ledger {
        let mut ledger = Ledger::new("one at out0", 7);
        for sequence in sequences {
            ledger.arrived(&Stamp { stream: 7, sequence, sent_ns: 1_000 }, 51_000);
        }
        ledger.sent_is(sent);
        ledger
    }

    #[test]
    fn an_account_that_balances_is_silent() {
        let ledger = ledger_of(1_000_000, 0..1_000_000);
        ledger.check(0).unwrap();
        let median = ledger.latencies().value_at_quantile(0.5);
        assert!((49_500..=50_500).contains(&median), "{median}");
    }

    #[test]
    fn the_longest_is_of_those_since_it_was_taken() {
        let mut ledger = ledger_of(9, 0..3);
        assert_eq!((ledger.take_longest_ns(), ledger.take_longest_ns()), (50_000, 0));
        for (sequence, arrived_ns) in [(3, 4_000), (4, 9_000), (5, 5_000)] {
            ledger.arrived(&Stamp { stream: 7, sequence, sent_ns: 1_000 }, arrived_ns);
        }
        assert_eq!(ledger.take_longest_ns(), 8_000);
    }

    #[test]
    fn losses_are_counted_at_the_tail_too_and_must_be_accounted_for() {
        let ledger = ledger_of(100, (0..98).filter(|sequence| ![5, 6, 40].contains(sequence)));
        assert_eq!(ledger.lost(), 5);
        ledger.check(5).unwrap();
        let text = ledger.check(0).unwrap_err().to_string();
        assert_eq!(
            text,
            "one at out0: 95 of 100 arrived; 5 lost where 0 drops are accounted for (missing 5–6, 40, 98–99)"
        );
    }

    #[test]
    fn a_packet_that_comes_twice_is_doubled_even_a_million_later() {
        let ledger = ledger_of(1_000_000, (0..1_000_000).chain([0, 999_999]));
        assert_eq!((ledger.doubled(), ledger.out_of_order(), ledger.lost()), (2, 0, 0));
        assert!(ledger.check(0).unwrap_err().to_string().contains("2 doubled"));
    }

    #[test]
    fn late_packets_are_out_of_order() {
        let ledger = ledger_of(5, [0, 2, 1, 4, 3]);
        assert_eq!(ledger.out_of_order(), 2);
        assert!(ledger.check(0).is_err());
    }

    #[test]
    fn packets_of_other_streams_and_impossible_numbers_are_corrupt() {
        let mut ledger = ledger_of(1, [0, u64::MAX]);
        ledger.arrived(&Stamp { stream: 8, sequence: 0, sent_ns: 0 }, 0);
        assert_eq!(ledger.corrupt(), 2);
        let text = ledger.check(0).unwrap_err().to_string();
        assert!(text.contains("it is number 0 of stream 8"), "{text}");
    }

    #[test]
    fn silence_does_not_pass() {
        assert!(ledger_of(0, []).check(0).is_err());
        assert!(ledger_of(1, [0, 1]).check(0).is_err());
    }
}
