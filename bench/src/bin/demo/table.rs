//! What the visitor sees: a table that redraws itself on a terminal, a line a second elsewhere.

use std::io::{self, Write};
use std::time::Duration;

use bench::Source;
use bench::clock::monotonic_ns;
use bench::ledger::lock;

use crate::channels::Account;

const COLUMNS: &str =
    "relay      output                 sent/s   recv/s    received     lost  doubled  corrupt  p50 µs  p99 µs";

/// The live view of all accounts.
pub(crate) struct Table<'a> {
    accounts: &'a [Account],
    redraws: bool,
    drawn: bool,
    started_ns: u64,
    before: Vec<Sample>,
    before_ns: u64,
}

/// The counts of one account at one moment.
#[derive(Clone, Copy, Default)]
struct Sample {
    sent: u64,
    received: u64,
    lost: u64,
    doubled: u64,
    corrupt: u64,
    p50_ns: u64,
    p99_ns: u64,
}

impl<'a> Table<'a> {
    pub(crate) fn new(accounts: &'a [Account], redraws: bool) -> Self {
        let now = monotonic_ns();
        let before = vec![Sample::default(); accounts.len()];
        Self { accounts, redraws, drawn: false, started_ns: now, before, before_ns: now }
    }

    /// Shows the last second.
    pub(crate) fn show(&mut self, source: &Source) -> io::Result<()> {
        let now = monotonic_ns();
        let samples: Vec<Sample> = self.accounts.iter().map(|account| live(account, source)).collect();
        let milliseconds = ((now - self.before_ns) / 1_000_000).max(1);
        let mut out = io::stdout().lock();
        if self.redraws {
            self.erase(&mut out)?;
            self.draw(&mut out, &samples, milliseconds)?;
            self.drawn = true;
        } else {
            let seconds = (now - self.started_ns) / 1_000_000_000;
            line(&mut out, seconds, &self.before, &samples, milliseconds)?;
        }
        out.flush()?;
        (self.before, self.before_ns) = (samples, now);
        Ok(())
    }

    /// Shows the whole performance, with what is truly lost and the mean rates.
    pub(crate) fn show_final(&mut self, elapsed: Duration) -> io::Result<()> {
        let samples: Vec<Sample> = self.accounts.iter().map(balanced).collect();
        self.before.fill(Sample::default());
        let mut out = io::stdout().lock();
        self.erase(&mut out)?;
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        writeln!(out, "after {:.1} s:", elapsed.as_secs_f64())?;
        self.draw(&mut out, &samples, milliseconds)
    }

    /// Goes back to the table's first line and clears what follows.
    fn erase(&mut self, out: &mut impl Write) -> io::Result<()> {
        if std::mem::take(&mut self.drawn) {
            write!(out, "\x1b[{}A\x1b[J", self.accounts.len() + 1)?;
        }
        Ok(())
    }

    fn draw(&self, out: &mut impl Write, samples: &[Sample], milliseconds: u64) -> io::Result<()> {
        writeln!(out, "{COLUMNS}")?;
        for ((account, now), before) in self.accounts.iter().zip(samples).zip(&self.before) {
            writeln!(
                out,
                "{:<10} {:<20} {:>8} {:>8} {:>11} {:>8} {:>8} {:>8} {:>7} {:>7}",
                account.relay,
                account.output,
                rate(before.sent, now.sent, milliseconds),
                rate(before.received, now.received, milliseconds),
                now.received,
                now.lost,
                now.doubled,
                now.corrupt,
                now.p50_ns / 1000,
                now.p99_ns / 1000,
            )?;
        }
        Ok(())
    }
}

/// All accounts in one line.
fn line(out: &mut impl Write, seconds: u64, before: &[Sample], now: &[Sample], milliseconds: u64) -> io::Result<()> {
    let total = |samples: &[Sample], of: fn(&Sample) -> u64| samples.iter().map(of).sum::<u64>();
    let rate_of = |of| rate(total(before, of), total(now, of), milliseconds);
    writeln!(
        out,
        "{seconds:>4} s: {}/s due, {}/s received; lost {}, doubled {}, corrupt {}; slowest p50 {} µs, p99 {} µs",
        rate_of(|sample| sample.sent),
        rate_of(|sample| sample.received),
        total(now, |sample| sample.lost),
        total(now, |sample| sample.doubled),
        total(now, |sample| sample.corrupt),
        now.iter().map(|sample| sample.p50_ns / 1000).max().unwrap_or(0),
        now.iter().map(|sample| sample.p99_ns / 1000).max().unwrap_or(0),
    )
}

fn rate(before: u64, now: u64, milliseconds: u64) -> u64 {
    now.saturating_sub(before) * 1000 / milliseconds
}

/// While the source runs: what is still on its way is not lost.
fn live(account: &Account, source: &Source) -> Sample {
    let lost = lock(&account.ledger).lost_so_far();
    Sample { sent: source.sent(account.stream), lost, ..balanced(account) }
}

fn balanced(account: &Account) -> Sample {
    let ledger = lock(&account.ledger);
    Sample {
        sent: ledger.sent(),
        received: ledger.received(),
        lost: ledger.lost(),
        doubled: ledger.doubled(),
        corrupt: ledger.corrupt(),
        p50_ns: ledger.latencies().value_at_quantile(0.5),
        p99_ns: ledger.latencies().value_at_quantile(0.99),
    }
}
