//! How full a socket's rings are, as the kernel's indices say.

use crate::wire::Wire;
use relay_common::plan::ZeroCopy;
use relay_engine::memory::Mapping;
use relay_engine::xsk::levels::{Levels, levels};
use relay_engine::xsk::options::{Statistics, statistics};
use relay_engine::xsk::socket::{Wanted, create};
use std::os::fd::AsFd as _;

const RING: u32 = 64;
const FRAME: u32 = 2048;

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_rings_of_a_socket_are_read_without_a_lane() {
    let wire = Wire::new();
    wire.inside(async {
        let frames = Mapping::anonymous((RING * FRAME) as usize).unwrap();
        let wanted = Wanted {
            link: "in0",
            queue: 0,
            receives: true,
            sends: false,
            zero_copy: ZeroCopy::Never,
            ring_size: RING,
            frame_size: FRAME,
        };
        let bound = create(&frames, &wanted, |port| {
            for frame in 0..40 {
                port.fill.put(u64::from(frame * FRAME));
            }
            port.fill.publish(port.fill.next());
        })
        .unwrap();
        let found = levels(bound.fd.as_fd(), true, false).unwrap();
        assert_eq!(found, Levels { fill: 40, rx: Some(0), tx: None, completion: 0 });
        assert_eq!(statistics(bound.fd.as_fd()).unwrap(), Statistics::default());
    });
}
