//! An output's rewrite and then a frame, both of any bytes: nothing panics, nothing points outside the frame, and
//! what leaves is a datagram again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relay_common::datagram::{Datagram, MAX_HEADER};
use relay_common::decide::{Verdict, decide};
use relay_common::drops::Drop;
use relay_common::entry::Rewrite;
use relay_common::fixtures::{self, LINK, Lists};
use relay_common::rewrite::{NewHeader, rewrite};
use std::sync::LazyLock;
use zerocopy::FromBytes as _;

static GROUPS: LazyLock<Lists> = LazyLock::new(fixtures::groups);

fuzz_target!(|input: &[u8]| {
    let Ok((r, frame)) = Rewrite::read_from_prefix(input) else { return };
    let verdict = decide(frame, LINK, 0, &*GROUPS).verdict;
    let Ok(datagram) = Datagram::parse(frame) else {
        assert_ne!(verdict, Verdict::Ours);
        return;
    };
    let (payload, end) = (datagram.payload as usize, datagram.end as usize);
    assert!(datagram.l3 < datagram.l4 && datagram.l4 + 8 == datagram.payload);
    assert!(payload <= MAX_HEADER && payload <= end && end <= frame.len());

    let mut header = NewHeader::EMPTY;
    if let Err(drop) = rewrite(frame, &datagram, &r, &mut header) {
        assert!(drop == Drop::NoChecksum && datagram.v6);
        return;
    }
    let sent = [header.as_bytes(), &frame[payload..end]].concat();
    if header.as_bytes().len() <= MAX_HEADER {
        let sent = Datagram::parse(sent.as_slice()).expect("what leaves is a datagram");
        assert_eq!((sent.port, sent.v6), (r.destination_port, datagram.v6));
        assert_eq!(
            (sent.payload - sent.l3, sent.end - sent.l3),
            (datagram.payload - datagram.l3, datagram.end - datagram.l3)
        );
    }
});
