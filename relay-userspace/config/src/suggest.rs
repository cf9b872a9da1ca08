//! What an unknown key was meant to be.

/// The known key that is nearest to what was written, if one is near enough to be meant.
pub(super) fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let distances = known.iter().map(|key| (distance(&written.to_lowercase(), key), *key));
    let near = distances.filter(|(distance, key)| *distance <= 1 + key.len() / 4);
    near.min_by_key(|(distance, _)| *distance).map(|(_, key)| key)
}

/// How many letters must be changed, added or removed (Levenshtein); `-` and `_` are the same.
fn distance(a: &str, b: &str) -> usize {
    let same = |a: char, b: char| a == b || (a == '-' && b == '_');
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(!same(a, b));
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_is_suggested_and_far_is_not() {
        let known = &["group", "address", "port", "source_port"];
        assert_eq!(nearest("gruop", known), Some("group"));
        assert_eq!(nearest("source-port", known), Some("source_port"));
        assert_eq!(nearest("Adress", known), Some("address"));
        assert_eq!(nearest("bandwidth", known), None);
    }
}
