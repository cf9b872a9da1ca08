//! The command `mcr links`: what each link can do, what MCR would use, and what hurts.

use anyhow::{Context, bail};
use relay_cli::args::Links;
use relay_common::facts::Link;
use relay_common::faults;
use relay_control::link::ability::Ability;
use relay_control::link::hardware::{Cores, Interrupt};
use relay_control::link::hint::{self, Use};
use relay_control::link::netlink::Netlink;
use relay_control::link::release;
use relay_control::link::xdp::{Netdev, Support};
use serde::Serialize;
use std::io::Write;

/// One link, as people and programs see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    name: String,
    ifindex: u32,
    state: &'static str,
    kind: String,
    driver: Option<DriverView>,
    /// Null where the machine does not tell, as most with a single node.
    numa_node: Option<u32>,
    /// The cores of that node.
    near_cores: Option<Cores>,
    interrupts: Vec<Interrupt>,
    mac: String,
    mtu: u32,
    addresses: Vec<String>,
    queues: QueuesView,
    rings: Option<RingsView>,
    xdp: XdpView,
    would_use: OutlookView,
    hints: Vec<HintView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct DriverView {
    name: String,
    version: String,
    firmware: String,
    bus: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct QueuesView {
    rx: u32,
    tx: u32,
    max_rx: Option<u32>,
    max_tx: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct RingsView {
    rx: u32,
    tx: u32,
    max_rx: u32,
    max_tx: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct XdpView {
    /// What the driver advertises; null when the kernel does not tell.
    advertised: Option<Vec<&'static str>>,
    zero_copy: Option<bool>,
    zero_copy_segments: Option<u32>,
    attached: Vec<AttachedView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct AttachedView {
    mode: &'static str,
    program: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct OutlookView {
    mode: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct HintView {
    name: &'static str,
    text: String,
    remedy: String,
}

/// Reads the links and writes them out.
///
/// # Errors
/// When the kernel does not answer, an interface is not there, or the output cannot be written.
pub async fn run(options: &Links, out: &mut impl Write) -> anyhow::Result<()> {
    let usage =
        Use { lanes: options.lanes, own_programs: own_programs(), release: release::running(), ..Use::default() };
    let views = read(&options.names, &usage).await?;
    if options.json {
        serde_json::to_writer_pretty(&mut *out, &views)?;
        writeln!(out)?;
    } else {
        table(&views, out)?;
    }
    Ok(())
}

/// The kernel's numbers of programs that have the name of ours: a running relay is not in its own way. Without the
/// rights to ask there are none, and a hint too many.
pub(crate) fn own_programs() -> Vec<u32> {
    const NAMES: [&str; 3] = ["relay", "relay_tags", "pass"]; // of the functions in relay-ebpf
    let loaded = aya::programs::loaded_programs().filter_map(Result::ok);
    loaded
        .filter(|program| program.name_as_str().is_some_and(|name| NAMES.contains(&name)))
        .map(|program| program.id())
        .collect()
}

/// The links of these names, or all but loopback, judged for this use. A link that carries VLAN devices is taken to be
/// one on which relays match VLANs.
///
/// # Errors
/// When the kernel does not answer, or an interface is not there.
pub async fn read(names: &[String], usage: &Use) -> anyhow::Result<Vec<View>> {
    let netlink = Netlink::new()?;
    let vlan_devices = netlink.vlan_devices().await?;
    let mut readings = netlink.readings(None).await?;
    if let Some(missing) = names.iter().find(|name| !readings.iter().any(|reading| reading.link.name == **name)) {
        let there: Vec<_> = readings.iter().map(|reading| reading.link.name.as_str()).collect();
        bail!("there is no interface {missing}; there are {}", there.join(", "));
    }
    let all = readings.clone();
    readings.retain(
        |reading| if names.is_empty() { reading.link.name != "lo" } else { names.contains(&reading.link.name) },
    );
    let netdev = Netdev::open().context("cannot ask the kernel what drivers can do")?;
    let view = |reading: relay_control::link::netlink::Reading| {
        let has_vlans = vlan_devices.iter().any(|device| device.parent_ifindex == reading.link.ifindex);
        let usage = Use { vlans: usage.vlans || has_vlans, ..usage.clone() };
        View::new(&Ability::of(reading, &all, netdev.as_ref()), &usage)
    };
    Ok(readings.into_iter().map(view).collect())
}

impl View {
    /// Everything that is said of a link in this use.
    #[must_use]
    pub fn new(ability: &Ability, usage: &Use) -> Self {
        let link = &ability.reading.link;
        let hints = hint::hints(ability, usage);
        let left_alone = usage.release.is_some_and(|release| {
            faults::spoils_zero_copy(&release, ability.faults_driver()).is_some_and(|_| !usage.zero_copy_demanded)
        });
        let (mode, reason) = match ability.outlook() {
            (_, _) if hints.iter().any(|hint| hint.name == "cut-packets") => {
                ("native, copy", "in zero-copy the NIC would cut packets: see below")
            }
            ("native, zero-copy" | "tried at start", _) if left_alone => {
                ("native, copy", "this kernel has a fault in zero-copy: see below")
            }
            outlook => outlook,
        };
        let driver = ability.driver.clone().map(|driver| DriverView {
            name: driver.name,
            version: driver.version,
            firmware: driver.firmware,
            bus: driver.bus,
        });
        let queues = QueuesView {
            rx: link.n_rx_queues,
            tx: link.n_tx_queues,
            max_rx: ability.channels.map(|channels| channels.max_rx),
            max_tx: ability.channels.map(|channels| channels.max_tx),
        };
        let rings = ability.rings.map(|rings| RingsView {
            rx: rings.rx,
            tx: rings.tx,
            max_rx: rings.max_rx,
            max_tx: rings.max_tx,
        });
        let hardware = ability.hardware.as_ref();
        let attached = ability.reading.attached.iter();
        Self {
            name: link.name.clone(),
            ifindex: link.ifindex,
            state: state(link),
            kind: ability.reading.kind.clone(),
            driver,
            numa_node: hardware.and_then(|hardware| hardware.numa_node),
            near_cores: hardware.map(|hardware| hardware.near.clone()),
            interrupts: hardware.map_or_else(Vec::new, |hardware| hardware.interrupts.clone()),
            mac: link.mac.map(|byte| format!("{byte:02x}")).join(":"),
            mtu: link.mtu,
            addresses: addresses(link),
            queues,
            rings,
            xdp: XdpView {
                advertised: ability.xdp.map(|xdp| xdp.names()),
                zero_copy: ability.xdp.map(|xdp| xdp.zero_copy()),
                zero_copy_segments: ability.xdp.filter(Support::zero_copy).map(|xdp| xdp.zero_copy_segments),
                attached: attached.map(|one| AttachedView { mode: one.place.name(), program: one.program }).collect(),
            },
            would_use: OutlookView { mode, reason },
            hints: hints
                .into_iter()
                .map(|hint| HintView { name: hint.name, text: hint.text, remedy: hint.remedy })
                .collect(),
        }
    }

    fn row(&self) -> [String; COLUMNS] {
        let driver = self.driver.as_ref().map_or(self.kind.as_str(), |driver| driver.name.as_str());
        let xdp = match &self.xdp.advertised {
            None => "unknown",
            Some(names) if names.contains(&"native") => "native",
            Some(_) => "generic",
        };
        let zero_copy = match self.xdp.zero_copy {
            None => "unknown",
            Some(true) => "yes",
            Some(false) => "no",
        };
        [
            self.name.clone(),
            self.state.to_owned(),
            if driver.is_empty() { "-" } else { driver }.to_owned(),
            self.numa_node.map_or_else(|| "-".to_owned(), |node| node.to_string()),
            format!("{}/{}", self.queues.rx, self.queues.tx),
            self.mtu.to_string(),
            self.mac.clone(),
            self.addresses.len().to_string(),
            xdp.to_owned(),
            zero_copy.to_owned(),
            format!("{} ({})", self.would_use.mode, self.would_use.reason),
        ]
    }
}

const COLUMNS: usize = 11;

/// Writes the table for people, and the hints below it.
fn table(views: &[View], out: &mut impl Write) -> std::io::Result<()> {
    const HEAD: [&str; COLUMNS] =
        ["LINK", "STATE", "DRIVER", "NODE", "RX/TX", "MTU", "MAC", "ADDRS", "XDP", "ZERO-COPY", "MCR WOULD USE"];
    let rows: Vec<[String; COLUMNS]> =
        std::iter::once(HEAD.map(String::from)).chain(views.iter().map(View::row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    for view in views {
        for hint in &view.hints {
            writeln!(out, "\n{}: {}: {}\n  remedy: {}", view.name, hint.name, hint.text, hint.remedy)?;
        }
    }
    Ok(())
}

const fn state(link: &Link) -> &'static str {
    match (link.up, link.carrier) {
        (false, _) => "down",
        (true, false) => "no-carrier",
        (true, true) => "up",
    }
}

fn addresses(link: &Link) -> Vec<String> {
    let v4 = link.v4.iter().map(|(address, prefix)| format!("{address}/{prefix}"));
    v4.chain(link.v6.iter().map(|(address, prefix)| format!("{address}/{prefix}"))).collect()
}

#[cfg(test)]
mod tests;
