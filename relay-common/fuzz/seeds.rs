//! Writes the table of frames as a corpus to begin with: `corpus/frame/`, beside this file.

use relay_common::abi::Address;
use relay_common::entry::Rewrite;
use relay_common::fixtures;
use std::{fs, io, path::Path};
use zerocopy::IntoBytes as _;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/frame");
    fs::create_dir_all(&corpus)?;
    let rewrite = Rewrite {
        destination: Address::v4([239, 9, 9, 9]),
        source: Address::v4([10, 9, 9, 9]),
        destination_mac: [1, 0, 0x5e, 9, 9, 9],
        source_mac: fixtures::OWN_MAC,
        destination_port: 6000,
        source_port: 6001,
        vlan_ids: [30, 40],
        n_vlans: 2,
        ttl: 16,
        dscp: 46,
        flags: Rewrite::SET_SOURCE | Rewrite::SET_DSCP,
    };
    for (number, case) in fixtures::cases().iter().enumerate() {
        fs::write(corpus.join(format!("{number:03}")), [rewrite.as_bytes(), &case.frame].concat())?;
    }
    Ok(())
}
