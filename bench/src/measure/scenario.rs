//! What is measured, against whom: the list in `bench/scenarios.toml`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The list, as it is shipped.
const SHIPPED: &str = include_str!("../../scenarios.toml");

/// Relays that the generator can tell apart.
pub const MAX_RELAYS: u16 = 1024;
/// Outputs of a relay that the sinks can tell apart.
pub const MAX_OUTPUTS: u16 = 16;
/// Output links that a stage has room for.
pub const MAX_LINKS: u16 = 4;
/// Where all streams come in.
pub const INPUT_PORT: u16 = 5000;
/// Where each relay's first output goes; the next ones go to the ports behind it.
pub const OUTPUT_PORT: u16 = 5001;
/// The tag of tagged streams, on the way in and on the way out.
pub const VLAN: u16 = 100;

/// One scenario.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is chosen by: letters, digits and hyphens.
    pub name: String,
    /// One line for people.
    pub about: String,
    /// How many relays, each with its own group.
    #[serde(default = "one")]
    pub relays: u16,
    /// How many outputs each relay has.
    #[serde(default = "one")]
    pub outputs: u16,
    /// How many links the outputs are spread over.
    #[serde(default = "one")]
    pub links: u16,
    /// Bytes of UDP payload.
    pub payload: u16,
    /// IPv6 in place of IPv4.
    #[serde(default)]
    pub ipv6: bool,
    /// With a VLAN tag that is kept.
    #[serde(default)]
    pub tagged: bool,
    /// Who takes part.
    pub contestants: Vec<String>,
    /// Whether `--quick` runs it too.
    #[serde(default)]
    pub quick: bool,
}

const fn one() -> u16 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    scenario: Vec<Scenario>,
}

/// Where an output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output {
    /// The number of its link: `out0`, `out1`, …
    pub link: u16,
    /// Group and port.
    pub destination: SocketAddr,
}

impl Scenario {
    /// All that are shipped.
    pub fn shipped() -> Result<Vec<Self>> {
        Self::parse(SHIPPED).context("bench/scenarios.toml")
    }

    fn parse(text: &str) -> Result<Vec<Self>> {
        let List { scenario: scenarios } = toml::from_str(text)?;
        for (at, scenario) in scenarios.iter().enumerate() {
            scenario.check().with_context(|| format!("scenario \"{}\"", scenario.name))?;
            let earlier = scenarios[..at].iter().any(|other| other.name == scenario.name);
            ensure!(!earlier, "two scenarios are called \"{}\"", scenario.name);
        }
        Ok(scenarios)
    }

    fn check(&self) -> Result<()> {
        let in_range = |what: &str, value: u16, most: u16| -> Result<()> {
            ensure!((1..=most).contains(&value), "{what} is {value} and must be 1 to {most}");
            Ok(())
        };
        in_range("relays", self.relays, MAX_RELAYS)?;
        in_range("outputs", self.outputs, MAX_OUTPUTS)?;
        in_range("links", self.links, MAX_LINKS.min(self.outputs))?;
        ensure!((64..=1400).contains(&self.payload), "payload is {} and must be 64 to 1400", self.payload);
        Ok(())
    }

    /// Whether a program that knows nothing of the bench can take part: one relay, one output, nothing special.
    pub fn takes_any_peer(&self) -> bool {
        self.relays == 1 && self.outputs == 1 && !self.ipv6 && !self.tagged
    }

    /// Group and port that a relay takes in.
    pub fn input(&self, relay: u16) -> SocketAddr {
        SocketAddr::new(self.group(1, relay), INPUT_PORT)
    }

    /// Where one of a relay's outputs goes.
    pub fn output(&self, relay: u16, output: u16) -> Output {
        let destination = SocketAddr::new(self.group(2 + output, relay), OUTPUT_PORT + output);
        Output { link: output % self.links, destination }
    }

    /// 239.SET.x.y or ff15::SET:x, alike in all bits above the last 16 for all relays.
    fn group(&self, set: u16, relay: u16) -> IpAddr {
        // No group ends in .0: some equipment takes offence.
        let [high, low] = (relay / 250 * 256 + relay % 250 + 1).to_be_bytes();
        if self.ipv6 {
            Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, set, u16::from_be_bytes([high, low])).into()
        } else {
            let [_, set] = set.to_be_bytes();
            Ipv4Addr::new(239, set, high, low).into()
        }
    }
}
