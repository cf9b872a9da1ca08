//! What mcr needs of a kernel, each thing by name: what it costs where it is missing, and the remedy. What is there is
//! found out in `trial`, by trying; the number of a kernel says nothing of it.

use serde::Serialize;
use std::fmt;

/// Something that mcr needs, or would use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Sockets of AF_XDP.
    XdpSockets,
    /// Frames of its own in a socket, rings that can be mapped, and a queue that can be bound.
    Umem,
    /// The program and its maps.
    Program,
    /// A program on a link that one descriptor holds.
    ProgramLinks,
    /// Memory that processes share.
    SharedMemory,
    /// Processes that can be waited for.
    ProcessDescriptors,
    /// What was inherited, closed at once.
    CloseRange,
    /// The rings of a socket that is bound already.
    BoundRings,
    /// One call that sends a whole ring in copy mode.
    TransmitBudget,
    /// Busy polling in place of interrupts.
    BusyPolling,
    /// What drivers tell of XDP.
    DriverFeatures,
}

/// How much depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Nothing works without.
    Required,
    /// A promise falls away without.
    Promise,
    /// It is slower, or tells less.
    Optional,
}

impl Need {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Promise => "promise",
            Self::Optional => "optional",
        }
    }
}

impl Feature {
    /// All of them; what others build on comes first.
    pub const ALL: [Self; 11] = [
        Self::SharedMemory,
        Self::ProcessDescriptors,
        Self::CloseRange,
        Self::Program,
        Self::ProgramLinks,
        Self::XdpSockets,
        Self::Umem,
        Self::BoundRings,
        Self::TransmitBudget,
        Self::BusyPolling,
        Self::DriverFeatures,
    ];

    /// Its name, for programs too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::XdpSockets => "xdp_sockets",
            Self::Umem => "umem",
            Self::Program => "program",
            Self::ProgramLinks => "program_links",
            Self::SharedMemory => "shared_memory",
            Self::ProcessDescriptors => "process_descriptors",
            Self::CloseRange => "close_range",
            Self::BoundRings => "bound_rings",
            Self::TransmitBudget => "transmit_budget",
            Self::BusyPolling => "busy_polling",
            Self::DriverFeatures => "driver_features",
        }
    }

    /// How much depends on it.
    #[must_use]
    pub const fn need(self) -> Need {
        match self {
            Self::BoundRings => Need::Promise,
            Self::TransmitBudget | Self::BusyPolling | Self::DriverFeatures => Need::Optional,
            _ => Need::Required,
        }
    }

    /// What it is.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::XdpSockets => "AF_XDP sockets",
            Self::Umem => "frames of our own in an AF_XDP socket (UMEM), mapped rings, a bind that copies",
            Self::Program => "the XDP program and its maps: hash maps, per-processor arrays, socket maps",
            Self::ProgramLinks => "XDP programs that a descriptor holds on a link (BPF links)",
            Self::SharedMemory => "memory as a file (memfd_create)",
            Self::ProcessDescriptors => "processes as descriptors (pidfd_open)",
            Self::CloseRange => "closing many descriptors at once (close_range)",
            Self::BoundRings => "mapping the rings of an AF_XDP socket that is bound",
            Self::TransmitBudget => "sending a whole ring by one call in copy mode (XDP_MAX_TX_SKB_BUDGET)",
            Self::BusyPolling => "preferred busy polling of sockets",
            Self::DriverFeatures => "what drivers tell of XDP (the netlink family netdev)",
        }
    }

    /// What is so where it is missing.
    #[must_use]
    pub const fn cost(self) -> &'static str {
        match self {
            Self::BoundRings => {
                "a lane that is killed, or renewed by an upgrade, comes back with new sockets, and what comes in meanwhile \
                 is lost, for milliseconds, and counted; a control that is killed still costs nothing"
            }
            Self::TransmitBudget => "in copy mode a call sends 32 packets, so that more calls are made",
            Self::BusyPolling => "lanes.busy_poll_us has no effect",
            Self::DriverFeatures => "mcr links cannot tell what a driver can do; it is tried at the start all the same",
            _ => "mcr does not run",
        }
    }

    /// What to do.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::XdpSockets | Self::Umem => "a kernel with CONFIG_XDP_SOCKETS",
            Self::Program => "a kernel with CONFIG_BPF_SYSCALL and CONFIG_BPF_JIT",
            Self::ProgramLinks | Self::CloseRange => "Linux 5.9 or newer",
            Self::SharedMemory | Self::ProcessDescriptors => "Linux 5.3 or newer",
            Self::BoundRings => "Linux 6.4 or newer (Debian 12 has one in its backports), if that matters",
            Self::TransmitBudget => "Linux 6.17 or newer, if that matters",
            Self::BusyPolling => "Linux 5.11 or newer, if that matters",
            Self::DriverFeatures => "Linux 6.3 or newer, if that matters",
        }
    }
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    There,
    /// It does not, and what the kernel said.
    Missing(String),
    /// It could not be tried, and why.
    Untried(String),
}

impl State {
    /// Its word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::There => "there",
            Self::Missing(_) => "missing",
            Self::Untried(_) => "untried",
        }
    }
}

/// What a kernel has and lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features(pub Vec<(Feature, State)>);

/// A feature as programs see it.
#[derive(Debug, Serialize)]
pub struct FeatureView {
    name: &'static str,
    need: Need,
    state: &'static str,
    what: &'static str,
    /// What the kernel said, or why it was not tried.
    why: Option<String>,
    /// What its lack costs.
    cost: Option<&'static str>,
    remedy: Option<&'static str>,
}

impl Features {
    /// Whether it was tried and is not there.
    #[must_use]
    pub fn lacks(&self, feature: Feature) -> bool {
        self.missing().any(|(missing, _)| missing == feature)
    }

    /// What is not there, and what the kernel said.
    pub fn missing(&self) -> impl Iterator<Item = (Feature, &str)> {
        self.0.iter().filter_map(|(feature, state)| match state {
            State::Missing(why) => Some((*feature, why.as_str())),
            _ => None,
        })
    }

    /// Why mcr does not run here; `None` if it does.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let required = self.missing().filter(|(feature, _)| feature.need() == Need::Required);
        let lines: Vec<String> =
            required.map(|(feature, why)| format!("{} ({why}): use {}", feature.what(), feature.remedy())).collect();
        (!lines.is_empty()).then(|| format!("this kernel lacks {}", lines.join("; it lacks ")))
    }

    /// For programs.
    #[must_use]
    pub fn views(&self) -> Vec<FeatureView> {
        let view = |(feature, state): &(Feature, State)| {
            let is_missing = matches!(state, State::Missing(_));
            FeatureView {
                name: feature.name(),
                need: feature.need(),
                state: state.name(),
                what: feature.what(),
                why: match state {
                    State::There => None,
                    State::Missing(why) | State::Untried(why) => Some(why.clone()),
                },
                cost: is_missing.then(|| feature.cost()),
                remedy: is_missing.then(|| feature.remedy()),
            }
        };
        self.0.iter().map(view).collect()
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (feature, state) in &self.0 {
            let need = if feature.need() == Need::Required { "" } else { " (not required)" };
            writeln!(f, "{:20} {:8} {}{need}", feature.name(), state.name(), feature.what())?;
            match state {
                State::There => {}
                State::Missing(why) => {
                    writeln!(f, "{:29} {why}; so {}\n{:29} remedy: {}", "", feature.cost(), "", feature.remedy())?;
                }
                State::Untried(why) => writeln!(f, "{:29} {why}", "")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Feature, Features, State};

    fn lacking(features: &[Feature]) -> Features {
        let state = |feature: Feature| {
            let missing = features.contains(&feature);
            (feature, if missing { State::Missing("EBUSY".to_owned()) } else { State::There })
        };
        Features(Feature::ALL.map(state).to_vec())
    }

    #[test]
    fn only_what_is_required_keeps_mcr_from_running() {
        assert_eq!(lacking(&[]).refusal(), None);
        let some = lacking(&[Feature::BoundRings, Feature::TransmitBudget]);
        assert_eq!(some.refusal(), None);
        assert!(some.lacks(Feature::TransmitBudget) && !some.lacks(Feature::Umem));
        let said = lacking(&[Feature::XdpSockets, Feature::ProgramLinks]).refusal().unwrap();
        assert_eq!(
            said,
            "this kernel lacks XDP programs that a descriptor holds on a link (BPF links) (EBUSY): use Linux 5.9 or newer; \
             it lacks AF_XDP sockets (EBUSY): use a kernel with CONFIG_XDP_SOCKETS"
        );
    }

    #[test]
    fn what_is_missing_is_told_with_its_cost_and_the_remedy() {
        let said = lacking(&[Feature::TransmitBudget]).to_string();
        assert!(said.contains("transmit_budget      missing  sending a whole ring by one call"), "{said}");
        assert!(
            said.contains("EBUSY; so in copy mode a call sends 32") && said.contains("remedy: Linux 6.17"),
            "{said}"
        );
        let json = serde_json::to_value(lacking(&[Feature::TransmitBudget]).views()).unwrap();
        let of = |name: &str| json.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
        let budget = of("transmit_budget");
        assert_eq!((&budget["state"], &budget["need"]), (&"missing".into(), &"optional".into()));
        assert!(budget["cost"].as_str().unwrap().contains("32 packets"));
        assert!(of("umem")["cost"].is_null());
    }

    #[test]
    fn what_could_not_be_tried_is_not_missing() {
        let untried = Features(vec![(Feature::ProgramLinks, State::Untried("lo has a program".to_owned()))]);
        assert_eq!(untried.refusal(), None);
        assert!(untried.to_string().contains("untried") && untried.to_string().contains("lo has a program"));
    }
}
