//! What of a header is rewritten, what is kept, and what is left to the kernel. Whole frames are compared.

use crate::rig::{Rig, SILENCE, frame, payload, with_ipv4};
use bench::UdpListener;
use bench::packet::{Checksum, Headers};

/// One output that changes as little as can be, and one that changes everything.
const CONFIG: &str = r#"
    [[relay]]
    name = "least"
    input = { interface = "in0", group = "239.1.1.1", port = 5000 }
    outputs = [{ interface = "out0", group = "239.1.1.1", port = 5000, source = "keep", ttl = 64 }]

    [[relay]]
    name = "most"
    input = { interface = "in0", group = "239.1.1.2", port = 5000 }
    outputs = [{ interface = "out0", group = "239.2.1.2", port = 5001, ttl = 3, dscp = 10, source = "10.9.9.9", source_port = 7000 }]
"#;

/// What both relays make of these headers.
fn relayed(rig: &Rig, incoming: &Headers) -> Headers {
    let headers = incoming.clone().from_mac(rig.outputs[0].0.mac);
    if incoming.destination() == "239.1.1.1:5000".parse().unwrap() {
        return headers.ttl(64);
    }
    let group = "239.2.1.2".parse().unwrap();
    let mut headers = with_ipv4(headers.ttl(3).dscp(10), |ip| {
        ip.source = [10, 9, 9, 9].into();
        ip.destination = group;
    });
    headers.destination_mac = bench::packet::Mac::of_group(group.into()).unwrap();
    (headers.source_port, headers.destination_port) = (7000, 5001);
    headers
}

/// Sends datagrams with each of these headers to both relays and compares what comes out with what must.
fn check(change: impl Fn(Headers) -> Vec<Headers>) {
    let rig = Rig::new(1);
    let show = rig.start(CONFIG);
    let incoming: Vec<Headers> =
        ["239.1.1.1:5000", "239.1.1.2:5000"].into_iter().flat_map(|to| change(rig.headers(to))).collect();
    let sizes = [18, 19, 1316];
    let both = || sizes.iter().flat_map(|size| incoming.iter().map(|headers| (headers, payload(*size))));
    let frames: Vec<_> = both().map(|(headers, payload)| frame(headers, &payload)).collect();
    let expected: Vec<_> = both().map(|(headers, payload)| frame(&relayed(&rig, headers), &payload)).collect();
    let arrived = show.exchange(&frames, expected.len());
    for (number, (arrived, expected)) in arrived.iter().zip(&expected).enumerate() {
        assert_eq!(arrived, expected, "frame {number}");
    }
    let report = show.mcr.stop().unwrap();
    assert_eq!(report.received("least") + report.received("most"), frames.len() as u64);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn ttl_is_set_and_dscp_kept_or_set_and_ecn_kept() {
    check(|headers| {
        let classes = [(1, 0), (2, 0xb9), (64, 0xff), (255, 3)];
        let classed = |(ttl, tos)| with_ipv4(headers.clone().ttl(ttl), |ip| ip.tos = tos);
        classes.into_iter().map(classed).collect()
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_ttl_counts_down_and_ends_at_one() {
    let rig = Rig::new(1);
    let show = rig.start(
        r#"
        [[relay]]
        name = "four"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001, ttl = "decrement" }]
        [[relay]]
        name = "six"
        input = { interface = "in0", group = "ff3e::8000:1", port = 5000 }
        outputs = [{ interface = "out0", group = "ff3e::8000:2", port = 5001, ttl = "decrement" }]
        "#,
    );
    let groups = [("239.1.1.1:5000", "239.2.1.1:5001"), ("[ff3e::8000:1]:5000", "[ff3e::8000:2]:5001")];
    let each = || groups.into_iter().flat_map(|group| [1, 64, 2, 1].map(|ttl| (group, ttl)));
    let frames: Vec<_> = each().map(|((to, _), ttl)| frame(&rig.headers(to).ttl(ttl), &payload(1316))).collect();
    let relayed = |((_, to), ttl): (_, u8)| frame(&rig.relayed(0, to).ttl(ttl - 1), &payload(1316));
    let expected: Vec<_> = each().filter(|(_, ttl)| *ttl > 1).map(relayed).collect();
    assert_eq!(show.exchange(&frames, expected.len()), expected);
    let report = show.mcr.stop().unwrap();
    for relay in report.0["relays"].as_array().unwrap() {
        assert_eq!(
            (&relay["packets"], &relay["outputs"][0]["drops"]["ttl_expired"]),
            (&4.into(), &2.into()),
            "{relay}"
        );
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn identification_and_flags_stay() {
    check(|headers| {
        let flags = [(0, false), (0xffff, true), (0x1234, false)];
        let flagged = |(identification, dont_fragment)| {
            with_ipv4(headers.clone(), |ip| (ip.identification, ip.dont_fragment) = (identification, dont_fragment))
        };
        flags.into_iter().map(flagged).collect()
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn ipv4_options_stay() {
    // Router alert; a timestamp option that nobody fills; as many options as there can be.
    let alert = vec![0x94, 4, 0, 0];
    let timestamps = [vec![68, 12, 13, 0], vec![0; 8]].concat();
    let most = [vec![1; 39], vec![0]].concat();
    check(|headers| {
        let options = [alert.clone(), timestamps.clone(), most.clone()];
        options.into_iter().map(|options| with_ipv4(headers.clone(), |ip| ip.options = options)).collect()
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn ipv4_source_routes_are_dropped_by_name() {
    let rig = Rig::new(1);
    let show = rig.start(CONFIG);
    let with = |options: &[u8]| with_ipv4(rig.headers("239.1.1.1:5000"), |ip| ip.options = options.to_vec());
    let [loose, strict] = [131, 137].map(|kind| with(&[1, kind, 7, 4, 10, 9, 9, 9]));
    let alert = with(&[0x94, 4, 0, 0]);
    let frames = [&loose, &alert, &strict].map(|headers| frame(headers, &payload(1316)));
    assert_eq!(show.exchange(&frames, 1), [frame(&relayed(&rig, &alert), &payload(1316))]);
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.received("least"), &report.0["relays"][0]["drops"]["source_route"]), (3, &2.into()));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn no_udp_checksum_stays_none() {
    check(|headers| vec![headers.checksum(Checksum::Zero)]);
}

/// Headers whose checksums came wrong: they leave wrong by as much.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn wrong_checksums_stay_wrong() {
    let rig = Rig::new(1);
    let show = rig.start(CONFIG);
    let of_udp = |to| rig.headers(to).checksum(Checksum::Wrong);
    let of_ip = |to| with_ipv4(rig.headers(to), |ip| ip.checksum = Checksum::Wrong);
    let groups = ["239.1.1.1:5000", "239.1.1.2:5000"];
    let incoming: Vec<Headers> = groups.into_iter().flat_map(|to| [of_udp(to), of_ip(to)]).collect();
    let frames: Vec<_> = incoming.iter().map(|headers| frame(headers, &payload(1316))).collect();
    let arrived = show.exchange(&frames, frames.len());
    for (arrived, headers) in arrived.iter().zip(&incoming) {
        let found = bench::packet::parse(arrived).unwrap();
        assert_eq!(found.headers, relayed(&rig, headers), "both checksums are as good as they were");
        assert_eq!(arrived[found.payload], payload(1316));
    }
    assert_eq!(show.mcr.stop().unwrap().verdict("ours"), 4);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn fragments_are_counted_and_left_to_the_kernel() {
    let rig = Rig::new(1);
    let show = rig.start(CONFIG);
    let group = "239.1.1.1:5000";
    let listener = UdpListener::start(&rig.relay, "in0", group.parse().unwrap()).unwrap();
    let whole = with_ipv4(rig.headers(group), |ip| (ip.dont_fragment, ip.identification) = (false, 77));
    let fragments = in_two(&whole, &payload(1316));
    let frames = [fragments[0].clone(), fragments[1].clone(), frame(&rig.headers(group), &payload(100))];
    let expected = [frame(&relayed(&rig, &rig.headers(group)), &payload(100))];
    assert_eq!(show.exchange(&frames, 1), expected, "only the whole datagram is relayed");
    let (datagram, sender) = listener.receive(SILENCE).unwrap().unwrap();
    assert_eq!((datagram, sender), (payload(1316), whole.source()), "the kernel puts fragments together");
    assert_eq!(listener.receive(SILENCE).unwrap(), None, "what is relayed is not the kernel's");
    let report = show.mcr.stop().unwrap();
    assert_eq!((report.verdict("fragment"), report.verdict("ours")), (2, 1));
}

/// The frames of a datagram in two fragments, the first with 800 bytes behind its IPv4 header.
fn in_two(headers: &Headers, payload: &[u8]) -> [Vec<u8>; 2] {
    const IP: usize = 14;
    const CUT: usize = 800;
    let whole = bench::packet::build(headers, payload);
    let (header, datagram) = (&whole[..IP + 20], &whole[IP + 20..]);
    let fragment = |part: &[u8], offset: u16, more: bool| {
        let mut frame = [header, part].concat();
        frame[IP + 2..IP + 4].copy_from_slice(&u16::try_from(20 + part.len()).unwrap().to_be_bytes());
        frame[IP + 6..IP + 8].copy_from_slice(&((u16::from(more) << 13) | (offset / 8)).to_be_bytes());
        frame[IP + 10..IP + 12].fill(0);
        let words = frame[IP..IP + 20].chunks_exact(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let sum: u32 = words.sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        frame[IP + 10..IP + 12].copy_from_slice(&(!u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap()).to_be_bytes());
        frame
    };
    let (first, second) = datagram.split_at(CUT);
    [fragment(first, 0, true), fragment(second, 800, false)]
}
