//! No text tells somebody to restart mcr without saying what that is: `mcr restart` starts control alone anew and loses no
//! packet, `mcr stop` ends the lanes too, and so does systemd's restart.

use super::{Fault, Tree};

/// What leaves open whether lanes end.
const VAGUE: [&[&str]; 8] = [
    &["restart", "mcr"],
    &["restart", "the", "node"],
    &["restart", "the", "relay"],
    &["restart", "the", "service"],
    &["restart", "the", "daemon"],
    &["start", "mcr", "anew"],
    &["start", "mcr", "again"],
    &["mcr", "is", "started", "anew"],
];
const KINDS: [&str; 11] = ["conf", "rs", "md", "toml", "json", "js", "html", "yml", "yaml", "service", "sh"];
/// The changelog tells what was, and this file what must not be.
const LEFT_OUT: [&str; 2] = ["CHANGELOG.md", "xtask/src/tidy/advice.rs"];

pub(super) fn vague(tree: &Tree) -> Vec<Fault> {
    let files = KINDS.iter().flat_map(|kind| tree.files(kind)).filter(|(path, _)| !LEFT_OUT.contains(path));
    files.flat_map(|(path, text)| faults(path, text)).collect()
}

fn faults(path: &str, text: &str) -> Vec<Fault> {
    let words = words(text);
    let fault = |at: usize| {
        let here = &words[at..];
        let phrase = VAGUE.iter().find(|phrase| begins_with(here, phrase))?;
        let before = at.checked_sub(1).map_or("", |before| words[before].1.as_str());
        // The unit as a whole has a command of its own. Pages may describe it; what mcr says never advises it.
        let is_command = before.ends_with("mcr") || before.ends_with("systemctl") && !path.ends_with(".rs");
        let told =
            format!("\"{}\" says not whether lanes end: `mcr restart`, or `mcr stop` and a start", phrase.join(" "));
        (!is_command).then(|| Fault::new(path, here[0].0, told))
    };
    (0..words.len()).filter_map(fault).collect()
}

/// Every word with its line: texts go on in the next one, behind a mark of a comment or of a string.
fn words(text: &str) -> Vec<(usize, String)> {
    let of_line = |(n, line): (usize, &str)| {
        let words = line.replace("\\n", " ").to_lowercase();
        let is_word = |word: &&str| word.contains(char::is_alphanumeric);
        words.split_whitespace().filter(is_word).map(|word| (n + 1, word.to_owned())).collect::<Vec<_>>()
    };
    text.lines().enumerate().flat_map(of_line).collect()
}

/// Whether words are that phrase. What stands between two of them ends it.
fn begins_with(words: &[(usize, String)], phrase: &[&str]) -> bool {
    let mark = |c: char| !c.is_alphanumeric() && !['-', '_'].contains(&c);
    let is_it = |(n, wanted): (usize, &&str)| {
        let Some((_, word)) = words.get(n) else { return false };
        // What stands before it belongs to the code: f("restart
        let word = if n == 0 { word.rsplit(mark).next().unwrap_or_default() } else { word };
        let word = if n + 1 == phrase.len() { word.trim_end_matches(mark) } else { word };
        word == *wanted
    };
    phrase.iter().enumerate().all(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        vague(&Tree::of(&[(path, text)])).iter().map(|fault| fault.line).collect()
    }

    #[test]
    fn advice_that_says_not_how_is_a_fault_wherever_it_stands() {
        assert_eq!(lines("a.rs", "f(\n    \"no room: restart mcr\",\n)"), [2]);
        assert_eq!(lines("a.rs", "//! Raise it and start mcr\n//! anew."), [1]);
        assert_eq!(lines("a.rs", "\"raise it and \\\n     restart \\\n     the node\""), [2]);
        assert_eq!(lines("a.rs", "log.contains(\"restart mcr to use it\")"), [1]);
        assert_eq!(lines("docs/a.md", "It is `unusable` until mcr is started anew."), [1]);
        assert_eq!(lines("deploy/alerts.yml", "remedy: Restart mcr, then look"), [1]);
        assert_eq!(lines("a.rs", "\"see the log; systemctl restart mcr\""), [1], "that interrupts every stream");
    }

    #[test]
    fn a_command_and_a_description_are_none() {
        for text in [
            "see the log; mcr restart",
            "Examples:\n  mcr restart\n  mcr restart --json",
            "`mcr restart`, mcr events",
            "only a start of everything (`systemctl restart mcr`, a reboot) undoes it",
            "after a restart, mcr goes on",
            "end mcr (mcr stop) and start it",
            "control is started anew",
        ] {
            assert_eq!(lines("docs/a.md", text), [0; 0], "{text}");
        }
        assert_eq!(lines("CHANGELOG.md", "No text tells to restart mcr"), [0; 0]);
    }
}
