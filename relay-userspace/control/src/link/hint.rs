//! What hurts on a link, and the remedy. Pure: it looks at what was read and says what a person should do.

use super::ability::{Ability, is_made_of_members};
use super::ethtool::{Features, STRIPS};
use super::quirk;
use relay_common::faults::{self, Doing, Fix};
use relay_common::release::Release;
use relay_common::table::longest_mtu;

/// What a node does with its links: what hints depend on besides the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Lanes of the node, each of which transmits on a queue of its own.
    pub lanes: u32,
    /// The cores that lanes are pinned to.
    pub cores: Vec<u32>,
    /// Bytes of a frame in memory.
    pub frame_size: u32,
    /// Entries of each ring.
    pub ring_size: u32,
    /// Whether zero-copy is tried on this link.
    pub zero_copy: bool,
    /// Whether zero-copy is demanded on this link.
    pub zero_copy_demanded: bool,
    /// Whether the program may run in the driver.
    pub native: bool,
    /// Whether sockets are polled busily.
    pub polls_busily: bool,
    /// The kernel, as far as its name tells.
    pub release: Option<Release>,
    /// Whether relays match VLAN tags on this link.
    pub vlans: bool,
    /// The kernel's numbers of our own programs.
    pub own_programs: Vec<u32>,
}

impl Default for Use {
    fn default() -> Self {
        Self {
            lanes: 1,
            cores: Vec::new(),
            frame_size: 2048,
            ring_size: 2048,
            zero_copy: true,
            zero_copy_demanded: false,
            native: true,
            polls_busily: false,
            release: None,
            vlans: false,
            own_programs: Vec::new(),
        }
    }
}

/// One thing that hurts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Its name, which `docs/links.md` explains.
    pub name: &'static str,
    /// What is so, and what follows.
    pub text: String,
    /// What to do: a command where one command does it.
    pub remedy: String,
}

/// The name of hints about the kernel's own faults.
pub const KERNEL_FAULT: &str = "kernel-fault";

/// Everything that hurts on a link, worst first.
#[must_use]
pub fn hints(ability: &Ability, usage: &Use) -> Vec<Hint> {
    let all = [down, program, mtu, cut, merged, vlan_offload, vlan_beside, members, queues, rings, nodes];
    let mut hints: Vec<Hint> = all.iter().filter_map(|hint| hint(ability, usage)).collect();
    // What can crash the machine comes before what only hurts, and after what keeps anything from working.
    let at = hints.iter().take_while(|hint| ["down", "no-carrier", "other-program"].contains(&hint.name)).count();
    hints.splice(at..at, kernel_faults(ability, usage));
    hints
}

/// Faults of this kernel that what mcr would do on the link wakes.
fn kernel_faults(ability: &Ability, usage: &Use) -> Vec<Hint> {
    let Some(release) = usage.release else { return Vec::new() };
    let (name, driver) = (name(ability), ability.faults_driver());
    let left_alone = !usage.zero_copy_demanded && faults::spoils_zero_copy(&release, driver).is_some();
    let tried = usage.zero_copy && ability.xdp.is_none_or(|xdp| xdp.zero_copy());
    let doing = Doing {
        driver,
        // What was left alone is told all the same: it is why the link copies.
        zero_copy: tried,
        copies: !tried || left_alone || ability.xdp.is_none(),
        native: usage.native && ability.xdp.is_none_or(|xdp| xdp.native()),
        polls_busily: usage.polls_busily,
    };
    let hint = |found: faults::Finding| {
        let fault = found.fault;
        let copies = found.spoils_zero_copy() && !usage.zero_copy_demanded;
        let or = match (found.spoils_zero_copy(), usage.zero_copy_demanded) {
            _ if !fault.spoils_zero_copy => String::new(),
            (true, true) => format!(", or zero_copy = \"auto\" for {name}, which then copies"),
            (true, false) if matches!(fault.fixed, Fix::Unknown(_)) => {
                format!(", then zero_copy = \"always\" for {name}")
            }
            (true, false) => String::new(),
            (false, _) => format!(", or zero_copy = \"never\" for {name}"),
        };
        Hint {
            name: KERNEL_FAULT,
            text: format!("{}{}", found.text(), if copies { format!("; so {name} copies") } else { String::new() }),
            remedy: format!("{}{or}", found.remedy()),
        }
    };
    faults::findings(&release, &doing).into_iter().map(hint).collect()
}

fn name(ability: &Ability) -> &str {
    &ability.reading.link.name
}

fn down(ability: &Ability, _: &Use) -> Option<Hint> {
    let (link, name) = (&ability.reading.link, name(ability));
    if !link.up {
        let text = format!("{name} is down: nothing comes in and nothing goes out");
        return Some(Hint { name: "down", text, remedy: format!("ip link set dev {name} up") });
    }
    (!link.carrier).then(|| Hint {
        name: "no-carrier",
        text: format!("{name} is up but has no carrier"),
        remedy: String::from("look at the cable, the transceiver and the port at the other end"),
    })
}

fn program(ability: &Ability, usage: &Use) -> Option<Hint> {
    let name = name(ability);
    let other = ability.reading.attached.iter().find(|one| !usage.own_programs.contains(&one.program))?;
    let mode = match other.place {
        super::xdp::Place::Native => "xdpdrv",
        super::xdp::Place::Generic => "xdpgeneric",
        super::xdp::Place::Hardware => "xdpoffload",
    };
    Some(Hint {
        name: "other-program",
        text: format!(
            "another XDP program (number {}, {}) is attached to {name}: ours cannot be",
            other.program,
            other.place.name()
        ),
        remedy: format!("stop what attached it, or: ip link set dev {name} {mode} off"),
    })
}

fn mtu(ability: &Ability, usage: &Use) -> Option<Hint> {
    const LARGEST_FRAME: u32 = 4096;
    let (mtu, limit) = (ability.reading.link.mtu, longest_mtu(usage.frame_size));
    let name = name(ability);
    (mtu > limit).then(|| Hint {
        name: "mtu",
        text: format!(
            "packets of {name} may have {mtu} bytes, a frame of {} bytes holds {limit}: mcr copies what comes in, and what is \
             longer is dropped (rx_dropped)",
            usage.frame_size
        ),
        remedy: if mtu <= longest_mtu(LARGEST_FRAME) {
            format!("set lanes.frame_size = {LARGEST_FRAME}, or: ip link set dev {name} mtu {limit}")
        } else {
            format!("ip link set dev {name} mtu {limit}")
        },
    })
}

/// Some NICs cut long packets in zero-copy, so that copying is what works.
fn cut(ability: &Ability, usage: &Use) -> Option<Hint> {
    const LARGEST_FRAME: u32 = 4096;
    let (mtu, driver) = (ability.reading.link.mtu, ability.driver_name());
    let name = name(ability);
    let zero_copy = usage.zero_copy && ability.xdp.is_none_or(|xdp| xdp.zero_copy());
    let longest = quirk::cuts_above(driver, mtu, usage.frame_size).filter(|_| zero_copy)?;
    let fits = quirk::cuts_above(driver, mtu, LARGEST_FRAME).is_none();
    Some(Hint {
        name: "cut-packets",
        text: format!(
            "{driver} receives in whole kilobytes: in zero-copy, frames of {} bytes would cut packets above {longest}, so \
             {name} copies",
            usage.frame_size
        ),
        remedy: if fits {
            format!("set lanes.frame_size = {LARGEST_FRAME}, or: ip link set dev {name} mtu {longest}")
        } else {
            format!("ip link set dev {name} mtu {longest}")
        },
    })
}

/// Features that make one long frame of several datagrams.
fn merged(ability: &Ability, _: &Use) -> Option<Hint> {
    let merging: Vec<_> = ["rx-lro", "rx-gro-hw"].into_iter().filter(|feature| ability.features.on(feature)).collect();
    (!merging.is_empty()).then(|| Hint {
        name: "merged-frames",
        text: format!(
            "{} on {} makes one long frame of several: XDP is refused, or sees frames that nobody sent",
            merging.join(" and "),
            name(ability)
        ),
        remedy: how_to_turn_off(name(ability), &ability.features, &merging),
    })
}

/// Tags that the NIC takes out whatever it is told. Where it can be told, mcr does so while it relays.
fn vlan_offload(ability: &Ability, _: &Use) -> Option<Hint> {
    let features = &ability.features;
    let is_fixed = |feature: &&str| features.get(feature).is_some_and(|feature| feature.on && feature.fixed);
    let strips: Vec<&str> = STRIPS.into_iter().filter(is_fixed).collect();
    (!strips.is_empty()).then(|| Hint {
        name: "vlan-offload",
        text: format!(
            "{} takes VLAN tags out of frames before XDP sees them, and frames of every VLAN look alike: its inputs stay \
             pending",
            name(ability)
        ),
        remedy: how_to_turn_off(name(ability), features, &strips),
    })
}

/// Between software links a tag travels beside its frame, unless the sender puts it in.
fn vlan_beside(ability: &Ability, usage: &Use) -> Option<Hint> {
    const SOFTWARE: [&str; 7] = ["veth", "bridge", "macvlan", "ipvlan", "netkit", "bond", "team"];
    let (name, driver) = (name(ability), ability.driver_name());
    let asks = usage.native && ability.xdp.is_some_and(|xdp| xdp.native() && xdp.vlan_tags());
    let untagged = (!asks).then_some("untagged relays would take in the frames of every VLAN");
    let tagged = usage.vlans.then_some("relays with a VLAN get nothing");
    let what: Vec<&str> = [untagged, tagged].into_iter().flatten().collect();
    (SOFTWARE.contains(&driver) && !what.is_empty()).then(|| Hint {
        name: "vlan-beside",
        text: format!(
            "VLAN tags may come to {name} beside their frames, where XDP does not see them: {}",
            what.join(", ")
        ),
        remedy: match driver {
            "veth" | "netkit" => format!("on the peer of {name}: ethtool -K PEER txvlan off"),
            _ => format!("let no other VLAN come to {name}, or relay from the interfaces that it is made of"),
        },
    })
}

/// A bond or a team. Behind it, where its members are one link again, there is only generic mode.
fn members(ability: &Ability, _: &Use) -> Option<Hint> {
    let (name, members) = (name(ability), ability.members.join(" and "));
    is_made_of_members(&ability.reading).then(|| Hint {
        name: "members",
        text: format!(
            "{name} is made of {members}: mcr runs behind them in generic mode, copies, and sees no VLAN tags"
        ),
        remedy: format!("relay from {members}: a relay for each, with the same outputs; {name} can stay an output"),
    })
}

fn queues(ability: &Ability, usage: &Use) -> Option<Hint> {
    let (name, tx) = (name(ability), ability.reading.link.n_tx_queues);
    let remedy = match ability.channels {
        Some(channels) if channels.max_tx >= usage.lanes => {
            let kind = if channels.combined { "combined" } else { "tx" };
            format!("ethtool -L {name} {kind} {}", usage.lanes)
        }
        _ => format!("run at most {tx} lanes, or keep the outputs on {name} to relays of the first {tx}"),
    };
    (tx < usage.lanes).then(|| Hint {
        name: "too-few-queues",
        text: format!("{name} has {tx} transmit queues for {} lanes: the others cannot send on it", usage.lanes),
        remedy,
    })
}

/// In zero-copy a driver takes the buffers of its own receive ring from the fill ring.
fn rings(ability: &Ability, usage: &Use) -> Option<Hint> {
    const LONGEST: u32 = 32768; // of lanes.ring_size
    let (name, rings) = (name(ability), ability.rings?);
    let zero_copy = usage.zero_copy && ability.xdp.is_some_and(|xdp| xdp.zero_copy());
    (zero_copy && rings.rx > usage.ring_size).then(|| Hint {
        name: "short-rings",
        text: format!(
            "the receive ring of {name} holds {} frames, and in zero-copy a lane gives it {}: drivers want it full",
            rings.rx, usage.ring_size
        ),
        remedy: format!(
            "set lanes.ring_size = {}, or: ethtool -G {name} rx {}",
            rings.rx.next_power_of_two().min(LONGEST),
            usage.ring_size
        ),
    })
}

/// A lane and the frames that the NIC writes should be of one node.
fn nodes(ability: &Ability, usage: &Use) -> Option<Hint> {
    let hardware = ability.hardware.as_ref()?;
    let (node, near) = (hardware.numa_node?, &hardware.near);
    let far: Vec<String> =
        usage.cores.iter().filter(|core| !near.has(**core)).map(|core| format!("core {core}")).collect();
    (!far.is_empty()).then(|| Hint {
        name: "other-node",
        text: format!("{} is on NUMA node {node}, and lanes run elsewhere, on {}", name(ability), far.join(", ")),
        remedy: format!("choose lanes.cores among {}", near.0),
    })
}

/// What to do so that these features of a link are off.
#[must_use]
pub fn how_to_turn_off(link: &str, known: &Features, features: &[&str]) -> String {
    let is_fixed = |feature: &&&str| known.get(feature).is_some_and(|feature| feature.fixed);
    match features.iter().find(is_fixed) {
        Some(feature) => format!(
            "the driver does not let {feature} be turned off: do it where the device comes from (on a virtual machine: \
             in the hypervisor), or use another link"
        ),
        None => {
            let switches: Vec<_> = features.iter().map(|feature| format!("{} off", short(feature))).collect();
            format!("ethtool -K {link} {}", switches.join(" "))
        }
    }
}

/// The name that people know a feature by, where `ethtool -K` has one.
fn short(feature: &str) -> &str {
    match feature {
        "rx-lro" => "lro",
        "rx-vlan-hw-parse" => "rxvlan",
        other => other,
    }
}

#[cfg(test)]
mod tests;
