//! The outputs of a relay, in a plan and in a table. Both are copied whole for each change, and again for whoever looks at the
//! node: copies share what is most of it, and two of the same are equal without a look.

use crate::plan::Output;
use alloc::{sync::Arc, vec::Vec};
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The outputs of a relay. Who changes them has their own from then on.
#[derive(Clone)]
pub struct Outputs<T = Output>(Arc<Shared<T>>);

/// What copies share.
struct Shared<T> {
    all: Vec<T>,
    /// What was found out about all of them; 0 as long as nobody has looked.
    found: AtomicU8,
}

/// Somebody has looked.
const LOOKED: u8 = 1;
/// All are on one link.
const ON_ONE_LINK: u8 = 2;
/// All lead to groups.
const TO_GROUPS: u8 = 4;

impl Outputs {
    /// The links that they are on, in their order; one that follows on itself may be named once. Mostly there is one, and so many
    /// relays that nobody wants to go through all their outputs for it.
    pub fn links(&self) -> impl Iterator<Item = &str> {
        let n = if self.found() & ON_ONE_LINK == 0 { self.len() } else { 1 };
        self.iter().take(n).map(|output| output.interface.as_str())
    }

    /// Whether none of them leads to a host.
    #[must_use]
    pub fn lead_to_groups(&self) -> bool {
        self.found() & TO_GROUPS != 0
    }

    fn found(&self) -> u8 {
        let known = self.0.found.load(Relaxed);
        if known != 0 {
            return known;
        }
        let on_one_link = self.windows(2).all(|pair| pair[0].interface == pair[1].interface);
        let to_groups = self.iter().all(|output| output.destination.is_multicast());
        let found = LOOKED | if on_one_link { ON_ONE_LINK } else { 0 } | if to_groups { TO_GROUPS } else { 0 };
        self.0.found.store(found, Relaxed);
        found
    }
}

impl<T: Clone> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self::from(self.all.clone())
    }
}

impl<T> From<Vec<T>> for Shared<T> {
    fn from(all: Vec<T>) -> Self {
        Self { all, found: AtomicU8::new(0) }
    }
}

impl<T> Default for Outputs<T> {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl<T: PartialEq> PartialEq for Outputs<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.all == other.0.all
    }
}

impl<T: Eq> Eq for Outputs<T> {}

impl<T: fmt::Debug> fmt::Debug for Outputs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.all.fmt(f)
    }
}

impl<T> Deref for Outputs<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0.all
    }
}

impl<T: Clone> DerefMut for Outputs<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        let shared = Arc::make_mut(&mut self.0);
        *shared.found.get_mut() = 0;
        &mut shared.all
    }
}

impl<T> From<Vec<T>> for Outputs<T> {
    fn from(outputs: Vec<T>) -> Self {
        Self(Arc::new(outputs.into()))
    }
}

impl<T> FromIterator<T> for Outputs<T> {
    fn from_iter<I: IntoIterator<Item = T>>(outputs: I) -> Self {
        Vec::from_iter(outputs).into()
    }
}

impl<'a, T> IntoIterator for &'a Outputs<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::Outputs;
    use crate::entry::Vlans;
    use crate::plan::{Output, Source};
    use alloc::{string::String, vec::Vec};

    fn output(port: u16) -> Output {
        Output {
            interface: String::from("out"),
            vlans: Vlans::Keep,
            destination: "239.2.1.1".parse().unwrap(),
            port: port.try_into().unwrap(),
            ttl: None,
            dscp: None,
            source: Source::Keep,
            source_port: None,
        }
    }

    #[test]
    fn what_was_found_out_is_found_out_anew_of_others() {
        let mut outputs: Outputs = [1, 2, 3].map(output).into_iter().collect();
        assert_eq!((outputs.links().collect::<Vec<_>>(), outputs.lead_to_groups()), (["out"].into(), true));
        let before = outputs.clone();
        outputs[2].interface = "other".into();
        outputs[1].destination = "10.0.0.1".parse().unwrap();
        assert_eq!((outputs.links().last(), outputs.lead_to_groups()), (Some("other"), false));
        assert_eq!((before.links().count(), before.lead_to_groups()), (1, true));
        outputs.clear();
        assert_eq!((outputs.links().count(), outputs.lead_to_groups()), (0, true));
    }

    #[test]
    fn a_copy_shares_them_until_it_is_changed() {
        let outputs: Outputs = [1, 2].map(output).into_iter().collect();
        let mut copy = outputs.clone();
        assert!(core::ptr::eq(&raw const *outputs, &raw const *copy));
        copy.truncate(1);
        assert_eq!((outputs.len(), copy.len()), (2, 1));
        assert_ne!(outputs, copy);
        assert_eq!(outputs[..1].iter().cloned().collect::<Outputs>(), copy);
    }
}
