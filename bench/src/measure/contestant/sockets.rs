//! Our own relays of plain sockets: `bench/src/bin/peer.rs`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::counters::SocketLosses;
use super::{Drive, Running, losses};
use crate::Process;
use crate::measure::scenario::Scenario;
use crate::measure::stage::{INPUT_LINK, RELAY_CORE, Stage};

const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn start(binary: &Path, plain: bool, stage: &Stage, scenario: &Scenario) -> Result<Running> {
    let before = SocketLosses::begin(&stage.relay, scenario.ipv6)?;
    let mut command = stage.relay.command(binary);
    command.args(["--core", &RELAY_CORE.to_string()]);
    command.args(plain.then_some("--plain"));
    command.args((0..scenario.relays).map(|relay| relay_of(scenario, relay)));
    let mut process = Process::start("peer", command)?;
    process.wait_for("ready", PATIENCE)?;
    let outputs = scenario.outputs;
    Ok(Running {
        pids: vec![process.pid()],
        drive: Drive::Relays,
        received: None,
        end: Box::new(move || {
            let lost = before.lost(outputs)?;
            process.stop(PATIENCE)?;
            let line = process.wait_for(" unsent ", PATIENCE)?;
            let unsent = line.rsplit(' ').next().unwrap_or_default();
            let unsent = unsent.parse().with_context(|| format!("no number of unsent datagrams in \"{line}\""))?;
            Ok(losses(lost.into_iter().chain([("unsent", unsent)])))
        }),
    })
}

/// A relay as the program's argument.
fn relay_of(scenario: &Scenario, relay: u16) -> String {
    let outputs = (0..scenario.outputs).map(|output| scenario.output(relay, output));
    let outputs: Vec<String> = outputs.map(|output| format!("out{}:{}", output.link, output.destination)).collect();
    format!("--relay={INPUT_LINK}:{}={}", scenario.input(relay), outputs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_written_as_the_program_reads_it() {
        let scenarios = Scenario::shipped().unwrap();
        let relay =
            |name: &str, relay| relay_of(scenarios.iter().find(|scenario| scenario.name == name).unwrap(), relay);
        assert_eq!(relay("relays-200", 199), "--relay=in0:239.1.0.200:5000=out0:239.2.0.200:5001");
        assert_eq!(relay("ipv6", 0), "--relay=in0:[ff15::1:1]:5000=out0:[ff15::2:1]:5001");
        let links = "--relay=in0:239.1.0.1:5000=out0:239.2.0.1:5001,out1:239.3.0.1:5002,out2:239.4.0.1:5003,\
                     out3:239.5.0.1:5004";
        assert_eq!(relay("1-to-4-links", 0), links);
    }
}
