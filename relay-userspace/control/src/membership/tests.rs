//! Joins and refusals without a group of the machine's own.

use super::*;

fn group(last: u8) -> IpAddr {
    IpAddr::from([239, 1, 1, last])
}

fn source(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

#[test]
fn relays_share_a_group_with_all_their_sources() {
    let union = union([
        (2, group(1), vec![source(2), source(1)]),
        (2, group(1), vec![source(3), source(1)]),
        (3, group(1), vec![source(9)]),
        (2, group(2), vec![source(1)]),
        (2, group(2), vec![]),
        (2, group(2), vec![source(2)]),
    ]);
    assert_eq!(union[&(2, group(1))], [source(1), source(2), source(3)]);
    assert_eq!(union[&(3, group(1))], [source(9)]);
    assert!(union[&(2, group(2))].is_empty(), "any source is all sources");
}

#[test]
fn what_is_no_group_is_refused_before_the_kernel_is_asked() {
    let mut memberships = Memberships::default();
    let error = memberships.join(1, source(1), &[]).unwrap_err();
    assert_eq!(error.to_string(), "192.0.2.1 is not a multicast group: give an address in 224.0.0.0/4 or ff00::/8");
    let error = memberships.join(1, group(1), &["2001:db8::1".parse().unwrap()]).unwrap_err();
    assert!(matches!(error, MembershipError::OtherFamily { .. }));
    assert_eq!(memberships.held(), []);
}

#[test]
fn a_link_that_is_not_there_is_told_and_nothing_is_held() {
    let mut memberships = Memberships::default();
    let error = memberships.join(0x00ff_ffff, group(1), &[source(1)]).unwrap_err();
    assert!(matches!(&error, MembershipError::Join { source, .. } if source.raw_os_error() == Some(libc::ENODEV)));
    assert_eq!(memberships.held(), []);
}
