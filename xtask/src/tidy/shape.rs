//! How long a file is, and how it begins. How long a function is, clippy counts.

use super::{Fault, Tree};

const LINES: usize = 400;

pub(super) fn long_files(tree: &Tree) -> Vec<Fault> {
    let fault = |(path, text): (&str, &str)| {
        let lines = text.lines().count();
        (lines > LINES).then(|| Fault::new(path, lines, format!("{lines} lines; split it by noun, not by size")))
    };
    tree.files("rs").filter_map(fault).collect()
}

pub(super) fn silent_files(tree: &Tree) -> Vec<Fault> {
    let silent = |(_, text): &(&str, &str)| !text.lines().find(|l| !l.trim().is_empty()).is_some_and(says_something);
    let fault = |(path, _)| Fault::new(path, 1, "begin with `//! ` and a sentence that says what this file is");
    tree.files("rs").filter(silent).map(fault).collect()
}

fn says_something(line: &str) -> bool {
    line.strip_prefix("//!").is_some_and(|words| !words.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_after_the_last_allowed_one_is_a_fault() {
        let (at_limit, over) = ("x\n".repeat(400), "x\n".repeat(401));
        let tree = Tree::of(&[("at.rs", &at_limit), ("over.rs", &over), ("over.md", &over)]);
        let faults = long_files(&tree);
        assert_eq!(faults.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["over.rs"]);
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_is_a_fault() {
        let tree = Tree::of(&[
            ("bare.rs", "use std::fs;\n//! late\n"),
            ("empty.rs", ""),
            ("hollow.rs", "//!\nuse std::fs;\n"),
            ("outer.rs", "/// Of what follows.\nfn f() {}\n"),
            ("spoken.rs", "\n//! The rings.\n"),
        ]);
        let faults = silent_files(&tree);
        let paths: Vec<&str> = faults.iter().map(|f| f.path.as_str()).collect();
        assert_eq!(paths, ["bare.rs", "empty.rs", "hollow.rs", "outer.rs"]);
    }
}
