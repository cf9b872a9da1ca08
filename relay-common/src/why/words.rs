//! Texts that several steps use, and what does not stop a stream but somebody should know.

use super::evidence::{Evidence, Fit, Queue, WireFrames};
use crate::plan::Input;
use crate::table::vlan_device;
use alloc::{collections::BTreeSet, format, string::String, string::ToString, vec::Vec};
use core::net::{IpAddr, SocketAddr};

/// An input as people write it: `ens1f0.100/239.1.1.1:5000`.
pub(super) fn input(input: &Input) -> String {
    format!("{}/{}", vlan_device(&input.interface, &input.vlans), SocketAddr::new(input.destination, input.port.get()))
}

/// Address and port of an input.
pub(super) fn destination(input: &Input) -> SocketAddr {
    SocketAddr::new(input.destination, input.port.get())
}

/// A time in seconds, with one digit behind the point.
pub(super) fn seconds(ns: u64) -> String {
    let tenths = ns / 100_000_000;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// Tags in words.
pub(super) fn tags(vlans: [u16; 2]) -> String {
    match vlans {
        [0, 0] => "without a tag".to_string(),
        [one, 0] | [0, one] => format!("with VLAN {one}"),
        [outer, inner] => format!("with VLANs {outer} and {inner}"),
    }
}

/// Names or numbers, one after the other; more than four are counted.
pub(super) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.len() {
        0..=4 => items.join(", "),
        n => format!("{} and {} more", items[..3].join(", "), n - 3),
    }
}

/// Who sent these, each once.
pub(super) fn sources(frames: &[&WireFrames]) -> String {
    let sources: BTreeSet<IpAddr> = frames.iter().map(|frames| frames.source).collect();
    list(sources)
}

/// How one relay is begun anew, with its groups, and no other is touched.
pub(super) fn anew(evidence: &Evidence) -> String {
    let name = &evidence.relay.name;
    match &evidence.file {
        None => format!("`mcr relay disable {name}` and `mcr relay enable {name}`"),
        Some(file) => format!("`enabled = false` for it in {file}, `mcr reload`, and the same back"),
    }
}

/// Queues without a socket.
pub(super) fn empty_queues(evidence: &Evidence) -> Vec<u32> {
    let empty = |queue: &&Queue| !queue.has_socket;
    evidence.queues.iter().filter(empty).map(|queue| queue.number).collect()
}

/// What does not stop the stream.
pub(super) fn warnings(evidence: &Evidence) -> Vec<String> {
    let mut warnings = Vec::new();
    let input = &evidence.relay.input;
    for listener in &evidence.listeners {
        let who = match &listener.process {
            Some((pid, name)) => format!("process {pid} ({name})"),
            // Control may not look into processes of others.
            None => format!("a process (ss -lunp 'sport = :{}' tells which)", listener.port),
        };
        let address = SocketAddr::new(listener.address, listener.port);
        warnings.push(format!(
            "{who} on this host listens on {address} and gets nothing of {} from {}, because the relay takes these \
             packets before the kernel: run it on another host, or give the relay an output that leads to it",
            destination(input),
            input.interface,
        ));
    }
    if evidence.listeners.is_empty() && evidence.foreign_members > 0 {
        let n = evidence.foreign_members;
        warnings.push(format!(
            "{n} other socket{} of this host joined {} on {}: whoever waits there for port {} gets nothing, because the \
             relay takes these packets before the kernel",
            if n == 1 { "" } else { "s" },
            input.destination,
            vlan_device(&input.interface, &input.vlans),
            input.port,
        ));
    }
    let empty = empty_queues(evidence);
    if evidence.flows() && !empty.is_empty() {
        let queues = list(empty);
        warnings.push(format!("queue {queues} of {} has no socket: what comes there is not relayed", input.interface));
    }
    let strangers = evidence.passed(Fit::OtherSource);
    if evidence.flows() && !strangers.is_empty() {
        let from = sources(&strangers);
        warnings.push(format!("{} also comes from {from}, which the relay does not name", destination(input)));
    }
    warnings.extend(lost_on_link(evidence));
    warnings
}

/// What the kernel and the card lost on the input link meanwhile, of this relay or of others.
fn lost_on_link(evidence: &Evidence) -> Vec<String> {
    let link = &evidence.relay.input.interface;
    let looked = seconds(evidence.window_ns);
    let dropped = evidence.risen_on_link(|counts| counts.rx_dropped).unwrap_or(0);
    let damaged = evidence.risen_on_link(|counts| counts.rx_errors).unwrap_or(0);
    let dropped = (dropped > 0).then(|| {
        format!(
            "\"{link}\" dropped {dropped} packets within {looked}, of this relay or of others: the card had no room (ethtool -S \
             {link} tells; longer rings: ethtool -G {link} rx N), a lane was too slow (rx_ring_full in /metrics), or nobody \
             on this host wanted them (LLDP, STP)"
        )
    });
    let damaged = (damaged > 0).then(|| {
        format!(
            "{damaged} damaged packets came in on \"{link}\" within {looked}: look at the cable, the optics and the port at \
             its other end (ethtool -S {link} names the damage)"
        )
    });
    dropped.into_iter().chain(damaged).collect()
}
