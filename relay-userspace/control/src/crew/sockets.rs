//! Sockets come and go while lanes work: made here, filled by the lane, bound here; let go by the lane first.

use super::Crew;
use crate::chaos;
use crate::release::Parked;
use crate::sockets::{Need, Uses};
use crate::station::{self, LaneSocket, Station};
use crate::supervisor::Life;
use relay_common::plan::{Lanes, ZeroCopy};
use relay_engine::clock::now_ns;
use relay_engine::lane::change::Why;
use relay_engine::lane::handoff::{Message, Refusal, kind, said};
use relay_engine::xsk::port::Port;
use relay_engine::xsk::socket::{BUSY, LETTING_GO, SocketError, Tries, Unbound, Wanted, finish};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// So many lanes in a row may die while one of them is given a socket.
const MOST_DEATHS: u32 = 3;

/// Why a lane could not be given a socket. Its text names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The kernel refused.
    #[error("{0}")]
    Socket(#[from] SocketError),
    /// All numbers or frames are in use.
    #[error(
        "lane {lane} has no frames left for another socket: raise lanes.spare_sockets (or lanes.frames, where that is a number), \
         end mcr (mcr stop) and start it"
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
    /// The lane died while it was given a socket.
    #[error("lane {lane} cannot be reached ({problem}): ask again in a moment")]
    Died {
        /// The lane.
        lane: u32,
        /// What went wrong.
        problem: String,
    },
    /// The lane has frames of a socket of that number.
    #[error("lane {lane} cannot be reached ({problem}): ask again in a moment")]
    Parked {
        /// The lane.
        lane: u32,
        /// What it said.
        problem: String,
    },
    /// The frames could not be mapped.
    #[error("cannot map the frames: {0}")]
    Map(#[from] io::Error),
}

/// Whether a queue that is busy is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// As long as the kernel may need to let go of the socket before.
    UntilFree,
    /// Not at all: it is tried again anyway.
    None,
}

impl Crew {
    /// The sockets that lanes have, but those that are going away.
    #[must_use]
    pub fn sockets(&self) -> Vec<Arc<LaneSocket>> {
        let of_lane =
            |lane| self.supervisor.edit(lane, |life| life.staying().cloned().collect::<Vec<_>>()).unwrap_or_default();
        (0..self.supervisor.n_lanes()).flat_map(of_lane).collect()
    }

    /// The socket for a need.
    #[must_use]
    pub fn socket(&self, need: &Need) -> Option<Arc<LaneSocket>> {
        self.supervisor.edit(need.lane, |life| life.staying().find(|socket| socket.need == *need).cloned())?
    }

    /// Whether a lane's frames suffice for these sockets.
    ///
    /// # Errors
    /// When they do not.
    pub fn check_frames(&self, lane: u32, own: impl Iterator<Item = Uses>) -> Result<(), Trouble> {
        let has = self.posts.get(lane as usize).map_or(0, |post| post.station.n_frames);
        if Station::frames_for(own, self.lanes.ring_size) > has { Err(Trouble::NoFrames { lane }) } else { Ok(()) }
    }

    /// Gives a lane a socket while it works. With `waits`, frames that come back in a moment are waited for.
    ///
    /// # Errors
    /// Why it could not be had; nothing has changed then.
    pub async fn take(
        &mut self,
        need: &Need,
        output: Option<u16>,
        waits: bool,
        patience: Patience,
    ) -> Result<(), Trouble> {
        self.take_in_mode(need, need.zero_copy(), output, (waits, patience)).await
    }

    async fn take_in_mode(
        &mut self,
        need: &Need,
        zero_copy: ZeroCopy,
        output: Option<u16>,
        (waits, patience): (bool, Patience),
    ) -> Result<(), Trouble> {
        let lanes = self.lanes.clone();
        let wanted = Wanted { zero_copy, ..station::wanted(need, &lanes) };
        let longest = match patience {
            Patience::None => Duration::ZERO,
            Patience::UntilFree if self.may_be_held_still(need.queue()) => LETTING_GO,
            Patience::UntilFree => BUSY,
        };
        let (mut tries, mut deaths) = (Tries::new(&wanted, longest), 0);
        loop {
            let offered = match self.offer(need, output, &lanes, tries.mode()).await {
                Err(Trouble::NoFrames { .. }) if waits && self.wait_for_frames(need.lane).await => continue,
                Err(Trouble::Died { .. }) if deaths < MOST_DEATHS => {
                    deaths += 1;
                    continue;
                }
                // Another number.
                Err(Trouble::Parked { .. }) => continue,
                offered => offered?,
            };
            match offered.unbound.bind() {
                Ok(fd) => match self.keep(offered, need, output, &lanes, fd).await {
                    Err(Trouble::Died { .. }) if deaths < MOST_DEATHS => deaths += 1,
                    kept => return kept,
                },
                Err(errno) => {
                    // The kernel has seen none of its frames.
                    self.withdraw(need.lane, offered, Parked::on([])).await?;
                    if let Some(pause) = tries.again(&wanted, errno, now_ns())? {
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
    }

    /// Makes a socket and has the lane fill it.
    async fn offer(&mut self, need: &Need, output: Option<u16>, lanes: &Lanes, mode: u16) -> Result<Offered, Trouble> {
        let lane = need.lane;
        let unreachable = |problem: String| Trouble::Lane { lane, problem };
        let (station, number) = self
            .supervisor
            .edit(lane, |life| (Arc::clone(&life.station), life.free_number()))
            .ok_or_else(|| unreachable("there is no such lane".to_owned()))?;
        let number = number.ok_or(Trouble::NoFrames { lane })?;
        let unbound = {
            let area = station::area(&station, lanes)?;
            Unbound::prepare(&area, &station::wanted(need, lanes), mode)?
        };
        // They cannot be mapped any more once it is bound.
        let open = || Port::open(unbound.fd().try_clone_to_owned()?, need.receives, need.sends, lanes.ring_size);
        let rings = if self.rebinds { Some(Arc::new(Mutex::new(open()?))) } else { None };
        let process = self.present(lane).await.map_err(|error| unreachable(format!("{error:#}")))?;
        let life = process.life;
        let message = station::take_message(number, need, output, lanes.busy_poll_us > 0);
        let Err(error) = process.ask(message, &[unbound.fd()]).await else {
            return Ok(Offered { number, life, unbound, rings });
        };
        let problem = format!("{error:#}");
        match error.downcast_ref() {
            Some(Refusal::TooFewFrames { .. }) => Err(Trouble::NoFrames { lane }),
            // It remembers frames of a socket that control has forgotten: they come back like others.
            Some(Refusal::Parked { .. }) => {
                self.park(lane, number, self.forgotten(&station, number)?);
                Err(Trouble::Parked { lane, problem })
            }
            Some(_) => Err(unreachable(problem)),
            None => {
                // It may have filled the socket before it died, or before it was ended because it was late. Its successor
                // knows nothing of the socket, and the kernel has seen none of the frames.
                process.has_died().await;
                self.settle(lane, &error);
                drop(unbound);
                self.supervisor.edit(lane, |life| life.parked.insert(number, Parked::on([])));
                self.reclaim(lane, number).await;
                Err(Trouble::Died { lane, problem })
            }
        }
    }

    /// A bound socket is the lane's from now on.
    async fn keep(
        &mut self,
        offered: Offered,
        need: &Need,
        output: Option<u16>,
        lanes: &Lanes,
        fd: OwnedFd,
    ) -> Result<(), Trouble> {
        let bound = match finish(fd, &station::wanted(need, lanes)) {
            Ok(bound) => bound,
            Err(error) => {
                self.withdraw(need.lane, offered, Parked::on([need.queue()])).await?;
                return Err(error.into());
            }
        };
        // What was on that queue before is gone.
        self.released(need.queue());
        let busy_polled = station::poll_busily(&bound, lanes, need);
        let (lane, number) = (need.lane, offered.number);
        let (need, bound) = (need.clone(), Arc::new(bound));
        let rings = offered.rings;
        let socket = Arc::new(LaneSocket { number, need, output, busy_polled, bound, rings });
        chaos::at("socket.done");
        // The lane that took it has it, and so has each that is started from now on.
        let is_kept = self.supervisor.edit(lane, |life| {
            let is_present = life.is_last_given(offered.life);
            if is_present {
                life.sockets.push(Arc::clone(&socket));
            }
            is_present
        });
        chaos::at("socket.noted");
        if is_kept == Some(true) {
            return Ok(());
        }
        self.park(lane, number, Parked::on([socket.need.queue()]));
        Err(Trouble::Died { lane, problem: "it died while it was given a socket".to_owned() })
    }

    /// Takes back a socket that never came to work. The lane lets go first: whoever closes a socket last waits in the
    /// kernel.
    async fn withdraw(&mut self, lane: u32, offered: Offered, parked: Parked) -> Result<(), Trouble> {
        let Offered { number, unbound, .. } = offered;
        self.supervisor.edit(lane, |life| life.parked.insert(number, parked.clone()));
        let dropped = self.ask(lane, of_socket(kind::DROP, number), &[]).await;
        drop(unbound);
        if dropped.is_ok() && parked.is_released() {
            self.reclaim(lane, number).await;
        } else {
            self.asker.ask(lane, number, parked);
        }
        dropped.map(drop).map_err(|error| Trouble::Lane { lane, problem: format!("{error:#}") })
    }

    /// Tells a lane which output link its socket is now.
    ///
    /// # Errors
    /// When the lane does not answer.
    pub async fn use_as(&mut self, need: &Need, output: Option<u16>) -> Result<(), Trouble> {
        let Some(socket) = self.socket(need) else { return Ok(()) };
        let used = said::Use { output: said::output(output), ..said::Use::default() };
        let message = of_socket(kind::USE, socket.number).saying(used);
        let changed = Arc::new(LaneSocket { output, ..LaneSocket::clone(&socket) });
        self.change(&socket, message, |sockets, at| drop(std::mem::replace(&mut sockets[at], Arc::clone(&changed))))
            .await
    }

    /// Takes a socket away from its lane. Its frames come back once the kernel has let go of them.
    ///
    /// # Errors
    /// When the lane does not answer: see [`Crew::finish_drops`].
    pub async fn drop_socket(&mut self, need: &Need) -> Result<(), Trouble> {
        let Some(socket) = self.socket(need) else { return Ok(()) };
        self.supervisor.edit(need.lane, |life| life.leaving.insert(socket.number));
        self.finish_drop(&socket, Why::NotNeeded).await
    }

    /// Puts another socket in the place of one that sends by a link that is down: the card keeps nothing that it would send
    /// when the link is up again.
    ///
    /// # Errors
    /// When the lane does not answer, or there is no socket in its place for now: it is to be taken as any other.
    pub async fn empty_card(&mut self, need: &Need) -> Result<(), Trouble> {
        let Some(socket) = self.socket(need) else { return Ok(()) };
        let (number, output) = (socket.number, socket.output);
        self.supervisor.edit(need.lane, |life| life.leaving.insert(number));
        self.finish_drop(&socket, Why::LinkIsDown).await?;
        // The last copy: the kernel lets go of what is closed.
        drop(socket);
        self.wait_for(need.lane, number).await;
        // A driver that does no zero-copy on a link that is down may do it later.
        self.take_in_mode(need, ZeroCopy::Always, output, (true, Patience::UntilFree)).await
    }

    /// Drops the sockets whose drop was begun and failed.
    ///
    /// # Errors
    /// When a lane does not answer.
    pub async fn finish_drops(&mut self) -> Result<(), Trouble> {
        let is_leaving = |life: &mut Life| -> Vec<_> {
            life.sockets.iter().filter(|socket| life.leaving.contains(&socket.number)).cloned().collect()
        };
        for lane in 0..self.supervisor.n_lanes() {
            for socket in self.supervisor.edit(lane, is_leaving).unwrap_or_default() {
                self.finish_drop(&socket, Why::NotNeeded).await?;
            }
        }
        Ok(())
    }

    async fn finish_drop(&mut self, socket: &Arc<LaneSocket>, why: Why) -> Result<(), Trouble> {
        let (lane, number) = (socket.need.lane, socket.number);
        let dropped = said::Drop { link_is_down: u32::from(why == Why::LinkIsDown), ..said::Drop::default() };
        let message = of_socket(kind::DROP, number).saying(dropped);
        self.change(socket, message, |sockets, at| drop(sockets.remove(at))).await?;
        self.supervisor.edit(lane, |life| life.leaving.remove(&number));
        self.park(lane, number, Parked::on([socket.need.queue()]));
        Ok(())
    }

    /// Has a lane change what it does with a socket, and writes down what it has then: what one that died meanwhile has
    /// done, its successor is asked to do again. The caller keeps the socket until this returns.
    async fn change(
        &mut self,
        socket: &Arc<LaneSocket>,
        message: Message,
        write_down: impl Fn(&mut Vec<Arc<LaneSocket>>, usize),
    ) -> Result<(), Trouble> {
        let lane = socket.need.lane;
        loop {
            let asked = self.ask(lane, message, &[]).await;
            let (_, life) = asked.map_err(|error| {
                self.settle(lane, &error);
                Trouble::Lane { lane, problem: format!("{error:#}") }
            })?;
            chaos::at("socket.done");
            let is_done = self.supervisor.edit(lane, |now| {
                // One that was left out since, because its link is gone, needs no change.
                let at = now.sockets.iter().position(|other| Arc::ptr_eq(other, socket));
                let is_present = now.is_last_given(life);
                if let (true, Some(at)) = (is_present, at) {
                    write_down(&mut now.sockets, at);
                }
                is_present || at.is_none()
            });
            chaos::at("socket.noted");
            if is_done.unwrap_or(true) {
                return Ok(());
            }
        }
    }
}

/// A socket that a lane has filled, and that is not bound yet.
struct Offered {
    number: u16,
    /// The lane that has filled it: its successor knows nothing of it.
    life: u64,
    unbound: Unbound,
    rings: Option<Arc<Mutex<Port>>>,
}

pub(super) fn of_socket(kind: u32, number: u16) -> Message {
    Message { number: number.into(), ..Message::of(kind) }
}
