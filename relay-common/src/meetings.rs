//! Outputs of several relays that leave alike: who receives one receives the other, and cannot tell them apart.
//!
//! It may be wanted (one of two relays sends at any time), so it is no error; but mostly a group was typed twice, and a
//! decoder shows what two streams in one make.

use crate::circles::{Wire, sent};
use crate::plan::{Output, Relay, Source};
use alloc::{collections::BTreeMap, vec::Vec};

/// An output that meets another relay's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Meeting {
    /// The number of its relay.
    pub relay: usize,
    /// Its number among that relay's outputs.
    pub output: usize,
    /// The number of the other relay.
    pub other: usize,
}

/// Finds the outputs of relays that send, and for each the first other relay of which an output has the same link, tags,
/// destination, port and `source`. What a source comes to is not looked at: one that is kept meets nobody, and a link's own
/// address only itself.
#[must_use]
pub fn meetings(relays: &[Relay]) -> Vec<Meeting> {
    let mut there: BTreeMap<(Wire<'_>, Source), Vec<(usize, usize)>> = BTreeMap::new();
    for (number, relay) in relays.iter().enumerate().filter(|(_, relay)| sends(relay)) {
        for (i, output) in relay.outputs.iter().enumerate().filter(|(_, output)| output.source != Source::Keep) {
            there.entry((sent(relay, output), output.source)).or_default().push((number, i));
        }
    }
    let mut meetings = Vec::new();
    for those in there.values() {
        for &(relay, output) in those {
            let other = those.iter().find(|(other, _)| *other != relay);
            meetings.extend(other.map(|&(other, _)| Meeting { relay, output, other }));
        }
    }
    meetings.sort_unstable();
    meetings
}

/// Those of one relay, found without looking at all pairs.
#[must_use]
pub fn meetings_of(relays: &[Relay], relay: usize) -> Vec<Meeting> {
    let Some(one) = relays.get(relay).filter(|one| sends(one)) else { return Vec::new() };
    let others = || relays.iter().enumerate().filter(|(other, of)| *other != relay && sends(of));
    let outputs = one.outputs.iter().enumerate().filter(|(_, output)| output.source != Source::Keep);
    let met = |(output, mine): (usize, &Output)| {
        let same =
            |of: &Relay| of.outputs.iter().any(|its| its.source == mine.source && sent(of, its) == sent(one, mine));
        let (other, _) = others().find(|(_, of)| same(of))?;
        Some(Meeting { relay, output, other })
    };
    outputs.filter_map(met).collect()
}

fn sends(relay: &Relay) -> bool {
    relay.enabled && !relay.muted
}

#[cfg(test)]
mod tests {
    use super::{Meeting, meetings, meetings_of};
    use crate::entry::Vlans;
    use crate::plan::{Definition, Input, Meters, Output, Relay, Source};
    use alloc::{string::ToString, vec, vec::Vec};
    use core::num::{NonZeroU8, NonZeroU16};

    fn output(port: u16) -> Output {
        Output {
            interface: "out0".to_string(),
            vlans: Vlans::Set { n: 0, ids: [0; 2] },
            destination: "239.2.1.1".parse().unwrap(),
            port: NonZeroU16::new(port).unwrap(),
            ttl: NonZeroU8::new(16),
            dscp: None,
            source: Source::Link,
            source_port: None,
        }
    }

    fn relay(name: &str, ports: &[u16]) -> Relay {
        Relay::from(Definition {
            name: name.to_string(),
            description: alloc::string::String::new(),
            labels: Default::default(),
            enabled: true,
            muted: false,
            silence_after_ms: None,
            meters: Meters::Full,
            input: Input {
                interface: "in0".to_string(),
                vlans: [0; 2],
                destination: "239.1.1.1".parse().unwrap(),
                port: NonZeroU16::new(5000).unwrap(),
                sources: Vec::new(),
            },
            outputs: ports.iter().map(|port| output(*port)).collect(),
        })
    }

    /// Two relays that both send to port 2.
    fn two() -> Vec<Relay> {
        vec![relay("a", &[1, 2]), relay("b", &[2, 3])]
    }

    fn met(change: impl FnOnce(&mut Relay)) -> usize {
        let mut relays = two();
        change(&mut relays[1]);
        let met = meetings(&relays);
        assert_eq!((0..2).flat_map(|relay| meetings_of(&relays, relay)).collect::<Vec<_>>(), met);
        met.len()
    }

    #[test]
    fn both_are_told_of_the_other() {
        let expected = [Meeting { relay: 0, output: 1, other: 1 }, Meeting { relay: 1, output: 0, other: 0 }];
        assert_eq!(meetings(&two()), expected);
    }

    #[test]
    fn of_many_each_is_told_of_one() {
        let relays: Vec<Relay> = ["a", "b", "c"].iter().map(|name| relay(name, &[7])).collect();
        let met = meetings(&relays);
        assert_eq!(met.iter().map(|meeting| meeting.other).collect::<Vec<_>>(), [1, 0, 0]);
        assert_eq!((0..4).flat_map(|relay| meetings_of(&relays, relay)).collect::<Vec<_>>(), met);
    }

    #[test]
    fn what_can_be_told_apart_or_does_not_send_meets_nobody() {
        assert_eq!(met(|_| ()), 2);
        assert_eq!(met(|b| b.muted = true), 0);
        assert_eq!(met(|b| b.enabled = false), 0);
        assert_eq!(met(|b| b.outputs[0].interface = "out1".to_string()), 0);
        assert_eq!(met(|b| b.outputs[0].destination = "239.2.1.2".parse().unwrap()), 0);
        assert_eq!(met(|b| b.outputs[0].vlans = Vlans::Set { n: 1, ids: [7, 0] }), 0);
        assert_eq!(met(|b| b.outputs[0].source = Source::Address("10.0.0.9".parse().unwrap())), 0);
        assert_eq!(met(|b| b.outputs[0].source = Source::Keep), 0);
        assert_eq!(met(|b| b.outputs[0].vlans = Vlans::Keep), 2, "untagged comes in, untagged goes out");
        assert_eq!(met(|b| b.outputs[0].ttl = NonZeroU8::new(1)), 2);
    }
}
