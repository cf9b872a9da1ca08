//! Every file that a page names is there.

use super::{Fault, Tree};

const README: &str = "README.md";
const WAYS: [&str; 2] = ["The way of a packet", "The way of a configuration change"];

/// The two tables of README.md: each row names its file in backticks.
pub(super) fn ways(tree: &Tree) -> Vec<Fault> {
    let readme = tree.text(README).unwrap_or_default();
    WAYS.iter().flat_map(|way| way_faults(tree, readme, way)).collect()
}

fn way_faults(tree: &Tree, readme: &str, way: &str) -> Vec<Fault> {
    let is_heading = |line: &str| line.starts_with('#');
    let mut lines = readme.lines().enumerate().skip_while(|(_, line)| !(is_heading(line) && line.ends_with(way)));
    let Some((heading, _)) = lines.next() else {
        return vec![Fault::new(README, 0, format!("has no heading \"{way}\""))];
    };
    let section = lines.take_while(|(_, line)| !is_heading(line));
    // The first two rows are the head and its rule.
    let rows: Vec<_> = section.filter(|(_, line)| line.starts_with('|')).skip(2).collect();
    if rows.is_empty() {
        return vec![Fault::new(README, heading + 1, "has no table of files")];
    }
    let mut faults = Vec::new();
    for (n, row) in rows {
        let files: Vec<&str> = backticked(row).filter(|name| name.contains('/')).collect();
        if files.is_empty() {
            faults.push(Fault::new(README, n + 1, "this step names no file"));
        }
        let missing = files.iter().filter(|file| !tree.exists(file));
        faults.extend(missing.map(|file| Fault::new(README, n + 1, format!("{file} does not exist"))));
    }
    faults
}

/// What looks like a path of this repository, in the pages that describe it.
pub(super) fn named_files(tree: &Tree) -> Vec<Fault> {
    let is_ours = |path: &str| path.starts_with("docs/") || [README, "CONTRIBUTING.md"].contains(&path);
    let mut faults = Vec::new();
    for (page, text) in tree.files("md").filter(|(path, _)| is_ours(path)) {
        for (n, line) in outside_fences(text) {
            let missing = backticked(line).filter(|name| looks_like_a_path(name) && !tree.exists(name));
            faults.extend(missing.map(|name| Fault::new(page, n + 1, format!("{name} does not exist"))));
        }
    }
    faults
}

/// What a fence holds is output or an example, no claim about this tree.
fn outside_fences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

fn backticked(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A whole path from the root: not one of another place, not a pattern, not something that is built.
fn looks_like_a_path(name: &str) -> bool {
    let elsewhere = ["/", "~", "target/", "http://", "https://"].iter().any(|start| name.starts_with(start));
    let is_source = ["rs", "md", "toml", "sh"].iter().any(|end| name.rsplit_once('.').is_some_and(|(_, e)| e == *end));
    let is_plain = !name.contains(|c: char| c.is_whitespace() || "*<>{}$…".contains(c));
    name.contains('/') && is_source && is_plain && !elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(way: &str, rows: &str) -> String {
        format!("## {way}\n\nWords.\n\n| | step | file |\n|---|---|---|\n{rows}\n")
    }

    fn texts(faults: &[Fault]) -> Vec<(usize, &str)> {
        faults.iter().map(|fault| (fault.line, fault.what.as_str())).collect()
    }

    #[test]
    fn each_step_of_a_way_names_files_that_exist() {
        let packet = page(WAYS[0], "| 1 | in | `a/x.rs` |\n| 2 | out | `a/gone.rs`, `a/` |\n| 3 | rest | nowhere |");
        let change = page(WAYS[1], "| 1 | in | `a/x.rs` |");
        let tree = Tree::of(&[("README.md", &format!("{packet}{change}")), ("a/x.rs", "")]);
        let faults = ways(&tree);
        assert_eq!(texts(&faults), [(8, "a/gone.rs does not exist"), (9, "this step names no file")]);
    }

    #[test]
    fn a_way_without_heading_or_table_is_a_fault() {
        let tree = Tree::of(&[("README.md", "## The way of a packet\nWords.\n## Next\n| a |\n|---|\n| `a/x.rs` |\n")]);
        let faults = ways(&tree);
        let expected = [(1, "has no table of files"), (0, "has no heading \"The way of a configuration change\"")];
        assert_eq!(texts(&faults), expected);
    }

    #[test]
    fn a_page_names_no_file_that_is_gone() {
        let text = "`a/x.rs` and `a/gone.md`\n```text\n`a/fenced.rs`\n```\n`target/x.rs` `/etc/x.toml` `a/*.rs` `x.rs` `a/b`\n";
        let tree = Tree::of(&[("docs/p.md", text), ("CHANGELOG.md", text), ("a/x.rs", "")]);
        let faults = named_files(&tree);
        assert_eq!(texts(&faults), [(1, "a/gone.md does not exist")]);
        assert_eq!(faults[0].path, "docs/p.md");
    }
}
