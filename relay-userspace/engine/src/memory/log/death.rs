//! Sudden death in a commit, for tests. In the product this is nothing, and its calls vanish.
//!
//! There is a point of death after each store of a commit. A unit test counts them and unwinds at one, with the
//! shared memory as it is. The feature `chaos` builds a lane that kills itself in a phase: `MCR_CHAOS=PHASE:COMMITS`, or
//! `MCR_CHAOS=PHASE:COMMITS:FILE` when only as many lanes shall as the file has bytes: each takes one away.

/// Where in a commit a lane can be made to die.
pub(super) mod phase {
    /// Everything is written down, nothing is stored.
    pub(in super::super) const BEFORE_SEAL: u32 = 0;
    /// The journal says committed, nothing else is stored.
    pub(in super::super) const SEALED: u32 = 1;
    /// Half of the owner words are stored.
    pub(in super::super) const HALF_WORDS: u32 = 2;
    /// Half of the headers are stored.
    pub(in super::super) const HALF_HEADERS: u32 = 3;
    /// Half of the ring indices are stored.
    pub(in super::super) const HALF_RINGS: u32 = 4;
    /// Everything is stored, the journal still says committed.
    pub(in super::super) const STORED: u32 = 5;
    /// No commit: the packets of a socket that is going away were taken off its rings.
    pub(in super::super) const WITHDRAWN: u32 = 6;
}

/// A lane that nobody wants dead.
#[cfg(not(any(test, feature = "chaos")))]
#[derive(Debug)]
pub(super) struct Death;

#[cfg(not(any(test, feature = "chaos")))]
impl Death {
    pub(super) const fn wanted() -> Self {
        Self
    }

    #[inline(always)]
    pub(super) const fn at(&self, _phase: u32) {}

    #[inline(always)]
    pub(super) const fn half_way(&self, _phase: u32, _at: usize, _n: usize) {}
}

/// Kills this process with a signal that nothing can catch, in the commit and at the phase that a test asked for.
#[cfg(all(feature = "chaos", not(test)))]
#[derive(Debug)]
pub(super) struct Death(Option<(u32, u64)>);

#[cfg(all(feature = "chaos", not(test)))]
impl Death {
    pub(super) fn wanted() -> Self {
        let wish = std::env::var("MCR_CHAOS").ok();
        Self(wish.as_deref().and_then(Self::of))
    }

    fn of(wish: &str) -> Option<(u32, u64)> {
        let mut parts = wish.splitn(3, ':');
        let wanted = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none_or(Self::takes_one).then_some(wanted)
    }

    fn takes_one(file: &str) -> bool {
        match std::fs::read(file) {
            Ok(bytes) if bytes.len() > 1 => std::fs::write(file, &bytes[1..]).is_ok(),
            Ok(_) => std::fs::remove_file(file).is_ok(),
            Err(_) => false,
        }
    }

    pub(super) fn at(&mut self, phase: u32) {
        let Some((wanted, left)) = &mut self.0 else { return };
        if *wanted != phase {
            return;
        }
        *left = left.saturating_sub(1);
        if *left == 0 {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
        }
    }

    pub(super) fn half_way(&mut self, phase: u32, at: usize, n: usize) {
        if at == n / 2 {
            self.at(phase);
        }
    }
}

/// Unwinds at a point of death; the shared memory stays as it is.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct Death(pub(super) Option<u64>);

/// What [`Death`] unwinds with.
#[cfg(test)]
#[derive(Debug)]
pub struct Died;

#[cfg(test)]
impl Death {
    pub(super) const fn wanted() -> Self {
        Self(None)
    }

    pub(super) fn at(&mut self, _phase: u32) {
        match &mut self.0 {
            None => {}
            Some(0) => std::panic::resume_unwind(Box::new(Died)),
            Some(left) => *left -= 1,
        }
    }

    pub(super) fn half_way(&mut self, phase: u32, _at: usize, _n: usize) {
        self.at(phase);
    }
}
