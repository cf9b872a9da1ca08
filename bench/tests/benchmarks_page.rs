//! The pages on benchmarks and their plots are what the kept results make, to the byte.

#![expect(clippy::unwrap_used, reason = "a test: what cannot be unwrapped is a failure")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bench::measure::page::{kept, write_all};

const REMEDY: &str = "make them again: cargo xtask bench render";

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The pages and every plot, by their paths below the folder of pages.
fn files(docs: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut folders) = (vec![docs.join("benchmarks.md")], vec![docs.join("benchmarks")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.iter().map(|path| (path.strip_prefix(docs).unwrap().to_owned(), fs::read(path).unwrap())).collect()
}

#[test]
fn the_pages_and_their_plots_are_made_from_the_kept_results() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let results = kept(&root.join("bench/results")).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(!results.is_empty(), "nothing is kept; measure first: cargo xtask bench --full");
    let made = Folder(std::env::temp_dir().join(format!("mcr-benchmarks-page-{}", std::process::id())));
    fs::create_dir_all(&made.0).unwrap();
    write_all(&results, &made.0).unwrap();

    let (kept, made) = (files(&root.join("docs")), files(&made.0));
    let (kept_names, made_names): (Vec<_>, Vec<_>) = (kept.keys().collect(), made.keys().collect());
    assert_eq!(kept_names, made_names, "files below docs; {REMEDY}");
    for (name, made) in &made {
        assert!(kept[name] == *made, "docs/{} is not what the results make; {REMEDY}", name.display());
    }
}
