//! Whether a plan fits this machine, as far as that is seen without making anything: `mcr run` looks before it begins, and
//! `mcr check` does nothing else.

use super::crew;
use super::sockets::{Need, Uses, interface, needs, would_be_cut};
use super::station::{self, Station};
use crate::link::xdp::Netdev;
use caps::{CapSet, Capability};
use nix::sys::resource::{Resource, getrlimit};
use relay_common::facts::Facts;
use relay_common::plan::{Mode, Plan, ZeroCopy};
use relay_common::table::Placement;
use relay_engine::xsk::socket::SocketError;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Why nothing can begin with a plan here. Where mcr runs already its frames are there.
#[must_use]
pub fn refusals(plan: &Plan, place: &Placement, facts: &Facts, runs: bool) -> Vec<String> {
    let needed = needs(plan, place, facts);
    let cores = crew::check_cores(&plan.lanes).err().map(|error| format!("{error:#}"));
    let cut = would_be_cut(plan, place, facts).into_values().map(|error| error.to_string());
    let memory = if runs { None } else { memory(plan, &needed, false).err() };
    let mut all: Vec<String> = cores.into_iter().chain(cut).chain(memory).chain(locked(plan, &needed)).collect();
    all.extend(drivers(plan, place, facts, &needed));
    all
}

/// What drivers say that they cannot do, and the plan demands. A kernel before 6.3 has them say nothing.
fn drivers(plan: &Plan, place: &Placement, facts: &Facts, needed: &BTreeMap<Need, Uses>) -> Vec<String> {
    let Ok(Some(netdev)) = Netdev::open() else { return Vec::new() };
    let support = |ifindex| netdev.support(ifindex).ok().flatten();
    let mut links = BTreeSet::new();
    let demanded = needed.keys().filter(|need| need.zero_copy() == ZeroCopy::Always && links.insert(need.ifindex));
    let lacks = demanded.filter(|need| support(need.ifindex).is_some_and(|support| !support.zero_copy()));
    let copies = lacks.map(|Need { link, queue, .. }| {
        let source = io::Error::from(io::ErrorKind::Unsupported);
        SocketError::NoZeroCopy { link: link.clone(), queue: *queue, source }.to_string()
    });
    let inputs = place.inputs().map(|(link, _)| link).filter(|link| interface(plan, link).mode == Mode::Native);
    let native = inputs.filter(|link| {
        facts.link(link).and_then(|link| support(link.ifindex)).is_some_and(|support| !support.native())
    });
    let native = native.map(|link| {
        format!("the driver of {link} runs no XDP program in native mode: use mode = \"auto\" for this interface")
    });
    copies.chain(native).collect()
}

/// Frames of a lane: as configured, or for what it needs now, for the links that have a section of their own, and for
/// the sockets that may come.
pub(super) fn frames_of(lane: u32, plan: &Plan, needed: &BTreeMap<Need, Uses>, rebinds: bool) -> u32 {
    let own = needed.iter().filter(|(need, _)| need.lane == lane).map(|(_, uses)| *uses);
    let spare = plan.lanes.spare_sockets.saturating_mul(2).saturating_mul(plan.lanes.ring_size);
    // New sockets are filled while the kernel may still look at the frames of those before them.
    let sets = if rebinds { 2 } else { 1 };
    let own = Station::frames_for(own, plan.lanes.ring_size).saturating_mul(sets);
    plan.lanes.frames.unwrap_or_else(|| own.saturating_add(spare))
}

/// Bytes of the frames of a lane.
fn bytes_of(lane: u32, plan: &Plan, needed: &BTreeMap<Need, Uses>, rebinds: bool) -> u64 {
    let n_sockets = if rebinds { 0 } else { needed.keys().filter(|need| need.lane == lane).count() };
    let n_frames = station::whole(frames_of(lane, plan, needed, rebinds), n_sockets, plan.lanes.ring_size);
    u64::from(n_frames) * u64::from(plan.lanes.frame_size)
}

/// Whether the frames of all lanes fit into memory. The kernel would take them page by page, and then end processes.
///
/// # Errors
/// That they do not.
pub(super) fn memory(plan: &Plan, needed: &BTreeMap<Need, Uses>, rebinds: bool) -> Result<(), String> {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let wanted = (0..plan.lanes.n_lanes()).map(|lane| bytes_of(lane, plan, needed, rebinds)).sum();
    enough(wanted, to_give(&text), plan.lanes.n_lanes())
}

fn enough(wanted: u64, there: Option<u64>, n_lanes: u32) -> Result<(), String> {
    match there {
        Some(there) if wanted > there => {
            let lanes = if n_lanes == 1 { "one lane".to_owned() } else { format!("{n_lanes} lanes") };
            Err(format!(
                "the frames of {lanes} take {} MiB, and this machine has {} MiB to give: lower lanes.ring_size or \
                 lanes.spare_sockets, or add memory",
                wanted >> 20,
                there >> 20
            ))
        }
        // Who does not say how much there is has not said that it is too little.
        _ => Ok(()),
    }
}

/// What /proc/meminfo says can be given: of what is free or can be freed, of swap that others can be put on, and of the huge
/// pages that are kept.
fn to_give(meminfo: &str) -> Option<u64> {
    let value = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let huge = value("HugePages_Free").zip(value("Hugepagesize")).map_or(0, |(n, kib)| n * kib);
    Some((value("MemAvailable")? + value("SwapFree").unwrap_or(0) + huge) << 10)
}

/// That this process may not lock as much memory as the frames of a lane take.
fn locked(plan: &Plan, needed: &BTreeMap<Need, Uses>) -> Option<String> {
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_IPC_LOCK).unwrap_or(true) {
        return None;
    }
    let (limit, _) = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
    let lanes = needed.keys().map(|need| need.lane).collect::<BTreeSet<_>>();
    let bytes = lanes.into_iter().map(|lane| bytes_of(lane, plan, needed, false)).find(|bytes| *bytes > limit)?;
    Some(SocketError::MemoryLock { mib: usize::try_from(bytes >> 20).unwrap_or(usize::MAX) }.to_string())
}

#[cfg(test)]
mod tests {
    use super::{enough, to_give};

    const MEMINFO: &str = "MemTotal:        4000 kB\nMemFree:          100 kB\nMemAvailable:    1024 kB\nSwapFree: 1024 kB\n\
                           HugePages_Free:        2\nHugepagesize:       2048 kB\n";

    #[test]
    fn what_can_be_given_is_free_memory_swap_and_huge_pages() {
        assert_eq!(to_give(MEMINFO), Some(6 << 20));
        assert_eq!(to_give(&MEMINFO.replace("SwapFree", "Other")), Some(5 << 20));
        assert_eq!(to_give(""), None);
    }

    #[test]
    fn frames_that_do_not_fit_are_told_with_both_numbers() {
        assert_eq!(enough(6 << 20, to_give(MEMINFO), 1), Ok(()));
        let said = enough(7 << 20, to_give(MEMINFO), 2).unwrap_err();
        assert!(
            said.starts_with("the frames of 2 lanes take 7 MiB, and this machine has 6 MiB to give: lower"),
            "{said}"
        );
        assert_eq!(enough(7 << 20, None, 2), Ok(()));
    }
}
