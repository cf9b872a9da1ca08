//! The outputs of a relay, in a plan and in a table. Both are copied whole for each change, and again for whoever looks at the
//! node: copies share what is most of it, and two of the same are equal without a look.

use crate::plan::Output;
use alloc::{sync::Arc, vec::Vec};
use core::ops::{Deref, DerefMut};

/// The outputs of a relay. Who changes them has their own from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs<T = Output>(Arc<Vec<T>>);

impl<T> Deref for Outputs<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Clone> DerefMut for Outputs<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> From<Vec<T>> for Outputs<T> {
    fn from(outputs: Vec<T>) -> Self {
        Self(Arc::new(outputs))
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
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::Outputs;
    use crate::entry::Vlans;
    use crate::plan::{Output, Source};
    use alloc::string::String;

    #[test]
    fn a_copy_shares_them_until_it_is_changed() {
        let output = |port: u16| Output {
            interface: String::from("out"),
            vlans: Vlans::Keep,
            destination: "239.2.1.1".parse().unwrap(),
            port: port.try_into().unwrap(),
            ttl: None,
            dscp: None,
            source: Source::Keep,
            source_port: None,
        };
        let outputs: Outputs = [1, 2].map(output).into_iter().collect();
        let mut copy = outputs.clone();
        assert!(core::ptr::eq(&raw const *outputs, &raw const *copy));
        copy.truncate(1);
        assert_eq!((outputs.len(), copy.len()), (2, 1));
        assert_ne!(outputs, copy);
        assert_eq!(outputs[..1].iter().cloned().collect::<Outputs>(), copy);
    }
}
