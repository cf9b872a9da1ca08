//! On which queue a socket is, or was, stands in the journal.

use super::*;
use crate::memory::log::Log;

#[test]
fn a_lane_writes_down_on_which_queue_a_socket_is() {
    let control = Control::new(0);
    let queue = |number| Log::queue_of(&control.world.ledger, number).unwrap();
    assert_eq!(queue(1), Some(control.world.socket(1).queue()));
    assert_eq!(queue(9), None, "it never had one of that number");
    assert_eq!(queue(u16::MAX), None, "what a lane says of itself can be anything");
}
