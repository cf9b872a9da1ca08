//! What the XDP program decides, without the kernel's maps: there is one relay.

use crate::case::Case;
use crate::packets::{self, IFINDEX};
use bench::packet::Vlan;
use relay_common::abi::{InputKey, InputValue, MacKey, SourceKey};
use relay_common::datagram::Datagram;
use relay_common::decide::{Groups, Verdict, decide};
use std::hint::black_box;

pub(crate) fn cases() -> Vec<Case> {
    let two_tags = packets::v4(&[Vlan::service(200), Vlan::new(100)]);
    vec![
        case("decide v4", packets::v4(&[]), Relay::of, Verdict::Ours),
        case("decide v4, not ours", packets::v4(&[]), Relay::of_another_port, Verdict::NotOurs),
        case("decide v4, a named source", packets::v4(&[]), Relay::of_its_source, Verdict::Ours),
        case("decide v6", packets::v6(), Relay::of, Verdict::Ours),
        case("decide two tags", two_tags, Relay::of, Verdict::Ours),
    ]
}

fn case(name: &str, frame: Vec<u8>, relay: fn(&Datagram) -> Relay, expected: Verdict) -> Case {
    Case::of_packet(name, move || {
        let frame = frame.clone();
        let relay = relay(&Datagram::parse(&frame[..]).expect("a datagram"));
        assert_eq!(decide(&frame[..], IFINDEX, 0, &relay).verdict, expected);
        move || {
            black_box(decide(&black_box(&frame)[..], IFINDEX, 0, black_box(&relay)));
        }
    })
}

/// What lies in the kernel's maps: one input, a source if the relay names one, and no hardware address.
struct Relay {
    key: InputKey,
    source: Option<SourceKey>,
}

impl Relay {
    const SLOT: u32 = 1;

    fn of(datagram: &Datagram) -> Self {
        Self { key: datagram.key(IFINDEX), source: None }
    }

    fn of_another_port(datagram: &Datagram) -> Self {
        let key = datagram.key(IFINDEX);
        Self { key: InputKey { port: key.port + 1, ..key }, source: None }
    }

    fn of_its_source(datagram: &Datagram) -> Self {
        let relay = Self::of(datagram);
        Self { source: Some(SourceKey { input: relay.key, source: datagram.source }), ..relay }
    }
}

impl Groups for Relay {
    fn input(&self, key: &InputKey) -> Option<InputValue> {
        let has_sources = u32::from(self.source.is_some());
        (*key == self.key).then_some(InputValue { slot: Self::SLOT, has_sources, socket_base: 0, n_queues: 1 })
    }

    fn source(&self, key: &SourceKey) -> Option<u32> {
        (self.source.as_ref() == Some(key)).then_some(Self::SLOT)
    }

    fn own_mac(&self, _: &MacKey) -> bool {
        false
    }
}
