//! Texts that tests hold to a file. `MCR_WRITE_DOCS=1 cargo test --package bench --lib measure` writes them anew: look at
//! what git then shows.

use std::env;
use std::fs;
use std::path::Path;

/// The text is what the file has, to the byte.
pub(crate) fn assert_as_it_was(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/measure/golden").join(file);
    if env::var_os("MCR_WRITE_DOCS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    let at = kept.lines().zip(text.lines()).position(|(kept, text)| kept != text);
    assert!(kept == text, "{} is another, first in line {at:?} from 0; it is now:\n{text}", path.display());
}
