//! A lane in a stranger's hands, for tests: it shows what `MCR_LIE` wants, and is a lane like any other else.
//!
//! `LANE:PLACE=VALUE`, where the place is one of those below, or `LANE:table=counters`.

use crate::lane::handoff::said::{Said, Shown, Start, Take};
use crate::lane::handoff::{Message, kind};
use std::os::fd::RawFd;

/// What the lane of that number shows in place of the truth.
pub(super) fn tell(lane: u32, mut message: Message, descriptors: &[RawFd]) -> (Message, Vec<RawFd>) {
    let mut descriptors = descriptors.to_vec();
    let wanted = std::env::var("MCR_LIE").unwrap_or_default();
    let lie = wanted.strip_prefix(&format!("{lane}:")).and_then(|lie| lie.split_once('='));
    let Some((place, value)) = lie else { return (message, descriptors) };
    let number = value.parse().unwrap_or_default();
    match (message.kind, place) {
        (kind::SHOWN, "number") | (kind::START, "start-number") | (kind::TAKE, "socket") => message.number = number,
        (kind::SHOWN, "pid") => message = says(message, |shown: &mut Shown| shown.pid = number),
        (kind::SHOWN, "sockets") => message = says(message, |shown: &mut Shown| shown.sockets = number),
        (kind::SHOWN, "held") => message = says(message, |shown: &mut Shown| shown.held = number),
        (kind::START, "frame-size") => message = says(message, |start: &mut Start| start.frame_size = number),
        (kind::START, "frames") => message = says(message, |start: &mut Start| start.frames = number),
        (kind::START, "ring-size") => message = says(message, |start: &mut Start| start.ring_size = number),
        (kind::START, "relays") => message = says(message, |start: &mut Start| start.relays = number),
        (kind::START, "outputs") => message = says(message, |start: &mut Start| start.outputs = number),
        (kind::START, "core") => message = says(message, |start: &mut Start| start.core = number),
        (kind::SHOWN, "protocol") => message.protocol = number,
        (kind::HOLD, "memo") if crate::lane::handoff::MEMO.contains(&message.tag) => {
            message.tag += u64::from(number);
        }
        (kind::START, "table") => descriptors[2] = descriptors[3],
        (kind::TAKE, "output") => message = says(message, |take: &mut Take| take.output = number),
        (kind::TAKE, "queue") => message = says(message, |take: &mut Take| take.queue = number),
        _ => {}
    }
    (message, descriptors)
}

/// The message, saying something else.
fn says<T: Said>(message: Message, lie: impl FnOnce(&mut T)) -> Message {
    let mut said = message.says();
    lie(&mut said);
    message.saying(said)
}
