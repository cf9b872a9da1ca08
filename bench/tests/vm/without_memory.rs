//! A lane that the kernel ends for want of memory, under the unit of deploy/ and a systemd that has the memory controller.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bench::Source;
use bench::clock::Deadline;
use bench::ledger::{Ledger, SharedLedger, lock, wait_for_tail};
use bench::packet::Headers;
use bench::sink::Flow;
use bench::source::{Load, Stream};
use serde_json::Value;

use crate::guest::Guest;
use crate::nic::Nic;
use crate::parts::Parts;
use crate::play::TAIL;
use crate::table::{Table, in_a_guest};
use crate::wire::owns_network;

const NICS: [Nic; 3] = [Nic::virtio("in0"), Nic::virtio("in1"), Nic::pairs("out2q", "mcrvm2")];
/// Each input has one queue: the second begins at the second lane, for which the output has a queue too.
const CONFIG: &str = r#"
[lanes]
cores = [0, 1]
[[relay]]
name = "first"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [{ interface = "out2q", group = "239.2.1.1", port = 5001 }]
[[relay]]
name = "second"
input = { interface = "in1", group = "239.1.1.2", port = 5000 }
outputs = [{ interface = "out2q", group = "239.2.1.2", port = 5001 }]
"#;
const CASE: &str = "OOM kill of a lane";
/// The unit's cgroup.
const GROUP: &str = "/sys/fs/cgroup/system.slice/mcr.service";
/// What systemd says of the unit: whatever happens to a lane, all of it stays as it is.
const UNIT: &str = "systemctl show --property=OOMPolicy,ActiveState,SubState,Result,NRestarts,MainPID,InvocationID mcr";
/// By what systemd's journal knows that a process of a unit was ended for want of memory (`SD_MESSAGE_UNIT_OUT_OF_MEMORY`).
const TOLD: &str = "fe6faa94e7774663a0da52717891d8ef";
/// What mcr has counted that is not zero.
const COUNTED: &str = "wget -qO- http://127.0.0.1:9280/metrics | grep -v '^#' | grep -v ' 0$'";
/// Packets a second of each stream.
const RATE: u64 = 1_000;
/// Of each stream under way at once: a guest that stands still must hold them.
const UNDER_WAY: u64 = 96;
/// Packets of each stream that must come out before and after.
const SOME: u64 = 1_000;
/// What takes a moment, with slack for a busy machine.
const SOON: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs an emulator and kernels: cargo xtask test vm"]
fn a_lane_that_the_kernel_ends_is_replaced_and_the_unit_goes_on() {
    let parts = Parts::find().unwrap();
    if !owns_network() {
        let mut table = Table::new("without_memory", "virtio_net", "-");
        table.skipped(CASE, "two lanes need several queues, these a tap device, and that root");
        return table.close_without_guest(&parts).unwrap();
    }
    in_a_guest(|| play_all(&parts));
}

fn play_all(parts: &Parts) -> Result<()> {
    let mut guest = Guest::boot_systemd(parts, "without_memory", "kernel-6.12", &NICS, CONFIG)?;
    let kernel = guest.run("uname -r")?;
    let mut table = Table::new("without_memory", "virtio_net", kernel.trim());
    table.seen(CASE, set_up(&mut guest).and_then(|()| play(&mut guest)));
    table.close(parts, &guest)
}

fn set_up(guest: &mut Guest) -> Result<()> {
    for (number, Nic { name, .. }) in (1..).zip(&NICS) {
        guest.run(&format!("ip address add 10.{number}.0.1/24 dev {name} && ip link set {name} up"))?;
    }
    // As whoever installs it does.
    guest.run("systemd-sysusers && systemd-tmpfiles --create")?;
    guest.run("systemctl start mcr || { journalctl --no-pager --unit=mcr; false; }").map(drop)
}

fn play(guest: &mut Guest) -> Result<String> {
    let played = under_traffic(guest);
    guest.rest()?;
    played.with_context(|| {
        let looks = ["journalctl --unit=mcr --lines=40", COUNTED].map(|look| guest.run(look).unwrap_or_default());
        looks.join("\n")
    })
}

fn under_traffic(guest: &mut Guest) -> Result<String> {
    let ledgers = [0, 1].map(|stream| Ledger::shared(&format!("stream {stream}"), stream));
    let flows = (1..).zip(&ledgers).map(|(n, ledger)| Ok(Flow::new(format!("239.2.1.{n}:5001").parse()?, ledger)));
    let sink = guest.wire("out2q")?.sink(flows.collect::<Result<_>>()?)?;
    let sources = [source(guest, 0, &ledgers[0])?, source(guest, 1, &ledgers[1])?];
    ledgers.iter().try_for_each(flow)?;
    let (unit, lanes) = (guest.run(UNIT)?, lanes(guest)?);
    ensure!(unit.contains("OOMPolicy=continue") && unit.contains("SubState=running"), "{unit}");
    let [first, second] = lanes[..] else { anyhow::bail!("two lanes were expected: {lanes:?}") };
    // The kernel's own choice would be the largest process of the machine.
    guest.run(&format!("echo 1000 >/proc/{first}/oom_score_adj && echo f >/proc/sysrq-trigger"))?;
    guest.run(&format!("wait_for_kernel 'Out of memory: Killed process {first} (mcr-lane-0)'"))?;
    ledgers.iter().try_for_each(flow)?;
    let after = self::lanes(guest)?;
    ensure!(matches!(after[..], [new, other] if new != first && other == second), "lanes {lanes:?} became {after:?}");
    ensure!(guest.run(UNIT)? == unit, "it was\n{unit}and is\n{}", guest.run(UNIT)?);
    for (source, ledger) in sources.into_iter().zip(&ledgers) {
        source.stop()?.enter(std::slice::from_ref(ledger));
    }
    wait_for_tail(&ledgers, TAIL);
    sink.stop()?.check()?;
    let [killed, other] = [lock(&ledgers[0]), lock(&ledgers[1])];
    ensure!(other.lost() == 0, "the other lane lost {:?} of {}", other.gaps(8), other.sent());
    // The one that the lane had in its hands.
    ensure!(killed.lost() <= 1, "the killed lane lost {:?} of {}", killed.gaps(8), killed.sent());
    other.check(0)?;
    killed.check(killed.lost())?;
    told(guest, first)?;
    let received = guest.run("wget -qO- http://127.0.0.1:9280/metrics | grep '^mcr_lane_received_packets_total'")?;
    ensure!(received.lines().count() == 2 && !received.contains(" 0\n"), "not both lanes received: {received}");
    Ok(format!("lost {} of {}; by the other lane 0 of {}", killed.lost(), killed.sent(), other.sent()))
}

/// The kernel, systemd, the log and the metrics all tell of that lane, once.
fn told(guest: &mut Guest, pid: u32) -> Result<()> {
    let counted = guest.run(&format!("cat {GROUP}/memory.events"))?;
    ensure!(counted.lines().any(|line| line == "oom_kill 1"), "{counted}");
    let by_systemd = guest.run(&format!("journalctl --output=json MESSAGE_ID={TOLD} UNIT=mcr.service"))?;
    ensure!(by_systemd.lines().count() == 1, "systemd told: {by_systemd}");
    let by_mcr = guest.run("journalctl --output=json --unit=mcr MCR_EVENT=lane.died")?;
    let died: Vec<Value> = by_mcr.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let [died] = &died[..] else { anyhow::bail!("mcr told: {by_mcr}") };
    let fields = ["MCR_LANE", "MCR_PID", "MCR_ENDING"].map(|field| died[field].as_str().unwrap_or_default());
    ensure!(fields == ["0", &pid.to_string(), "signal 9 (SIGKILL)"], "{died}");
    let metrics = guest.run("wget -qO- http://127.0.0.1:9280/metrics | grep '^mcr_lane_restarts_total'")?;
    let wanted = ["mcr_lane_restarts_total{lane=\"0\"} 1", "mcr_lane_restarts_total{lane=\"1\"} 0"];
    ensure!(metrics.lines().collect::<Vec<_>>() == wanted, "{metrics}");
    Ok(())
}

/// The processes of the unit's lanes, in their order.
fn lanes(guest: &mut Guest) -> Result<Vec<u32>> {
    let names = format!("for pid in $(cat {GROUP}/cgroup.procs); do echo \"$(cat /proc/$pid/comm) $pid\"; done");
    let printed = guest.run(&names)?;
    let mut lanes: Vec<(&str, u32)> = printed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| name.starts_with("mcr-lane-"))
        .filter_map(|(name, pid)| Some((name, pid.parse().ok()?)))
        .collect();
    lanes.sort_unstable();
    Ok(lanes.into_iter().map(|(_, pid)| pid).collect())
}

/// Starts a stream into the input of its number.
fn source(guest: &Guest, stream: u32, ledger: &SharedLedger) -> Result<Source> {
    let headers = Headers::new("10.9.0.9:4000".parse()?, format!("239.1.1.{}:5000", stream + 1).parse()?);
    let load = Load::new(vec![Stream::new(stream, headers, 1_200)]).rate(RATE);
    guest.wire(&format!("in{stream}"))?.source(load.window(UNDER_WAY, std::slice::from_ref(ledger)))
}

/// Waits until some packets more of a stream have come out.
fn flow(ledger: &SharedLedger) -> Result<()> {
    let received = || lock(ledger).received();
    let (wanted, deadline) = (received() + SOME, Deadline::after(SOON));
    while received() < wanted {
        ensure!(!deadline.passed(), "{}: {} packets and not {wanted} came out", lock(ledger).name(), received());
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
