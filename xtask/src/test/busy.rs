//! Every core kept busy, so that tests which pass only on a quiet machine fail.

use std::{
    hint,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

/// A busy loop for each core, until this is dropped.
pub(super) struct BusyCores {
    stop: Arc<AtomicBool>,
    loops: Vec<JoinHandle<()>>,
}

impl BusyCores {
    pub(super) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let spin = |_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Relaxed) {
                    hint::spin_loop();
                }
            })
        };
        Self { loops: (0..cores).map(spin).collect(), stop }
    }
}

impl Drop for BusyCores {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for spinning in self.loops.drain(..) {
            // A loop has nothing that could panic.
            let _ = spinning.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BusyCores;

    #[test]
    fn the_loops_end_with_their_owner() {
        let busy = BusyCores::start();
        let stop = busy.stop.clone();
        assert!(!busy.loops.is_empty() && !stop.load(super::Relaxed));
        drop(busy);
        assert_eq!(std::sync::Arc::strong_count(&stop), 1, "every loop has let go of its copy");
    }
}
