//! The table of faults in docs/kernels.md is what the code says. `MCR_WRITE_DOCS=1 cargo test -p relay-userspace --test
//! kernels_page` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test")]

use relay_common::faults::FAULTS;
use relay_common::release::Version;
use std::fmt::Write as _;
use std::{env, fs, path::Path};

const BEGIN: &str = "<!-- faults: made from relay-common/src/faults.rs -->\n";
const END: &str = "<!-- end of faults -->\n";

#[test]
fn the_table_of_faults_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kernels.md");
    let found = fs::read_to_string(&path).unwrap();
    let (before, rest) = found.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{}{END}{after}", table());
    if env::var_os("MCR_WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
        return;
    }
    assert_eq!(found, wanted, "docs/kernels.md is out of date: MCR_WRITE_DOCS=1 cargo test --test kernels_page");
}

fn table() -> String {
    let mut table = String::from(
        "| fault | driver | mode | since | fixed in | what happens | zero-copy by itself |\n|---|---|---|---|---|---|---|\n",
    );
    for fault in FAULTS {
        let drivers = if fault.drivers.is_empty() { "any".to_owned() } else { fault.drivers.join(", ") };
        let (mode, since, fixed) = (fault.mode.name(), versions(fault.since), versions(fault.fixed));
        let left_alone = if fault.spoils_zero_copy { "left alone" } else { "tried" };
        let (reference, what) = (fault.reference, fault.what);
        writeln!(table, "| {reference} | {drivers} | {mode} | {since} | {fixed} | {what} | {left_alone} |").unwrap();
    }
    table
}

fn versions(versions: &[Version]) -> String {
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
