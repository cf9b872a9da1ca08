//! What a change did, or would do.

use super::client::Answer;
use super::screen::{Screen, plain};
use relay_config::model::{Applied, ChangedKey};
use std::io::{self, Write};

/// Shows the answer to a change: every line of it and the generation, or the API's own JSON.
pub(super) fn show<O: Write, E: Write>(answer: &Answer, json: bool, screen: &mut Screen<O, E>) -> anyhow::Result<()> {
    if json {
        return Ok(screen.json(&answer.body)?);
    }
    let applied: Applied = answer.read()?;
    for change in &applied.changes {
        writeln!(screen.out, "{}{}", if applied.dry_run { "would " } else { "" }, plain(change))?;
    }
    for ChangedKey { key, file, running } in &applied.not_in_effect {
        let waiting = ChangedKey { key: plain(key), file: file.clone(), running: running.clone() };
        writeln!(screen.out, "{}", plain(&waiting.told()))?;
    }
    end(&applied, screen)
}

/// The last line: whether it is in force.
pub(super) fn end<O: Write, E: Write>(applied: &Applied, screen: &mut Screen<O, E>) -> anyhow::Result<()> {
    Ok(writeln!(screen.out, "{}", sentence(applied))?)
}

fn sentence(applied: &Applied) -> String {
    let nothing = is_nothing(applied);
    if let Some(why) = &applied.not_kept {
        return format!(
            "applied: generation {} is in force on every lane and NOT kept yet: {}",
            applied.generation,
            plain(why)
        );
    }
    match (applied.dry_run, nothing) {
        (true, true) => "dry run: nothing would change".to_owned(),
        (true, false) => "dry run: nothing was changed".to_owned(),
        (false, true) => format!("nothing to change: generation {} is in force", applied.generation),
        (false, false) => format!("applied: generation {} is in force on every lane", applied.generation),
    }
}

/// Whether all was so already.
pub(super) fn is_nothing(applied: &Applied) -> bool {
    let Applied { changes, created, changed, removed, keys, .. } = applied;
    keys.is_empty() && [changes, created, changed, removed].iter().all(|list| list.is_empty())
}

/// Says something of one relay of several, in a line.
pub(super) fn line<O: Write, E: Write>(
    name: &str,
    done: &str,
    applied: &Applied,
    screen: &mut Screen<O, E>,
) -> io::Result<()> {
    writeln!(screen.out, "{}", one(name, done, applied))
}

fn one(name: &str, done: &str, applied: &Applied) -> String {
    match (applied.dry_run, is_nothing(applied)) {
        (_, true) => format!("{name}: is {done} already"),
        (true, false) => format!("{name}: would be {done}"),
        (false, false) => {
            let kept = applied.not_kept.as_ref().map(|why| format!(", NOT kept yet: {}", plain(why)));
            format!("{name}: {done} (generation {}){}", applied.generation, kept.unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dry_and_done_and_nothing_are_told_apart() {
        let mut applied = Applied {
            change: 12,
            generation: 7,
            dry_run: false,
            changes: Vec::new(),
            created: Vec::new(),
            changed: Vec::new(),
            removed: Vec::new(),
            not_kept: None,
            keys: Vec::new(),
            not_in_effect: Vec::new(),
        };
        assert_eq!(sentence(&applied), "nothing to change: generation 7 is in force");
        assert_eq!(one("a", "muted", &applied), "a: is muted already");
        let key = |key: &str| ChangedKey { key: key.to_owned(), running: 1.into(), file: 2.into() };
        applied.keys = vec![key("http.listen")];
        assert!(sentence(&applied).starts_with("applied: "), "it was taken, though it waits for a start");
        applied.keys.clear();
        applied.changed = vec!["a".into()];
        assert_eq!(sentence(&applied), "applied: generation 7 is in force on every lane");
        assert_eq!(one("a", "muted", &applied), "a: muted (generation 7)");
        applied.not_kept = Some("no space".to_owned());
        assert!(sentence(&applied).ends_with("on every lane and NOT kept yet: no space"));
        assert_eq!(one("a", "muted", &applied), "a: muted (generation 7), NOT kept yet: no space");
        applied.not_kept = None;
        applied.dry_run = true;
        assert_eq!(sentence(&applied), "dry run: nothing was changed");
        assert_eq!(one("a", "muted", &applied), "a: would be muted");
    }
}
