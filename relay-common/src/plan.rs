//! The configuration that is true: what the user wrote, checked, expanded and with every default filled in.

use crate::label::Labels;
use crate::outputs::Outputs;
use alloc::{collections::BTreeSet, string::String, sync::Arc, vec::Vec};
use core::net::IpAddr;
use core::num::{NonZeroU8, NonZeroU16};
use core::ops::{Deref, DerefMut};

/// All relays of a node and how it runs them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// How links are used; links that are not named here use the defaults.
    pub interfaces: Vec<Interface>,
    /// How the lanes run.
    pub lanes: Lanes,
    /// The relays, names unique, ranges expanded.
    pub relays: Vec<Relay>,
}

impl Plan {
    /// The links that enabled relays name, whether they are there or not.
    #[must_use]
    pub fn links_in_use(&self) -> BTreeSet<&str> {
        self.input_links().into_iter().chain(self.output_links()).collect()
    }

    /// The links that inputs of enabled relays name, each once, in the order in which they first appear.
    #[must_use]
    pub fn input_links(&self) -> Vec<&str> {
        each_once(self.enabled().map(|relay| relay.input.interface.as_str()))
    }

    /// The links that outputs of enabled relays name, each once, in the order in which they first appear.
    #[must_use]
    pub fn output_links(&self) -> Vec<&str> {
        each_once(self.enabled().flat_map(|relay| relay.outputs.links()))
    }

    fn enabled(&self) -> impl Iterator<Item = &Relay> {
        self.relays.iter().filter(|relay| relay.enabled)
    }
}

fn each_once<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let (mut seen, mut in_order, mut last) = (BTreeSet::new(), Vec::new(), None);
    for name in names {
        // Mostly it is the one before once more, and there are many.
        if last != Some(name) && seen.insert(name) {
            in_order.push(name);
        }
        last = Some(name);
    }
    in_order
}

/// Relays that any node can have room for.
pub const MAX_RELAYS: u32 = 65_536;
/// Outputs that any node can have room for, over all relays.
pub const MAX_OUTPUTS: u32 = 1_048_576;
/// Sources that one relay can name: as many as the kernel lets a socket name (`igmp_max_msf`).
pub const MAX_SOURCES: usize = 10;
/// After so long without packets a stream counts as interrupted, unless its relay says otherwise.
pub const SILENCE_AFTER_MS: u32 = 1000;
/// Letters of a relay's name, as it is written.
pub const MAX_NAME: usize = 64;

/// How one link is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The link's name.
    pub name: String,
    /// Where the XDP program runs.
    pub mode: Mode,
    /// Whether zero-copy is used.
    pub zero_copy: ZeroCopy,
    /// The receive queues that are served.
    pub queues: Queues,
}

impl Interface {
    /// The defaults for a link that the configuration does not name.
    #[must_use]
    pub fn default_for(name: &str) -> Self {
        Self { name: String::from(name), mode: Mode::Auto, zero_copy: ZeroCopy::Auto, queues: Queues::All }
    }
}

/// Where the XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, or behind it where the driver cannot.
    Auto,
    /// In the driver or not at all.
    Native,
    /// Behind the driver.
    Generic,
}

/// Whether zero-copy is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZeroCopy {
    /// Tried, checked, and reported.
    Auto,
    /// Zero-copy or not at all.
    Always,
    /// Copy mode.
    Never,
}

/// Which receive queues of a link are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queues {
    /// All that the link has.
    All,
    /// These only.
    Some(Vec<u32>),
}

impl Queues {
    /// Whether that queue is served.
    #[must_use]
    pub fn serves(&self, queue: u32) -> bool {
        match self {
            Self::All => true,
            Self::Some(queues) => queues.contains(&queue),
        }
    }
}

/// How a lane waits for packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Never sleeps.
    Busy,
    /// Spins for a while, then sleeps.
    Adaptive,
    /// Sleeps whenever there is nothing to do.
    Wait,
}

/// How the lanes run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// One lane for each of these cores; without any, one lane that is not pinned.
    pub cores: Vec<u32>,
    /// How they wait.
    pub poll: Poll,
    /// How long an adaptive lane spins before it sleeps, in microseconds.
    pub spin_us: u32,
    /// Microseconds of kernel busy polling per call (`SO_BUSY_POLL`, preferred); 0 leaves the sockets as they are.
    pub busy_poll_us: u32,
    /// Bytes per frame: 2048 or 4096.
    pub frame_size: u32,
    /// Entries of every ring: a power of two.
    pub ring_size: u32,
    /// Frames per lane; `None` takes as many as the rings can hold.
    pub frames: Option<u32>,
    /// Sockets that each lane can be given while it runs, besides those of the links in use when it starts.
    pub spare_sockets: u32,
    /// Relays that the table has room for.
    pub max_relays: u32,
    /// Outputs that the table has room for, over all relays.
    pub max_outputs: u32,
    /// Whom they run as, by name or number; whoever is there for it without.
    pub user: Option<String>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            cores: Vec::new(),
            poll: Poll::Adaptive,
            // A wake-up costs about 5 us; a stream of 20 kpps and more never lets a lane sleep with this.
            spin_us: 50,
            busy_poll_us: 0,
            frame_size: 2048,
            ring_size: 2048,
            frames: None,
            // 8 MiB each at the other defaults: an input and three output links, for a node that starts without a relay.
            spare_sockets: 4,
            max_relays: 4096,
            max_outputs: 16_384,
            user: None,
        }
    }
}

impl Lanes {
    /// How many lanes run.
    #[must_use]
    pub fn n_lanes(&self) -> u32 {
        u32::try_from(self.cores.len()).unwrap_or(u32::MAX).max(1)
    }
}

/// One relay: an input, its outputs and a name. A plan is copied whole for each change, and again for whoever looks at the
/// node: copies share what is in it, and two of the same are equal without a look. Who changes one has it alone from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay(Arc<Definition>);

impl Relay {
    /// What selectors choose it by.
    #[must_use]
    pub fn known_by(&self) -> (&str, &Labels) {
        (&self.name, &self.labels)
    }

    /// Whether both are one: what was made of the one goes for the other.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Relay {
    type Target = Definition;

    fn deref(&self) -> &Definition {
        &self.0
    }
}

impl DerefMut for Relay {
    fn deref_mut(&mut self) -> &mut Definition {
        Arc::make_mut(&mut self.0)
    }
}

impl From<Definition> for Relay {
    fn from(definition: Definition) -> Self {
        Self(Arc::new(definition))
    }
}

/// What a relay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// What people sort it by.
    pub labels: Labels,
    /// Whether it runs.
    pub enabled: bool,
    /// Whether it is received and measured, and not sent.
    pub muted: bool,
    /// Without packets for so long, in milliseconds, its stream counts as interrupted; never without.
    pub silence_after_ms: Option<u32>,
    /// What of its input is measured.
    pub meters: Meters,
    /// What it takes in.
    pub input: Input,
    /// Where it sends that, at most [`crate::entry::MAX_OUTPUTS_PER_RELAY`].
    pub outputs: Outputs,
}

/// What of an input is measured besides packets, bytes and when they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meters {
    /// Nothing: no payload is looked at.
    Off,
    /// RTP.
    Rtp,
    /// RTP and MPEG-TS.
    #[default]
    Full,
}

impl Meters {
    /// The word in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Rtp => "rtp",
            Self::Full => "full",
        }
    }
}

/// What a relay takes in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Input {
    /// The link, without a VLAN suffix.
    pub interface: String,
    /// VLAN identifiers, outer first; 0 where there is no tag.
    pub vlans: [u16; 2],
    /// A group, or a unicast address of this node.
    pub destination: IpAddr,
    /// The UDP destination port.
    pub port: NonZeroU16,
    /// The sources it accepts; any when empty.
    pub sources: Vec<IpAddr>,
}

/// Where a relay sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The link, without a VLAN suffix.
    pub interface: String,
    /// What happens to VLAN tags.
    pub vlans: crate::entry::Vlans,
    /// A group or a unicast address, of the input's family.
    pub destination: IpAddr,
    /// The UDP destination port.
    pub port: NonZeroU16,
    /// TTL or hop limit; the datagram's own, counted down by one, without.
    pub ttl: Option<NonZeroU8>,
    /// DSCP, 0 to 63; the datagram keeps its own without.
    pub dscp: Option<u8>,
    /// The source address.
    pub source: Source,
    /// The source port; the datagram keeps its own without.
    pub source_port: Option<NonZeroU16>,
}

/// The source address of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The output link's first address: it crosses reverse-path checks.
    Link,
    /// The datagram's own.
    Keep,
    /// This one.
    Address(IpAddr),
}
