//! What is made from the command line's own definition: completions and the manual page.

use crate::args::{Cli, Shell};
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use std::io::{self, Write};

/// Prints what a shell needs to complete commands and options.
///
/// # Errors
/// When it cannot be written.
pub fn complete(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    // It is written at once: the generator panics where the reader has gone.
    let mut text = Vec::new();
    // What is hidden is nobody's to type.
    let all = Cli::command();
    let shown = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let mut shown = clap::Command::new("mcr")
        .args(all.get_arguments().cloned())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .subcommands(shown);
    clap_complete::generate(shell, &mut shown, "mcr", &mut text);
    out.write_all(&text)
}

/// Prints the manual page: all commands on one page, in the form of roff.
///
/// # Errors
/// When it cannot be written.
pub fn manual(out: &mut impl Write) -> io::Result<()> {
    let mut command = Cli::command().disable_help_flag(true).disable_version_flag(true);
    command.build();
    let man = Man::new(command.clone()).title("MCR").section("1").source(concat!("mcr ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.manual("Multicast relay").render_title(&mut page)?;
    let man = Man::new(command.clone());
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut text = text(page)?;
    for sub in shown(&command) {
        part(&mut text, "mcr", sub)?;
    }
    text.push_str(&remarks(&command, ".SH"));
    text.push_str(FILES);
    out.write_all(text.as_bytes())
}

const FILES: &str = "\
.SH FILES
.TP
/etc/mcr/relay.toml
the configuration, by custom; mcr run \\-\\-config names it
.TP
/run/mcr/mcr.sock
the Unix socket of the running mcr
.TP
/var/lib/mcr/relays.toml
the relays that were made through the API
";

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

/// One command, and those below it.
fn part(text: &mut String, path: &str, command: &Command) -> io::Result<()> {
    let path = format!("{path} {}", command.get_name());
    let below: Vec<&Command> = shown(command).collect();
    if below.is_empty() {
        text.push_str(&format!(".SH {}\n", path.to_uppercase()));
        // The options of every command would say the same of help.
        let man = Man::new(command.clone().disable_help_flag(true).bin_name(&path));
        let mut page = Vec::new();
        man.render_description_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_options_section(&mut page)?;
        text.push_str(&lowered(&self::text(page)?));
        text.push_str(&remarks(command, ".SS"));
    }
    below.iter().try_for_each(|sub| part(text, &path, sub))
}

/// Sections become parts of one, and what needs no heading has none.
fn lowered(page: &str) -> String {
    let heading = |line: &str| match line {
        ".SH DESCRIPTION" => String::new(),
        ".SH SYNOPSIS" => ".SS Usage\n".to_owned(),
        ".SH OPTIONS" => ".SS Options\n".to_owned(),
        _ => format!("{}\n", line.strip_prefix(".SH").map_or_else(|| line.to_owned(), |name| format!(".SS{name}"))),
    };
    page.lines().map(heading).collect()
}

/// What stands below the options of a help: a line that ends with a colon is a heading, what is indented stays as it
/// is, and the rest is text.
fn remarks(command: &Command, heading: &str) -> String {
    let help = command.get_after_long_help().or_else(|| command.get_after_help());
    let help = help.map_or_else(String::new, ToString::to_string);
    let mut page = String::new();
    for line in help.lines() {
        let escaped = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
        match line.strip_suffix(':') {
            _ if line.is_empty() => page.push_str(".PP\n"),
            Some(name) if !line.starts_with(' ') => page.push_str(&format!("{heading} {name}\n")),
            _ if line.starts_with(' ') => page.push_str(&format!(".nf\n{escaped}\n.fi\n")),
            _ => page.push_str(&format!("{escaped}\n")),
        }
    }
    page
}

fn text(page: Vec<u8>) -> io::Result<String> {
    String::from_utf8(page).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn what_is_hidden_is_not_completed() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            complete(shell, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("capture") && !text.contains("layouts"), "{text}");
        }
    }

    #[test]
    fn a_relay_without_a_name_is_a_wrong_argument() {
        for words in [&["relay", "show", ""][..], &["relay", "rm", ""], &["why", ""], &["capture", "", "-w", "x"]] {
            assert!(Cli::try_parse_from([&["mcr"], words].concat()).is_err(), "{words:?}");
        }
    }

    #[test]
    fn the_run_folder_that_is_named_is_the_one() {
        let asked = Cli::try_parse_from(["mcr", "stop", "--run-dir", "/run/other"]).unwrap().command;
        let crate::args::Command::Stop(stop) = asked else { panic!("{asked:?}") };
        assert_eq!(stop.folder(), std::path::Path::new("/run/other"), "whatever MCR_SOCKET says");
        let asked = Cli::try_parse_from(["mcr", "stop", "--socket", "/run/third/mcr.sock"]).unwrap().command;
        let crate::args::Command::Stop(stop) = asked else { panic!("{asked:?}") };
        assert_eq!(stop.folder(), std::path::Path::new("/run/third"));
    }
}
