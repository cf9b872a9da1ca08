//! The program and its attachments go from one owner to the next, and whatever is done to them behind the owner's back
//! is seen.

use crate::attachment::{IFINDEX, detach, in_namespace, ip, key, load, packet_comes_to, value};
use crate::socket::xdp_socket;
use relay_common::abi::{Address, MacKey, SourceKey};
use relay_common::decide::Verdict;
use relay_common::plan::Mode;
use relay_control::bpf::attached::Attached;
use relay_control::bpf::link::{Hook, LinkInfo};
use relay_control::bpf::program::{Program, ProgramError};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};

/// What another process would get by SCM_RIGHTS.
fn duplicates(program: &Program) -> Vec<(&'static str, OwnedFd)> {
    program.parts().map(|(name, fd)| (name, fd.try_clone_to_owned().unwrap())).collect()
}

#[test]
#[ignore = "needs CAP_BPF: cargo xtask test kernel"]
fn another_owner_goes_on_where_the_first_stopped() {
    in_namespace(|| {
        let first = load();
        let attached = first.attach("one", IFINDEX, Mode::Auto).unwrap();
        first.put_input(key(5000), value(7)).unwrap();
        packet_comes_to(Verdict::NoSocket, &first);
        let (id, hook) = (first.id().unwrap(), attached.hook);
        let parts = duplicates(&first);
        let link = attached.as_fd().try_clone_to_owned().unwrap();
        let reader = first.verdict_reader().unwrap();
        drop((first, attached));

        let next = Program::adopt(parts).unwrap();
        let attached = Attached::adopt(link, hook, false).unwrap();
        assert_eq!((next.id().unwrap(), next.max_relays()), (id, 10_000));
        let info = attached.info().unwrap();
        assert_eq!((info.program, info.ifindex), (id, IFINDEX), "still attached");
        assert_eq!(next.inputs::<BTreeMap<_, _>>().unwrap(), BTreeMap::from([(key(5000), value(7))]));
        packet_comes_to(Verdict::NoSocket, &next);
        next.remove_input(key(5000)).unwrap();
        packet_comes_to(Verdict::NotOurs, &next);
        let elsewhere = std::thread::spawn(move || reader.read().unwrap());
        assert_eq!(elsewhere.join().unwrap(), next.verdicts().unwrap(), "another thread reads the same");
        drop(attached);
        next.attach("one", IFINDEX, Mode::Auto).unwrap();
    });
}

#[test]
#[ignore = "needs CAP_BPF: cargo xtask test kernel"]
fn parts_that_do_not_belong_together_are_refused() {
    let (one, other) = (load(), load());
    let mut parts = duplicates(&one);
    let socket_map = parts.iter().position(|(name, _)| *name == "SOCKETS").unwrap();
    parts[socket_map] = duplicates(&other).swap_remove(socket_map);
    let error = Program::adopt(parts).err().unwrap();
    assert!(matches!(error, ProgramError::Foreign("SOCKETS")), "{error}");

    let mut parts = duplicates(&one);
    parts.retain(|(name, _)| *name != "VERDICTS");
    let error = Program::adopt(parts).err().unwrap();
    assert!(matches!(error, ProgramError::Missing("VERDICTS")), "{error}");

    let swapped = duplicates(&one).into_iter().map(|(name, fd)| match name {
        "relay" => ("pass", fd),
        "pass" => ("relay", fd),
        name => (name, fd),
    });
    let error = Program::adopt(swapped).err().unwrap();
    assert!(matches!(error, ProgramError::Foreign("relay")), "{error}");

    let file = std::fs::File::open("/dev/null").unwrap();
    let files = one.parts().map(|(name, _)| (name, OwnedFd::from(file.try_clone().unwrap())));
    let error = Program::adopt(files).err().unwrap();
    assert!(matches!(error, ProgramError::Foreign(_)), "{error}");
    let error = Attached::adopt(file.into(), relay_control::bpf::link::Hook::Native, false).err().unwrap();
    assert!(matches!(error, ProgramError::Attached { .. }), "{error}");
}

#[test]
#[ignore = "needs CAP_BPF: cargo xtask test kernel"]
fn what_lies_in_the_maps_is_read_back() {
    let program = load();
    assert_eq!(program.inputs::<BTreeMap<_, _>>().unwrap(), BTreeMap::new());
    // More than one read's worth.
    let inputs: BTreeMap<_, _> = (1..=9_000).map(|port| (key(port), value(u32::from(port)))).collect();
    let source = |port| SourceKey { input: key(port), source: Address::v4([10, 0, 0, 1]) };
    let sources: BTreeMap<_, _> = (1..=9_000).map(|port| (source(port), u32::from(port))).collect();
    let macs: BTreeSet<_> = (0..5).map(|n| MacKey { mac: [2, 0, 0, 0, 0, n], zero: [0; 2] }).collect();
    inputs.iter().for_each(|(key, value)| program.put_input(*key, *value).unwrap());
    sources.iter().for_each(|(key, slot)| program.put_source(*key, *slot).unwrap());
    macs.iter().for_each(|key| program.put_own_mac(*key).unwrap());
    assert_eq!(program.inputs::<BTreeMap<_, _>>().unwrap(), inputs);
    assert_eq!(program.sources::<BTreeMap<_, _>>().unwrap(), sources);
    assert_eq!(program.own_macs().unwrap(), macs);

    // Somebody else, with descriptors of their own, deletes and changes.
    let other = Program::adopt(duplicates(&program)).unwrap();
    other.remove_input(key(17)).unwrap();
    other.put_input(key(18), value(99)).unwrap();
    other.remove_source(source(17)).unwrap();
    other.put_source(source(18), 99).unwrap();
    other.remove_own_mac(MacKey { mac: [2, 0, 0, 0, 0, 3], zero: [0; 2] }).unwrap();
    let seen = program.inputs::<BTreeMap<_, _>>().unwrap();
    let changed: Vec<_> = inputs.keys().filter(|key| seen.get(key) != inputs.get(key)).collect();
    assert_eq!(changed, [&key(17), &key(18)]);
    let seen = program.sources::<BTreeMap<_, _>>().unwrap();
    let changed: Vec<_> = sources.keys().filter(|key| seen.get(key) != sources.get(key)).collect();
    assert_eq!(changed, [&source(17), &source(18)]);
    assert_eq!(program.own_macs().unwrap().len(), 4);
    program.remove_input(key(17)).unwrap(); // what is not there is no error
}

#[test]
#[ignore = "needs CAP_BPF: cargo xtask test kernel"]
fn a_socket_that_is_missing_is_seen_and_not_put_there() {
    in_namespace(|| {
        let program = load();
        let _attached = program.attach("one", IFINDEX, Mode::Auto).unwrap();
        program.put_input(key(5000), value(7)).unwrap();
        let socket = xdp_socket();
        assert!(!program.has_socket(0, socket.as_fd()).unwrap());
        assert!(!program.has_socket(0, socket.as_fd()).unwrap(), "asking puts nothing there");
        packet_comes_to(Verdict::NoSocket, &program);
        program.put_socket(0, socket.as_fd()).unwrap();
        assert!(program.has_socket(0, socket.as_fd()).unwrap());
        assert!(!program.has_socket(1, socket.as_fd()).unwrap());
        packet_comes_to(Verdict::Ours, &program);
        let other = Program::adopt(duplicates(&program)).unwrap();
        other.remove_socket(0).unwrap();
        assert!(!program.has_socket(0, socket.as_fd()).unwrap());
        packet_comes_to(Verdict::NoSocket, &program);
    });
}

#[test]
#[ignore = "needs CAP_BPF: cargo xtask test kernel"]
fn whatever_detaches_the_program_is_seen() {
    in_namespace(|| {
        let program = load();
        let attached = program.attach("one", IFINDEX, Mode::Auto).unwrap();
        let before = attached.info().unwrap();
        assert_eq!(before, attached.info().unwrap(), "looking changes nothing");
        let gone = LinkInfo { ifindex: 0, ..before };
        detach(before.id);
        assert_eq!(attached.info().unwrap(), gone, "detached by another");
        assert!(matches!(program.replace(&attached), Err(ProgramError::Attached { .. })));

        let attached = program.attach("one", IFINDEX, Mode::Auto).unwrap();
        let before = attached.info().unwrap();
        assert_eq!((before.program, before.ifindex), (program.id().unwrap(), IFINDEX));
        ip("link del one");
        assert_eq!(attached.info().unwrap(), LinkInfo { ifindex: 0, ..before }, "the link was removed");

        ip("link add name one index 4101 type veth peer name two index 4102");
        ip("link set one up");
        assert_eq!(attached.info().unwrap().ifindex, 0, "a link of the same number is another one");
        drop(attached);
        program.attach("one", IFINDEX, Mode::Auto).unwrap();
    });
}

#[test]
#[ignore = "needs CAP_BPF: cargo xtask test kernel"]
fn a_newer_program_takes_the_place_of_the_one_that_runs() {
    in_namespace(|| {
        let old = load();
        let attached = old.attach("one", IFINDEX, Mode::Auto).unwrap();
        let before = attached.info().unwrap();
        packet_comes_to(Verdict::NotOurs, &old);
        let new = load();
        new.put_input(key(5000), value(7)).unwrap();
        new.replace(&attached).unwrap();
        let after = attached.info().unwrap();
        assert_eq!(after, LinkInfo { program: new.id().unwrap(), ..before }, "the same attachment");
        assert_ne!(after.program, old.id().unwrap());
        packet_comes_to(Verdict::NoSocket, &new);
        drop(old);
        packet_comes_to(Verdict::NoSocket, &new);

        let passing = new.attach_pass("two", 4102, Hook::Native).unwrap();
        assert_eq!(passing.info().unwrap().program, new.pass_id().unwrap());
        let newest = load();
        newest.replace_pass(&passing).unwrap();
        assert_eq!(passing.info().unwrap().program, newest.pass_id().unwrap());
    });
}

#[test]
#[ignore = "needs CAP_BPF: cargo xtask test kernel"]
fn lines_of_a_program_that_was_adopted_can_be_followed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let mut first = load();
    let mut next = Program::adopt(duplicates(&first)).unwrap();
    drop(first.follow_lines().unwrap());
    drop(next.follow_lines().unwrap());
}

#[test]
#[ignore = "needs the embedded object: cargo xtask test kernel"]
fn the_object_has_a_hash() {
    use sha2::Digest as _;
    let path = option_env!("MCR_EBPF_OBJECT").unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/relay-ebpf.o"));
    let expected: [u8; 32] = sha2::Sha256::digest(std::fs::read(path).unwrap()).into();
    assert_eq!(Program::object_hash().unwrap(), expected);
}
