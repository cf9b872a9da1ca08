//! Huge pages that a machine has reserved, and a container that may not take them.

use crate::line::{INPUT, Line, ONE, OUTPUT};
use bench::relay::binary;
use bench::sink::Flow;
use bench::source::{Load, Stream};
use bench::{Ledger, Relay, Sink, Source, ledger};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const RESERVED: &str = "/proc/sys/vm/nr_hugepages";
/// More than the lane below takes.
const PAGES: u64 = 64;

/// Pages are reserved as long as this lives.
struct Pages {
    before: String,
}

impl Pages {
    /// None where the machine's memory has none to give.
    fn reserve() -> Option<Self> {
        let pages = Self { before: fs::read_to_string(RESERVED).unwrap() };
        let wanted = pages.before.trim().parse::<u64>().unwrap() + PAGES;
        fs::write(RESERVED, wanted.to_string()).unwrap();
        (fs::read_to_string(RESERVED).unwrap().trim().parse() == Ok(wanted)).then_some(pages)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        fs::write(RESERVED, &self.before).ok();
    }
}

/// A cgroup whose processes may take no huge page, and may have any set aside.
struct Limited {
    root: PathBuf,
    path: PathBuf,
    /// What is to be taken back from the cgroup above it.
    was_off: Option<PathBuf>,
}

impl Limited {
    /// None where this kernel counts huge pages elsewhere, or not at all.
    fn new() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let root =
            mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|parts| parts[2] == "cgroup2")?[1];
        let has = |file: &str| {
            fs::read_to_string(Path::new(root).join(file))
                .is_ok_and(|all| all.split_whitespace().any(|one| one == "hugetlb"))
        };
        if !has("cgroup.controllers") {
            return None;
        }
        let control = Path::new(root).join("cgroup.subtree_control");
        let was_off = (!has("cgroup.subtree_control")).then(|| control.clone());
        if was_off.is_some() {
            fs::write(&control, "+hugetlb").ok()?;
        }
        let limited =
            Self { root: root.into(), path: Path::new(root).join(format!("mcr-huge-{}", std::process::id())), was_off };
        fs::create_dir(&limited.path).unwrap();
        fs::write(limited.path.join("hugetlb.2MB.max"), "0").ok()?;
        Some(limited)
    }

    /// Does something in it: what is started then stays there.
    fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
        let enter = |cgroup: &Path| fs::write(cgroup.join("cgroup.procs"), "0").unwrap();
        enter(&self.path);
        let done = work();
        enter(&self.root.join(own));
        done
    }

    /// Whether a process of it was refused a page that was set aside for it.
    fn has_refused(&self) -> bool {
        let events = fs::read_to_string(self.path.join("hugetlb.2MB.events")).unwrap();
        events.lines().any(|line| line.strip_prefix("max ").is_some_and(|n| n != "0"))
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        fs::remove_dir(&self.path).ok();
        if let Some(control) = &self.was_off {
            fs::write(control, "-hugetlb").ok();
        }
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_container_that_may_take_no_huge_pages_takes_others() {
    let Some(limited) = Limited::new() else {
        eprintln!("    left out: no cgroup v2 counts huge pages here");
        return;
    };
    let Some(pages) = Pages::reserve() else {
        eprintln!("    left out: no memory for {PAGES} huge pages");
        return;
    };
    let line = Line::new();
    // What else runs on this machine may have taken the pages first.
    let relay = (0..5).find_map(|_| {
        let relay = limited.with(|| Relay::launch(&binary(), &line.relay, ONE, &[]).unwrap());
        relay.wait_until_ready().unwrap();
        if limited.has_refused() {
            return Some(relay);
        }
        relay.stop().unwrap();
        None
    });
    let relay = relay.expect("no huge page was refused");
    drop(pages);

    let ledgers = [Ledger::shared("limited", 1)];
    let sink = Sink::start(&line.receiver, "rx0", vec![Flow::new(OUTPUT.parse().unwrap(), &ledgers[0])]).unwrap();
    let load = Load::new(vec![Stream::new(1, line.headers(INPUT), 1316)]).rate(2_000).packets(2_000);
    Source::start(&line.source, "src0", load).unwrap().finish().unwrap().enter(&ledgers);
    ledger::wait_for_tail(&ledgers, Duration::from_secs(2));
    sink.stop().unwrap().check().unwrap();
    ledger::lock(&ledgers[0]).check(0).unwrap();
    relay.stop().unwrap();
}
