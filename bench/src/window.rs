//! Holds a source back while too many of its packets are under way.
//!
//! A link between processes has no flow control: an emulated NIC drops what its guest does not take in time, and no
//! counter tells. On a machine that is busy with other work a guest may stand still for seconds. A source that sends no
//! more than the NIC's ring holds loses nothing by it.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::clock::Deadline;
use crate::ledger::{self, SharedLedger};

/// Where nothing arrives for so long, nothing will.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often the ledgers are looked at.
const LOOK: Duration = Duration::from_micros(200);

/// At most so many packets of each stream are under way to the ledgers.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    most: u64,
    ledgers: Vec<SharedLedger>,
}

impl Window {
    pub(crate) fn new(most: u64, ledgers: &[SharedLedger]) -> Self {
        Self { most: most.max(1), ledgers: ledgers.to_vec() }
    }

    /// Waits until a packet of each stream may be sent, and says how many may be; none when it is over. `sent` says how
    /// many of a stream were sent.
    pub(crate) fn wait(&self, sent: impl Fn(u32) -> u64, is_over: impl Fn() -> bool) -> Result<u64> {
        let (mut deadline, mut before) = (Deadline::after(PATIENCE), u64::MAX);
        loop {
            let under_way = self.under_way(&sent);
            if under_way < self.most {
                return Ok(self.most - under_way);
            }
            if under_way != before {
                (deadline, before) = (Deadline::after(PATIENCE), under_way);
            }
            if is_over() {
                return Ok(0);
            }
            ensure!(!deadline.passed(), "{under_way} packets of a stream are under way, and none arrives any more");
            thread::sleep(LOOK);
        }
    }

    /// Of the stream with the most.
    fn under_way(&self, sent: impl Fn(u32) -> u64) -> u64 {
        let of = |shared: &SharedLedger| {
            let ledger = ledger::lock(shared);
            sent(ledger.stream()).saturating_sub(ledger.received())
        };
        self.ledgers.iter().map(of).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use crate::ledger::{Ledger, lock};
    use crate::packet::Headers;
    use crate::payload::Stamp;
    use crate::source::{Load, Source, Stream};

    /// Exactly so many frames come. What must come is waited for, what must not for a moment only.
    #[track_caller]
    fn assert_frames(socket: &UnixDatagram, expected: usize) {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for _ in 0..expected {
            socket.recv(&mut [0; 200]).unwrap();
        }
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert!(socket.recv(&mut [0; 200]).is_err(), "more than {expected} frames came");
    }

    #[test]
    fn a_source_with_a_window_waits_for_what_is_under_way() {
        let headers = Headers::new("10.0.0.1:1".parse().unwrap(), "239.1.1.1:2".parse().unwrap());
        let streams = vec![Stream::new(0, headers.clone(), 40), Stream::new(1, headers, 40)];
        let ledgers = [Ledger::shared("one", 0), Ledger::shared("other", 1)];
        let (near, far) = UnixDatagram::pair().unwrap();
        let load = Load::new(streams).packets(10).window(3, &ledgers);
        let source = Source::over(OwnedFd::from(near), load).unwrap();
        assert_frames(&far, 6);
        let arrived = |stream: u32, sequence| {
            lock(&ledgers[stream as usize]).arrived(&Stamp { stream, sequence, sent_ns: 0 }, 0);
        };
        arrived(0, 0); // The other stream still has three under way.
        assert_frames(&far, 0);
        arrived(1, 0);
        assert_frames(&far, 2);
        let sent = source.stop().unwrap();
        assert_eq!((sent.sent(0), sent.sent(1)), (4, 4));
    }
}
