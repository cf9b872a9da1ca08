//! The groups of a link are reported when its carrier returns: by a thread of its own, so that it waits for no change that
//! control is busy with, and with packets of our own, so that nothing is left meanwhile.

use super::event::Event;
use super::membership::Roll;
use crate::clock::now_ns;
use crate::kernel::packet::FrameSender;
use crate::link::event::LinkEvents;
use crate::link::groups::{self, NET};
use crate::link::netlink::{Netlink, Reading};
use crate::rights;
use anyhow::Context as _;
use relay_common::health::RENEW_CONTROL;
use relay_common::report::{Reporter, Returns, reports};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// Frames that a link has no room for are tried again so often, at such a distance.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(1);
/// When nothing is due it is looked again all the same.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// The thread that reports; it ends when this is dropped.
#[derive(Debug)]
pub struct Reports {
    _end: oneshot::Sender<()>,
}

/// How it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// Nothing is joined yet.
    Anew,
    /// Nobody knows what the carriers did meanwhile: everything is reported once.
    AfterAnother,
}

impl Reports {
    /// Starts it, in the network namespace of the calling thread and with as many rights as that has, which it gives up.
    ///
    /// # Errors
    /// When there is no thread or no socket for it.
    pub fn start(roll: Roll, events: UnboundedSender<Event>, begins: Begins) -> anyhow::Result<Self> {
        let (end, ends) = oneshot::channel();
        let sender = FrameSender::open().context("cannot open a socket to report groups with")?;
        let thread = std::thread::Builder::new().name("mcr-reports".to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread.spawn(move || {
            rights::keep_nothing();
            let work = async {
                let thread = Thread { roll, events, sender, returns: Returns::default() };
                tokio::select! {
                    followed = thread.follow(begins) => followed,
                    _ = ends => Ok(()),
                }
            };
            if let Err(error) = runtime.block_on(work) {
                tracing::error!("groups are not reported any more when a carrier returns: {error:#}; {RENEW_CONTROL}");
            }
        })?;
        Ok(Self { _end: end })
    }
}

struct Thread {
    roll: Roll,
    events: UnboundedSender<Event>,
    sender: FrameSender,
    returns: Returns,
}

impl Thread {
    async fn follow(mut self, begins: Begins) -> anyhow::Result<()> {
        // Listen first and look after: then nothing falls between the two.
        let mut notices = LinkEvents::new().context("cannot listen to the kernel's notices of links")?;
        let netlink = Netlink::new().context("cannot ask the kernel for its links")?;
        let mut readings = netlink.readings(None).await?;
        self.look(&readings);
        if begins == Begins::AfterAnother {
            readings
                .iter()
                .filter(|one| has_carrier(one))
                .for_each(|one| self.returns.report(one.link.ifindex, now_ns()));
        }
        loop {
            let due = self.returns.next().map_or(LONGEST_SLEEP, |at| Duration::from_nanos(at.saturating_sub(now_ns())));
            tokio::select! {
                notice = notices.next() => {
                    if notice?.is_of_links() {
                        readings = netlink.readings(None).await?;
                        self.look(&readings);
                    }
                }
                () = tokio::time::sleep(due) => {
                    // Addresses come and go without a carrier.
                    readings = netlink.readings(None).await?;
                }
            }
            for (ifindex, is_news) in self.returns.take_due(now_ns()) {
                if let Some(reading) = readings.iter().find(|reading| reading.link.ifindex == ifindex) {
                    self.report(reading, is_news).await;
                }
            }
        }
    }

    fn look(&mut self, readings: &[Reading]) {
        let now = now_ns();
        self.returns.keep(|ifindex| readings.iter().any(|reading| reading.link.ifindex == ifindex));
        for reading in readings {
            self.returns.look(reading.link.ifindex, has_carrier(reading), reading.carrier_changes, now);
        }
    }

    async fn report(&self, reading: &Reading, is_news: bool) {
        let (link, members) = (&reading.link.name, self.roll.of(reading.link.ifindex));
        if members.is_empty() {
            return;
        }
        let frames = reports(&reporter(reading), &members);
        let mut failed = None;
        for frame in &frames {
            if let Err(error) = self.send(reading.link.ifindex, frame).await {
                failed = Some(error);
            }
        }
        match failed {
            Some(error) => tracing::warn!(%link, "not all groups could be reported: {error}"),
            None if is_news => {
                // Nobody listens any more when control is ending.
                let _ = self.events.send(Event::Reported { link: link.clone(), groups: members.len() });
            }
            None => tracing::debug!(%link, groups = members.len(), "groups reported again"),
        }
    }

    async fn send(&self, ifindex: u32, frame: &[u8]) -> io::Result<()> {
        let mut tries = 0;
        loop {
            match self.sender.send(ifindex, frame) {
                Err(error) if is_full(&error) && tries < TRIES => tokio::time::sleep(PAUSE).await,
                sent => return sent,
            }
            tries += 1;
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

const fn has_carrier(reading: &Reading) -> bool {
    reading.link.up && reading.link.carrier
}

/// Who reports on a link: as the kernel itself would.
fn reporter(Reading { link, .. }: &Reading) -> Reporter {
    let link_local = link.v6.iter().map(|(address, _)| *address).find(Ipv6Addr::is_unicast_link_local);
    Reporter {
        mac: link.mac,
        v4: link.v4.first().map_or(Ipv4Addr::UNSPECIFIED, |(address, _)| *address),
        v6: link_local.unwrap_or(Ipv6Addr::UNSPECIFIED),
        mtu: link.mtu,
        igmp: groups::igmp(Path::new(NET), link.ifindex),
        mld: groups::mld(&link.name),
    }
}
