//! The page and its plots as files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::document::{FOLDER, render, render_all, render_processor};
use super::plot::plots;
use super::results::Results;

/// The page, in the folder of pages.
const PAGE: &str = "benchmarks.md";

/// Writes the page on a run and its plots, removes plots of another time, and says what it wrote.
pub fn write_run(results: &Results, docs_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut written = vec![write(docs_dir.join(PAGE), &render(results))?];
    written.extend(write_plots(results, &docs_dir.join(FOLDER))?);
    Ok(written)
}

/// Writes the page on all runs that are kept, one on each of them, and their plots; removes those of another time, and says
/// what it wrote.
pub fn write_all(runs: &[Results], docs_dir: &Path) -> Result<Vec<PathBuf>> {
    let folder = docs_dir.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("make the folder {}", folder.display()))?;
    let mut written = vec![write(docs_dir.join(PAGE), &render_all(runs))?];
    for results in runs {
        let stem = results.machine.file_stem();
        written.push(write(folder.join(format!("{stem}.md")), &render_processor(results))?);
        written.extend(write_plots(results, &folder.join(stem))?);
    }
    for stale in left_behind(&folder, runs)? {
        let removed = if stale.is_dir() { fs::remove_dir_all(&stale) } else { fs::remove_file(&stale) };
        removed.with_context(|| format!("remove {}", stale.display()))?;
    }
    Ok(written)
}

/// The results that are kept, in the order of their files' names.
pub fn kept(results_dir: &Path) -> Result<Vec<Results>> {
    let mut paths = files(results_dir, "json")?;
    paths.sort();
    paths.iter().map(|path| Results::read(path)).collect()
}

fn write(path: PathBuf, text: &str) -> Result<PathBuf> {
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// Of a folder only the plots are ours.
fn write_plots(results: &Results, folder: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    for stale in files(folder, "svg")? {
        fs::remove_file(&stale).with_context(|| format!("remove {}", stale.display()))?;
    }
    plots(results).into_iter().map(|(file, svg)| write(folder.join(file), &svg)).collect()
}

/// Pages and folders of processors of which nothing is kept any more, and plots from when there was but one run.
fn left_behind(folder: &Path, runs: &[Results]) -> Result<Vec<PathBuf>> {
    let stems: Vec<String> = runs.iter().map(|results| results.machine.file_stem()).collect();
    let is_kept = |path: &PathBuf| path.file_stem().is_some_and(|stem| stems.iter().any(|kept| stem == kept.as_str()));
    let pages: Vec<PathBuf> = files(folder, "md")?.into_iter().filter(|path| !is_kept(path)).collect();
    let folders = pages.iter().map(|page| page.with_extension("")).filter(|folder| folder.is_dir()).collect::<Vec<_>>();
    Ok(pages.into_iter().chain(folders).chain(files(folder, "svg")?).collect())
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.with_context(|| format!("read the folder {}", folder.display()))?;
    let paths = entries.into_iter().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|it| it == extension)).collect())
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
        let folder = Folder::new("run");
        let plots = folder.0.join(FOLDER);
        fs::create_dir(&plots).unwrap();
        fs::write(plots.join("rates-of-yesterday.svg"), "stale").unwrap();
        fs::write(plots.join("notes.txt"), "of somebody").unwrap();
        fs::write(folder.0.join("other.svg"), "of another page").unwrap();

        let written = write_run(&fixture::results(), &folder.0).unwrap();
        assert_eq!(written[0], folder.0.join("benchmarks.md"));
        assert_eq!(fs::read_to_string(&written[0]).unwrap(), render(&fixture::results()));
        let mut expected = written[1..].to_vec();
        let mut lying = files(&plots, "svg").unwrap();
        expected.sort();
        lying.sort();
        assert_eq!(lying, expected);
        assert!(plots.join("notes.txt").exists() && folder.0.join("other.svg").exists());
    }

    #[test]
    fn each_processor_has_a_page_and_those_of_yesterday_go() {
        let (kept, docs) = (Folder::new("kept"), Folder::new("all"));
        let of = |processor: &str| {
            let mut results = fixture::results();
            processor.clone_into(&mut results.machine.processor);
            results
        };
        for processor in ["Invented Two", "Invented One"] {
            let results = of(processor);
            results.write(&kept.0.join(results.machine.file_stem()).with_extension("json")).unwrap();
        }
        let runs = super::kept(&kept.0).unwrap();
        assert_eq!(runs, [of("Invented One"), of("Invented Two")]);

        let folder = docs.0.join(FOLDER);
        fs::create_dir_all(folder.join("invented-zero")).unwrap();
        for stale in ["rates-of-yesterday.svg", "invented-zero.md", "invented-zero/rates.svg"] {
            fs::write(folder.join(stale), "stale").unwrap();
        }
        fs::write(folder.join("notes.txt"), "of somebody").unwrap();
        let written = write_all(&runs, &docs.0).unwrap();
        assert!(written.iter().all(|path| path.is_file()), "{written:?}");
        let page = fs::read_to_string(docs.0.join(PAGE)).unwrap();
        for stem in ["invented-one", "invented-two"] {
            assert!(page.contains(&format!("({FOLDER}/{stem}.md)")), "{page}");
            let text = fs::read_to_string(folder.join(stem).with_extension("md")).unwrap();
            assert!(text.contains(&format!("]({stem}/rates-1-to-1.svg)")) && folder.join(stem).is_dir(), "{text}");
        }
        assert!(!folder.join("invented-zero.md").exists() && !folder.join("invented-zero").exists());
        assert!(!folder.join("rates-of-yesterday.svg").exists() && folder.join("notes.txt").exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = write_all(&[fixture::results()], Path::new("/proc/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/proc/nowhere/benchmarks"), "{error:#}");
        let error = super::kept(Path::new("/proc/nowhere")).unwrap_err();
        assert!(error.to_string().contains("/proc/nowhere"), "{error:#}");
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
