//! Whether the kernel has let go of a socket that was closed: it takes one off its queue in the background, and as long as
//! it has not, the card may write into that socket's frames and send from them.
//!
//! Nothing tells when that is done, but a queue has one socket: where another one can be bound, the one before is gone. So
//! a socket of two frames is bound, in copy mode, of which no driver hears. The kernel answers when it gets its lock of all
//! network settings, which some drivers hold for seconds: nobody who is waited for may ask.

use super::socket::{SocketError, Unbound, Wanted};
use crate::memory::{Mapping, PAGE};
use nix::errno::Errno;
use nix::net::if_::if_indextoname;
use relay_common::journal::Queue;
use relay_common::plan::ZeroCopy;
use std::io;
use xdpilone::SocketConfig;

/// Bytes of a frame: the fewest that the kernel takes.
const FRAME: u32 = 2048;
/// Entries of its rings.
const RING: u32 = 2;

/// Asks whether no socket is on a queue any more. Somebody else's counts as well: then ours is gone, but nobody knows.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn is_free(queue: Queue) -> Result<bool, SocketError> {
    Ok(match bind(queue)? {
        Answer::Free => true,
        Answer::Held => false,
        // Where the first one can be had, or is in use, the link has fewer by now, and the kernel takes no queue away that
        // has a socket.
        Answer::NoSuchQueue => queue.number > 0 && !matches!(bind(Queue { number: 0, ..queue })?, Answer::NoSuchQueue),
    })
}

/// The name of a link, if it is there.
pub fn name_of(ifindex: u32) -> Option<String> {
    // Of one that is not there this says that it has no name.
    let name = if_indextoname(ifindex).ok()?.to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

enum Answer {
    Free,
    Held,
    NoSuchQueue,
}

fn bind(queue: Queue) -> Result<Answer, SocketError> {
    let Some(link) = name_of(queue.ifindex) else {
        // The kernel stops a link, and takes its sockets off, before it lets go of it.
        return Ok(Answer::Free);
    };
    let wanted = Wanted {
        link: &link,
        queue: queue.number,
        receives: true,
        sends: false,
        zero_copy: ZeroCopy::Never,
        ring_size: RING,
        frame_size: FRAME,
    };
    let failed = |doing, source| SocketError::Failed { doing, link: link.clone(), queue: queue.number, source };
    let frames = Mapping::anonymous(PAGE).map_err(|source| failed("get memory for a socket", source))?;
    let unbound = Unbound::prepare_on(queue.ifindex, &frames, &wanted, SocketConfig::XDP_BIND_COPY)?;
    match unbound.bind() {
        Ok(_) | Err(Errno::ENODEV) => Ok(Answer::Free),
        Err(Errno::EBUSY) => Ok(Answer::Held),
        Err(Errno::EINVAL) => Ok(Answer::NoSuchQueue),
        Err(errno) => Err(failed("bind a socket", io::Error::from(errno))),
    }
}
