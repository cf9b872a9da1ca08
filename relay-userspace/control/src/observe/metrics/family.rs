//! What a family is, and where its numbers stand.

use super::exposition::{Exposition, Value};
use super::scrape::{LaneRow, OutputRow, RelayRow, Scrape, SocketRow};
use relay_common::counters::{LaneCounter, output, relay};
use relay_common::drops::Drop;
use relay_common::pattern;
use relay_engine::memory::counters::Counters;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Only grows.
    Counter,
    /// Comes and goes.
    Gauge,
    /// Counts by size.
    Histogram,
    /// Says something in its labels.
    Info,
}

impl Type {
    /// The word for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// Takes a number and the value of its last label.
pub(super) type Tell<'a> = dyn FnMut(&str, Value) + 'a;

/// Where the numbers of a family stand. Most are data, so that a new counter is a line of the table.
pub(super) enum Read {
    /// One number of the node.
    Node(fn(&Scrape<'_>) -> Value),
    /// Several of the node, each with one label.
    NodeBy(fn(&Scrape<'_>, &mut Tell<'_>)),
    /// Whatever else there is of the node.
    Other(fn(&Scrape<'_>, &mut Exposition<'_>)),
    /// A word of each relay's line, added over the lanes.
    RelaySum(usize),
    /// The same in nanoseconds, the highest of all lanes.
    RelayMostSeconds(usize),
    /// A number of each relay, where there is one.
    Relay(fn(&Scrape<'_>, &RelayRow<'_>) -> Option<Value>),
    /// Several of each relay, each with one more label.
    RelayBy(fn(&RelayRow<'_>, &mut Tell<'_>)),
    /// The drops of each relay, by reason.
    RelayDrops,
    /// A word of each output's line, added over the lanes.
    OutputSum(usize),
    /// The drops of each output, by reason.
    OutputDrops,
    /// A number that each lane keeps.
    Lane(LaneCounter),
    /// The same in nanoseconds.
    LaneSeconds(LaneCounter),
    /// Numbers that each lane keeps, by one more label.
    LaneOneOf(&'static [(&'static str, LaneCounter)]),
    /// A number of each lane that is found otherwise.
    LaneOther(fn(&Scrape<'_>, &LaneRow<'_>) -> Option<Value>),
    /// Several of each lane, each with one more label.
    LaneBy(fn(&LaneRow<'_>, &mut Tell<'_>)),
    /// The drops of each lane that belong to no relay, by reason.
    LaneDrops,
    /// A histogram of each lane over powers of two: how many buckets, the first that has a bound of its own, how to
    /// read one, and how many of its units make one.
    LaneHistogram { n: usize, first: usize, read: fn(&Counters, usize) -> u64, per_unit: f64 },
    /// A number of each socket.
    Socket(fn(&SocketRow) -> Value),
    /// Several of each socket, each with one more label.
    SocketBy(fn(&SocketRow, &mut Tell<'_>)),
}

/// One family: numbers of one meaning.
#[expect(missing_debug_implementations, reason = "it is a line of a table, with functions in it")]
pub struct Family {
    /// The name, without the ending that its type gives it.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
    pub(super) read: Read,
}

impl Family {
    pub(super) const fn new(
        kind: Type,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
        read: Read,
    ) -> Self {
        Self { name, kind, labels, help, read }
    }

    /// Whether it is meant by a word of whoever chooses: its name, with or without its ending, or a pattern for it.
    pub(super) fn is_meant(&self, word: &str) -> bool {
        pattern::matches(word, self.name) || pattern::matches(word, &self.full_name())
    }

    /// The name that its samples have.
    #[must_use]
    pub fn full_name(&self) -> String {
        let ending = match self.kind {
            Type::Counter => "_total",
            Type::Info => "_info",
            Type::Gauge | Type::Histogram => "",
        };
        format!("{}{ending}", self.name)
    }

    /// Writes all that there is of it.
    pub(super) fn write(&self, scrape: &Scrape<'_>, out: &mut Exposition<'_>) {
        out.begin(self.name, self.kind, self.help);
        match &self.read {
            Read::Node(_) | Read::NodeBy(_) | Read::Other(_) => self.write_node(scrape, out),
            Read::RelaySum(_)
            | Read::RelayMostSeconds(_)
            | Read::Relay(_)
            | Read::RelayBy(_)
            | Read::RelayDrops
            | Read::OutputSum(_)
            | Read::OutputDrops => self.write_relays(scrape, out),
            Read::Socket(read) => {
                scrape.sockets.iter().for_each(|socket| out.sample(&socket.labels, read(socket)));
            }
            Read::SocketBy(read) => {
                for socket in scrape.sockets.iter() {
                    read(socket, &mut |label, value| self.sample_by(out, &socket.labels, label, value));
                }
            }
            _ => scrape.lanes.iter().for_each(|lane| self.write_lane(scrape, lane, out)),
        }
    }

    /// A sample whose last label is the family's last.
    fn sample_by(&self, out: &mut Exposition<'_>, labels: &str, label: &str, value: Value) {
        out.sample_by(labels, self.labels.last().copied().unwrap_or_default(), label, value);
    }

    fn write_node(&self, scrape: &Scrape<'_>, out: &mut Exposition<'_>) {
        match self.read {
            Read::Node(read) => out.sample("", read(scrape)),
            Read::NodeBy(read) => read(scrape, &mut |label, value| self.sample_by(out, "", label, value)),
            Read::Other(read) => read(scrape, out),
            _ => {}
        }
    }

    fn write_relays(&self, scrape: &Scrape<'_>, out: &mut Exposition<'_>) {
        for row in scrape.relays.iter() {
            match self.read {
                Read::RelaySum(place) => out.sample(&row.labels, Value::Count(scrape.relay_sum(row.slot, place))),
                Read::RelayMostSeconds(place) => {
                    let most = scrape.lanes.iter().map(|lane| lane.of.counters.get_relay(row.slot, place)).max();
                    out.sample(&row.labels, Value::seconds(most.unwrap_or(0)));
                }
                Read::Relay(read) => {
                    if let Some(value) = read(scrape, row) {
                        out.sample(&row.labels, value);
                    }
                }
                Read::RelayBy(read) => read(row, &mut |label, value| self.sample_by(out, &row.labels, label, value)),
                Read::RelayDrops => {
                    for reason in Drop::ALL {
                        let n = scrape.relay_sum(row.slot, relay::DROPS + reason as usize);
                        self.sample_by(out, &row.labels, reason.name(), Value::Count(n));
                    }
                }
                _ => row.outputs.iter().for_each(|output| self.write_output(scrape, output, out)),
            }
        }
    }

    fn write_output(&self, scrape: &Scrape<'_>, row: &OutputRow, out: &mut Exposition<'_>) {
        let count = |place| Value::Count(scrape.output_sum(row.counter, place));
        if let Read::OutputSum(place) = self.read {
            return out.sample(&row.labels, count(place));
        }
        for reason in output::REASONS {
            self.sample_by(out, &row.labels, reason.name(), count(output::place(reason)));
        }
    }

    fn write_lane(&self, scrape: &Scrape<'_>, row: &LaneRow<'_>, out: &mut Exposition<'_>) {
        let counters = &row.of.counters;
        let labels = row.labels.as_str();
        match self.read {
            Read::Lane(counter) => out.sample(labels, Value::Count(counters.get(counter))),
            Read::LaneSeconds(counter) => out.sample(labels, Value::seconds(counters.get(counter))),
            Read::LaneOneOf(all) => {
                for (label, counter) in all {
                    self.sample_by(out, labels, label, Value::Count(counters.get(*counter)));
                }
            }
            Read::LaneOther(read) => {
                if let Some(value) = read(scrape, row) {
                    out.sample(labels, value);
                }
            }
            Read::LaneBy(read) => read(row, &mut |label, value| self.sample_by(out, labels, label, value)),
            Read::LaneDrops => {
                for reason in Drop::ALL {
                    self.sample_by(out, labels, reason.name(), Value::Count(counters.get_dropped(reason)));
                }
            }
            Read::LaneHistogram { n, first, read, per_unit } => {
                // The smallest buckets share a bound, and the last has none.
                let small: u64 = (0..first).map(|i| read(counters, i)).sum();
                let buckets = (first..n - 1).map(|i| {
                    let below = if i == first { small } else { 0 };
                    ((1_u64 << i) as f64 / per_unit, below + read(counters, i))
                });
                out.histogram(labels, buckets, read(counters, n - 1), None);
            }
            _ => {}
        }
    }
}
