//! Everything that is known of a relay's way, at one moment.

use super::{listeners, members, wire};
use crate::bpf::link::{Hook, LinkInfo};
use crate::link::traffic::{self, NET};
use relay_common::facts::Link;
use relay_common::plan::Relay;
use relay_common::table::{Part, PendingReason};
use relay_common::why::{Attachment, Counts, Evidence, Lane, Membership, Mute, Queue, Wire};
use relay_engine::clock::now_ns;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long a look lasts: a stream of a packet a second shows itself, and a person waits for it.
const LASTS: Duration = Duration::from_secs(1);
const PROCESSES: &str = "/proc";

/// What the node knows of a relay without asking the kernel.
#[derive(Clone, Debug)]
pub struct Known {
    /// The relay as the plan has it.
    pub relay: Relay,
    /// The file that it stands in, when it can be changed only there.
    pub file: Option<String>,
    /// Why it must not send, when it must not.
    pub mute: Option<Mute>,
    /// What of it cannot work yet.
    pub pending: Vec<(Part, PendingReason)>,
    /// Its input link, when there is one.
    pub link: Option<Link>,
    /// How its group is joined; `None` when nothing is to be joined or there is no device to do it on.
    pub joined: Option<Joined>,
    /// Sockets of ours that only hold a port, by inode: they wait for nothing.
    pub own_ports: BTreeSet<u64>,
    /// What runs on its input link: see [`attachment`].
    pub attachment: Attachment,
    /// Whether its key lies in the map `INPUTS`, with its slot.
    pub is_matched: Option<bool>,
    /// The receive queues of its input link that are served.
    pub queues: Vec<Queue>,
    /// The lanes that serve them.
    pub lanes: Vec<Lane>,
    /// A stream is silent after so long without a packet.
    pub silence_after_ns: u64,
    /// The longest packet that a frame has room for.
    pub longest_packet: u32,
}

/// How we hold a group.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The device that it is to be joined on: the link, or the VLAN device on it.
    pub device: String,
    /// The kernel's index of that device.
    pub ifindex: u32,
    /// How many of our sockets hold it: none when it could not be joined.
    pub n_sockets: u32,
}

/// Looks at a relay for about a second. `count` reads the counters, and is called before and after; its
/// `link` is filled in here. A relay that is disabled or has no link is not waited for. What cannot be looked at
/// is said to be unknown. The caller's thread stands in the node's network namespace, and does not wait.
pub async fn look(known: Known, mut count: impl FnMut() -> Counts) -> Evidence {
    let link_name = known.relay.input.interface.clone();
    let of_link = || traffic::read(Path::new(NET)).ok()?.get(&link_name).copied();
    let mut count = || Counts { link: of_link(), ..count() };
    let (start, before) = (now_ns(), count());
    let wire = match &known.link {
        Some(link) if known.relay.enabled => watch(link.ifindex, &known.relay).await,
        _ => None,
    };
    let (window_ns, now) = (now_ns() - start, count());
    let (membership, foreign_members) = membership(&known);
    let listeners = listeners(&known.relay, &known.own_ports, foreign_members);
    let Known { relay, file, mute, pending, link, joined: _, attachment, .. } = known;
    let Known { is_matched, queues, lanes, silence_after_ns, longest_packet, .. } = known;
    Evidence {
        relay,
        file,
        mute,
        pending,
        link,
        membership,
        attachment,
        is_matched,
        queues,
        lanes,
        silence_after_ns,
        longest_packet,
        before,
        now,
        window_ns,
        wire,
        listeners,
        foreign_members,
    }
}

/// What runs on a link: what the kernel says of our attachment, compared with what should be there.
#[must_use]
pub fn attachment(hook: Hook, info: LinkInfo, program: u32) -> Attachment {
    match info {
        LinkInfo { ifindex: 0, .. } => Attachment::Detached,
        LinkInfo { program: other, .. } if other != program => Attachment::Replaced { program: other },
        _ => Attachment::Ours { mode: hook.name() },
    }
}

/// Watches the link; the time passes also where nothing can be watched, because the counters are read twice.
async fn watch(ifindex: u32, relay: &Relay) -> Option<Wire> {
    let watched = match wire::open(ifindex, relay.input.destination) {
        Ok(mut socket) => tokio::task::spawn_blocking(move || wire::watch(&mut socket, LASTS)).await.ok()?,
        Err(error) => {
            tokio::time::sleep(LASTS).await;
            Err(error)
        }
    };
    watched.inspect_err(|error| tracing::debug!(%error, "the link could not be watched")).ok()
}

/// How the group is joined, and how many memberships are not ours.
fn membership(known: &Known) -> (Membership, u32) {
    let input = &known.relay.input;
    if !input.destination.is_multicast() {
        return (Membership::NotNeeded, 0);
    }
    let Some(Joined { device, ifindex, n_sockets }) = &known.joined else { return (Membership::Unknown, 0) };
    let net = Path::new(NET);
    let read = || -> io::Result<_> {
        let asked_for = members::sources(net, *ifindex, input.destination)?;
        Ok((members::count(net, *ifindex, input.destination)?, asked_for))
    };
    let Ok((members, asked_for)) = read() else { return (Membership::Unknown, 0) };
    let missing = input.sources.iter().filter(|source| !asked_for.is_empty() && !asked_for.contains(source));
    let membership = Membership::Group {
        device: device.clone(),
        is_held: *n_sockets > 0,
        is_in_kernel: members > 0,
        missing_sources: missing.copied().collect(),
    };
    (membership, members.saturating_sub(*n_sockets))
}

/// Who waits in vain. A socket gets a group that somebody joined on this link; one that joined it elsewhere gets it there.
fn listeners(relay: &Relay, own_ports: &BTreeSet<u64>, foreign_members: u32) -> Vec<relay_common::why::Listener> {
    let input = &relay.input;
    if !relay.enabled || input.destination.is_multicast() && foreign_members == 0 {
        return Vec::new();
    }
    let found = listeners::find(Path::new(NET), Path::new(PROCESSES), input.destination, input.port.get(), own_ports);
    found.inspect_err(|error| tracing::debug!(%error, "listeners could not be looked for")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_attached_is_told_from_what_should_be() {
        let info = LinkInfo { id: 3, program: 7, ifindex: 2 };
        assert_eq!(attachment(Hook::Native, info, 7), Attachment::Ours { mode: "native" });
        assert_eq!(attachment(Hook::Native, info, 8), Attachment::Replaced { program: 7 });
        assert_eq!(attachment(Hook::Generic, LinkInfo { ifindex: 0, ..info }, 7), Attachment::Detached);
    }
}
