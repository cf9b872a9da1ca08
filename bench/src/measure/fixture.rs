//! Results that nobody measured: invented, plausible, and for tests only.

use super::results::{
    ContestantResult, FORMAT, Function, Kind, Load, Loss, Machine, Percentiles, Results, ScenarioResult, Spread,
};

/// As a full run of a few scenarios might leave them.
pub(crate) fn results() -> Results {
    let one = |name: &str, about: &str, contestants| scenario(name, about, (1, 1), contestants);
    let scenarios = vec![
        one("1-to-1", "one relay, one output, seven TS packets a datagram", one_to_one()),
        scenario("1-to-4", "four outputs by one link", (1, 4), vec![mcr(412e3), mmsg(92e3), plain(55e3)]),
        scenario("1-to-16", "sixteen outputs by one link", (1, 16), vec![mcr(121e3), mmsg(25e3), plain(14e3)]),
        scenario("relays-50", "fifty relays of one output", (50, 1), vec![mcr(871e3), mmsg(240e3)]),
        scenario("relays-200", "two hundred relays of one output: a headend", (200, 1), many_relays()),
        ScenarioResult {
            frame: 1316 + 62,
            ..one("ipv6", "one relay, one output, over IPv6", vec![mcr(842e3), mmsg(255e3)])
        },
        ScenarioResult {
            frame: 1316 + 46,
            ..one("tagged", "one relay, one output, with a tag that is kept", vec![mcr(861e3)])
        },
    ];
    Results {
        format: FORMAT,
        date: "2026-11-21".to_owned(),
        commit: "0123abc+".to_owned(),
        extent: "full".to_owned(),
        seconds: 11_520,
        machine: Machine {
            processor: "Invented Processor 9000 @ 2.70GHz".to_owned(),
            cores: 2,
            memory_mib: 7_936,
            is_virtual: true,
            kernel: "6.18.0-invented".to_owned(),
            mitigations: "spectre_v2: retpolines".to_owned(),
            system: "Debian GNU/Linux 12".to_owned(),
            rust: "rustc 1.95.0".to_owned(),
        },
        scenarios,
        functions: vec![
            function("parse", "packet", 8.5, 0.0),
            function("forward 1 to 1, stamp", "packet", 38.2, 0.0),
            function("forward 1 to 16, stamp", "packet", 835.0, 0.0),
            function("compile 4096 relays", "table", 3_120_000.0, 812.0),
        ],
    }
}

fn function(name: &str, unit: &str, median_ns: f64, allocations: f64) -> Function {
    let (name, unit) = (name.to_owned(), unit.to_owned());
    Function { name, unit, median_ns, minimum_ns: median_ns * 0.96, allocations }
}

fn scenario(
    name: &str,
    about: &str,
    (relays, outputs): (u16, u16),
    contestants: Vec<ContestantResult>,
) -> ScenarioResult {
    let (name, about) = (name.to_owned(), about.to_owned());
    let mut contestants = contestants;
    for overload in contestants.iter_mut().filter_map(|it| it.overload.as_mut()) {
        overload.values.iter_mut().for_each(|value| *value *= f64::from(outputs));
    }
    ScenarioResult { name, about, relays, outputs, links: 1, payload: 1316, frame: 1316 + 42, contestants }
}

fn one_to_one() -> Vec<ContestantResult> {
    vec![
        mcr(880_400.0),
        mmsg(277_000.0),
        plain(171_000.0),
        kernel(612e3),
        skipped("socat", "socat", "there is no socat: apt-get install socat"),
        in_kernel(("xdp-redirect", "rewritten and sent on in XDP", Kind::Ceiling), 1_652e3, (540.0, 7_900.0)),
        ceiling("xsk-drop", "AF_XDP that only receives", 2_410e3),
        sender("xsk-transmit", "AF_XDP that only sends", 1_120e3),
    ]
}

fn many_relays() -> Vec<ContestantResult> {
    vec![mcr(854e3), mmsg(198e3), kernel(566e3)]
}

fn kernel(rate: f64) -> ContestantResult {
    in_kernel(("kernel", "multicast routing by the kernel", Kind::Peer), rate, (1_300.0, 11_500.0))
}

/// What has no process, and so no memory of its own.
fn in_kernel(who: (&str, &str, Kind), rate: f64, figures: (f64, f64)) -> ContestantResult {
    ContestantResult { memory_kib: None, idle_percent: None, ..contestant(who, rate, figures) }
}

/// MCR as it comes.
pub(crate) fn mcr(rate: f64) -> ContestantResult {
    let it = contestant(("mcr", "MCR as it comes", Kind::Mcr), rate, (0.92e9 / rate, 14_200.0));
    ContestantResult { losses: vec![loss("generator's own link full", 1_204), loss("no free frame", 88)], ..it }
}

/// A relay of plain sockets, in batches.
pub(crate) fn mmsg(rate: f64) -> ContestantResult {
    let it = contestant(("mmsg", "recvmmsg and sendmmsg of 64", Kind::Peer), rate, (0.95e9 / rate, 31_800.0));
    let losses = vec![loss("generator's own link full", 310), loss("socket buffer full", 12_345_678)];
    ContestantResult { memory_kib: Some(2_150), losses, ..it }
}

fn plain(rate: f64) -> ContestantResult {
    let it = contestant(("plain", "recv and send", Kind::Peer), rate, (0.97e9 / rate, 27_300.0));
    ContestantResult { memory_kib: Some(1_920), losses: vec![loss("socket buffer full", 990_210)], ..it }
}

/// A contestant with a highest rate, processor time per packet, and a median latency at half of that rate.
pub(crate) fn contestant(
    (name, about, kind): (&str, &str, Kind),
    rate: f64,
    (core_ns, latency): (f64, f64),
) -> ContestantResult {
    ContestantResult {
        name: name.to_owned(),
        about: about.to_owned(),
        kind,
        skipped: None,
        rate: Some(Spread { values: vec![rate, rate * 0.982, rate * 1.013, rate * 0.997, rate * 1.004] }),
        overload: Some(Spread { values: vec![rate * 0.96, rate * 0.94, rate * 0.97] }),
        loads: vec![
            load(10, rate, latency * 0.9, core_ns * 1.6),
            load(50, rate, latency, core_ns),
            load(90, rate, latency * 2.4, core_ns * 0.9),
        ],
        memory_kib: Some(31_700),
        idle_percent: Some(0.04),
        losses: Vec::new(),
    }
}

/// What only a rate is measured of.
pub(crate) fn ceiling(name: &str, about: &str, rate: f64) -> ContestantResult {
    let it = contestant((name, about, Kind::Ceiling), rate, (0.0, 0.0));
    ContestantResult { loads: Vec::new(), overload: None, memory_kib: None, idle_percent: None, ..it }
}

/// What makes its own packets: nothing comes in.
fn sender(name: &str, about: &str, rate: f64) -> ContestantResult {
    let it = ceiling(name, about, rate);
    ContestantResult { overload: it.rate, rate: None, ..it }
}

/// Who did not run.
pub(crate) fn skipped(name: &str, about: &str, why: &str) -> ContestantResult {
    let it = ceiling(name, about, 0.0);
    ContestantResult { kind: Kind::Peer, skipped: Some(why.to_owned()), rate: None, ..it }
}

fn load(percent: u8, rate: f64, latency: f64, core_ns: f64) -> Load {
    let spread = |p50: f64| Percentiles { p50, p90: p50 * 1.7, p99: p50 * 4.1, p999: p50 * 22.0, max: p50 * 96.0 };
    let (latency, jitter) = (spread(latency), spread(latency / 6.0));
    Load { percent, rate: rate * f64::from(percent) / 100.0, latency, jitter, core_ns, receive_ns: Some(410.0) }
}

fn loss(name: &str, packets: u64) -> Loss {
    Loss { name: name.to_owned(), packets }
}

/// One of everything that goes wrong in tables and plots: long and hostile names, rates that are far apart and rates
/// that are nearly the same, zeros, and what is no number.
pub(crate) fn awkward() -> Results {
    let mut all = vec![mcr(2_000e3)];
    for (name, rate) in [
        ("a-name-of-25-characters-x", 100e3),
        ("<script>&\"quoted\"|piped|", 101e3),
        ("nearly-the-same", 102e3),
        ("nearly-the-same-again", 103e3),
    ] {
        all.push(contestant((name, "a <b>peer</b> | another", Kind::Peer), rate, (9_000.0, 30_000.0)));
    }
    all.push(skipped("skipped", "a peer", &"a reason that is much longer than the room for it ".repeat(5)));
    all.push(contestant(("zero", "it never got through", Kind::Peer), 0.0, (0.0, 0.0)));
    all.push(contestant(("no-number", "something was divided by nothing", Kind::Peer), f64::NAN, (f64::NAN, f64::NAN)));
    all.push(ceiling("ceiling-of-25-characters-", "a ceiling", 1_990e3));
    let wide = all.clone();
    let about = "<&\"| ".repeat(60);
    let base = results();
    let scenarios = vec![
        scenario("../1|to<1>&\"", &about, (1, 1), all.clone()),
        scenario("wide", "fifteen outputs", (1, 15), wide.clone()),
        scenario("wider", "sixteen outputs", (1, 16), wide),
        scenario("empty", "nobody takes part", (1, 1), Vec::new()),
        scenario("alone", "nobody to compare with", (1, 1), vec![skipped("mcr", "MCR", "it | <did> not")]),
    ];
    Results { scenarios, ..base }
}
