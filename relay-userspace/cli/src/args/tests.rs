//! Every command line that the help shows is one, and every command teaches.

use super::Cli;
use clap::{Command, CommandFactory as _, Parser as _};

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

fn leaves(path: &str, command: &Command) -> Vec<(String, Command)> {
    let path = format!("{path} {}", command.get_name()).trim().to_owned();
    let below: Vec<_> =
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).flat_map(|sub| leaves(&path, sub)).collect();
    if below.is_empty() { vec![(path, command.clone())] } else { below }
}

/// The command lines that a help shows: what begins with `mcr`, up to a pipe or a remark, which stands behind two spaces.
fn examples(help: &str) -> Vec<Vec<String>> {
    let (mut lines, mut is_open) = (Vec::new(), false);
    for line in help.lines().map(str::trim) {
        let (text, continued) = line.strip_suffix('\\').map_or((line, false), |text| (text.trim_end(), true));
        match lines.last_mut() {
            Some(before) if is_open => *before = format!("{before} {text}"),
            _ => lines.push(text.to_owned()),
        }
        is_open = continued;
    }
    let command = |line: &String| {
        let from = if line.starts_with("mcr ") { Some(0) } else { line.find("| mcr ").map(|at| at + 2) }?;
        let end = |text: &str| ["  ", " | ", " > ", " && ", " || "].iter().filter_map(|end| text.find(end)).min();
        let text = &line[from..];
        let text = &text[..end(text).unwrap_or(text.len())];
        Some(text.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect())
    };
    lines.iter().filter_map(command).collect()
}

#[test]
fn every_command_has_help_and_examples_that_are_right() {
    let mut n = 0;
    for (path, mut command) in leaves("", &Cli::command()) {
        let help = command.render_long_help().to_string();
        assert!(command.get_about().is_some(), "{path} does not say what it is for");
        let examples = examples(help.split("Examples:").nth(1).unwrap_or_default());
        assert!(!examples.is_empty(), "{path} has no example:\n{help}");
        for example in examples {
            let parsed = Cli::try_parse_from(&example);
            assert!(parsed.is_ok(), "{path}: {example:?}: {}", parsed.unwrap_err());
            n += 1;
        }
    }
    assert!(n > 40, "only {n} examples were found");
}

#[test]
fn what_stands_below_these_options_fits_a_terminal_of_eighty_columns() {
    let whole = Cli::command();
    for name in ["health", "change"] {
        let help = whole.find_subcommand(name).and_then(Command::get_after_help).unwrap().to_string();
        let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
        assert_eq!(long, [""; 0], "{name}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let refused = |line: &str| Cli::try_parse_from(line.split(' ')).err().map(|error| error.exit_code());
    for line in [
        "mcr relay add a",
        "mcr relay add a --in i/239.1.1.1:5",
        "mcr relay add a --in i/239.1.1.1:5 --out o/239.1.1.2:5 --file f",
        "mcr relay add",
        "mcr relay rm",
        "mcr relay set a --out o/239.1.1.2:5 --add-out o/239.1.1.2:5",
        "mcr relay set a --file f --remove-out 0",
        "mcr relay ls --state dark",
        "mcr status --socket /s --url http://n",
        "mcr status --socket /s --token-file t",
        "mcr health --timeout 500",
        "mcr health --timeout 0s",
        "mcr top --interval 199ms",
        "mcr top --interval 1",
        "mcr capture a",
        "mcr capture a -w f -c 0",
        "mcr completions powershell",
        "mcr relay mute -l a=b=c",
        "mcr wait --relay a",
        "mcr help",
    ] {
        assert_eq!(refused(line), Some(2), "{line}");
    }
    for line in [
        "mcr relay add --file -",
        "mcr relay mute -l group=news",
        "mcr relay show -l group -l !site",
        "mcr wait --healthy --timeout 5s",
        "mcr relay add a --file f --disabled",
        "mcr health --timeout 2s --ready -q",
        "mcr top --interval 200ms",
    ] {
        assert_eq!(refused(line), None, "{line}");
    }
}
