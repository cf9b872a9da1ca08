//! After a fault a node is not healthy at once: what comes and goes is one fault, and nobody wants to fail over to and fro.

use alloc::string::String;

/// The last fault, as far as somebody looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HoldDown {
    last: Option<Last>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Last {
    at: u64,
    what: String,
}

/// That a node is held down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// For how long from now, in nanoseconds.
    pub for_ns: u64,
    /// How long ago the fault was last seen.
    pub age_ns: u64,
    /// What it was.
    pub what: String,
}

impl HoldDown {
    /// There is a fault now.
    pub fn fault(&mut self, what: String, now: u64) {
        self.last = Some(Last { at: now, what });
    }

    /// Whether a node without a fault is held down: it was not without one for `hold_ns` yet.
    #[must_use]
    pub fn held(&self, hold_ns: u64, now: u64) -> Option<Held> {
        let last = self.last.as_ref()?;
        let age_ns = now.saturating_sub(last.at);
        (age_ns < hold_ns).then(|| Held { for_ns: hold_ns - age_ns, age_ns, what: last.what.clone() })
    }
}
