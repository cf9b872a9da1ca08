//! socat, with the options that make it fastest.

use std::net::IpAddr;

use anyhow::{Context, Result};

use super::{Running, foreign};
use crate::measure::scenario::Scenario;
use crate::measure::stage::{INPUT_LINK, Stage};

const PROGRAM: &str = "socat";
/// Longer than any datagram of an MTU of 1500: it neither cuts nor joins.
const BUFFER: &str = "2000";
/// As large as that of our own relay of sockets.
const SOCKET_BUFFER: usize = 32 << 20;

pub(super) fn start(stage: &Stage, scenario: &Scenario) -> Result<Running> {
    let [input, output] = addresses(scenario, stage.outputs[0].0.addresses[0]);
    let mut command = foreign::pinned(stage, PROGRAM);
    command.args(["-u", "-b", BUFFER, &input, &output]);
    foreign::start(PROGRAM, command, stage, scenario).context("it needs socat (Debian: apt-get install socat)")
}

/// Where it receives and where it sends, as it wants them to be written. Its option for the receive buffer obeys the
/// system's limit, so SO_RCVBUFFORCE is set by number, before the socket is bound: `UDP4-RECV` passes over what comes
/// later. A connected output is faster than `UDP4-SENDTO`.
fn addresses(scenario: &Scenario, sender: IpAddr) -> [String; 2] {
    let (input, output) = (scenario.input(0), scenario.output(0, 0).destination);
    let (group, port) = (input.ip(), input.port());
    let force = format!("setsockopt-listen={}:{}:i{SOCKET_BUFFER}", libc::SOL_SOCKET, libc::SO_RCVBUFFORCE);
    [
        format!("UDP4-RECV:{port},bind={group},ip-add-membership={group}:{INPUT_LINK},{force}"),
        format!("UDP4-CONNECT:{output},ip-multicast-if={sender},ip-multicast-ttl=16,ip-multicast-loop=0"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_scenarios_groups_and_ports() {
        let scenarios = Scenario::shipped().unwrap();
        let [input, output] = addresses(&scenarios[0], [10, 2, 0, 1].into());
        assert!(input.starts_with("UDP4-RECV:5000,bind=239.1.0.1,ip-add-membership=239.1.0.1:in0,"), "{input}");
        assert!(output.starts_with("UDP4-CONNECT:239.2.0.1:5001,ip-multicast-if=10.2.0.1,"), "{output}");
    }
}
