//! docs/openapi.json is what the code serves. `MCR_WRITE_DOCS=1 cargo test -p relay-userspace --test openapi_document`
//! writes it anew.

use relay_api::document;
use std::{env, fs, path::Path};

#[test]
fn the_page_is_what_the_code_serves() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let wanted = document().to_pretty_json().unwrap() + "\n";
    if env::var_os("MCR_WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, wanted,
        "docs/openapi.json is out of date: MCR_WRITE_DOCS=1 cargo test -p relay-userspace --test openapi_document"
    );
}
