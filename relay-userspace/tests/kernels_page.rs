//! The tables in docs/kernels.md are what the code says. `MCR_WRITE_DOCS=1 cargo test -p relay-userspace --test
//! kernels_page` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test")]

use relay_common::faults::{FAULTS, Fault};
use relay_common::release::Version;
use relay_control::preflight::features::Feature;
use std::fmt::Write as _;
use std::{env, fs, path::Path};

#[test]
fn the_tables_are_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kernels.md");
    let found = fs::read_to_string(&path).unwrap();
    let wanted = with(&found, "faults", &faults());
    let wanted = with(&wanted, "features", &features());
    if env::var_os("MCR_WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
        return;
    }
    assert_eq!(found, wanted, "docs/kernels.md is out of date: MCR_WRITE_DOCS=1 cargo test --test kernels_page");
}

/// The page with this table in its place.
fn with(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: made from "), format!("<!-- end of {name} -->"));
    let (before, rest) = page.split_once(&begin).unwrap();
    let (source, rest) = rest.split_once('\n').unwrap();
    let (_, after) = rest.split_once(&end).unwrap();
    format!("{before}{begin}{source}\n{table}{end}{after}")
}

fn features() -> String {
    let mut table = String::from("| name | what | need | where it is missing | remedy |\n|---|---|---|---|---|\n");
    for feature in Feature::ALL {
        let (name, what, need) = (feature.name(), feature.what(), feature.need().name());
        let (cost, remedy) = (feature.cost(), feature.remedy());
        writeln!(table, "| `{name}` | {what} | {need} | {cost} | {remedy} |").unwrap();
    }
    table
}

fn faults() -> String {
    let mut table = String::from(
        "| fault | driver | mode | since | fixed in | what happens | zero-copy by itself |\n|---|---|---|---|---|---|---|\n",
    );
    for fault in FAULTS {
        let (drivers, mode) = (drivers(fault), fault.mode.name());
        let (since, fixed) = (versions(fault.since), versions(fault.fixed.versions()));
        let left_alone = if fault.spoils_zero_copy { "left alone" } else { "tried" };
        let (reference, what) = (fault.reference, fault.what);
        writeln!(table, "| {reference} | {drivers} | {mode} | {since} | {fixed} | {what} | {left_alone} |").unwrap();
    }
    table
}

fn drivers(fault: &Fault) -> String {
    match fault.drivers {
        [] => "any".to_owned(),
        drivers if fault.only_modules => format!("{}, as a module", drivers.join(", ")),
        drivers => drivers.join(", "),
    }
}

fn versions(versions: &[Version]) -> String {
    if versions.is_empty() {
        return "none known".to_owned();
    }
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
