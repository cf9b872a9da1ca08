//! What follows from results: who MCR is, bits, packets out, ratios.

use super::results::{ContestantResult, Kind, Load, ScenarioResult, Spread};

/// Bytes of Ethernet, IPv4 and UDP headers before the payload.
const IPV4_HEADERS: u16 = 14 + 20 + 8;

impl ScenarioResult {
    /// MCR as it comes: the first of its kind in the list.
    pub(crate) fn mcr(&self) -> Option<&ContestantResult> {
        self.contestants.iter().find(|contestant| contestant.kind == Kind::Mcr)
    }

    /// The contestant with this name.
    pub(crate) fn contestant(&self, name: &str) -> Option<&ContestantResult> {
        self.contestants.iter().find(|contestant| contestant.name == name)
    }

    /// How many times a contestant's highest rate MCR's is.
    pub(crate) fn ratio_to(&self, contestant: &ContestantResult) -> Option<f64> {
        let ratio = self.mcr()?.highest()? / contestant.highest()?;
        ratio.is_finite().then_some(ratio)
    }

    /// Bits of frames per second, without the Ethernet checksum.
    pub(crate) fn bits(&self, packets: f64) -> f64 {
        packets * f64::from(self.frame) * 8.0
    }

    /// Packets per second out for packets per second in.
    pub(crate) fn out(&self, packets: f64) -> f64 {
        packets * f64::from(self.outputs)
    }

    /// Whether it is IPv4 without a tag, to be told by the length of its headers.
    pub(crate) fn is_ordinary(&self) -> bool {
        self.frame == self.payload.saturating_add(IPV4_HEADERS)
    }
}

impl ContestantResult {
    /// The median of its highest rates.
    pub(crate) fn highest(&self) -> Option<f64> {
        self.rate.as_ref().filter(|rate| !rate.values.is_empty()).map(Spread::median)
    }

    /// What was measured at this share of its highest rate.
    pub(crate) fn load(&self, percent: u8) -> Option<&Load> {
        self.loads.iter().find(|load| load.percent == percent)
    }

    /// The load at which processor time is compared: the highest, where relays that wait by spinning spin least.
    pub(crate) fn compared_load(&self) -> Option<&Load> {
        self.loads.iter().max_by_key(|load| load.percent)
    }
}

impl Spread {
    /// Half of the range, as a share of the median.
    pub(crate) fn noise(&self) -> f64 {
        let noise = (self.high() - self.low()) / 2.0 / self.median();
        if noise.is_finite() { noise } else { 0.0 }
    }
}
