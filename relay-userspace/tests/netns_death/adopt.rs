//! Somebody else takes lanes over whose control was killed, and works with them under traffic, by the code of control.

use crate::control::{kill_control, nothing_is_lost};
use crate::stage::{RATE, Stage, is_alive, kill_now, wait_until};
use crate::wire::{Reports, door};
use bench::Relay;
use bench::links::{End, Veth};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use relay_common::journal::LAYOUT;
use relay_common::plan::ZeroCopy;
use relay_control::door as doors;
use relay_control::process::{AdoptError, LaneProcess};
use relay_control::talk::{PATIENCE, Shown};
use relay_engine::lane::handoff::said::{Start, Take};
use relay_engine::lane::handoff::{Message, Outfit, PROTOCOL, Refusal, kind};
use relay_engine::memory::frames::Census;
use relay_engine::memory::log::Log;
use relay_engine::memory::{Mapping, whole_pages};
use relay_engine::xsk::options::statistics;
use relay_engine::xsk::socket::{LETTING_GO, Tries, Unbound, Wanted};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

/// Runs a future in a thread that stands in the relay's namespace.
pub(crate) fn inside<T: Send, F: Future<Output = T>>(stage: &Stage, work: impl FnOnce() -> F + Send) -> T {
    let block_on = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work());
    stage.relay.run(block_on)
}

/// Packets that found the rings of a lane full, whose control is dead.
pub(crate) fn lost_before_lanes(stage: &Stage, relay: &Relay) -> u64 {
    let door = door(relay);
    let (_, shown) = inside(stage, || LaneProcess::adopt(&door)).unwrap();
    let statistics = shown.sockets.iter().map(|(_, socket)| statistics(socket.as_fd()).unwrap());
    statistics.map(|statistics| statistics.rx_dropped + statistics.rx_ring_full).sum()
}

fn census(outfit: &Outfit, shown: &Shown) -> Census {
    let n_frames = shown.start.says::<Start>().frames as usize;
    let words = Mapping::shared_at(&outfit.ledger, whole_pages(n_frames * 4), Log::BYTES as i64).unwrap();
    Census::of(words.words32(0, n_frames))
}

/// Has the lane take a socket of a new link, drop it and take back its frames.
async fn a_link_comes_and_goes(lane: &mut LaneProcess, outfit: &Outfit, shown: &Shown) {
    let Start { frame_size, frames: n_frames, ring_size, .. } = shown.start.says();
    let frames = Mapping::shared(&outfit.frames, (n_frames * frame_size) as usize).unwrap();
    let zero_copy = ZeroCopy::Never;
    let wanted = Wanted { link: "late0", queue: 0, receives: true, sends: true, zero_copy, ring_size, frame_size };
    let before = census(outfit, shown);
    let take = Take { ifindex: 99, output: 2, receives: 1, transmits: 1, ..Take::default() };
    let take = Message { number: 7, ..Message::of(kind::TAKE).saying(take) };
    let bound = loop {
        let socket = Unbound::prepare(&frames, &wanted, Tries::new(&wanted, LETTING_GO).mode()).unwrap();
        lane.take(take, socket.fd()).await.unwrap();
        // About a ring more: the words of a lane at work change meanwhile. Below it is exact.
        let more = census(outfit, shown).fill.saturating_sub(before.fill);
        assert!(more.abs_diff(u64::from(ring_size)) < u64::from(ring_size) / 2, "{more} frames more are filled");
        let again = lane.take(take, socket.fd()).await.unwrap_err();
        assert_eq!(again.downcast_ref(), Some(&Refusal::Occupied));
        match socket.bind() {
            Ok(bound) => break bound,
            // The socket before this one is taken down in the background.
            Err(errno) => assert_eq!(errno, nix::errno::Errno::EBUSY),
        }
        // Before we close it ourselves: the last one to close it waits.
        lane.drop_socket(7).await.unwrap();
        drop(socket);
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(lane.reclaim(7).await.unwrap(), ring_size);
    };
    assert_eq!(lane.show().await.unwrap().sockets.len(), shown.sockets.len() + 1);
    assert_eq!(lane.reclaim(7).await.unwrap_err().downcast_ref(), Some(&Refusal::Occupied));
    assert_eq!(lane.drop_socket(7).await.unwrap(), 0);
    assert_eq!(lane.drop_socket(7).await.unwrap(), 0, "it can be asked twice");
    let parked = lane.take(take, bound.as_fd()).await.unwrap_err();
    assert_eq!(parked.downcast_ref(), Some(&Refusal::Parked { frames: ring_size }));
    drop(bound);
    assert_eq!(lane.reclaim(7).await.unwrap(), ring_size);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_is_taken_over_and_its_sockets_come_and_go_under_traffic() {
    let stage = Stage::new(1);
    let (late, far) = (End::new(&stage.relay, "late0"), End::new(&stage.source, "late1"));
    Veth::new(late.address("10.9.0.1/24"), far.address("10.9.0.2/24")).create().unwrap();
    // With frames for one more link.
    let mut relay = Relay::start(&stage.relay, &stage.config().replace("[lanes]", "[lanes]\nframes = 28672")).unwrap();
    let traffic = stage.stream_at(RATE / 2);
    let reports = Reports::listen(&stage);
    traffic.pass(RATE / 20);
    let lanes = relay.lanes();
    let path = door(&relay);
    let busy = inside(&stage, || LaneProcess::adopt(&path));
    assert!(matches!(busy, Err(AdoptError::Busy)), "{busy:?}");
    kill_control(&mut relay);
    for _ in 0..3 {
        inside(&stage, || async {
            let (mut lane, mut shown) = LaneProcess::adopt(&path).await.unwrap();
            assert_eq!((shown.sender.pid, shown.protocol, shown.layout), (lanes[0], PROTOCOL, LAYOUT));
            assert_eq!((shown.sockets.len(), lane.pid(), lane.is_alive()), (2, lanes[0], true));
            let notes: Vec<_> = shown.held.iter().map(|held| String::from_utf8_lossy(&held.note)).collect();
            for held in ["memo", "relay", "INPUTS", "SOCKETS", "membership", "in0 native relay-tags auto"] {
                assert!(notes.iter().any(|note| note == held), "{held} is not held: {notes:?}");
            }
            let n_held = shown.held.len();
            let outfit = shown.take_outfit().unwrap();
            a_link_comes_and_goes(&mut lane, &outfit, &shown).await;
            lane.hold(5, b"a note", shown.held[0].descriptor.as_fd()).await.unwrap();
            let again = lane.show().await.unwrap();
            assert_eq!((again.held.len(), &again.held[n_held].note[..]), (n_held + 1, &b"a note"[..]));
            lane.forget(5).await.unwrap();
            lane.forget(5).await.unwrap();
            // Dropped, it relays on.
        });
        traffic.pass(RATE / 20);
    }
    assert_eq!((relay.lanes(), reports.leaves()), (lanes, 0));
    let account = traffic.settle();
    nothing_is_lost(&account, RATE / 5, lost_before_lanes(&stage, &relay));
    inside(&stage, || async {
        let (lane, mut shown) = LaneProcess::adopt(&path).await.unwrap();
        let outfit = shown.take_outfit().unwrap();
        let census = census(&outfit, &shown);
        assert_eq!((census.transmit, census.lost), (0, 0));
        assert_eq!(census.free + census.fill, u64::from(shown.start.says::<Start>().frames));
        assert!(lane.is_alive());
        lane.end().await;
    });
    assert!(relay.lanes().is_empty());
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_hangs_holds_nobody_up_and_goes_on_afterwards() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    kill_control(&mut relay);
    let (pid, path) = (relay.lanes()[0], door(&relay));
    let signal = |signal| kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
    inside(&stage, || async {
        let (mut lane, shown) = LaneProcess::adopt(&path).await.unwrap();
        let (descriptor, n_held) = (shown.held[0].descriptor.as_fd(), shown.held.len());
        signal(Signal::SIGSTOP);
        for _ in 0..2 {
            let mut turns = 0;
            let ticks = async {
                loop {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    turns += 1;
                }
            };
            tokio::select! {
                asked = lane.hold(6, b"late", descriptor) => {
                    let text = format!("{:#}", asked.unwrap_err());
                    assert!(text.contains("the lane does not answer"), "{text}");
                }
                () = ticks => unreachable!("they do not end"),
            }
            assert!(turns > 2, "the runtime stood still: {turns} turns");
        }
        assert!(lane.show().await.is_err() && lane.is_alive());
        signal(Signal::SIGCONT);
        // Answers to what was given up are not taken for the answer to this.
        let shown = lane.show().await.unwrap();
        assert_eq!(shown.held.len(), n_held + 1);
        assert_eq!(lane.reclaim(9).await.unwrap(), 0);
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_stops_at_the_edge_and_a_stale_door_is_removed() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let traffic = stage.stream();
    traffic.pass(RATE / 20);
    let (pid, path) = (relay.lanes()[0], door(&relay));
    kill_control(&mut relay);
    inside(&stage, || async {
        let (lane, mut shown) = LaneProcess::adopt(&path).await.unwrap();
        let outfit = shown.take_outfit().unwrap();
        lane.stop_at_edge().await.unwrap();
        assert!(!is_alive(pid));
        // Between two batches no word is in the air, whatever is under way.
        let census = census(&outfit, &shown);
        assert_eq!(census.free + census.fill + census.transmit, u64::from(shown.start.says::<Start>().frames));
        let found = doors::find(relay.folder(), doors::namespace().unwrap()).unwrap();
        assert_eq!(found, [(0, path.clone())]);
        // We have its door still, and nobody answers there.
        drop((outfit, shown));
        assert!(matches!(LaneProcess::adopt(&path).await, Err(AdoptError::Nobody)));
    });
    assert!(!path.exists());
    wait_until("the group stays joined", || !stage.is_joined() && !stage.is_attached());
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn nobody_but_a_lane_is_taken_over() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let path = door(&relay);
    let pid = relay.lanes()[0];
    kill_control(&mut relay);
    inside(&stage, || async {
        // It does not answer at all.
        let stopped = Pid::from_raw(pid.try_into().unwrap());
        kill(stopped, Signal::SIGSTOP).unwrap();
        let adopt = tokio::time::timeout(10 * PATIENCE, LaneProcess::adopt(&path)).await;
        assert!(matches!(adopt, Ok(Err(AdoptError::Failed(_)))), "{adopt:?}");
        kill_now(pid);
        wait_until("it lives", || !is_alive(pid));
        let nobody = LaneProcess::adopt(&path).await;
        assert!(matches!(nobody, Err(AdoptError::Nobody)), "{nobody:?}");
        let nowhere = LaneProcess::adopt(Path::new("/nonexistent/lane.door")).await;
        assert!(matches!(nowhere, Err(AdoptError::Nobody)), "{nowhere:?}");
    });
}
