//! virtio-net in one guest: all that can be said of zero-copy with it.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bench::packet::{Headers, Vlan};
use bench::source::{Load, Stream};

use crate::guest::Guest;
use crate::nic::Nic;
use crate::parts::Parts;
use crate::play::{Case, Played, RATE, Through, play, play_with};
use crate::table::{Table, in_a_guest};
use crate::wire::owns_network;
use crate::{backlog, down, kills, mcr, reclaim, unplug};

/// The last two have two queue pairs, and taps as their networks: they are there where taps can be had.
const NICS: [Nic; 8] = [
    Nic::virtio("in0"),
    Nic::virtio("out1"),
    Nic::virtio("out2"),
    Nic::virtio("out3"),
    Nic::virtio("out4"),
    Nic::copying("slow"),
    Nic::pairs("in2", "mcrvm0"),
    Nic::pairs("out2q", "mcrvm1"),
];

#[test]
#[ignore = "needs an emulator and kernels: cargo xtask test vm"]
fn virtio_net_relays_in_zero_copy() {
    let parts = Parts::find().unwrap();
    in_a_guest(|| play_all(&parts));
}

fn play_all(parts: &Parts) -> Result<()> {
    let taps = owns_network();
    let nics = if taps { &NICS[..] } else { &NICS[..NICS.len() - 2] };
    let mut guest = Guest::boot(parts, "virtio", "kernel-zero-copy", nics)?;
    let kernel = set_up(&mut guest, nics)?;
    let mut table = Table::new("virtio", "virtio_net", &kernel);
    table.seen("mcr probe", mcr::probe(&mut guest, "in0", false, &["in0: virtio_net", "kernel fault"]));
    table.seen("mcr probe", mcr::probe(&mut guest, "slow", false, &["mcr relays here, and the kernel copies"]));
    let undemanded = undemanded();
    table.played(&undemanded, play(&mut guest, &undemanded));
    table.seen("why it copied", says_why(&mut guest));
    let (down, held) = (demanded(down::case(ONE)), held());
    table.seen(down.name, down::play(&mut guest, &down));
    table.played(&held, reclaim::play(&mut guest, &held, "out3", "out2"));
    for case in plain() {
        table.played(&case, play(&mut guest, &case));
    }
    table.seen("a backlog", backlog::play(&mut guest, "in0", "out1", false));
    let turned = Case { name: "the output becomes an input", goes_on: true, ..plain()[0].clone() };
    table.played(&turned, play_with(&mut guest, &turned, 0, receives_on_its_output));
    table.seen("groups that nobody joined", filtered(&mut guest));
    table.seen("zero_copy = \"always\"", refused(&mut guest));
    let killed = kills::case("10 kills", &plain()[0]);
    table.played(&killed, kills::play(&mut guest, &killed));
    let jumping = Case { name: "clock jumps", goes_on: true, ..plain()[0].clone() };
    table.played(&jumping, play_with(&mut guest, &jumping, 0, clock_jumps));
    let (before, after) = unplugged();
    let (number, nic) = NICS.iter().enumerate().find(|(_, nic)| nic.name == "out4").unwrap();
    table.seen("out4 unplugged", unplug::play_through(&mut guest, &before, nic, number));
    table.played(&after, unplug::play_after(&mut guest, &after));
    let cases = [two_lanes(), both_ways()];
    if taps {
        let played = play_over_taps(&mut guest, &cases);
        cases.iter().zip(played).for_each(|(case, played)| table.played(case, played));
    } else {
        cases.iter().for_each(|case| table.skipped(case.name, "several queues need a tap device, and that root"));
    }
    table.close(parts, &guest)
}

/// The cases with several queues.
fn play_over_taps(guest: &mut Guest, cases: &[Case; 2]) -> [Result<Played>; 2] {
    let [lanes, both_ways] = cases;
    let first = play(guest, lanes).and_then(|played| played.both_lanes().map(|()| played));
    [first, play_with(guest, both_ways, 0, sends_on_its_input)]
}

fn set_up(guest: &mut Guest, nics: &[Nic]) -> Result<String> {
    for (number, Nic { name, .. }) in (1..).zip(nics) {
        let addresses = [format!("10.{number}.0.1/24"), format!("fd00:{number}::1/64")];
        for address in addresses {
            guest.run(&format!("ip address add {address} dev {name}"))?;
        }
        guest.run(&format!("ip link set {name} up"))?;
    }
    guest.run("ip link add link in0 name in0.100 type vlan id 100 && ip link set in0.100 up")?;
    Ok(guest.run("uname -r")?.trim().to_owned())
}

const ONE: &str = r#"
[[relay]]
name = "one"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [{ interface = "out1", group = "239.2.1.1", port = 5001 }]
"#;
const IN: &str = "239.1.1.1:5000";
const OUT: &str = "239.2.1.1:5001";

/// Links that can do zero-copy, whether a case begins with them or not.
const ZERO_COPY: [&str; 5] = ["in0", "out1", "out2", "out3", "out4"];

/// Has a case demand zero-copy: with this driver, a module of this kernel, it is left alone otherwise. What the driver sends has
/// a header from somewhere (docs/kernels.md), and the networks of these NICs expect none.
fn demanded(case: Case) -> Case {
    let is_more = |(link, zero_copy): &(&'static str, bool)| (*zero_copy && !ZERO_COPY.contains(link)).then_some(*link);
    let links: Vec<&str> = ZERO_COPY.into_iter().chain(case.links.iter().filter_map(is_more)).collect();
    Case { config: mcr::demanding_zero_copy(&links, &case.config), ..case }
}

/// A case that demands zero-copy.
fn case(
    name: &'static str,
    config: &str,
    input: &'static str,
    streams: Vec<Through>,
    links: &[(&'static str, bool)],
) -> Case {
    demanded(Case::new(name, config, input, streams, links))
}

/// The first case, with nothing said of zero-copy.
fn undemanded() -> Case {
    let links = [("in0", false), ("out1", false)];
    Case::new("1 to 1, nothing demanded", ONE, "in0", vec![Through::new(IN, &[("out1", OUT)])], &links)
}

/// Every way to ask names the fault for which the kernel copied.
fn says_why(guest: &mut Guest) -> Result<String> {
    let links = mcr::json(guest, "mcr links --json out1")?;
    let hints = links[0]["hints"].as_array().context("no hints of out1")?;
    ensure!(hints.iter().any(|hint| hint["name"] == "kernel-fault"), "{links:#}");
    ensure!(links[0]["would_use"]["mode"] == "native, copy", "{links:#}");
    let probed = mcr::json(guest, "mcr probe --json out1")?;
    ensure!(probed["faults"].as_array().is_some_and(|faults| faults.len() == 1), "{probed:#}");
    let kernel = mcr::json(guest, "mcr check --kernel --json")?;
    let faults = kernel["faults"].as_array().context("no faults of the kernel")?;
    ensure!(faults.iter().any(|fault| fault["link"] == "out1"), "{kernel:#}");
    let log = mcr::log(guest)?;
    let is_told = |link| log.lines().any(|line| line.contains("kernel-fault") && line.contains(link));
    ensure!(is_told("in0") && is_told("out1"), "no warning of both links:\n{log}");
    Ok("kernel-fault, by links, probe, check and log".to_owned())
}

/// Cases in which nothing happens but frames.
fn plain() -> Vec<Case> {
    let one = || vec![Through::new(IN, &[("out1", OUT)])];
    let fan = r#"
[[relay]]
name = "fan"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [
  { interface = "out1", group = "239.2.1.1", port = 5001 }, { interface = "out2", group = "239.2.1.1", port = 5001 },
  { interface = "out3", group = "239.2.1.1", port = 5001 }, { interface = "out4", group = "239.2.1.1", port = 5001 },
]
"#;
    let four = ["out1", "out2", "out3", "out4"];
    let all = [("in0", true), ("out1", true), ("out2", true), ("out3", true), ("out4", true)];
    let tagged = ONE.replace("port = 5000", "port = 5000, vlan = 100").replace("port = 5001", "port = 5001, vlan = 7");
    let mut vlan = case("tagged", &tagged, "in0", one(), &all[..2]);
    vlan.streams[0].vlans = vec![Vlan::new(100)];
    vlan.vlans = vec![Vlan::new(7)];
    let v6 = ONE.replace("239.1.1.1", "ff3e::8000:1").replace("239.2.1.1", "ff3e::8000:2");
    let six = vec![Through::new("[ff3e::8000:1]:5000", &[("out1", "[ff3e::8000:2]:5001")])];
    let to_slow = vec![Through::new(IN, &[("slow", OUT)])];
    vec![
        case("1 to 1", ONE, "in0", one(), &all[..2]),
        case("1 to 4", fan, "in0", vec![Through::new(IN, &four.map(|link| (link, OUT)))], &all),
        vlan,
        case("IPv6", &v6, "in0", six, &all[..2]),
        case("zero-copy to copy", &ONE.replace("out1", "slow"), "in0", to_slow, &[("in0", true), ("slow", false)]),
        case("copy to zero-copy", &ONE.replace("in0", "slow"), "slow", one(), &[("slow", false), ("out1", true)]),
    ]
}

/// A relay that goes on while another one's sockets are dropped.
fn held() -> Case {
    let case = plain().swap_remove(0);
    Case { name: "rtnl is held for 3 s", rate: 2_000, frames: 10_000, goes_on: true, ..case }
}

/// Sixteen groups, which a tap spreads over the queues, one for each lane.
fn two_lanes() -> Case {
    let ranges = ONE.replace("239.1.1.1", "239.1.1.0-15").replace("239.2.1.1", "239.2.1.0-15");
    let config = format!("[lanes]\ncores = [0, 1]\n{}", ranges.replace("in0", "in2").replace("out1", "out2q"));
    let through =
        |group| Through::new(&format!("239.1.1.{group}:5000"), &[("out2q", &format!("239.2.1.{group}:5001"))]);
    let links = [("in2", true), ("out2q", true)];
    case("2 queues, 2 lanes", &config, "in2", (0..16).map(through).collect(), &links)
}

/// Two inputs with one queue each: the second begins at the second lane, and stays there when it becomes an output.
fn both_ways() -> Case {
    let first = ONE.replace("\"one\"", "\"first\"").replace("in0", "out3").replace("239.1.1.1", "239.1.1.9");
    let config = format!("[lanes]\ncores = [0, 1]\n{first}{ONE}").replace("out1", "out2q");
    let streams = vec![Through::new(IN, &[("out2q", OUT)])];
    let links = [("in0", true), ("out2q", true)];
    Case { goes_on: true, ..case("the input becomes an output", &config, "in0", streams, &links) }
}

/// A relay that sends on the input link comes and goes while frames flow.
fn sends_on_its_input(guest: &mut Guest) -> Result<()> {
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(500));
        guest.run("mcr relay add back --in in0/239.3.1.1:5000 --out in0/239.4.1.1:5001 && mcr relay rm back")?;
    }
    Ok(())
}

/// A relay that receives on the output link comes and goes while frames flow.
fn receives_on_its_output(guest: &mut Guest) -> Result<()> {
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(500));
        guest.run("mcr relay add back --in out1/239.3.1.1:5000 --out out2/239.4.1.1:5001 && mcr relay rm back")?;
    }
    Ok(())
}

/// Two relays from one input, the second to a link that can be unplugged; the same with all in order.
fn unplugged() -> (Case, Case) {
    let two = |number: u32, output: &str| {
        ONE.replace("\"one\"", &format!("\"{output}\""))
            .replace("239.1.1.1", &format!("239.1.1.{number}"))
            .replace("out1", output)
    };
    let config = format!("{}{}", two(1, "out1"), two(2, "out4"));
    let streams = vec![Through::new(IN, &[("out1", OUT)]), Through::new("239.1.1.2:5000", &[("out4", OUT)])];
    let links = [("in0", true), ("out1", true), ("out4", true)];
    let mut before = case("out4 unplugged", &config, "in0", streams, &links);
    before.frames *= 2;
    before.rate = RATE;
    // The second stream goes nowhere for a while.
    before.awaited = 1;
    let after = Case { name: "out4 plugged in again", ..before.clone() };
    before.goes_on = true;
    (before, after)
}

/// The clock of the day is set forth and back by decades while frames flow: nothing that mcr waits for hangs on it.
fn clock_jumps(guest: &mut Guest) -> Result<()> {
    guest.run("date +%s >/tmp/now")?;
    for day in ["2035-06-01 12:00", "1999-12-31 23:59", "@$(cat /tmp/now)"] {
        thread::sleep(Duration::from_millis(700));
        guest.run(&format!("date -s \"{day}\" && mcr health --timeout 5s"))?;
    }
    Ok(())
}

/// This NIC delivers the groups that were joined and no others; a veth would deliver all.
fn filtered(guest: &mut Guest) -> Result<String> {
    const FRAMES: u64 = 500;
    mcr::start(guest, &mcr::demanding_zero_copy(&["in0", "out1"], ONE))?;
    let headers = |to: &str| -> Result<Headers> { Ok(Headers::new("10.9.0.9:4000".parse()?, to.parse()?)) };
    let streams = vec![Stream::new(0, headers(IN)?, 100), Stream::new(1, headers("239.7.7.7:5000")?, 100)];
    guest.wire("in0")?.source(Load::new(streams).rate(1_000).packets(FRAMES))?.finish()?;
    thread::sleep(Duration::from_secs(1));
    let report = mcr::stop(guest)?;
    let (ours, others) = (report.verdict("ours"), report.verdict("not_ours"));
    ensure!(ours == FRAMES, "{ours} of {FRAMES} frames of a joined group came");
    ensure!(others == 0, "{others} frames of a group came that nobody had joined: this NIC proves nothing of joins");
    Ok(format!("{FRAMES} joined came, {FRAMES} others did not"))
}

fn refused(guest: &mut Guest) -> Result<String> {
    let said = mcr::refusal(guest, &mcr::demanding_zero_copy(&["slow"], &ONE.replace("in0", "slow")))?;
    ensure!(said.contains("slow queue 0 cannot do zero-copy: use zero_copy = \"auto\""), "{said}");
    Ok("refused: slow queue 0 cannot do zero-copy".to_owned())
}
