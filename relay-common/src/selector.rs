//! Selectors: which relays are meant, by names and by labels.

use crate::label::{Labels, is_key, is_value};
use crate::pattern;
use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Conditions that one selector can have.
pub const MAX_CONDITIONS: usize = 32;

/// One condition on the labels of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `group=news`
    Is(String, String),
    /// `group!=news`: also where there is no such label.
    IsNot(String, String),
    /// `group`
    Has(String),
    /// `!group`
    HasNot(String),
}

impl Condition {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no condition: write group=news, group!=news, group or !group");
        let key = |text: &str| is_key(text).then(|| text.to_owned()).ok_or_else(wrong);
        let value = |text: &str| is_value(text).then(|| text.to_owned()).ok_or_else(wrong);
        if let Some((left, right)) = text.split_once("!=") {
            return Ok(Self::IsNot(key(left)?, value(right)?));
        }
        if let Some((left, right)) = text.split_once('=') {
            return Ok(Self::Is(key(left)?, value(right)?));
        }
        text.strip_prefix('!').map_or_else(|| key(text).map(Self::Has), |left| key(left).map(Self::HasNot))
    }

    fn holds(&self, labels: &Labels) -> bool {
        match self {
            Self::Is(key, value) => labels.get(key) == Some(value),
            Self::IsNot(key, value) => labels.get(key) != Some(value),
            Self::Has(key) => labels.contains_key(key),
            Self::HasNot(key) => !labels.contains_key(key),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(key, value) => write!(f, "{key}={value}"),
            Self::IsNot(key, value) => write!(f, "{key}!={value}"),
            Self::Has(key) => f.write_str(key),
            Self::HasNot(key) => write!(f, "!{key}"),
        }
    }
}

/// Which relays are meant: those whose name is meant by one of the patterns, and whose labels meet every condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Names, or patterns for them; none: any name.
    pub names: Vec<String>,
    /// What must hold of the labels; none: nothing.
    pub conditions: Vec<Condition>,
}

impl Selector {
    /// Reads names and conditions. Both can be given with commas between.
    ///
    /// # Errors
    /// What is wrong and what to write.
    pub fn parse<S: AsRef<str>>(names: &[S], conditions: &[S]) -> Result<Self, String> {
        let names: Vec<String> = names.iter().flat_map(|text| text.as_ref().split(',')).map(String::from).collect();
        if names.iter().any(String::is_empty) {
            return Err("a name is empty: give names, or patterns with * and ?".to_owned());
        }
        let texts: Vec<&str> = conditions.iter().flat_map(|text| text.as_ref().split(',')).map(str::trim).collect();
        if texts.len() > MAX_CONDITIONS {
            return Err(format!("{} conditions: give at most {MAX_CONDITIONS}", texts.len()));
        }
        let conditions = texts.into_iter().map(Condition::parse).collect::<Result<_, _>>()?;
        Ok(Self { names, conditions })
    }

    /// Whether every relay is meant.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.names.is_empty() && self.conditions.is_empty()
    }

    /// The names of the relays that are meant, of all that there are.
    ///
    /// # Errors
    /// What is meant and not there: a mistyped name or label must not go unheard.
    pub fn choose<'a>(
        &self,
        relays: impl IntoIterator<Item = (&'a str, &'a Labels)>,
    ) -> Result<BTreeSet<&'a str>, String> {
        let mut is_found = alloc::vec![false; self.names.len()];
        let mut chosen = BTreeSet::new();
        for (relay, labels) in relays {
            if !self.conditions.iter().all(|condition| condition.holds(labels)) {
                continue;
            }
            let mut is_meant = self.names.is_empty();
            for (pattern, is_found) in self.names.iter().zip(&mut is_found) {
                if pattern::matches(pattern, relay) {
                    (is_meant, *is_found) = (true, true);
                }
            }
            if is_meant {
                chosen.insert(relay);
            }
        }
        let missing = self.names.iter().zip(is_found).find(|(_, is_found)| !is_found);
        match missing {
            Some((name, _)) => {
                let conditions = self.conditions.clone();
                Err(format!("no relay is meant by {}", Self { names: alloc::vec![name.clone()], conditions }))
            }
            None if chosen.is_empty() && !self.is_all() => Err(format!("no relay is meant by {self}")),
            None => Ok(chosen),
        }
    }

    /// What is meant and not there: `called "ch1"` for each name that no relay has, or `meant by group=news` where all of it means
    /// nothing.
    pub fn unknown(&self, is_known: impl Fn(&str) -> bool, means_nothing: bool) -> Vec<String> {
        let names = self.names.iter().filter(|name| !is_known(name));
        let names: Vec<String> = names.map(|name| format!("called \"{name}\"")).collect();
        if names.is_empty() && means_nothing && !self.conditions.is_empty() {
            return alloc::vec![format!("meant by {self}")];
        }
        names
    }

    /// Whether a relay is meant.
    #[must_use]
    pub fn takes(&self, name: &str, labels: &Labels) -> bool {
        pattern::any(&self.names, name) && self.conditions.iter().all(|condition| condition.holds(labels))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ");
        let conditions = self.conditions.iter().map(|one| format!("{one}")).collect::<Vec<_>>().join(" and ");
        match (names.is_empty(), conditions.is_empty()) {
            (true, true) => f.write_str("any"),
            (false, true) => f.write_str(&names),
            (true, false) => f.write_str(&conditions),
            (false, false) => write!(f, "{names} with {conditions}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn all_conditions_must_hold_and_one_of_the_names() {
        let takes = |names: &[&str], conditions: &[&str], pairs: &[(&str, &str)]| {
            Selector::parse(names, conditions).unwrap().takes("ch1", &labels(pairs))
        };
        let news = &[("group", "news"), ("site", "a")][..];
        for conditions in [&[][..], &["group=news"], &["group"], &["site!=b", "group=news"], &["!tier,group"]] {
            assert!(takes(&[], conditions, news), "{conditions:?}");
        }
        for conditions in [&["group=sport"][..], &["group!=news"], &["tier"], &["!group"], &["group=news", "site=b"]] {
            assert!(!takes(&[], conditions, news), "{conditions:?}");
        }
        assert!(takes(&["x", "ch*"], &["group!=news"], &[]), "a label that is not there is another");
        assert!(!takes(&["x*"], &["group=news"], news));
        assert!(takes(&["x,ch1"], &[], &[]));
    }

    #[test]
    fn what_is_no_selector_is_refused_with_a_remedy() {
        for wrong in ["", "=news", "group=", "group==news", "!group=news", "group!=", "a b", "a=b c", "a=b,,c", "!"] {
            let told = Selector::parse(&[], &[wrong]).unwrap_err();
            assert!(told.contains("is no condition: write group=news"), "{wrong}: {told}");
        }
        assert!(Selector::parse(&["a,"], &[]).unwrap_err().contains("a name is empty"));
        let many = alloc::vec!["a"; MAX_CONDITIONS + 1];
        assert_eq!(Selector::parse(&[], &many).unwrap_err(), "33 conditions: give at most 32");
    }

    #[test]
    fn what_is_meant_and_not_there_is_told() {
        let relays =
            [("ch1", labels(&[("group", "news")])), ("ch2", labels(&[("group", "sport")])), ("x", labels(&[]))];
        let choose = |names: &[&str], conditions: &[&str]| {
            let chosen = Selector::parse(names, conditions)
                .unwrap()
                .choose(relays.iter().map(|(name, labels)| (*name, labels)))?;
            Ok::<_, String>(chosen.into_iter().collect::<Vec<_>>().join(" "))
        };
        assert_eq!(choose(&[], &[]).unwrap(), "ch1 ch2 x");
        assert_eq!(choose(&["ch*"], &["group!=news"]).unwrap(), "ch2");
        assert_eq!(choose(&["x", "ch1"], &[]).unwrap(), "ch1 x");
        assert_eq!(choose(&["ch*", "ch9"], &[]).unwrap_err(), "no relay is meant by \"ch9\"");
        assert_eq!(choose(&["x"], &["group"]).unwrap_err(), "no relay is meant by \"x\" with group");
        assert_eq!(choose(&[], &["group=new"]).unwrap_err(), "no relay is meant by group=new");
        assert_eq!(Selector::default().choose([]).unwrap().len(), 0, "no relay at all is none that is missing");
    }

    #[test]
    fn a_selector_says_what_it_means() {
        let said = |names: &[&str], conditions: &[&str]| format!("{}", Selector::parse(names, conditions).unwrap());
        assert_eq!(said(&["a*", "b"], &["group=news", "!tier"]), "\"a*\" or \"b\" with group=news and !tier");
        assert_eq!(said(&[], &["group!=news,site"]), "group!=news and site");
        assert_eq!(said(&[], &[]), "any");
    }
}
