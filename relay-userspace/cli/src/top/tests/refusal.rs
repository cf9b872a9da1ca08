//! Where nothing can be drawn that is said, with what can be done instead.

use super::super::{is_unicode, may_draw};
use std::ffi::OsString;

#[test]
fn without_a_terminal_the_other_commands_are_named() {
    let term = |name: &'static str| move |_: &str| Some(OsString::from(name));
    assert!(may_draw(true, term("xterm-256color")).is_ok() && may_draw(true, term("linux")).is_ok());
    for refused in [may_draw(false, term("xterm")), may_draw(true, term("dumb")), may_draw(true, |_| None)] {
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("mcr status") && text.contains("mcr relay ls") && text.contains("--json"), "{text}");
    }
}

#[test]
fn only_who_says_so_gets_more_than_ascii() {
    let said = |pairs: &'static [(&str, &str)]| {
        is_unicode(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(*value)))
    };
    assert!(said(&[("LANG", "en_GB.UTF-8")]) && said(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
    assert!(!said(&[]) && !said(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]) && !said(&[("LANG", "de_DE")]));
}
