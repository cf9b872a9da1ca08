//! A lane in a stranger's hands, for tests: it shows what `MCR_LIE` wants, and is a lane like any other else.
//!
//! `LANE:PLACE=VALUE`, where the place is one of those below, or `LANE:table=counters`.

use crate::lane::handoff::{Message, kind};
use std::os::fd::RawFd;

/// What the lane of that number shows in place of the truth.
pub(super) fn tell(lane: u32, mut message: Message, descriptors: &[RawFd]) -> (Message, Vec<RawFd>) {
    let mut descriptors = descriptors.to_vec();
    let wanted = std::env::var("MCR_LIE").unwrap_or_default();
    let lie = wanted.strip_prefix(&format!("{lane}:")).and_then(|lie| lie.split_once('='));
    let Some((place, value)) = lie else { return (message, descriptors) };
    let number = value.parse().unwrap_or_default();
    let said = match (message.kind, place) {
        (kind::SHOWN, "number") | (kind::START, "start-number") | (kind::TAKE, "socket") => &mut message.number,
        (kind::SHOWN, "pid") | (kind::START, "frame-size") => &mut message.a,
        (kind::START, "frames") | (kind::TAKE, "output") => &mut message.b,
        (kind::SHOWN, "sockets") | (kind::START, "ring-size") => &mut message.c,
        (kind::SHOWN, "held") | (kind::START, "relays") => &mut message.d,
        (kind::START, "outputs") | (kind::TAKE, "queue") => &mut message.e,
        (kind::START, "core") => &mut message.h,
        (kind::SHOWN, "protocol") => &mut message.protocol,
        (kind::HOLD, "memo") if crate::control::vault::tag::MEMO.contains(&message.tag) => {
            message.tag += u64::from(number);
            return (message, descriptors);
        }
        (kind::START, "table") => {
            descriptors[2] = descriptors[3];
            return (message, descriptors);
        }
        _ => return (message, descriptors),
    };
    *said = number;
    (message, descriptors)
}
