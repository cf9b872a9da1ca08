//! Patterns for names: `*` stands for anything, `?` for one character.

use alloc::string::String;
use alloc::vec::Vec;

/// Whether a name is meant by a pattern.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star stood, and from where of the name it gave way.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether a name is meant by one of the patterns; by none, all are.
#[must_use]
pub fn any(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name) in
            [("ch1", "ch1"), ("ch*", "ch"), ("*1", "ch11"), ("c?1", "ch1"), ("*", ""), ("a*b*c", "axbxbc")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("ch1", "ch12"), ("ch?", "ch"), ("*1", "ch12"), ("", "a"), ("a*b*c", "axbx")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert!(matches(&"*a".repeat(50), &"a".repeat(60)) && !matches(&"*a".repeat(50), &"b".repeat(5000)));
    }
}
