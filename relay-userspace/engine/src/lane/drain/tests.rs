//! Calls against a kernel that takes its time, and rings that are waited for or not.

use super::*;
use crate::xsk::port::fake::{Kernel, Rings};

const SIZE: u32 = 128;
const MS: u64 = 1_000_000;

fn port(index: u32) -> (Port, Kernel) {
    let rings = Rings::new(SIZE, index);
    (rings.port(false, true), rings.kernel())
}

/// Puts packets on the transmit ring.
fn load(port: &mut Port, n: u32) {
    assert!(port.tx_room() >= n);
    port.send_each((0..n).map(|_| Descriptor { at: 0, len: 60, options: 0 }));
    let tx = port.tx.as_ref().unwrap();
    tx.publish(tx.next());
}

/// The kernel takes up to so many packets.
fn take(kernel: &mut Kernel, n: u32) {
    (0..n).for_each(|_| _ = kernel.tx.take());
    kernel.tx.publish(kernel.tx.next());
}

/// Sends what is on the ring by such calls: how many were made, and how many packets are left.
fn send_by(port: &Port, mut call: impl FnMut() -> Result<(), Errno>) -> (u64, u32) {
    let counters = Counters::private(1, 1).unwrap();
    let tx = port.tx.as_ref().unwrap();
    send(tx, tx.n_waiting(), &counters, &mut call);
    let failed = [LaneCounter::KickAgain, LaneCounter::KickBusy, LaneCounter::KickNoBuffers, LaneCounter::KickLinkDown];
    let (calls, failed) = (counters.get(LaneCounter::Kicks), failed.map(|counter| counters.get(counter)).iter().sum());
    assert!(calls - 1 <= failed && failed <= calls, "{failed} of {calls} calls failed");
    (calls, tx.n_waiting())
}

#[test]
fn calls_go_on_while_the_kernel_takes_its_share() {
    for errno in [Errno::EAGAIN, Errno::ENOBUFS] {
        let (mut port, mut kernel) = port(u32::MAX - 50);
        load(&mut port, 100);
        let mut call = || {
            take(&mut kernel, 32);
            if kernel.tx.available() > 0 { Err(errno) } else { Ok(()) }
        };
        assert_eq!(send_by(&port, &mut call), (4, 0), "{errno}");
    }
}

#[test]
fn calls_end_when_the_kernel_takes_no_more() {
    let (mut port, mut kernel) = port(0);
    load(&mut port, 100);
    let mut shares = [32, 8].into_iter();
    let mut call = || {
        take(&mut kernel, shares.next().unwrap_or(0));
        Err(Errno::EAGAIN)
    };
    assert_eq!(send_by(&port, &mut call), (3, 60));
    assert_eq!(send_by(&port, || Err(Errno::ENETDOWN)), (1, 60));
}

#[test]
fn packets_that_the_device_loses_do_not_leave_the_rest_waiting() {
    let (mut port, mut kernel) = port(0);
    load(&mut port, 10);
    let mut calls = 0;
    // The kernel takes the packet that is lost and says so when it takes the next.
    let mut call = || {
        calls += 1;
        if calls <= 3 {
            _ = kernel.tx.take();
            return Err(Errno::EBUSY);
        }
        take(&mut kernel, 10);
        Ok(())
    };
    assert_eq!(send_by(&port, &mut call), (4, 0));
}

#[test]
fn a_device_that_loses_everything_is_called_so_often_and_no_more() {
    let (mut port, _kernel) = port(0);
    load(&mut port, 100);
    assert_eq!(send_by(&port, || Err(Errno::EBUSY)), (u64::from(FEWEST_CALLS), 100));
}

/// Until when a ring is waited for that takes a packet every 20 ms, in milliseconds from its being empty.
fn waited_for(port: &mut Port, kernel: &mut Kernel, drain: &mut Drain) -> u64 {
    let held = (1..2_000).take_while(|ms| {
        take(kernel, u32::from(ms % 20 == 0));
        drain.holds_back(port, SIZE, 1, false, (1_000 + ms) * MS)
    });
    held.count() as u64 + 1
}

#[test]
fn a_burst_is_waited_for_while_it_drains() {
    let (mut port, mut kernel) = port(0);
    let mut drain = Drain::default();
    // Idle for a long time, and empty: more than it takes is no reason to wait.
    assert!(!drain.holds_back(&mut port, SIZE, 2, false, 1_000 * MS));
    load(&mut port, SIZE - 10);
    assert!(!drain.holds_back(&mut port, 5, 2, false, 1_000 * MS), "there is room");
    assert_eq!(waited_for(&mut port, &mut kernel, &mut drain), 1_000, "less than a receive ring has come");
}

/// Nobody else is held up by it.
#[test]
fn a_burst_for_one_link_alone_is_waited_for_however_long_it_drains() {
    let (mut port, mut kernel) = port(0);
    let mut drain = Drain::default();
    assert!(!drain.holds_back(&mut port, SIZE, 2, true, 1_000 * MS));
    load(&mut port, SIZE - 10);
    for ms in (1_020..5_000).step_by(45) {
        take(&mut kernel, 1);
        assert!(drain.holds_back(&mut port, SIZE, 1, true, ms * MS), "after {ms} ms");
    }
}

/// virtio_net takes nothing until most of its queue is sent, and says only then what was.
#[test]
fn a_busy_device_moves_in_steps_and_is_waited_for_until_it_hangs() {
    let (mut port, mut kernel) = port(0);
    let mut drain = Drain::default();
    assert!(!drain.holds_back(&mut port, 32, 2, false, 1_000 * MS));
    load(&mut port, SIZE);
    let mut now = 1_000;
    for _ in 0..3 {
        drain.note(Some(Errno::EAGAIN), now * MS);
        assert!(drain.holds_back(&mut port, 32, 2, false, (now + 200) * MS));
        now += 240;
        take(&mut kernel, 20);
        drain.stands_at(port.n_moved(), now * MS);
        assert!(!drain.is_stale(now * MS));
    }
    assert!(!drain.is_stale((now + 999) * MS) && drain.is_stale((now + 1_000) * MS));
    // Nobody is held up by what hangs once more before it moves.
    drain.gives_up();
    take(&mut kernel, 10);
    assert!(!drain.holds_back(&mut port, SIZE, 2, true, (now + 1_001) * MS));
    drain.stands_at(port.n_moved(), (now + 1_002) * MS);
    assert!(drain.holds_back(&mut port, SIZE, 2, true, (now + 1_002) * MS));
}

#[test]
fn a_link_that_is_given_more_than_a_burst_is_overloaded_sooner() {
    let (mut port, mut kernel) = port(0);
    let mut drain = Drain::default();
    assert!(!drain.holds_back(&mut port, SIZE, 1, false, 1_000 * MS));
    load(&mut port, SIZE - 10);
    take(&mut kernel, 50);
    (0..50).for_each(|_| kernel.completion.put(0));
    kernel.completion.publish(50);
    assert_eq!(port.take_back(u32::MAX, 12, |_| {}), 50);
    port.publish(relay_common::journal::ring::COMPLETION, 50);
    load(&mut port, 50);
    assert_eq!(waited_for(&mut port, &mut kernel, &mut drain), 200);
}

#[test]
fn a_ring_that_does_not_move_is_not_waited_for() {
    let (mut port, mut kernel) = port(0);
    let mut drain = Drain::default();
    assert!(!drain.holds_back(&mut port, 32, 1, false, 1_000 * MS));
    load(&mut port, SIZE);
    let held = (1_000..1_100).filter(|ms| drain.holds_back(&mut port, 32, 1, false, ms * MS)).count();
    assert_eq!(held, 50);
    take(&mut kernel, 1);
    assert!(drain.holds_back(&mut port, 32, 1, false, 1_100 * MS), "it moves again");
}

#[test]
fn a_receive_ring_keeps_the_last_of_its_places_for_what_comes_next() {
    assert!(!is_nearly_full(1500, 2048));
    assert!(!is_nearly_full(1792, 2048) && is_nearly_full(1793, 2048));
}
