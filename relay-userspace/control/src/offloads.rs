//! Features of links that mcr turns off while it relays from them, and on again afterwards.
//!
//! A NIC that takes VLAN tags out of frames makes every VLAN's frames look untagged to the XDP program: an untagged relay
//! would take in the copies of all of them, and a relay with a VLAN nothing. What was turned off is kept in the run
//! directory, so that whoever comes after a control that was killed turns it on again.

use super::door;
use crate::link::ethtool::{self, STRIPS};
use crate::link::hint::how_to_turn_off;
use relay_common::facts::{Facts, Link};
use relay_common::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What was turned off.
#[derive(Debug)]
pub struct Offloads {
    file: PathBuf,
    notes: BTreeSet<Note>,
}

/// A feature that was on. A link that was made anew has another index and features of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Note {
    link: String,
    ifindex: u32,
    feature: String,
}

impl Offloads {
    /// What this control, or one before it, has turned off in this network namespace.
    ///
    /// # Errors
    /// When the network namespace cannot be told.
    pub fn open(run_dir: &Path) -> anyhow::Result<Self> {
        let file = run_dir.join(format!("offloads.{}", door::namespace()?));
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(file = %file.display(), "cannot tell which features were turned off: {error}");
                }
                String::new()
            }
        };
        Ok(Self { file, notes: text.lines().filter_map(Note::parse).collect() })
    }

    /// Has the NICs of these links leave VLAN tags in their frames. Says of which it cannot be had, and what to do.
    pub fn keep_tags<'a>(&mut self, links: impl Iterator<Item = &'a Link>) -> BTreeMap<String, String> {
        links.filter_map(|link| Some((link.name.clone(), self.keep_tags_of(link)?))).collect()
    }

    fn keep_tags_of(&mut self, link: &Link) -> Option<String> {
        let name = &link.name;
        let features = ethtool::features(name)?;
        let strips: Vec<&str> = STRIPS.into_iter().filter(|feature| features.on(feature)).collect();
        let is_fixed = |feature: &&&str| features.get(feature).is_some_and(|feature| feature.fixed);
        let free: Vec<&str> = strips.iter().filter(|feature| !is_fixed(feature)).copied().collect();
        if !free.is_empty() {
            // Noted first: if this process is killed now, whoever comes after it knows.
            let note = |feature: &&str| Note::new(link, feature);
            self.notes.extend(free.iter().map(note));
            self.write();
            let _ = ethtool::set_features(name, &free, false);
        }
        // What the kernel was asked for is not what the driver does.
        let now = ethtool::features(name).unwrap_or_default();
        let left: Vec<&str> = strips.into_iter().filter(|feature| now.on(feature)).collect();
        let done: Vec<&str> = free.into_iter().filter(|feature| !left.contains(feature)).collect();
        if !done.is_empty() {
            let features = done.join(" and ");
            tracing::info!(link = %name, "turned {features} off, so that VLAN tags stay in their frames; on again when mcr ends");
        }
        if left.is_empty() {
            return None;
        }
        self.notes.retain(|note| note.link != *name || !left.contains(&note.feature.as_str()));
        self.write();
        Some(how_to_turn_off(name, &now, &left))
    }

    /// Turns on again what was turned off, but for links that are still relayed from.
    pub fn restore(&mut self, is_needed: impl Fn(&str) -> bool) {
        let due: Vec<Note> = self.notes.iter().filter(|note| !is_needed(&note.link)).cloned().collect();
        for note in &due {
            let Note { link, ifindex, feature } = note;
            let is_there = nix::net::if_::if_nametoindex(link.as_str()).is_ok_and(|index| index == *ifindex);
            if is_there && ethtool::set_features(link, &[feature], true).is_none() {
                tracing::warn!(%link, "{feature} could not be turned on again: ethtool -K {link} {feature} on");
            } else if is_there {
                tracing::info!(%link, "turned {feature} on again");
            }
            self.notes.remove(note);
        }
        if !due.is_empty() {
            self.write();
        }
    }

    /// Keeps what is noted: whole, in the place of what was kept before; no file when there is nothing.
    fn write(&self) {
        let text: String = self.notes.iter().map(Note::line).collect();
        let aside = self.file.with_extension("new");
        let written = if text.is_empty() {
            fs::remove_file(&self.file).or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
        } else {
            fs::write(&aside, text).and_then(|()| fs::rename(&aside, &self.file))
        };
        if let Err(error) = written {
            let file = self.file.display();
            tracing::warn!(%file, "cannot keep which features were turned off: if mcr is killed they stay off: {error}");
        }
    }
}

impl Note {
    fn new(link: &Link, feature: &str) -> Self {
        Self { link: link.name.clone(), ifindex: link.ifindex, feature: feature.to_owned() }
    }

    /// A line of the file; no name of a link has a blank.
    fn line(&self) -> String {
        format!("{} {} {}\n", self.link, self.ifindex, self.feature)
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let [link, ifindex, feature] = words[..] else { return None };
        // Whatever else is in the file is none of our doing.
        let feature = STRIPS.into_iter().find(|known| *known == feature)?;
        Some(Self { link: link.to_owned(), ifindex: ifindex.parse().ok()?, feature: feature.to_owned() })
    }
}

/// Input links whose VLAN tags cannot be had in the frame, as far as is known without trying: each with what to do.
#[must_use]
pub fn stripped_for_good(facts: &Facts, plan: &Plan) -> BTreeMap<String, String> {
    let inputs: BTreeSet<&str> = plan.relays.iter().map(|relay| relay.input.interface.as_str()).collect();
    let remedy = |name: &str| {
        facts.link(name)?;
        let features = ethtool::features(name)?;
        let is_fixed = |feature: &&str| features.get(feature).is_some_and(|feature| feature.on && feature.fixed);
        let fixed: Vec<&str> = STRIPS.into_iter().filter(is_fixed).collect();
        (!fixed.is_empty()).then(|| how_to_turn_off(name, &features, &fixed))
    };
    inputs.into_iter().filter_map(|name| Some((name.to_owned(), remedy(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_nothing_else_is() {
        let note = Note { link: "ens1f0".into(), ifindex: 3, feature: STRIPS[0].into() };
        assert_eq!(Note::parse(note.line().trim_end()), Some(note));
        for line in ["", "ens1f0 3", "ens1f0 x rx-vlan-hw-parse", "ens1f0 3 rx-checksumming", "a b 3 rx-vlan-hw-parse"]
        {
            assert_eq!(Note::parse(line), None, "{line}");
        }
    }
}
