//! Relays that share a group and port, told apart by their sources.

use super::*;
use crate::lane::fixtures::table_of;

/// Two relays with one key, each with a source of its own; they send to 239.2.2.1 and 239.2.2.2 on a link each.
fn lab() -> Lab {
    let mut lab = Lab::new(&[], &[16, 16]);
    let relay = |counter, last| (key(5000, false), vec![output(counter, u16::from(last) - 1, last)]);
    let mut table = table_of(&[relay(0, 1), relay(1, 2)]);
    for (entry, last) in table.entries.iter_mut().zip(1..) {
        entry.first_source = u32::try_from(table.sources.len()).unwrap();
        entry.n_sources = 1;
        table.sources.push(Address::v4([10, 0, 0, last]));
    }
    relay_common::table::image::write(&table, lab.image.as_mut_bytes());
    lab
}

fn from(last: u8) -> Recipe {
    Recipe { source: std::net::IpAddr::from([10, 0, 0, last]), ..Recipe::default() }
}

#[test]
fn no_stamp_leads_to_the_other_relay() {
    let stamp = |slot| Stamp { magic: Stamp::MAGIC, slot, time_ns: NOW };
    for stamp in [stamp(0), stamp(1), stamp(2), stamp(7), Stamp::NONE] {
        let mut lab = lab();
        for last in [1, 2] {
            lab.receive(&from(last).bytes(), stamp);
        }
        lab.forward();
        lab.commit();
        for (link, slot, last) in [(0, 0, 1), (1, 1, 2)] {
            assert_eq!(lab.sent(link), [rewritten(&from(last), last)], "{stamp:?}");
            assert_eq!(lab.counters.get_relay(slot, relay_common::counters::relay::PACKETS), 1);
        }
        let hits = u64::from(stamp.magic == Stamp::MAGIC && stamp.slot < 2);
        assert_eq!(lab.counters.get(LaneCounter::StampHits), hits);
    }
}

#[test]
fn a_source_that_nobody_names_belongs_to_nobody() {
    let mut lab = lab();
    lab.receive(&from(3).bytes(), Stamp { magic: Stamp::MAGIC, slot: 1, time_ns: NOW });
    lab.forward();
    assert_eq!(lab.counters.get_dropped(Drop::NoRelay), 1);
    assert!(lab.sent(0).is_empty() && lab.sent(1).is_empty());
}
