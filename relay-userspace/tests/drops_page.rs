//! docs/drops.md is what the code says. `MCR_WRITE_DOCS=1 cargo test -p relay-userspace --test drops_page` writes it anew.

#![expect(clippy::unwrap_used, reason = "a test")]

use relay_common::decide::{Action, Verdict};
use relay_common::drops::Drop;
use std::fmt::Write as _;
use std::{env, fs, path::Path};

#[test]
fn the_page_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/drops.md");
    let wanted = page();
    if env::var_os("MCR_WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "docs/drops.md is out of date: MCR_WRITE_DOCS=1 cargo test --test drops_page");
}

fn page() -> String {
    let mut page = String::from(
        "# Every verdict and every drop\n\nThis page is made from the code: `relay-common/src/decide.rs` and \
         `relay-common/src/drops.rs`.\n\n## Verdicts of the XDP program\n\n| name | frame | meaning |\n|---|---|---|\n",
    );
    for verdict in Verdict::ALL {
        let action = match verdict.action() {
            Action::Redirect => "to its lane",
            Action::Drop => "dropped",
            Action::Pass => "to the kernel",
        };
        writeln!(page, "| `{}` | {action} | {} |", verdict.name(), verdict.help()).unwrap();
    }
    page.push_str("\n## Drops of a lane\n\n| name | meaning |\n|---|---|\n");
    for drop in Drop::ALL {
        writeln!(page, "| `{}` | {} |", drop.name(), drop.help()).unwrap();
    }
    page
}
