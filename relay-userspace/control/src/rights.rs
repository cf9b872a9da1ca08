//! What control gives up once its sockets are open: what it keeps is what links, programs and lanes need while it runs.

use anyhow::Context as _;
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use relay_config::Http;

/// Needed for as long as links come and go.
const ALWAYS: [Capability; 7] = [
    Capability::CAP_NET_ADMIN, // programs on links, neighbours, what NICs can do
    Capability::CAP_NET_RAW,   // AF_XDP sockets, and the look of `mcr why`
    Capability::CAP_BPF,       // the program and its maps
    Capability::CAP_PERFMON,   // what the verifier asks of a program that reads packets
    Capability::CAP_IPC_LOCK,  // frames stay in memory
    Capability::CAP_SETPCAP,   // lanes give up even what they could gain
    Capability::CAP_KILL,      // lanes that hang are ended, and they are another user's
];
/// Needed by the threads that start lanes and end them.
const FOR_LANES: [Capability; 2] = [
    Capability::CAP_SETPCAP, // lanes give up even what they could gain
    Capability::CAP_KILL,    // lanes that hang are ended, and they are another user's
];
/// Needed by the thread that asks whether a queue is free.
const TO_BIND: [Capability; 2] = [
    Capability::CAP_NET_RAW,  // AF_XDP sockets
    Capability::CAP_IPC_LOCK, // their frames stay in memory
];
/// Needed by lanes in their first moment, to become their user. Whoever starts them passes this on, and cannot use it.
const TO_SWITCH: [Capability; 2] = [Capability::CAP_SETUID, Capability::CAP_SETGID];
/// Ports below this are for whoever may.
const FREE_PORTS: u16 = 1024;

/// What is kept: also what a newer binary, which starts with no more, needs to open the same sockets and start its lanes.
fn wanted(http: &Http) -> CapsHashSet {
    let mut wanted: CapsHashSet = ALWAYS.into_iter().chain(TO_SWITCH).collect();
    if http.socket_group.is_some() {
        wanted.insert(Capability::CAP_CHOWN);
    }
    if http.listen.is_some_and(|address| address.port() < FREE_PORTS) {
        wanted.insert(Capability::CAP_NET_BIND_SERVICE);
    }
    wanted
}

/// Gives up everything else, in this thread and all that it starts from now on, for this program and whatever follows it.
///
/// # Errors
/// When the kernel does not let it.
pub fn keep_what_is_needed(http: &Http) -> anyhow::Result<()> {
    keep(&wanted(http))
}

/// As [`keep_what_is_needed`], in a thread that does nothing but start lanes and end them.
///
/// # Errors
/// When the kernel does not let it.
pub fn keep_what_lanes_take() -> anyhow::Result<()> {
    keep(&FOR_LANES.into_iter().chain(TO_SWITCH).collect())
}

/// As [`keep_what_is_needed`], in a thread that does nothing but bind sockets.
///
/// # Errors
/// When the kernel does not let it.
pub fn keep_what_a_bind_takes() -> anyhow::Result<()> {
    keep(&TO_BIND.into())
}

/// Gives up everything, in a thread that needs nothing.
pub fn keep_nothing() {
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        // Giving up is never refused.
        let _ = caps::clear(None, set);
    }
}

/// Has lanes that this thread starts begin with the right to become another user. Says which rights are lacking for that,
/// and for ending such lanes.
#[must_use]
pub fn let_lanes_switch() -> Vec<String> {
    let held = caps::read(None, CapSet::Permitted).unwrap_or_default();
    // Who is started by root has them anyway.
    let is_root = nix::unistd::geteuid().is_root();
    let passes_on =
        |right| [CapSet::Inheritable, CapSet::Ambient].iter().all(|set| caps::raise(None, *set, right).is_ok());
    let mut lacks: Vec<Capability> = TO_SWITCH.into();
    lacks.retain(|right| !held.contains(right) || !(is_root || passes_on(*right)));
    lacks.extend([Capability::CAP_KILL].into_iter().filter(|right| !held.contains(right)));
    lacks.iter().map(ToString::to_string).collect()
}

fn keep(wanted: &CapsHashSet) -> anyhow::Result<()> {
    let held = caps::read(None, CapSet::Permitted).context("cannot read the capabilities")?;
    let kept: CapsHashSet = held.intersection(wanted).copied().collect();
    // Without the right to do so, nothing is gained from what stays in the bounding set either: see below.
    if held.contains(&Capability::CAP_SETPCAP) {
        let bound = caps::read(None, CapSet::Bounding).context("cannot read the capabilities")?;
        for needless in bound.difference(wanted) {
            caps::drop(None, CapSet::Bounding, *needless).with_context(|| format!("cannot give up {needless}"))?;
        }
    }
    nix::sys::prctl::set_no_new_privs().context("cannot set no_new_privs")?;
    let needless_ambient: Vec<Capability> =
        caps::read(None, CapSet::Ambient).unwrap_or_default().difference(wanted).copied().collect();
    for needless in needless_ambient {
        caps::drop(None, CapSet::Ambient, needless).with_context(|| format!("cannot give up {needless}"))?;
    }
    let used: CapsHashSet = kept.difference(&CapsHashSet::from(TO_SWITCH)).copied().collect();
    for (set, left) in [(CapSet::Effective, &used), (CapSet::Permitted, &kept)] {
        caps::set(None, set, left).with_context(|| format!("cannot give up {set:?} capabilities"))?;
    }
    let inheritable = caps::read(None, CapSet::Inheritable).context("cannot read the capabilities")?;
    let inheritable: CapsHashSet = inheritable.intersection(&kept).copied().collect();
    caps::set(None, CapSet::Inheritable, &inheritable).context("cannot give up inheritable capabilities")
}

/// Lets this process have as many descriptors as whoever started it allows: each lane and control hold hundreds of sockets
/// of a node with thousands of groups, and 1024 is a common limit.
pub fn raise_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::debug!(%error, "the limit of open files stays {soft}");
    }
}

/// What this thread may, or may pass on, by name.
#[must_use]
pub fn held() -> Vec<String> {
    let mut names: Vec<String> =
        caps::read(None, CapSet::Permitted).unwrap_or_default().iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::{
        FOR_LANES, TO_BIND, TO_SWITCH, held, keep_what_a_bind_takes, keep_what_is_needed, keep_what_lanes_take,
        let_lanes_switch, wanted,
    };
    use caps::{CapSet, Capability};
    use relay_config::Http;

    #[test]
    fn only_what_the_configuration_asks_for_is_added() {
        let plain = wanted(&Http::default());
        assert!(!plain.contains(&Capability::CAP_CHOWN) && !plain.contains(&Capability::CAP_NET_BIND_SERVICE));
        let http = Http {
            socket_group: Some("mcr".to_owned()),
            listen: Some("127.0.0.1:443".parse().unwrap()),
            ..Http::default()
        };
        let more: Vec<_> = wanted(&http).difference(&plain).copied().collect();
        assert_eq!(more.len(), 2, "{more:?}");
    }

    #[test]
    fn a_thread_that_starts_lanes_does_nothing_to_links() {
        let after = std::thread::spawn(|| {
            keep_what_lanes_take().unwrap();
            held()
        });
        let after = after.join().unwrap();
        let kept = |name: &String| FOR_LANES.iter().chain(&TO_SWITCH).any(|one| one.to_string() == *name);
        assert!(after.iter().all(kept), "{after:?}");
    }

    #[test]
    fn a_thread_that_binds_does_nothing_else() {
        let after = std::thread::spawn(|| {
            keep_what_a_bind_takes().unwrap();
            held()
        });
        let after = after.join().unwrap();
        assert!(after.iter().all(|name| TO_BIND.iter().any(|one| one.to_string() == *name)), "{after:?}");
    }

    /// What makes a user of another is passed on to lanes, and no thread of control can use it.
    #[test]
    fn nobody_but_a_lane_becomes_another_user() {
        for keep in [|| keep_what_is_needed(&Http::default()), keep_what_lanes_take] {
            let thread = std::thread::spawn(move || {
                let had = caps::read(None, CapSet::Permitted).unwrap();
                let _ = let_lanes_switch();
                keep().unwrap();
                (had, caps::read(None, CapSet::Effective).unwrap(), caps::read(None, CapSet::Permitted).unwrap())
            });
            let (had, used, passed_on) = thread.join().unwrap();
            for right in TO_SWITCH {
                assert_eq!((used.contains(&right), passed_on.contains(&right)), (false, had.contains(&right)));
            }
        }
    }

    /// Whoever runs this, nothing is held afterwards that is not wanted.
    #[test]
    fn the_rest_is_gone_afterwards() {
        let after = std::thread::spawn(|| {
            keep_what_is_needed(&Http::default()).unwrap();
            held()
        });
        let wanted = wanted(&Http::default());
        for name in after.join().unwrap() {
            assert!(wanted.iter().any(|capability| capability.to_string() == name), "{name} is still held");
        }
    }
}
