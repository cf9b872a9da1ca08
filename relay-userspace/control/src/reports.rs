//! The groups of a link are reported when its carrier returns: by a thread of its own, so that it waits for no change that
//! control is busy with, and with packets of our own, so that nothing is left meanwhile.

use super::chaos;
use super::event::Event;
use super::membership::Roll;
use crate::link::event::LinkEvents;
use crate::link::groups::{self, NET};
use crate::link::netlink::{Netlink, Reading};
use crate::rights;
use anyhow::Context as _;
use relay_common::report::{Reporter, Returns, reports};
use relay_engine::clock::now_ns;
use relay_engine::sys::packet::FrameSender;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// Frames that a link has no room for are tried again so often, at such a distance.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(1);
/// When nothing is due it is looked again all the same.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// After the kernel could not be asked it is asked again so much later.
const AGAIN: Duration = Duration::from_millis(100);

/// The thread that reports; it ends when this is dropped.
#[derive(Debug)]
pub struct Reports {
    _end: oneshot::Sender<()>,
    trouble: Arc<Trouble>,
}

/// Why the thread does not know now what carriers do.
type Trouble = Mutex<Option<String>>;

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
        let trouble = Arc::<Trouble>::default();
        let shown = Arc::clone(&trouble);
        thread.spawn(move || {
            rights::keep_nothing();
            let (returns, readings) = (Returns::default(), Vec::new());
            let thread = Thread { roll, events, sender, begins, returns, readings, trouble };
            runtime.block_on(async {
                tokio::select! {
                    () = thread.follow() => {}
                    _ = ends => {}
                }
            });
        })?;
        Ok(Self { _end: end, trouble: shown })
    }

    /// Why groups may not be reported now when a carrier returns; nothing while all is well.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Thread {
    roll: Roll,
    events: UnboundedSender<Event>,
    sender: FrameSender,
    begins: Begins,
    returns: Returns,
    /// What the kernel said of links last.
    readings: Vec<Reading>,
    trouble: Arc<Trouble>,
}

impl Thread {
    /// Follows the carriers as long as it is let. Where the kernel cannot be asked, as while links come faster than they can be
    /// listed, it is asked again: what a carrier did meanwhile is known by how often that has changed.
    async fn follow(mut self) {
        loop {
            let Err(error) = self.listen().await;
            self.note(Some(error));
            // What is due does not wait for that.
            self.report_what_is_due().await;
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn listen(&mut self) -> anyhow::Result<Infallible> {
        // Listen first and look after: then nothing falls between the two.
        let mut notices = LinkEvents::new().context("cannot listen to the kernel's notices of links")?;
        let netlink = Netlink::new().context("cannot ask the kernel for its links")?;
        self.look(&netlink).await?;
        if std::mem::replace(&mut self.begins, Begins::Anew) == Begins::AfterAnother {
            let there = self.readings.iter().filter(|one| has_carrier(one));
            there.for_each(|one| self.returns.report(one.link.ifindex, now_ns()));
        }
        loop {
            self.report_what_is_due().await;
            let due = self.returns.next().map_or(LONGEST_SLEEP, |at| Duration::from_nanos(at.saturating_sub(now_ns())));
            tokio::select! {
                notice = notices.next() => {
                    if notice.context("cannot hear the kernel's notices of links")?.is_of_links() {
                        self.look(&netlink).await?;
                    }
                }
                // Addresses come and go without a carrier.
                () = tokio::time::sleep(due) => self.look(&netlink).await?,
            }
        }
    }

    /// Keeps in mind whether the kernel can be asked, and tells when that changes.
    fn note(&self, error: Option<anyhow::Error>) {
        let trouble = error.map(|error| format!("{error:#}"));
        let (fails, text) = (trouble.is_some(), trouble.clone().unwrap_or_default());
        let before = std::mem::replace(&mut *self.trouble.lock().unwrap_or_else(PoisonError::into_inner), trouble);
        match (before.is_some(), fails) {
            (false, true) => tracing::warn!("groups may not be reported when a carrier returns: {text}; trying again"),
            (true, false) => tracing::info!("groups are reported again when a carrier returns"),
            _ => {}
        }
    }

    async fn report_what_is_due(&mut self) {
        for (ifindex, is_news) in self.returns.take_due(now_ns()) {
            if let Some(reading) = self.readings.iter().find(|reading| reading.link.ifindex == ifindex) {
                self.report(reading, is_news).await;
            }
        }
    }

    async fn look(&mut self, netlink: &Netlink) -> anyhow::Result<()> {
        chaos::fails("reports.look")?;
        self.readings = netlink.readings(None).await?;
        let (readings, now) = (&self.readings, now_ns());
        self.returns.keep(|ifindex| readings.iter().any(|reading| reading.link.ifindex == ifindex));
        for reading in readings {
            self.returns.look(reading.link.ifindex, has_carrier(reading), reading.carrier_changes, now);
        }
        self.note(None);
        Ok(())
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
