//! A carrier returns, and the switch, which has forgotten the port, hears of every group at once.

use crate::groups::joined;
#[cfg(feature = "chaos")]
use crate::line::{Folder, printed};
use crate::line::{INPUT, Line, ONE, OUTPUT};
use crate::query::{Record, Router, record};
#[cfg(feature = "chaos")]
use bench::clock::Deadline;
use bench::clock::monotonic_ns;
use bench::links::{End, Veth, ip};
use bench::packet::Headers;
use bench::sink::Flow;
use bench::source::{Load, Stream};
use bench::{Ledger, Relay, Sink, Source, ledger};
use nix::sys::signal::Signal;
use std::net::IpAddr;
use std::time::Duration;
#[cfg(feature = "chaos")]
use std::{fs, path::Path, process::Command};

const SOON: Duration = Duration::from_secs(10);
/// Ten times what is promised: cores are busy.
const AT_ONCE_NS: u64 = 1_000_000_000;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn relay(name: &str, input: &str) -> String {
    let output = if input.contains("ff3e") { "ff3e::8000:ffff" } else { "239.255.0.1" };
    format!(
        "[[relay]]\nname = \"{name}\"\ninput = {{ {input} }}\n\
         outputs = [{{ interface = \"out0\", group = \"{output}\", port = 9 }}]\n"
    )
}

/// Takes the carrier of `in0` away and gives it back; the time at which it was asked for.
fn lose_carrier(line: &Line, mcr: &Relay) -> u64 {
    let mark = mcr.process.mark();
    ip(&["-n", line.source.name(), "link", "set", "src0", "down"]).unwrap();
    mcr.process.wait_for_after(mark, "has no carrier", SOON).unwrap();
    let up_at = monotonic_ns();
    ip(&["-n", line.source.name(), "link", "set", "src0", "up"]).unwrap();
    up_at
}

/// When each group was reported as it is, by records of these kinds.
fn times<'a>(heard: &'a [(u64, Record)], kinds: &'a [u8], group: IpAddr) -> impl Iterator<Item = u64> + 'a {
    let is_it = move |record: &Record| record.group == group && kinds.contains(&record.kind);
    heard.iter().filter(move |(_, record)| is_it(record)).map(|(at, _)| *at)
}

/// Each group after one second and after three, too, for a switch that has lost the first report.
#[track_caller]
fn are_reported_again(heard: &[(u64, Record)], groups: &[IpAddr], up_at: u64) {
    let kinds = [record::IS_INCLUDE, record::IS_EXCLUDE];
    for (number, due) in [(1, 1_000_000_000), (2, 3_000_000_000)] {
        for group in groups {
            let after = times(heard, &kinds, *group).nth(number).unwrap() - up_at;
            let is_due = due - 100_000_000..due + AT_ONCE_NS;
            assert!(is_due.contains(&after), "{group}: report {} came {after} ns after the carrier", number + 1);
        }
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn every_group_is_reported_when_the_carrier_returns() {
    let line = Line::new();
    let near = End::new(&line.source, "src1").address("10.3.0.1/24");
    let (src1, _) = Veth::new(near, End::new(&line.relay, "in1").address("10.3.0.2/24")).create().unwrap();
    let config = [
        ONE.to_owned(),
        relay("many", r#"interface = "in0", group = "239.7.0.0-239.7.1.243", port = 5000"#),
        relay("named", r#"interface = "in0", group = "239.232.1.1", port = 1, sources = ["10.9.0.1", "10.9.0.2"]"#),
        relay("six", r#"interface = "in0", group = "ff3e::8000:1", port = 5000"#),
        relay("named6", r#"interface = "in0", group = "ff3e::8000:2", port = 5000, sources = ["fd00:9::1"]"#),
        relay("steady", r#"interface = "in1", group = "239.1.2.1", port = 5000"#),
    ];
    let mut mcr = line.start(&config.concat());
    let groups: Vec<IpAddr> = joined(&line.relay, "in0").into_keys().collect();
    assert_eq!(groups.len(), 504);

    // A stream of another link, which must not notice.
    let ledger = Ledger::shared("steady", 1);
    let back = Ledger::shared("back", 2);
    let flows = [("239.255.0.1:9", &ledger), (OUTPUT, &back)].map(|(to, of)| Flow::new(to.parse().unwrap(), of));
    let sink = Sink::start(&line.receiver, "rx0", flows.into()).unwrap();
    let headers = Headers::new("10.3.0.1:4000".parse().unwrap(), "239.1.2.1:5000".parse().unwrap()).from_mac(src1.mac);
    let load = Load::new(vec![Stream::new(1, headers, 1316)]).rate(2_000);
    let source = Source::start(&line.source, "src1", load).unwrap();

    let mut router = Router::listen(&line.source, "src0");
    let up_at = lose_carrier(&line, &mcr);
    // Joins have other records, and so have the reports that the kernel itself sends of IPv6 groups.
    let kinds = [record::IS_INCLUDE, record::IS_EXCLUDE];
    router.hears_until("each group once", |heard| {
        groups.iter().all(|group| times(heard, &kinds, *group).next().is_some())
    });
    // The stream that the carrier brought back, which must not notice that the rest is said twice more.
    let load = Load::new(vec![Stream::new(2, line.headers(INPUT), 1316)]).rate(2_000);
    let back_source = Source::start(&line.source, "src0", load).unwrap();
    router.hears_until("each group three times", |heard| {
        groups.iter().all(|group| times(heard, &kinds, *group).count() >= 3)
    });
    let first = groups.iter().map(|group| times(&router.heard, &kinds, *group).next().unwrap()).max().unwrap();
    eprintln!("    {} groups were reported {} ms after the carrier", groups.len(), (first - up_at) / 1_000_000);
    assert!(first - up_at < AT_ONCE_NS, "after {} ns", first - up_at);
    are_reported_again(&router.heard, &groups, up_at);
    let is_of = |record: &Record, group: &str| record.group == address(group) && kinds.contains(&record.kind);
    let of = |group: &str| router.heard.iter().map(|(_, record)| record).find(|one| is_of(one, group)).unwrap();
    assert_eq!(of("239.1.1.1"), &Record { kind: 2, group: address("239.1.1.1"), sources: vec![] });
    let named = of("239.232.1.1");
    assert_eq!((named.kind, &named.sources[..]), (1, &[address("10.9.0.1"), address("10.9.0.2")][..]));
    let named6 = of("ff3e::8000:2");
    assert_eq!((named6.kind, &named6.sources[..]), (1, &[address("fd00:9::1")][..]));
    let given_up = [record::TO_INCLUDE, record::BLOCK_SOURCES];
    let left: Vec<_> = router.heard.iter().filter(|(_, record)| given_up.contains(&record.kind)).collect();
    assert!(left.is_empty(), "something was left meanwhile: {left:?}");
    let lines = mcr.process.lines();
    let told: Vec<_> = lines.iter().filter(|line| line.contains("reported")).collect();
    assert_eq!(told.len(), 1, "one line, however many groups: {told:?}");
    assert!(told[0].contains("504 groups") && told[0].contains("link.reported"), "{told:?}");

    let ledgers = [ledger, back];
    source.stop().unwrap().enter(&ledgers[..1]);
    back_source.stop().unwrap().enter(&ledgers[1..]);
    ledger::wait_for_tail(&ledgers, Duration::from_secs(2));
    sink.stop().unwrap().check().unwrap();
    ledgers.iter().for_each(|ledger| ledger::lock(ledger).check(0).unwrap());

    // A control that takes over reports them too, since it cannot know, and tells of no carrier.
    mcr.process.signal(Signal::SIGKILL).unwrap();
    mcr.process.wait(SOON).unwrap();
    let n = router.heard.len();
    mcr.process = mcr.another(&bench::relay::binary(), &line.relay).unwrap();
    mcr.wait_until_ready().unwrap();
    router.hears_until("each group twice more", |heard| {
        groups.iter().all(|group| times(&heard[n..], &kinds, *group).count() >= 2)
    });
    let lines = mcr.process.lines();
    assert!(!lines.iter().any(|line| line.contains("link.reported")), "{lines:?}");
    mcr.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn older_routers_are_told_in_their_own_words() {
    let line = Line::new();
    line.relay.sysctl("net/ipv4/conf/in0/force_igmp_version", "2").unwrap();
    line.relay.sysctl("net/ipv6/conf/in0/force_mld_version", "1").unwrap();
    let config = [ONE.to_owned(), relay("six", r#"interface = "in0", group = "ff3e::8000:1", port = 5000"#)];
    let mcr = line.start(&config.concat());
    let mut router = Router::listen(&line.source, "src0");
    lose_carrier(&line, &mcr);
    let n = |heard: &[(u64, Record)], group: &str| times(heard, &[record::WHOLE], address(group)).count();
    // Two of the IPv6 group are the kernel's own.
    router.hears_until("both groups", |heard| n(heard, "239.1.1.1") >= 3 && n(heard, "ff3e::8000:1") >= 4);
    // The kernel reports the groups of its own addresses as it did before it was told of an older router.
    let is_ours = |record: &Record| ["239.1.1.1", "ff3e::8000:1"].map(address).contains(&record.group);
    let others: Vec<_> =
        router.heard.iter().filter(|(_, record)| record.kind != record::WHOLE && is_ours(record)).collect();
    assert!(others.is_empty(), "{others:?}");
    mcr.stop().unwrap();
}

/// While the kernel cannot be asked for its links that is told; what carriers did meanwhile is reported as soon as it can.
#[cfg(feature = "chaos")]
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn groups_are_reported_also_after_the_kernel_could_not_be_asked() {
    let (line, folder) = (Line::new(), Folder::new("reports"));
    let point = folder.file("point");
    let env = [("MCR_CHAOS_DIE", point.to_str().unwrap())];
    let mcr = Relay::launch(Path::new(env!("CARGO_BIN_EXE_mcr")), &line.relay, ONE, &env).unwrap();
    mcr.wait_until_ready().unwrap();
    let fails = || {
        let mut health = Command::new(bench::relay::binary());
        health.env("MCR_SOCKET", mcr.folder().join("mcr.sock")).arg("health");
        printed(&mut health).contains("reports: groups may not be reported")
    };
    let mut router = Router::listen(&line.source, "src0");
    let kinds = [record::IS_INCLUDE, record::IS_EXCLUDE];
    for (round, often) in [(0, "fail"), (1, "fails"), (2, "fail")] {
        fs::write(&point, format!("{often} reports.look")).unwrap();
        let before = times(&router.heard, &kinds, address("239.1.1.1")).count();
        lose_carrier(&line, &mcr);
        if often == "fails" {
            wait_until("health says nothing", fails);
            fs::remove_file(&point).unwrap();
        }
        router.hears_until(&format!("the group in round {round}"), |heard| {
            times(heard, &kinds, address("239.1.1.1")).count() >= before + 3
        });
        assert!(!point.exists(), "nothing failed");
        wait_until("health does not know that it works again", || !fails());
    }
    mcr.stop().unwrap();
}

#[cfg(feature = "chaos")]
fn wait_until(failure: &str, is_so: impl Fn() -> bool) {
    let deadline = Deadline::after(SOON);
    while !is_so() {
        assert!(!deadline.passed(), "{failure}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
