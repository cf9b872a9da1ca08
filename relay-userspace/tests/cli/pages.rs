//! What is made from the command line's own definition. `UPDATE_DOCS=1 cargo test -p relay-userspace --test cli pages`
//! writes docs/mcr.1 anew.

use clap::CommandFactory as _;
use relay_cli::args::{Cli, Shell};
use relay_cli::{complete, manual};
use std::path::Path;

/// The name of every command, and of every one below.
fn names(command: &clap::Command) -> Vec<String> {
    let below = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    below.flat_map(|sub| std::iter::once(sub.get_name().to_owned()).chain(names(sub))).collect()
}

fn page() -> String {
    let mut page = Vec::new();
    manual(&mut page).unwrap();
    String::from_utf8(page).unwrap()
}

#[test]
fn the_manual_page_in_the_house_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mcr.1");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found,
        page(),
        "docs/mcr.1 is out of date: UPDATE_DOCS=1 cargo test -p relay-userspace --test cli pages"
    );
}

#[test]
fn the_manual_page_has_every_command() {
    let page = page().replace("\\-", "-");
    for name in names(&Cli::command()).iter().filter(|name| *name != "relay") {
        let heading = format!(" {}\n", name.to_uppercase());
        assert!(
            page.lines().any(|line| line.starts_with(".SH MCR ") && format!("{line}\n").ends_with(&heading)),
            "{name}"
        );
    }
    assert!(!page.contains("MCR LANE"), "what is hidden stays hidden");
}

#[test]
fn every_shell_completes_every_command() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut script = Vec::new();
        complete(shell, &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        for name in names(&Cli::command()) {
            assert!(script.contains(&name), "{shell:?} {name}");
        }
    }
}

#[test]
fn the_reference_names_every_command_and_exit_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let page = std::fs::read_to_string(path).unwrap();
    for name in names(&Cli::command()) {
        assert!(page.contains(&name), "docs/cli.md does not name {name}");
    }
}
