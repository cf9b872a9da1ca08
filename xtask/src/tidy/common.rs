//! relay-common decides and does nothing: no Linux, no clock, no socket.

use super::{Fault, Tree};

const MANIFEST: &str = "relay-common/Cargo.toml";
const ROOT_MODULE: &str = "relay-common/src/lib.rs";

pub(super) fn effects(tree: &Tree) -> Vec<Fault> {
    let mut faults = dependencies(tree.text(MANIFEST).unwrap_or_default());
    let lib = tree.text(ROOT_MODULE).unwrap_or_default();
    for attribute in ["#![no_std]", "#![forbid(unsafe_code)]"] {
        if !lib.lines().any(|line| line == attribute) {
            faults.push(Fault::new(ROOT_MODULE, 1, format!("needs the line `{attribute}`")));
        }
    }
    for (path, text) in tree.files("rs").filter(|(path, _)| path.starts_with("relay-common/src/") && !is_test(path)) {
        faults.extend(std_outside_tests(path, text));
    }
    faults
}

fn dependencies(manifest: &str) -> Vec<Fault> {
    let Ok(manifest) = manifest.parse::<toml::Table>() else {
        return vec![Fault::new(MANIFEST, 0, "is not TOML")];
    };
    let of = |table: &toml::Table, kind: &str| -> Vec<String> {
        table.get(kind).and_then(|d| d.as_table()).map(|d| d.keys().cloned().collect()).unwrap_or_default()
    };
    let mut names = of(&manifest, "dependencies");
    names.extend(of(&manifest, "build-dependencies"));
    let targets = manifest.get("target").and_then(|t| t.as_table()).into_iter().flatten();
    names.extend(targets.filter_map(|(_, target)| target.as_table()).flat_map(|target| of(target, "dependencies")));
    names
        .into_iter()
        .filter(|name| name != "zerocopy")
        .map(|name| Fault::new(MANIFEST, 0, format!("depends on {name}; an effect belongs in relay-userspace")))
        .collect()
}

/// Tests may use what they like; they stand in sibling files or at the foot, under `#[cfg(test)]`.
fn std_outside_tests(path: &str, text: &str) -> Vec<Fault> {
    let code = text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]");
    let uses = code.filter(|(_, line)| {
        let line = line.trim_start();
        !line.starts_with("//") && (line.contains("std::") || line.starts_with("extern crate std"))
    });
    uses.map(|(n, _)| Fault::new(path, n + 1, "uses std; take what it gives as an argument")).collect()
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("/proptests.rs") || path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "//! x\n#![no_std]\n#![forbid(unsafe_code)]\n";
    const LEAN: &str = "[dependencies]\nzerocopy.workspace = true\n[dev-dependencies]\nproptest = \"1\"\n";

    fn faults(files: &[(&str, &str)]) -> Vec<(String, usize)> {
        let house = [(MANIFEST, LEAN), (ROOT_MODULE, GOOD)];
        let tree = Tree::of(&[&house[..], files].concat());
        effects(&tree).into_iter().map(|fault| (fault.path, fault.line)).collect()
    }

    #[test]
    fn zerocopy_and_test_dependencies_are_all_it_may_have() {
        assert_eq!(faults(&[]), []);
        for more in ["[dependencies]\nlibc = \"0.2\"\n", "[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n"] {
            assert_eq!(faults(&[(MANIFEST, more)]), [(MANIFEST.to_owned(), 0)], "{more}");
        }
    }

    #[test]
    fn std_is_a_fault_where_the_code_is_and_none_where_tests_are() {
        let clock = "//! x\nuse std::time::Instant;\n";
        assert_eq!(faults(&[("relay-common/src/a.rs", clock)]), [("relay-common/src/a.rs".to_owned(), 2)]);
        let tested = "//! std::x\nfn f() {}\n#[cfg(test)]\nmod tests {\n    use std::vec::Vec;\n}\n";
        assert_eq!(faults(&[("relay-common/src/a.rs", tested), ("relay-common/src/a/tests.rs", clock)]), []);
    }

    #[test]
    fn the_root_module_swears_off_std_and_unsafe() {
        assert_eq!(faults(&[(ROOT_MODULE, "//! x\n")]).len(), 2);
    }
}
