//! MCR itself, configured for a scenario and otherwise as it comes.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::{Drive, Running, losses};
use crate::Relay;
use crate::measure::results::Loss;
use crate::measure::scenario::{Scenario, VLAN};
use crate::measure::stage::{INPUT_LINK, RELAY_CORE, Stage};
use crate::relay::Report;

pub(super) fn start(binary: &Path, settings: &str, stage: &Stage, scenario: &Scenario) -> Result<Running> {
    let relay = Relay::launch(binary, &stage.relay, &configuration(settings, scenario)?, &[])?;
    relay.wait_until_ready()?;
    // Lanes pin themselves; what control does is to be paid for on the same core.
    let control = relay.process.pid();
    pin(control)?;
    let pids = [control].into_iter().chain(relay.lanes()).collect();
    let outputs = scenario.outputs;
    Ok(Running { pids, drive: Drive::Relays, received: None, end: Box::new(move || Ok(lost(&relay.stop()?, outputs))) })
}

fn configuration(settings: &str, scenario: &Scenario) -> Result<String> {
    let mut text = format!("[lanes]\ncores = [{RELAY_CORE}]\n{settings}\n");
    let (tag, keep) =
        if scenario.tagged { (format!(", vlan = {VLAN}"), ", vlan = \"keep\"") } else { Default::default() };
    for relay in 0..scenario.relays {
        let input = scenario.input(relay);
        let (group, port) = (input.ip(), input.port());
        writeln!(text, "\n[[relay]]\nname = \"r{relay}\"")?;
        writeln!(text, "input = {{ interface = \"{INPUT_LINK}\", group = \"{group}\", port = {port}{tag} }}")?;
        writeln!(text, "outputs = [")?;
        for output in 0..scenario.outputs {
            let output = scenario.output(relay, output);
            let (link, group, port) = (output.link, output.destination.ip(), output.destination.port());
            writeln!(text, "    {{ interface = \"out{link}\", group = \"{group}\", port = {port}{keep} }},")?;
        }
        writeln!(text, "]")?;
    }
    Ok(text)
}

/// Puts all threads of a process on the relay's core. One that is started has the cores of the one that starts it, so that the
/// threads are gone through until all are there.
fn pin(pid: u32) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(RELAY_CORE)?;
    loop {
        let mut n_moved = 0;
        for thread in fs::read_dir(format!("/proc/{pid}/task")).context("mcr has ended")? {
            let thread = Pid::from_raw(thread?.file_name().to_string_lossy().parse()?);
            match sched_getaffinity(thread) {
                Err(Errno::ESRCH) => {}
                Ok(now) if now == cores => {}
                Ok(_) => {
                    n_moved += 1;
                    sched_setaffinity(thread, &cores).or_else(has_ended).context("pin mcr's control")?;
                }
                Err(error) => return Err(error).context("ask where mcr's control runs"),
            }
        }
        if n_moved == 0 {
            return Ok(());
        }
    }
}

fn has_ended(error: Errno) -> nix::Result<()> {
    if error == Errno::ESRCH { Ok(()) } else { Err(error) }
}

/// Every packet that is missing behind the outputs, by the counter that says so. What an output link refused
/// (`kick_busy`) the link itself counts, too.
fn lost(report: &Report, outputs: u16) -> Vec<Loss> {
    let outputs = u64::from(outputs);
    let around = [
        ("no frame to receive", report.sockets("rx_dropped") * outputs),
        ("receive ring full", report.sockets("rx_ring_full") * outputs),
    ];
    let around = around.map(|(name, packets)| (name.to_owned(), packets));
    let drops = report.all_dropped(outputs).into_iter().map(|(reason, packets)| match reason.as_str() {
        "tx_full" => ("transmit ring full".to_owned(), packets),
        "no_frame" => ("no frame to copy".to_owned(), packets),
        _ => (reason.replace('_', " "), packets),
    });
    losses(around.into_iter().chain(drops))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(name: &str) -> Scenario {
        Scenario::shipped().unwrap().into_iter().find(|scenario| scenario.name == name).unwrap()
    }

    #[test]
    fn the_configuration_says_what_the_scenario_says_and_nothing_else() {
        let text = "[lanes]\ncores = [1]\npoll = \"busy\"\n\n[[relay]]\nname = \"r0\"\n\
                    input = { interface = \"in0\", group = \"239.1.0.1\", port = 5000, vlan = 100 }\n\
                    outputs = [\n    { interface = \"out0\", group = \"239.2.0.1\", port = 5001, vlan = \"keep\" },\n]\n";
        assert_eq!(configuration("poll = \"busy\"", &scenario("tagged")).unwrap(), text);
        let text = configuration("", &scenario("1-to-16-links")).unwrap();
        assert!(text.contains("{ interface = \"out3\", group = \"239.17.0.1\", port = 5016 }"), "{text}");
        let text = configuration("", &scenario("ipv6")).unwrap();
        assert!(text.contains("group = \"ff15::1:1\", port = 5000 }"), "{text}");
        let text = configuration("", &scenario("relays-1000")).unwrap();
        assert_eq!(text.parse::<toml::Table>().unwrap()["relay"].as_array().unwrap().len(), 1000);
    }

    #[test]
    fn every_drop_of_every_relay_has_a_name_and_counts_where_it_is_missing() {
        let relay = |n: u64| {
            serde_json::json!({
                "drops": { "no_output": n }, "outputs": [{ "drops": { "tx_full": 10 * n } }, { "drops": { "no_frame": n } }],
            })
        };
        let report = Report(serde_json::json!({
            "verdicts": { "ours": 99, "not_ours": 77 },
            "drops": { "malformed": 4, "muted": 0 },
            "relays": [relay(1), relay(2)],
            "lanes": [{ "counters": { "kick_busy": 6 } }],
            "sockets": [{ "rx_dropped": 7, "rx_ring_full": 8 }, { "rx_dropped": 1, "rx_ring_full": 0 }],
        }));
        let mut found = lost(&report, 2);
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let expected = [
            ("malformed", 8),
            ("no frame to copy", 3),
            ("no frame to receive", 16),
            ("no output", 6),
            ("receive ring full", 16),
            ("transmit ring full", 30),
        ];
        assert_eq!(found, losses(expected));
    }
}
