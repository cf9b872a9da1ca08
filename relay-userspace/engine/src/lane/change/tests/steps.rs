//! What can happen to the sockets of a lane, in any order.

use super::{MOST_PASSED_OVER, SOCKETS};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Deliver(u32),
    Transmit(u16, u32),
    Complete(u16, u32, usize),
    Round(Option<u64>),
    Drop(u16, Option<u64>),
    Gone(u16),
    Reclaim(u16, Option<u64>),
    Take(u16, Option<u64>),
    ThrowAway(u16, Option<u64>),
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let death = || prop_oneof![2 => Just(None), 1 => (0..12_u64).prop_map(Some), 1 => (0..300_u64).prop_map(Some)];
    let sender = || 1..SOCKETS;
    prop_oneof![
        4 => (1..40_u32).prop_map(Step::Deliver),
        4 => (sender(), 1..60_u32).prop_map(|(socket, n)| Step::Transmit(socket, n)),
        4 => (sender(), 1..50_u32, 0..=MOST_PASSED_OVER).prop_map(|(socket, n, nth)| Step::Complete(socket, n, nth)),
        4 => death().prop_map(Step::Round),
        2 => (0..SOCKETS, death()).prop_map(|(socket, death)| Step::Drop(socket, death)),
        1 => (0..SOCKETS).prop_map(Step::Gone),
        3 => (0..SOCKETS, death()).prop_map(|(socket, death)| Step::Reclaim(socket, death)),
        3 => (0..SOCKETS, death()).prop_map(|(socket, death)| Step::Take(socket, death)),
        2 => (sender(), death()).prop_map(|(socket, death)| Step::ThrowAway(socket, death)),
    ]
}
