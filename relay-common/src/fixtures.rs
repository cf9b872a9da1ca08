//! The one table of frames and what becomes of them. A test here runs it through [`decide`](crate::decide::decide);
//! another runs the same table through the program in the kernel.

mod recipe;

pub use recipe::{Recipe, extension};

use crate::abi::{Address, InputKey, InputValue, MacKey, SourceKey};
use crate::decide::{Decision, Groups, Verdict};
use crate::wire::vlan::{CUSTOMER, OLD_SERVICE, SERVICE};
use alloc::{format, string::String, vec, vec::Vec};
use core::net::IpAddr;

/// The link that the relays listen on. A test in the kernel gives a link of its own this index.
pub const LINK: u32 = 7001;
/// A link that no relay listens on.
pub const OTHER_LINK: u32 = 7002;
/// Queues that the links have.
pub const N_QUEUES: u32 = 2;
/// Where the link's queues begin in the socket map.
pub const SOCKET_BASE: u32 = 64;
/// Our own hardware address.
pub const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xaa];

/// One frame and what becomes of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What the frame is.
    pub name: String,
    /// Its bytes.
    pub frame: Vec<u8>,
    /// The link it comes in on.
    pub ifindex: u32,
    /// The queue it comes in on.
    pub queue: u32,
    /// What is decided about it.
    pub expected: Decision,
}

/// What is wanted, as a list.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// The map `INPUTS`.
    pub inputs: Vec<(InputKey, InputValue)>,
    /// The map `SOURCES`.
    pub sources: Vec<(SourceKey, u32)>,
    /// The map `OWN_MACS`.
    pub own_macs: Vec<MacKey>,
}

impl Groups for Lists {
    fn input(&self, key: &InputKey) -> Option<InputValue> {
        self.inputs.iter().find(|(wanted, _)| wanted == key).map(|(_, value)| *value)
    }

    fn source(&self, key: &SourceKey) -> Option<u32> {
        self.sources.iter().find(|(wanted, _)| wanted == key).map(|(_, slot)| *slot)
    }

    fn own_mac(&self, key: &MacKey) -> bool {
        self.own_macs.contains(key)
    }
}

/// The relays that all cases are decided with.
#[must_use]
pub fn groups() -> Lists {
    let mut lists = Lists { own_macs: vec![MacKey { mac: OWN_MAC, zero: [0; 2] }], ..Lists::default() };
    let mut relay = |slot, destination: &str, port, vlans, sources: &[&str], n_queues| {
        let key = InputKey { ifindex: LINK, destination: address(destination), port, vlans, zero: 0 };
        let has_sources = u32::from(!sources.is_empty());
        let any = if has_sources == 0 { slot } else { 0 };
        let value = InputValue { slot: any, has_sources, socket_base: SOCKET_BASE, n_queues };
        if !lists.inputs.contains(&(key, value)) {
            lists.inputs.push((key, value));
        }
        let named = |source: &&str| (SourceKey { input: key, source: address(source) }, slot);
        lists.sources.extend(sources.iter().map(named));
    };
    relay(3, "239.1.2.3", 5000, [0, 0], &[], N_QUEUES);
    relay(4, "239.1.2.3", 5000, [100, 0], &[], N_QUEUES);
    relay(5, "239.1.2.3", 5000, [200, 100], &[], N_QUEUES);
    relay(6, "232.1.1.1", 5000, [0, 0], &["10.0.0.1", "10.0.0.2"], N_QUEUES);
    relay(7, "ff3e::1", 5000, [0, 0], &[], N_QUEUES);
    relay(8, "ff3e::2", 5000, [100, 0], &["fd00::1"], N_QUEUES);
    relay(9, "192.0.2.10", 6000, [0, 0], &[], N_QUEUES);
    relay(10, "239.9.9.9", 5000, [0, 0], &[], 1);
    // The same source for another relay only.
    relay(11, "232.1.1.2", 5000, [0, 0], &["10.0.0.3"], N_QUEUES);
    // Relays that share an input with another, from other sources.
    relay(12, "232.1.1.1", 5000, [0, 0], &["10.0.0.4"], N_QUEUES);
    relay(13, "ff3e::2", 5000, [100, 0], &["fd00::2", "fd00::3"], N_QUEUES);
    relay(14, "192.0.2.10", 6001, [0, 0], &["10.0.0.1"], N_QUEUES);
    relay(15, "192.0.2.10", 6001, [0, 0], &["10.0.0.2"], N_QUEUES);
    lists
}

/// All cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut table = Table(Vec::new());
    table.links_and_tags();
    table.v4();
    table.v6();
    table.lengths();
    table.others();
    table.0
}

struct Table(Vec<Case>);

impl Table {
    fn add(&mut self, name: impl Into<String>, frame: Vec<u8>, expected: Decision) -> &mut Case {
        self.0.push(Case { name: name.into(), frame, ifindex: LINK, queue: 0, expected });
        self.0.last_mut().expect("just added")
    }

    fn links_and_tags(&mut self) {
        let plain = || Recipe::to("239.1.2.3");
        let tagged = |tags: &[(u16, u16)]| Recipe { tags: tags.to_vec(), ..plain() }.bytes();
        self.add("untagged", plain().bytes(), ours(3, 0));
        let on_queue = self.add("on the second queue", plain().bytes(), ours(3, 1));
        on_queue.queue = 1;
        let beyond = self.add("on a queue without a place", Recipe::to("239.9.9.9").bytes(), only(Verdict::NoSocket));
        beyond.queue = 1;
        let elsewhere = self.add("on another link", plain().bytes(), only(Verdict::NotOurs));
        elsewhere.ifindex = OTHER_LINK;
        self.add("one tag", tagged(&[(CUSTOMER, 100)]), ours(4, 0));
        self.add("one tag with priority", tagged(&[(CUSTOMER, 0xb064)]), ours(4, 0));
        self.add("one service tag", tagged(&[(SERVICE, 100)]), ours(4, 0));
        self.add("one old service tag", tagged(&[(OLD_SERVICE, 100)]), ours(4, 0));
        self.add("another tag", tagged(&[(CUSTOMER, 101)]), only(Verdict::NotOurs));
        self.add("a priority tag", tagged(&[(CUSTOMER, 0xa000)]), ours(3, 0));
        self.add("two tags", tagged(&[(SERVICE, 200), (CUSTOMER, 100)]), ours(5, 0));
        self.add("two old tags", tagged(&[(OLD_SERVICE, 200), (CUSTOMER, 100)]), ours(5, 0));
        self.add("two tags the other way round", tagged(&[(SERVICE, 100), (CUSTOMER, 200)]), only(Verdict::NotOurs));
        self.add("a priority tag before a tag", tagged(&[(CUSTOMER, 0xa000), (CUSTOMER, 100)]), ours(4, 0));
        self.add("a priority tag behind a tag", tagged(&[(SERVICE, 100), (CUSTOMER, 0xa000)]), ours(4, 0));
        let three = tagged(&[(SERVICE, 200), (CUSTOMER, 100), (CUSTOMER, 100)]);
        self.add("three tags", three, only(Verdict::NotUdp));
        let own = Recipe { source_mac: OWN_MAC, ..plain() };
        self.add("from our own address", own.bytes(), only(Verdict::Loop));
        let own = Recipe { port: 5001, ..own };
        self.add("from our own address, no relay's", own.bytes(), only(Verdict::NotOurs));
    }

    fn v4(&mut self) {
        let plain = || Recipe::to("239.1.2.3");
        self.add("another port", Recipe { port: 5001, ..plain() }.bytes(), only(Verdict::NotOurs));
        self.add("another group", Recipe::to("239.1.2.4").bytes(), only(Verdict::NotOurs));
        self.add("to a host", Recipe { port: 6000, ..Recipe::to("192.0.2.10") }.bytes(), ours(9, 0));
        self.add("without a checksum", Recipe { checksum: false, ..plain() }.bytes(), ours(3, 0));
        self.add("with options", Recipe { options: vec![148, 4, 0, 0], ..plain() }.bytes(), ours(3, 0));
        self.add("with all options", Recipe { options: vec![1; 40], ..plain() }.bytes(), ours(3, 0));
        self.add("padded", Recipe { payload: vec![1, 2], padding: 16, ..plain() }.bytes(), ours(3, 0));
        self.add("an empty payload", Recipe { payload: vec![], ..plain() }.bytes(), ours(3, 0));
        self.add("UDP options", Recipe { surplus: vec![0; 8], ..plain() }.bytes(), ours(3, 0));
        self.add("jumbo", Recipe { payload: vec![7; 8948], ..plain() }.bytes(), ours(3, 0));
        self.add("first fragment", Recipe { fragment: 0x2000, ..plain() }.bytes(), only(Verdict::Fragment));
        self.add("later fragment", Recipe { fragment: 0x20b9, ..plain() }.bytes(), only(Verdict::Fragment));
        self.add("last fragment", Recipe { fragment: 0x00b9, ..plain() }.bytes(), only(Verdict::Fragment));
        let from = |source: &str| Recipe { source: ip(source), ..Recipe::to("232.1.1.1") }.bytes();
        self.add("a named source", from("10.0.0.1"), ours(6, 0));
        self.add("the other named source", from("10.0.0.2"), ours(6, 0));
        self.add("a source of another relay with this input", from("10.0.0.4"), ours(12, 0));
        self.add("another relay's source", from("10.0.0.3"), only(Verdict::WrongSource));
        let to_host = |source: &str| Recipe { source: ip(source), port: 6001, ..Recipe::to("192.0.2.10") }.bytes();
        self.add("to a host, from one relay's source", to_host("10.0.0.1"), ours(14, 0));
        self.add("to a host, from the other's", to_host("10.0.0.2"), ours(15, 0));
        self.add("to a host, from nobody's", to_host("10.0.0.3"), only(Verdict::WrongSource));
        self.add("no relay's source", from("10.9.9.9"), only(Verdict::WrongSource));
        self.add("IPv4 header checksum wrong", patched(&plain(), 24, &[0xde, 0xad]), ours(3, 0));
        self.add("a version that is not 4", patched(&plain(), 14, &[0x55]), only(Verdict::Malformed));
        self.add("a header of 16 bytes", patched(&plain(), 14, &[0x44]), only(Verdict::Malformed));
        self.add("total length below the header", patched(&plain(), 16, &[0, 19]), only(Verdict::Malformed));
        self.add("total length below UDP", patched(&plain(), 16, &[0, 27]), only(Verdict::Malformed));
        self.add("total length past the frame", patched(&plain(), 16, &[0, 217]), only(Verdict::Malformed));
        self.add("total length huge", patched(&plain(), 16, &[0xff, 0xff]), only(Verdict::Malformed));
    }

    fn v6(&mut self) {
        let plain = || Recipe::to("ff3e::1");
        let with = |extensions: &[(u8, usize)]| {
            let extensions = extensions.iter().map(|(number, eights)| (*number, extension(*eights))).collect();
            Recipe { extensions, ..plain() }
        };
        self.add("IPv6", plain().bytes(), ours(7, 0));
        let tagged = Recipe { tags: vec![(CUSTOMER, 100)], ..Recipe::to("ff3e::2") };
        self.add("IPv6, tagged, a named source", tagged.bytes(), ours(8, 0));
        let other = Recipe { source: ip("fd00::3"), ..tagged.clone() };
        self.add("IPv6, tagged, a source of another relay", other.bytes(), ours(13, 0));
        let wrong = Recipe { source: ip("fd00::9"), ..tagged };
        self.add("IPv6, tagged, another source", wrong.bytes(), only(Verdict::WrongSource));
        self.add("IPv6, another port", Recipe { port: 5001, ..plain() }.bytes(), only(Verdict::NotOurs));
        self.add("IPv6, another group", Recipe::to("ff3e::3").bytes(), only(Verdict::NotOurs));
        self.add("IPv6, no checksum", Recipe { checksum: false, ..plain() }.bytes(), ours(7, 0));
        self.add("hop-by-hop options", with(&[(0, 1)]).bytes(), ours(7, 0));
        self.add("destination options", with(&[(60, 3)]).bytes(), ours(7, 0));
        self.add("four extensions", with(&[(0, 1), (60, 2), (43, 1), (60, 1)]).bytes_visited(), ours(7, 0));
        let longest = with(&[(0, 4), (60, 4)]);
        let header = longest.bytes().len() - longest.payload.len();
        assert_eq!(header, 126, "two bytes below the limit: extensions come in eights");
        self.add("the longest header", longest.bytes(), ours(7, 0));
        self.add("a longer header", with(&[(0, 4), (60, 5)]).bytes(), only(Verdict::LongHeader));
        self.add("the longest extension", with(&[(60, 32)]).bytes(), only(Verdict::LongHeader));
        let five = with(&[(0, 1), (60, 1), (60, 1), (60, 1), (60, 1)]);
        self.add("five extensions", five.bytes(), only(Verdict::LongHeader));
        let routed = Recipe { extensions: vec![(43, vec![0, 4, 1, 0, 0, 0, 0])], ..plain() };
        self.add("source routing under way", routed.bytes(), only(Verdict::NotUdp));
        let fragment = Recipe { extensions: vec![(44, vec![0, 0, 1, 0, 0, 0, 1])], ..plain() };
        self.add("IPv6 fragment", fragment.bytes(), only(Verdict::Fragment));
        let later = Recipe { extensions: vec![(0, extension(1)), (44, vec![0, 5, 0xa8, 0, 0, 0, 1])], ..plain() };
        self.add("IPv6 fragment behind options", later.bytes(), only(Verdict::Fragment));
        let authenticated = Recipe { extensions: vec![(51, vec![4; 23])], ..plain() };
        self.add("authentication", authenticated.bytes(), only(Verdict::NotUdp));
        self.add("a version that is not 6", patched(&plain(), 14, &[0x4b]), only(Verdict::Malformed));
        self.add("IPv6 payload past the frame", patched(&plain(), 18, &[0, 197]), only(Verdict::Malformed));
        self.add("IPv6 payload below UDP", patched(&plain(), 18, &[0, 7]), only(Verdict::Malformed));
        self.add("a jumbogram", patched(&plain(), 18, &[0, 0]), only(Verdict::NotUdp));
    }

    /// UDP lengths, and frames that end too early.
    fn lengths(&mut self) {
        let v4 = Recipe { tags: vec![(CUSTOMER, 100)], options: vec![1; 8], ..Recipe::to("239.1.2.3") };
        self.add("UDP length 7", patched(&v4, 50, &[0, 7]), only(Verdict::Malformed));
        self.add("UDP length 0", patched(&v4, 50, &[0, 0]), only(Verdict::Malformed));
        self.add("UDP length past IP", patched(&v4, 50, &[0, 197]), only(Verdict::Malformed));
        self.add("UDP length before the end of IP", patched(&v4, 50, &[0, 195]), ours(4, 0));
        let v6 = Recipe { extensions: vec![(0, extension(1))], ..Recipe::to("ff3e::1") };
        for (family, recipe, link_len) in [("IPv4", v4, 18), ("IPv6", v6, 14)] {
            let whole = recipe.bytes();
            for len in 14..whole.len().min(120) {
                let verdict = if len < link_len { Verdict::NotUdp } else { Verdict::Malformed };
                self.add(format!("{family} cut after {len} bytes"), whole[..len].to_vec(), only(verdict));
            }
            let all_but_one = whole[..whole.len() - 1].to_vec();
            self.add(format!("{family} without its last byte"), all_but_one, only(Verdict::Malformed));
        }
    }

    /// What lives on a link beside us and must reach the kernel.
    fn others(&mut self) {
        let protocol = |protocol| Recipe { protocol, ..Recipe::to("239.1.2.3") }.bytes();
        self.add("TCP", protocol(6), only(Verdict::NotUdp));
        self.add("IGMP", protocol(2), only(Verdict::NotUdp));
        self.add("PIM", protocol(103), only(Verdict::NotUdp));
        self.add("a fragment of TCP", Recipe { protocol: 6, fragment: 0x2000, ..Recipe::default() }.bytes(), {
            only(Verdict::NotUdp)
        });
        let mld = Recipe { protocol: 58, extensions: vec![(0, extension(1))], ..Recipe::to("ff02::16") };
        self.add("MLD", mld.bytes(), only(Verdict::NotUdp));
        self.add("ND", Recipe { protocol: 58, ..Recipe::to("ff02::1:ff00:1") }.bytes(), only(Verdict::NotUdp));
        for (name, ether_type) in [("ARP", 0x0806_u16), ("LLDP", 0x88cc), ("PTP", 0x88f7), ("PPPoE", 0x8864)] {
            let frame = patched(&Recipe::default(), 12, &ether_type.to_be_bytes());
            self.add(name, frame, only(Verdict::NotUdp));
        }
        self.add("LLC (a spanning tree)", patched(&Recipe::default(), 12, &[0, 38]), only(Verdict::NotUdp));
        let ptp = Recipe { port: 319, ..Recipe::to("224.0.1.129") };
        self.add("PTP over UDP", ptp.bytes(), only(Verdict::NotOurs));
    }
}

impl Recipe {
    /// As [`Recipe::bytes`], with any routing header saying that all its nodes were visited.
    fn bytes_visited(mut self) -> Vec<u8> {
        for (number, bytes) in &mut self.extensions {
            if *number == 43 {
                bytes[1..3].copy_from_slice(&[4, 0]);
            }
        }
        self.bytes()
    }
}

fn patched(recipe: &Recipe, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = recipe.bytes();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

const fn ours(slot: u32, queue: u32) -> Decision {
    Decision { verdict: Verdict::Ours, slot, socket: SOCKET_BASE + queue }
}

const fn only(verdict: Verdict) -> Decision {
    Decision { verdict, slot: 0, socket: 0 }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn address(text: &str) -> Address {
    Address::from(ip(text))
}
