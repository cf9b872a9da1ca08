//! What a link's driver can do, gathered for people and for hints.

use super::ethtool::{self, Channels, Driver, Features, Rings};
use super::hardware::{self, Hardware};
use super::netlink::Reading;
use super::xdp::{Netdev, Support};
use crate::link::module;
use relay_common::faults;

/// One link with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ability {
    /// The facts, the kind and the attached programs.
    pub reading: Reading,
    /// Its driver, where it has one.
    pub driver: Option<Driver>,
    /// Whether that is a module of the kernel.
    pub is_module: bool,
    /// Its queues, where the driver tells.
    pub channels: Option<Channels>,
    /// The length of its queues, where the driver tells.
    pub rings: Option<Rings>,
    /// Its features.
    pub features: Features,
    /// Where it sits in the machine, if it is hardware.
    pub hardware: Option<Hardware>,
    /// What it advertises of XDP; `None` on a kernel before 6.3.
    pub xdp: Option<Support>,
    /// The links that it is made of, if it is a bond or a team.
    pub members: Vec<String>,
}

impl Ability {
    /// Asks the driver of a link, one of all these.
    #[must_use]
    pub fn of(reading: Reading, all: &[Reading], netdev: Option<&Netdev>) -> Self {
        let name = &reading.link.name;
        let driver = ethtool::driver(name);
        Self {
            hardware: driver.as_ref().and_then(|driver| hardware::at(&driver.bus)),
            is_module: driver.as_ref().is_some_and(|driver| module::is_module(&driver.name)),
            driver,
            channels: ethtool::channels(name),
            rings: ethtool::rings(name),
            features: ethtool::features(name).unwrap_or_default(),
            members: members(&reading, all),
            xdp: netdev.and_then(|netdev| netdev.support(reading.link.ifindex).ok().flatten()),
            reading,
        }
    }

    /// The name of its driver, or of its kind where it has none.
    #[must_use]
    pub fn driver_name(&self) -> &str {
        self.driver.as_ref().map_or(self.reading.kind.as_str(), |driver| driver.name.as_str())
    }

    /// Its driver, as far as faults depend on it.
    #[must_use]
    pub fn faults_driver(&self) -> faults::Driver<'_> {
        faults::Driver { name: self.driver_name(), is_module: self.is_module }
    }

    /// What MCR would use on this link, and why.
    #[must_use]
    pub fn outlook(&self) -> (&'static str, &'static str) {
        if is_made_of_members(&self.reading) {
            return ("generic, copy", "a native program would run on its members: relay from those");
        }
        match self.xdp {
            None => ("tried at start", "this kernel does not tell what drivers can do"),
            Some(xdp) if !xdp.native() => ("generic, copy", "the driver does not run XDP programs"),
            Some(xdp) if !xdp.redirect() => ("generic, copy", "the driver cannot redirect to a socket"),
            Some(xdp) if xdp.zero_copy() => ("native, zero-copy", "the driver advertises it; it is tried and checked"),
            Some(_) => ("native, copy", "the driver has no zero-copy"),
        }
    }
}

/// Whether a native XDP program on this link would run on its members: it would see their numbers and queues, and no frame
/// would be one of this link's.
#[must_use]
pub fn is_made_of_members(link: &Reading) -> bool {
    ["bond", "team"].contains(&link.kind.as_str())
}

/// The members of a bond or a team.
#[must_use]
pub fn members(link: &Reading, all: &[Reading]) -> Vec<String> {
    let is_member = |one: &&Reading| is_made_of_members(link) && one.controller == Some(link.link.ifindex);
    all.iter().filter(is_member).map(|one| one.link.name.clone()).collect()
}
