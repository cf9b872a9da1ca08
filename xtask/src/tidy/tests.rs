//! The rules hold on the real tree.

use super::*;

#[test]
fn this_house_is_tidy() {
    let workspace = Workspace::find().unwrap();
    let tree = Tree::read(workspace.root()).unwrap();
    let faults: Vec<Fault> = CHECKS.iter().flat_map(|check| (check.find)(&tree)).collect();
    assert_eq!(faults, []);
}

#[test]
fn the_real_tree_is_what_was_read() {
    let workspace = Workspace::find().unwrap();
    let tree = Tree::read(workspace.root()).unwrap();
    assert!(tree.exists("xtask/src/tidy.rs") && tree.exists("relay-common/src") && tree.exists("README.md"));
    assert!(!tree.exists("target"));
}
