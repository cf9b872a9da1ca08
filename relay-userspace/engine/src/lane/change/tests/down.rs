//! A socket is dropped because its link is down: what lies on its rings is stale.

use super::*;

/// The card has what it has taken and not told of, too.
#[test]
fn what_lies_on_the_rings_of_a_link_that_is_down_is_stale() {
    let mut control = Control::new(u32::MAX - 2);
    (0..5).for_each(|_| control.world.deliver());
    control.world.round(&mut control.lane, None);
    (0..3).for_each(|_| control.world.transmit(1));
    control.world.complete_nth(1, 1);
    assert_eq!(control.lane.drop_socket(1, Why::LinkIsDown), 9);
    assert_eq!(control.lane.counters.get_dropped(Drop::Stale), 9);
    assert_eq!(control.lane.counters.get(LaneCounter::DroppedWithSocket), 0);
}
