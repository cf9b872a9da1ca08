//! Sockets come and go while lanes work: made here, filled by the lane, bound here; let go by the lane first.

use super::Crew;
use crate::clock::now_ns;
use crate::control::event::Event;
use crate::control::sockets::Need;
use crate::control::station::{self, LET_GO_NS, LaneSocket, Station, let_go_at};
use crate::lane::handoff::Refusal;
use crate::xsk::socket::{SocketError, Tries, Unbound, finish};
use relay_common::plan::Lanes;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

/// While frames are waited for, lanes are looked at so often.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Why a lane could not be given a socket. Its text names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The kernel refused.
    #[error("{0}")]
    Socket(#[from] SocketError),
    /// All numbers or frames are in use.
    #[error(
        "lane {lane} has no frames left for another socket: raise lanes.spare_sockets (or lanes.frames, where that is a number) and start mcr anew"
    )]
    NoFrames {
        /// The lane.
        lane: u32,
    },
    /// The lane does not answer, or is being started again.
    #[error("lane {lane} cannot be reached ({problem}): ask again in a moment")]
    Lane {
        /// The lane.
        lane: u32,
        /// What went wrong.
        problem: String,
    },
    /// The frames could not be mapped.
    #[error("cannot map the frames: {0}")]
    Map(#[from] io::Error),
}

impl Crew {
    /// The sockets that lanes have.
    pub fn sockets(&self) -> impl Iterator<Item = &Arc<LaneSocket>> {
        self.posts.iter().flat_map(|post| &post.station.sockets)
    }

    /// The socket for a need.
    #[must_use]
    pub fn socket(&self, need: &Need) -> Option<&Arc<LaneSocket>> {
        let station = &self.posts.get(need.lane as usize)?.station;
        station.sockets.iter().find(|socket| socket.need == *need)
    }

    /// Whether a lane's frames suffice for these sockets.
    ///
    /// # Errors
    /// When they do not.
    pub fn check_frames(&self, lane: u32, needs: &BTreeMap<Need, Option<u16>>) -> Result<(), Trouble> {
        let own = needs.iter().filter(|(need, _)| need.lane == lane).map(|(need, output)| (need, output.is_some()));
        let has = self.posts.get(lane as usize).map_or(0, |post| post.station.n_frames);
        if Station::frames_for(own, self.lanes.ring_size) > has { Err(Trouble::NoFrames { lane }) } else { Ok(()) }
    }

    /// Gives a lane a socket while it works. With `waits`, frames that come back in a moment are waited for.
    ///
    /// # Errors
    /// Why it could not be had; nothing has changed then.
    pub async fn take(&mut self, need: &Need, output: Option<u16>, waits: bool) -> Result<(), Trouble> {
        let lanes = self.lanes.clone();
        let wanted = station::wanted(need, &lanes);
        let mut tries = Tries::new(&wanted);
        loop {
            let (number, unbound) = match self.offer(need, output, &lanes, tries.mode()).await {
                Err(Trouble::NoFrames { .. }) if waits && self.wait_for_frames(need.lane).await => continue,
                offered => offered?,
            };
            match unbound.bind() {
                Ok(fd) => return self.keep(number, need, output, &lanes, (fd, unbound)).await,
                Err(errno) => {
                    self.withdraw(need.lane, number, unbound).await?;
                    if let Some(pause) = tries.again(&wanted, errno)? {
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
    }

    /// Waits until the frames of a socket that was dropped a moment ago are back; says whether there was one.
    async fn wait_for_frames(&mut self, lane: u32) -> bool {
        let parked = self.posts.get(lane as usize).map(|post| &post.station.parked);
        let Some((&number, &at)) = parked.and_then(|parked| parked.iter().min_by_key(|(_, at)| **at)) else {
            return false;
        };
        while now_ns() < at {
            tokio::time::sleep(LOOK_AGAIN).await;
            // It is started again by whoever waits for this change to end.
            if self.posts.iter_mut().any(|post| post.process.as_mut().is_some_and(|process| !process.is_alive())) {
                return false;
            }
        }
        self.reclaim(lane, number).await;
        self.posts.get(lane as usize).is_some_and(|post| !post.station.parked.contains_key(&number))
    }

    /// Makes a socket and has the lane fill it.
    async fn offer(
        &mut self,
        need: &Need,
        output: Option<u16>,
        lanes: &Lanes,
        mode: u16,
    ) -> Result<(u16, Unbound), Trouble> {
        let lane = need.lane;
        let unreachable = |problem: String| Trouble::Lane { lane, problem };
        let post = self.posts.get_mut(lane as usize).ok_or_else(|| unreachable("there is no such lane".to_owned()))?;
        let number = post.station.free_number().ok_or(Trouble::NoFrames { lane })?;
        let unbound = {
            let area = station::area(&post.station, lanes)?;
            Unbound::prepare(&area, &station::wanted(need, lanes), mode)?
        };
        let process = post.process.as_mut().ok_or_else(|| unreachable("it is being started again".to_owned()))?;
        let busy_polled = lanes.busy_poll_us > 0;
        let message = station::take_message(number, need, output, busy_polled);
        if let Err(error) = process.take(message, unbound.fd()).await {
            self.settle(lane, &error);
            return Err(match error.downcast_ref() {
                Some(Refusal::TooFewFrames { .. }) => Trouble::NoFrames { lane },
                _ => unreachable(format!("{error:#}")),
            });
        }
        Ok((number, unbound))
    }

    /// After a request that failed nobody knows how far the lane came, unless it refused. Another one begins from what
    /// control knows, and that loses nothing.
    fn settle(&self, lane: u32, error: &anyhow::Error) {
        if error.downcast_ref::<Refusal>().is_none()
            && let Some(process) = self.posts.get(lane as usize).and_then(|post| post.process.as_ref())
        {
            tracing::warn!(lane, "a lane that does not answer is ended, and started again: {error:#}");
            process.kill();
        }
    }

    /// A bound socket is the lane's from now on.
    async fn keep(
        &mut self,
        number: u16,
        need: &Need,
        output: Option<u16>,
        lanes: &Lanes,
        (fd, unbound): (OwnedFd, Unbound),
    ) -> Result<(), Trouble> {
        let bound = match finish(fd, &station::wanted(need, lanes)) {
            Ok(bound) => bound,
            Err(error) => {
                self.withdraw(need.lane, number, unbound).await?;
                return Err(error.into());
            }
        };
        let busy_polled = station::poll_busily(&bound, lanes, need);
        let (need, bound) = (need.clone(), Arc::new(bound));
        let lane = need.lane as usize;
        self.posts[lane].station.sockets.push(Arc::new(LaneSocket { number, need, output, busy_polled, bound }));
        Ok(())
    }

    /// Takes back a socket that never came to work: the kernel has seen none of its frames. The lane lets go first:
    /// whoever closes a socket last waits in the kernel.
    async fn withdraw(&mut self, lane: u32, number: u16, ours: Unbound) -> Result<(), Trouble> {
        let Some(post) = self.posts.get_mut(lane as usize) else { return Ok(()) };
        post.station.parked.insert(number, let_go_at());
        let Some(process) = post.process.as_mut() else {
            self.reclaim_later(lane, number);
            return Ok(());
        };
        let dropped = process.drop_socket(number).await;
        drop(ours);
        let reclaimed = match dropped {
            Ok(_) => process.reclaim(number).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = reclaimed {
            self.reclaim_later(lane, number);
            return Err(Trouble::Lane { lane, problem: format!("{error:#}") });
        }
        post.station.parked.remove(&number);
        Ok(())
    }

    /// Tells a lane which output link its socket is now.
    ///
    /// # Errors
    /// When the lane does not answer.
    pub async fn use_as(&mut self, need: &Need, output: Option<u16>) -> Result<(), Trouble> {
        let lane = need.lane;
        let Some(post) = self.posts.get_mut(lane as usize) else { return Ok(()) };
        let Some(at) = post.station.sockets.iter().position(|socket| socket.need == *need) else { return Ok(()) };
        let unreachable = |problem: String| Trouble::Lane { lane, problem };
        let process = post.process.as_mut().ok_or_else(|| unreachable("it is being started again".to_owned()))?;
        let number = post.station.sockets[at].number;
        process.use_as(number, output).await.map_err(|error| unreachable(format!("{error:#}")))?;
        post.station.sockets[at] = Arc::new(LaneSocket { output, ..LaneSocket::clone(&post.station.sockets[at]) });
        Ok(())
    }

    /// Takes a socket away from its lane. Its frames come back once the kernel has let go of them.
    ///
    /// # Errors
    /// When the lane does not answer: the socket stays.
    pub async fn drop_socket(&mut self, need: &Need) -> Result<(), Trouble> {
        let lane = need.lane;
        let Some(post) = self.posts.get_mut(lane as usize) else { return Ok(()) };
        let Some(at) = post.station.sockets.iter().position(|socket| socket.need == *need) else { return Ok(()) };
        let unreachable = |problem: String| Trouble::Lane { lane, problem };
        let process = post.process.as_mut().ok_or_else(|| unreachable("it is being started again".to_owned()))?;
        let number = post.station.sockets[at].number;
        if let Err(error) = process.drop_socket(number).await {
            self.settle(lane, &error);
            return Err(unreachable(format!("{error:#}")));
        }
        let post = &mut self.posts[lane as usize];
        post.station.sockets.remove(at);
        post.station.parked.insert(number, let_go_at());
        self.reclaim_later(lane, number);
        Ok(())
    }

    /// Leaves out the sockets of links that are gone: no lane that starts could map their rings.
    pub(super) fn leave_dead_sockets(&mut self, at: usize) {
        let station = &mut self.posts[at].station;
        // nix gives an empty name in place of ENODEV.
        let name = |ifindex: u32| nix::net::if_::if_indextoname(ifindex).ok().filter(|name| !name.is_empty());
        let is_dead = |socket: &Arc<LaneSocket>| name(socket.need.ifindex).is_none();
        let dead: Vec<Arc<LaneSocket>> = station.sockets.extract_if(.., |socket| is_dead(socket)).collect();
        let lane = station.number;
        for socket in dead {
            self.posts[at].station.parked.insert(socket.number, let_go_at());
            self.reclaim_later(lane, socket.number);
        }
    }

    /// Sends an event when the frames of a socket that was dropped can be had back.
    pub fn reclaim_later(&self, lane: u32, number: u16) {
        let events = self.events.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_nanos(LET_GO_NS)).await;
            // Nobody listens any more when control is ending.
            let _ = events.send(Event::SocketGone { lane, number });
        });
    }

    /// Has a lane take the frames of a socket back that is gone for good. A lane that cannot be reached is asked again.
    pub async fn reclaim(&mut self, lane: u32, number: u16) {
        let Some(post) = self.posts.get_mut(lane as usize) else { return };
        match post.station.parked.get(&number) {
            None => return,
            // Another socket had that number meanwhile, and is gone too.
            Some(at) if *at > now_ns() => return self.reclaim_later(lane, number),
            Some(_) => {}
        }
        let reclaimed = match post.process.as_mut() {
            Some(process) => process.reclaim(number).await.is_ok(),
            None => false,
        };
        if reclaimed {
            self.posts[lane as usize].station.parked.remove(&number);
        } else {
            self.reclaim_later(lane, number);
        }
    }
}
