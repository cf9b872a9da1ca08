//! Answers of the kernel, whole and broken.

use super::*;

#[test]
fn the_one_program_is_named_by_its_place() {
    let parts = [LinkXdp::Attached(XdpAttached::Driver), LinkXdp::ProgId(7), LinkXdp::DrvProgId(7)];
    assert_eq!(attached(&parts), [Attached { place: Place::Native, program: 7 }]);
    // Kernels before 4.20 tell only this much.
    let parts = [LinkXdp::Attached(XdpAttached::SocketBuffer), LinkXdp::ProgId(8)];
    assert_eq!(attached(&parts), [Attached { place: Place::Generic, program: 8 }]);
    assert_eq!(attached(&[LinkXdp::Attached(XdpAttached::None)]), []);
}

#[test]
fn several_programs_are_all_told() {
    let parts = [LinkXdp::Attached(XdpAttached::Multiple), LinkXdp::SkbProgId(1), LinkXdp::HwProgId(2)];
    let expected = [Attached { place: Place::Generic, program: 1 }, Attached { place: Place::Hardware, program: 2 }];
    assert_eq!(attached(&parts), expected);
}

#[test]
fn features_are_read_from_their_bits() {
    let support = Support { features: 0b101_1011, metadata: 0b101, transmit: 0b11, zero_copy_segments: 8 };
    assert_eq!(support.transmit_metadata(), ["timestamp", "checksum"]);
    assert_eq!(support.names(), ["native", "redirect", "zero-copy", "timestamps", "vlan-tags"]);
    assert_eq!(Support::default().names(), [""; 0]);
}

#[test]
fn attributes_that_end_early_are_not_read() {
    let whole = [12, 0, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(attribute(&whole, 3), Some(1));
    assert_eq!(attribute(&whole, 4), None);
    for length in 0..whole.len() {
        assert_eq!(attribute(&whole[..length], 3), None, "{length}");
    }
}

#[test]
fn the_kernel_knows_loopback_and_no_link_0xffffff() {
    // Kernels before 6.3 have no such family.
    if let Some(netdev) = Netdev::open().unwrap() {
        let loopback = netdev.support(1).unwrap();
        assert!(loopback.is_some_and(|support| !support.zero_copy()), "{loopback:?}");
        assert_eq!(netdev.support(0x00ff_ffff).unwrap(), None);
    }
}
