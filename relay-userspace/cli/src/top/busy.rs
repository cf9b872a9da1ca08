//! How much of its time each lane is busy: the difference of two looks at the node's numbers.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a line of the numbers begins with that says how long a lane was busy.
const NAME: &str = "mcr_lane_busy_seconds_total{lane=\"";

/// Seconds that each lane was busy since its start.
pub(super) type Seconds = BTreeMap<u32, f64>;

/// Finds them in the node's numbers, in the form of Prometheus.
pub(super) fn read(numbers: &str) -> Seconds {
    let lane = |line: &str| {
        let (lane, value) = line.strip_prefix(NAME)?.split_once("\"} ")?;
        Some((lane.parse().ok()?, value.split(' ').next()?.parse().ok()?))
    };
    numbers.lines().filter_map(lane).collect()
}

/// How busy the lanes are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Busy {
    last: Option<(Duration, Seconds)>,
    shares: BTreeMap<u32, f64>,
}

impl Busy {
    /// Takes another look; nothing where nobody looked.
    pub(super) fn note(&mut self, now: Duration, seconds: Option<Seconds>) {
        let (before, Some(seconds)) = (self.last.take(), seconds) else {
            self.shares.clear();
            return;
        };
        self.shares.clear();
        if let Some((at, before)) = before {
            let passed = now.saturating_sub(at).as_secs_f64();
            // A lane that began anew counts from nothing again.
            let grown = seconds.iter().filter_map(|(lane, s)| Some((*lane, s - before.get(lane)?)));
            let shares = grown.filter(|(_, grown)| *grown >= 0.0 && passed > 0.0);
            self.shares = shares.map(|(lane, grown)| (lane, (grown / passed).min(1.0))).collect();
        }
        self.last = Some((now, seconds));
    }

    /// The share of its time that a lane was busy between the last two looks.
    pub(super) fn share(&self, lane: u32) -> Option<f64> {
        self.shares.get(&lane).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: &str = "# TYPE mcr_lane_busy_seconds_total counter\nmcr_lane_busy_seconds_total{lane=\"0\"} 1.5\n\
                           mcr_lane_busy_seconds_total{lane=\"1\"} 20\nmcr_lane_batches_total{lane=\"1\"} 7\n\
                           mcr_lane_busy_seconds_total{lane=\"x\"} 7\nmcr_lane_busy_seconds_total{lane=\"2\"} x\n";

    #[test]
    fn lanes_are_found_among_the_numbers() {
        assert_eq!(read(NUMBERS), [(0, 1.5), (1, 20.0)].into());
        assert!(read("").is_empty());
    }

    #[test]
    fn two_looks_make_a_share() {
        let mut busy = Busy::default();
        let at = Duration::from_secs;
        busy.note(at(1), Some([(0, 1.0), (1, 5.0), (2, 1.0)].into()));
        assert_eq!(busy.share(0), None);
        busy.note(at(3), Some([(0, 1.5), (1, 0.5), (2, 9.0), (3, 1.0)].into()));
        assert_eq!([0, 1, 2, 3].map(|lane| busy.share(lane)), [Some(0.25), None, Some(1.0), None]);
        busy.note(at(4), None);
        assert_eq!(busy.share(0), None);
        busy.note(at(5), Some([(0, 1.5)].into()));
        assert_eq!(busy.share(0), None, "a look is no share");
    }
}
