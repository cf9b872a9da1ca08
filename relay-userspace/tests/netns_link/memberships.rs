//! Groups are joined as the kernel shows them.

use crate::wire::Wire;
use bench::clock::monotonic_ns;
use relay_control::membership::{Limits, Memberships};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// What the kernel of the calling thread's namespace says of a file below `/proc/net`.
fn proc_net(file: &str) -> String {
    std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap()
}

/// The groups of a link, of both families, without those that the kernel joins by itself.
fn joined(link: &str) -> BTreeSet<IpAddr> {
    let mut groups = BTreeSet::new();
    let mut of_link = false;
    for line in proc_net("igmp").lines().skip(1) {
        if line.starts_with('\t') {
            let word = line.split_whitespace().next().unwrap();
            let group = Ipv4Addr::from(u32::from_str_radix(word, 16).unwrap().swap_bytes());
            if of_link && group.octets()[0] == 239 {
                groups.insert(IpAddr::V4(group));
            }
        } else {
            of_link = line.split_whitespace().nth(1) == Some(link);
        }
    }
    for line in proc_net("igmp6").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let group = Ipv6Addr::from(u128::from_str_radix(words[2], 16).unwrap());
        if words[1] == link && group.segments()[0] == 0xff3e {
            groups.insert(IpAddr::V6(group));
        }
    }
    groups
}

/// The sources that a link includes, by group.
fn included(link: &str) -> BTreeMap<IpAddr, BTreeSet<IpAddr>> {
    let mut included = BTreeMap::<IpAddr, BTreeSet<IpAddr>>::new();
    let v4 = |word: &str| IpAddr::from(Ipv4Addr::from(u32::from_str_radix(word.trim_start_matches("0x"), 16).unwrap()));
    let v6 = |word: &str| IpAddr::from(Ipv6Addr::from(u128::from_str_radix(word, 16).unwrap()));
    let mut read = |text: &str, skip: usize, parse: &dyn Fn(&str) -> IpAddr| {
        for line in text.lines().skip(skip) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words[1] == link && words[4] != "0" {
                included.entry(parse(words[2])).or_default().insert(parse(words[3]));
            }
        }
    };
    read(&proc_net("mcfilter"), 1, &v4);
    read(&proc_net("mcfilter6"), 1, &v6);
    included
}

fn group(n: u16) -> IpAddr {
    let [high, low] = n.to_be_bytes();
    IpAddr::from([239, 7, high, low])
}

fn group6(n: u16) -> IpAddr {
    IpAddr::from([0xff3e, 0, 0, 0, 0, 0, 7, n])
}

fn sources(range: std::ops::Range<u8>) -> Vec<IpAddr> {
    range.map(|n| IpAddr::from([192, 0, 2, n])).collect()
}

fn sources6(range: std::ops::Range<u16>) -> Vec<IpAddr> {
    range.map(|n| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n])).collect()
}

fn set(sources: Vec<IpAddr>) -> BTreeSet<IpAddr> {
    sources.into_iter().collect()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn hundreds_of_groups_are_joined_and_left() {
    let wire = Wire::new();
    let ifindex = wire.ifindex();
    wire.inside(async {
        let mut memberships = Memberships::default();
        let all: BTreeSet<IpAddr> = (0..300).map(group).chain((0..300).map(group6)).collect();
        for group in &all {
            memberships.join(ifindex, *group, &[]).unwrap();
            memberships.join(ifindex, *group, &[]).unwrap(); // once more is no change
        }
        assert_eq!(joined("in0"), all);
        let n_sockets = memberships.fds().count();
        assert_eq!(n_sockets, 2 * 300_usize.div_ceil(Limits::read().groups));
        assert_eq!(memberships.held().len(), 600);
        for n in 0..150 {
            memberships.leave(ifindex, group(n));
            memberships.leave(ifindex, group6(n));
        }
        assert_eq!(joined("in0"), (150..300).map(group).chain((150..300).map(group6)).collect());
        for n in 300..450 {
            memberships.join(ifindex, group(n), &[]).unwrap();
        }
        assert_eq!(memberships.fds().count(), n_sockets, "room that was left is used again");
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_kernels_own_refusal_is_heeded_too() {
    let wire = Wire::new();
    let ifindex = wire.ifindex();
    wire.inside(async {
        let mut memberships = Memberships::new(Limits { groups: 1000, sources_v4: 1000, sources_v6: 1000 });
        for n in 0..100 {
            memberships.join(ifindex, group(n), &[]).unwrap();
        }
        memberships.join(ifindex, group(500), &sources(0..33)).unwrap();
        memberships.join(ifindex, group6(500), &sources6(0..150)).unwrap();
        assert_eq!(joined("in0").len(), 102);
        let included = included("in0");
        assert_eq!(included[&group(500)], set(sources(0..33)));
        assert_eq!(included[&group6(500)], set(sources6(0..150)));
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn sources_change_in_every_direction() {
    let wire = Wire::new();
    let ifindex = wire.ifindex();
    wire.inside(async {
        let mut memberships = Memberships::default();
        let mut step = |group: IpAddr, sources: Vec<IpAddr>| {
            memberships.join(ifindex, group, &sources).unwrap();
            assert!(joined("in0").contains(&group));
            let wanted = set(sources);
            assert_eq!(included("in0").remove(&group).unwrap_or_default(), wanted);
            assert_eq!(memberships.held().len(), 1);
            assert_eq!(set(memberships.held().remove(0).sources), wanted);
        };
        for range in [0..3, 2..5, 0..25, 20..45, 44..45, 100..110, 110..120, 0..0, 0..0, 7..8] {
            step(group(1), sources(range));
        }
        let mut memberships = Memberships::default();
        for range in [0..3, 2..100, 90..200, 0..0, 7..8] {
            memberships.join(ifindex, group6(1), &sources6(range.clone())).unwrap();
            assert_eq!(included("in0").remove(&group6(1)).unwrap_or_default(), set(sources6(range)));
        }
        memberships.leave(ifindex, group6(1));
        assert!(!joined("in0").contains(&group6(1)));
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_group_that_stays_is_never_left_in_between() {
    let wire = Wire::new();
    let ifindex = wire.ifindex();
    let mut memberships = wire.inside(async {
        let mut memberships = Memberships::default();
        memberships.join(ifindex, group(1), &[]).unwrap();
        memberships
    });
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            wire.inside(async {
                for round in 0..500 {
                    let sources = [sources(1..11), sources(10..20), vec![], sources(1..2)];
                    memberships.join(ifindex, group(1), &sources[round % 4]).unwrap();
                }
            });
        });
        wire.inside(async {
            let mut looks = 0;
            while !changes.is_finished() {
                assert!(joined("in0").contains(&group(1)), "the group was left after {looks} looks");
                looks += 1;
            }
            assert!(looks > 10, "only {looks} looks");
        });
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn groups_outlive_a_link_that_is_down_and_are_joined_anew_on_one_that_is_new() {
    let wire = Wire::new();
    let ifindex = wire.ifindex();
    wire.inside(async {
        let mut memberships = Memberships::default();
        let all: BTreeSet<IpAddr> = (0..30).map(group).chain((0..30).map(group6)).collect();
        let join_all = |memberships: &mut Memberships, ifindex| {
            for group in &all {
                memberships.join(ifindex, *group, &[]).unwrap();
            }
            memberships.join(ifindex, group(99), &sources(0..15)).unwrap();
        };
        join_all(&mut memberships, ifindex);
        let with_named: BTreeSet<IpAddr> = all.iter().copied().chain([group(99)]).collect();

        wire.near_ip(&["link", "set", "in0", "down"]);
        wire.near_ip(&["link", "set", "in0", "up"]);
        assert_eq!(joined("in0"), with_named, "the kernel keeps them over down and up");

        wire.near_ip(&["link", "delete", "in0"]);
        wire.plug();
        let fresh = wire.ifindex();
        assert_ne!(fresh, ifindex);
        assert_eq!(joined("in0"), BTreeSet::new(), "the kernel forgets them with the link");
        let n_sockets = memberships.fds().count();
        // As a change of the table does it: join with the new index, leave with the old one.
        join_all(&mut memberships, fresh);
        with_named.iter().for_each(|group| memberships.leave(ifindex, *group));
        assert_eq!(joined("in0"), with_named);
        assert_eq!(included("in0")[&group(99)], set(sources(0..15)));
        assert!(memberships.held().iter().all(|held| held.ifindex == fresh));
        for n in 200..230 {
            memberships.join(fresh, group(n), &[]).unwrap();
            memberships.join(fresh, group6(n), &[]).unwrap();
        }
        assert!(memberships.fds().count() <= 2 * n_sockets, "the places on the old link are free again");
        assert_eq!(joined("in0").len(), with_named.len() + 60);
    });
}

/// Ten times what it takes, debug build and busy machine included: it was minutes when each join looked at all others.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn each_of_ten_thousand_groups_is_joined_as_fast_as_the_first() {
    let wire = Wire::new();
    let ifindex = wire.ifindex();
    wire.inside(async {
        let mut memberships = Memberships::default();
        let started = monotonic_ns();
        for (n, limit) in [(4096, 10), (10_000, 30)] {
            for n in memberships.held().len()..n {
                memberships.join(ifindex, group(u16::try_from(n).unwrap()), &[]).unwrap();
            }
            let took = Duration::from_nanos(monotonic_ns() - started);
            println!("{n} groups are joined after {took:?}");
            assert!(took.as_secs() < limit, "{n} groups took {took:?}");
        }
        assert_eq!(joined("in0").len(), 10_000);
    });
}
