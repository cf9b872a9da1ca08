//! The page and its plots as files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::document::{PLOTS, render};
use super::plot::plots;
use super::results::Results;

/// The page, in the folder of pages.
const PAGE: &str = "benchmarks.md";

/// Writes the page and its plots into the folder of pages, removes plots of another time, and says what it wrote.
pub fn write_all(results: &Results, docs_dir: &Path) -> Result<Vec<PathBuf>> {
    let folder = docs_dir.join(PLOTS);
    fs::create_dir_all(&folder).with_context(|| format!("make the folder {}", folder.display()))?;
    for stale in svgs(&folder)? {
        fs::remove_file(&stale).with_context(|| format!("remove {}", stale.display()))?;
    }
    let plots = plots(results).into_iter().map(|(file, svg)| (folder.join(file), svg));
    let files = [(docs_dir.join(PAGE), render(results))].into_iter().chain(plots);
    files
        .map(|(path, text)| {
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
            Ok(path)
        })
        .collect()
}

fn svgs(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.with_context(|| format!("read the folder {}", folder.display()))?;
    let paths = entries.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|it| it == "svg")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture;

    /// A folder that goes with its owner.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mcr-page-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_written_is_what_lies_there() {
        let folder = Folder::new("all");
        let plots = folder.0.join(PLOTS);
        fs::create_dir(&plots).unwrap();
        fs::write(plots.join("rates-of-yesterday.svg"), "stale").unwrap();
        fs::write(plots.join("notes.txt"), "of somebody").unwrap();
        fs::write(folder.0.join("other.svg"), "of another page").unwrap();

        let written = write_all(&fixture::results(), &folder.0).unwrap();
        assert_eq!(written[0], folder.0.join("benchmarks.md"));
        assert_eq!(fs::read_to_string(&written[0]).unwrap(), render(&fixture::results()));
        let mut expected = written[1..].to_vec();
        let mut lying = svgs(&plots).unwrap();
        expected.sort();
        lying.sort();
        assert_eq!(lying, expected);
        assert!(plots.join("notes.txt").exists() && folder.0.join("other.svg").exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = write_all(&fixture::results(), Path::new("/proc/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/proc/nowhere/benchmarks"), "{error:#}");
    }

    #[test]
    fn results_that_were_written_are_read_as_they_were_and_make_the_same_page() {
        let folder = Folder::new("round");
        let path = folder.0.join("latest.json");
        let results = fixture::results();
        results.write(&path).unwrap();
        let read = Results::read(&path).unwrap();
        assert!(read == results, "{read:#?}");
        assert_eq!(render(&read), render(&results));
    }

    #[test]
    fn results_of_another_format_are_refused_with_the_remedy() {
        let folder = Folder::new("format");
        let path = folder.0.join("latest.json");
        Results { format: 0, ..fixture::results() }.write(&path).unwrap();
        let whole = Results::read(&path).unwrap_err().to_string();
        // What else stands in it may have changed too.
        fs::write(&path, r#"{ "format": 0, "speed": "high" }"#).unwrap();
        let unknown = Results::read(&path).unwrap_err().to_string();
        for error in [whole, unknown] {
            assert!(error.contains("has format 0") && error.contains("measure again"), "{error}");
        }
    }
}
