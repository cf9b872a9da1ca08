//! How long a configuration that was taken on trial has until it is given up, across restarts of control and of the
//! machine, and whatever becomes of the clock.

use alloc::string::String;

/// A trial, as it is written down before the configuration is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The boot in which it began (`/proc/sys/kernel/random/boot_id`).
    pub boot: String,
    /// When it ends, by the clock that counts from that boot on and goes on while the machine sleeps (`CLOCK_BOOTTIME`), in
    /// nanoseconds.
    pub ends_boot_ns: u64,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
    /// How long it is, in milliseconds.
    pub length_ms: u64,
}

/// What the clocks say.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// This boot.
    pub boot: &'a str,
    /// The clock that counts from it on, in nanoseconds.
    pub boot_ns: u64,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

impl Trial {
    /// How long it has left, in milliseconds; `None` when its time is up.
    ///
    /// In the boot in which it began only the clock of that boot counts: nobody sets it. After another boot there is only the
    /// calendar, and it is believed as far as it says that some of the time is left. A calendar that has gone back, as of a
    /// machine without a battery, says nothing: then the time is up, because what nobody has confirmed must not stay.
    #[must_use]
    pub fn left(&self, now: Now<'_>) -> Option<u64> {
        let left = if now.boot == self.boot {
            self.ends_boot_ns.saturating_sub(now.boot_ns).div_ceil(1_000_000)
        } else {
            let gone = now.unix_ms.checked_sub(self.began_ms)?;
            self.length_ms.saturating_sub(gone)
        };
        (left > 0).then(|| left.min(self.length_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::{Now, Trial};
    use alloc::string::String;

    const MINUTE: u64 = 60_000;
    const BEGAN: u64 = 1_767_225_600_000;

    fn left(boot: &str, boot_ms: u64, unix_ms: u64) -> Option<u64> {
        let boot_ns = |ms: u64| ms * 1_000_000;
        let trial = Trial {
            boot: String::from("a"),
            ends_boot_ns: boot_ns(15 * MINUTE),
            began_ms: BEGAN,
            length_ms: 5 * MINUTE,
        };
        trial.left(Now { boot, boot_ns: boot_ns(boot_ms), unix_ms })
    }

    #[test]
    fn in_one_boot_the_calendar_says_nothing() {
        for unix_ms in [0, BEGAN - MINUTE, BEGAN, BEGAN + 60 * MINUTE, u64::MAX] {
            assert_eq!(left("a", 10 * MINUTE, unix_ms), Some(5 * MINUTE));
            assert_eq!(left("a", 15 * MINUTE - 1, unix_ms), Some(1));
            assert_eq!(left("a", 15 * MINUTE, unix_ms), None);
        }
    }

    #[test]
    fn after_another_boot_the_calendar_is_believed_as_long_as_it_goes_on() {
        assert_eq!(left("b", 0, BEGAN + 2 * MINUTE), Some(3 * MINUTE));
        assert_eq!(left("b", 15 * MINUTE, BEGAN + 2 * MINUTE), Some(3 * MINUTE), "another clock");
        assert_eq!(left("b", 0, BEGAN + 5 * MINUTE), None);
        assert_eq!(left("b", 0, BEGAN - 1), None, "it has gone back");
        assert_eq!(left("b", 0, 0), None, "a machine without a battery");
        assert_eq!(left("b", 0, u64::MAX), None);
    }
}
