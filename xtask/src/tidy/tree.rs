//! The files of the workspace, as text.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};

/// Path from the root, with `/`, and what the file says.
pub(super) struct Tree(BTreeMap<String, String>);

impl Tree {
    /// Reads everything that is source: not what is built, not what git keeps, not what fuzzers found.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        walk(root, "", &mut files)?;
        Ok(Self(files))
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// A file, or a directory that holds one.
    pub(super) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let inside = format!("{path}/");
        self.0.contains_key(path) || self.0.range(inside.clone()..).next().is_some_and(|(p, _)| p.starts_with(&inside))
    }

    pub(super) fn files<'a>(&'a self, extension: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let ours = move |path: &str| path.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.'));
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str())).filter(move |(path, _)| ours(path))
    }
}

fn walk(dir: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<()> {
    let entries = dir.read_dir().with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && !["target", ".git", "corpus", "artifacts"].contains(&name.as_str()) {
            walk(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() {
            // Captures and pictures are no text; that they exist is all a rule asks of them.
            files.insert(path, fs::read_to_string(entry.path()).unwrap_or_default());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_exist_by_what_they_hold() {
        let tree = Tree::of(&[("a/b.rs", ""), ("ab/c.rs", "")]);
        assert!(tree.exists("a") && tree.exists("a/") && tree.exists("a/b.rs"));
        assert!(!tree.exists("a/b") && !tree.exists("b.rs"));
    }

    #[test]
    fn an_extension_is_whole() {
        let tree = Tree::of(&[("a.rs", ""), ("b.xrs", ""), ("rs", "")]);
        assert_eq!(tree.files("rs").map(|(path, _)| path).collect::<Vec<_>>(), ["a.rs"]);
    }
}
