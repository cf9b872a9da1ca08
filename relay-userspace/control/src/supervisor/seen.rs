//! The lanes as others may see them, at any time: neither control nor a lane is asked for it.

use super::{Life, Shared, Supervisor};
use crate::view::{LaneView, SocketView};
use relay_common::table::Placement;
use std::sync::Arc;

/// Where the lanes can be seen. Clones see the same.
#[derive(Clone, Debug)]
pub struct Seen(Arc<Shared>);

impl Supervisor {
    /// Where the lanes can be seen.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen(Arc::clone(&self.shared))
    }
}

impl Seen {
    /// The lanes as they are now, with the links in use as they are placed.
    #[must_use]
    pub fn view(&self, place: &Placement) -> Vec<Arc<LaneView>> {
        let one = |life: &Life| {
            let (station, pid) = (&life.station, life.pid());
            Arc::new(LaneView {
                number: station.number,
                core: station.core,
                user: pid.map(|_| self.0.user.name_of(life.uid)),
                pid,
                restarts: life.restarts,
                n_frames: station.n_frames,
                huge_pages: station.huge,
                counters: Arc::clone(&station.counters),
                ledger: Arc::clone(&station.ledger),
                tap: Arc::clone(&station.tap),
                sockets: life.sockets.iter().map(|socket| SocketView::of(socket, place)).collect(),
            })
        };
        self.0.lock().lives.iter().map(one).collect()
    }
}
