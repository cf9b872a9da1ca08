//! Multicast routing by the kernel, set up by smcroute. The address stays as it is, the TTL becomes one less.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::counters::{NetFile, dropped_on_receiving};
use super::{Drive, Running, foreign, losses};
use crate::Process;
use crate::links::{Handed, ethtool};
use crate::measure::scenario::Scenario;
use crate::measure::stage::{INPUT_LINK, RELAY_CORE, Stage};
use crate::netns::Reaper;
use crate::relay::Folder;

const DAEMON: &str = "smcrouted";

pub(super) fn start(stage: &Stage, scenario: &Scenario) -> Result<Running> {
    let folder = Folder::new()?;
    let [config, pid, socket] = ["smcroute.conf", "pid", "socket"].map(|name| folder.0.join(name));
    fs::write(&config, configuration(scenario)?).with_context(|| format!("write {}", config.display()))?;
    let interfaces = NetFile::open(&stage.relay, "dev")?;
    let dropped = move || dropped_on_receiving(&interfaces.read()?, INPUT_LINK);
    let before = dropped()?;
    let mut command = foreign::pinned(stage, DAEMON);
    command.arg("-nN").arg("-f").arg(config).arg("-P").arg(pid).arg("-u").arg(socket);
    let mut process = Process::start(DAEMON, command)?;
    let routes = NetFile::open(&stage.relay, "ip_mr_cache").context("it needs a kernel with CONFIG_IP_MROUTE")?;
    let wanted = usize::from(scenario.relays);
    foreign::wait_until(&mut process, &format!("all {wanted} routes were there"), || {
        Ok(installed(&routes.read()?, scenario.links) >= wanted)
    })
    .with_context(|| format!("it needs {DAEMON} (Debian: apt-get install smcroute)"))?;
    let tuned = Tuned::new(stage)?;
    // Otherwise the generator's core would do the work of the relay's.
    let handed = Handed::over(&stage.relay, INPUT_LINK, RELAY_CORE)?;
    let outputs = u64::from(scenario.outputs);
    Ok(Running {
        pids: vec![process.pid()],
        drive: Drive::Relays,
        received: None,
        end: Box::new(move || {
            // The queue between the two cores; /proc/net/softnet_stat has the same for the whole machine together.
            let full = (dropped()? - before) * outputs;
            drop((handed, tuned));
            foreign::end(process)?;
            drop(folder);
            Ok(losses([("backlog full", full)]))
        }),
    })
}

/// What is set so that the kernel is at its best, until this is dropped.
struct Tuned {
    back: Vec<Command>,
    _reaper: Reaper,
}

impl Tuned {
    /// The queue between the two cores. It is the whole machine's.
    const BACKLOG: &str = "/proc/sys/net/core/netdev_max_backlog";
    /// As long as who tunes a router makes it: 1000 packets are too few to compare with rings and socket buffers.
    const LONG: &str = "16384";

    fn new(stage: &Stage) -> Result<Self> {
        let before = fs::read_to_string(Self::BACKLOG).with_context(|| format!("read {}", Self::BACKLOG))?;
        let mut reaper = Reaper::start()?;
        reaper.put_back(before.trim(), Self::BACKLOG)?;
        fs::write(Self::BACKLOG, Self::LONG).with_context(|| format!("write {}", Self::BACKLOG))?;
        // Otherwise packets on their way to a sink queue up behind those that still have to be routed.
        let mut back = Vec::new();
        for (near, _) in &stage.outputs {
            ethtool(&stage.relay, &["-K", &near.name, "tso", "off"])?;
            let mut on = stage.relay.command("ethtool");
            on.args(["-K", &near.name, "tso", "on"]);
            back.push(on);
        }
        Ok(Self { back, _reaper: reaper })
    }
}

impl Drop for Tuned {
    fn drop(&mut self) {
        for command in &mut self.back {
            // The namespace may be gone by now, and the setting with it.
            command.output().ok();
        }
    }
}

/// Routes name their source: others would be made when their first packet has come, which is lost or late.
///
/// Groups are not joined, though a network whose switches send groups only to members would need it: of what it is a
/// member of, the kernel delivers a copy to itself, where nobody takes it, and that costs it half of its rate.
fn configuration(scenario: &Scenario) -> Result<String> {
    let links: Vec<String> = (0..scenario.links).map(|link| format!("out{link}")).collect();
    let mut text = String::new();
    for interface in [INPUT_LINK].into_iter().chain(links.iter().map(String::as_str)) {
        writeln!(text, "phyint {interface} enable")?;
    }
    let (source, links) = (Stage::sender(scenario).ip(), links.join(" "));
    for relay in 0..scenario.relays {
        let group = scenario.input(relay).ip();
        writeln!(text, "mroute from {INPUT_LINK} source {source} group {group} to {links}")?;
    }
    Ok(text)
}

/// Routes of `/proc/net/ip_mr_cache` that lead to so many links. Behind the sixth column each link has a word; a route
/// that waits for somebody to say where it leads has none.
fn installed(text: &str, links: u16) -> usize {
    let has_links = |line: &&str| line.split_whitespace().skip(6).count() == usize::from(links);
    text.lines().skip(1).filter(has_links).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_come_before_the_routes_that_name_them() {
        let scenarios = Scenario::shipped().unwrap();
        let scenario = scenarios.iter().find(|scenario| scenario.name == "1-to-4-links").unwrap();
        let text = "phyint in0 enable\nphyint out0 enable\nphyint out1 enable\nphyint out2 enable\nphyint out3 enable\n\
                    mroute from in0 source 10.1.0.1 group 239.1.0.1 to out0 out1 out2 out3\n";
        assert_eq!(configuration(scenario).unwrap(), text);
    }

    #[test]
    fn only_routes_that_lead_to_all_links_are_counted() {
        let text = "Group    Origin   Iif     Pkts    Bytes    Wrong Oifs\n\
                    010001EF 0100010A 0          0        0        0  1:1    2:1   \n\
                    020001EF 0100010A 0          0        0        0  1:1   \n\
                    030001EF 0100010A -1         0        0        0\n";
        assert_eq!((installed(text, 2), installed(text, 1)), (1, 1));
        assert_eq!(installed("Group    Origin   Iif     Pkts    Bytes    Wrong Oifs\n", 1), 0);
    }
}
