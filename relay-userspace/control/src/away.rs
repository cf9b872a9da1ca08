//! Asking lanes how they are while control does not answer, or none is there. Nothing is taken over and nothing changed: each lane says one
//! thing and shows what the last control wrote down.

use super::door::{self, Knocked};
use super::memo::{At, Definition, Known, KnownRelay};
use super::talk::{Looked, Talk};
use crate::link::netlink::{Netlink, Reading};
use anyhow::{Context as _, bail};
use futures_util::future::join_all;
use nix::unistd::{Gid, Uid, geteuid, setegid, seteuid};
use relay_common::health::away::{Answer, Away};
use relay_common::health::{NAMED, Share, Waiting, of_relay};
use relay_common::pattern;
use relay_common::selector::Selector;
use relay_common::table::Part;
use relay_engine::clock::now_ns;
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

/// Why it waits was for the last control to know.
const WAITED: &str = "waited already when control was there";

/// What the lanes of this network namespace told.
#[derive(Debug)]
pub struct Seen {
    lanes: Vec<(u32, Answer)>,
    known: Option<Known>,
    links: Vec<Reading>,
    /// A control is there, and did not answer.
    is_silent: bool,
}

/// Whether doors of lanes of this network namespace lie in a folder.
#[must_use]
pub fn has_doors(run_dir: &Path) -> bool {
    door::namespace().and_then(|namespace| door::find(run_dir, namespace)).is_ok_and(|doors| !doors.is_empty())
}

/// Asks the lanes whose doors lie in a folder; each has so long to answer. `None` when no lane is there. Whoever asks knows
/// whether a control is there that is silent.
///
/// # Errors
/// When this user may not ask them.
pub async fn look(run_dir: &Path, patience: Duration, is_silent: bool) -> anyhow::Result<Option<Seen>> {
    let doors = door::find(run_dir, door::namespace()?)?;
    let Some((_, first)) = doors.first() else { return Ok(None) };
    become_their_user(first)?;
    let asked = join_all(doors.iter().map(|(number, path)| ask(*number, path, patience))).await;
    let asked: Vec<Asked> = asked.into_iter().collect::<anyhow::Result<_>>()?;
    let known = asked.iter().find_map(|asked| Known::read(asked.memo.as_ref()?));
    let mut lanes: Vec<(u32, Answer)> = asked.into_iter().map(|asked| (asked.number, asked.answer)).collect();
    // Where nobody relays there is no node; and a door that an earlier one left behind is none of this one's.
    if lanes.iter().all(|(_, answer)| *answer == Answer::Dead) {
        return Ok(None);
    }
    if let Some(known) = &known {
        lanes.retain(|(number, _)| *number < known.n_lanes());
        let is_there = |number: &u32| lanes.iter().any(|(of, _)| of == number);
        let gone: Vec<u32> = (0..known.n_lanes()).filter(|number| !is_there(number)).collect();
        lanes.extend(gone.into_iter().map(|number| (number, Answer::Dead)));
    }
    let netlink = Netlink::new().context("cannot ask the kernel for its links")?;
    Ok(Some(Seen { lanes, known, links: netlink.readings(None).await?, is_silent }))
}

/// A lane answers its own user, and root can be that.
fn become_their_user(door: &Path) -> anyhow::Result<()> {
    let found = fs::metadata(door).with_context(|| format!("cannot look at {}", door.display()))?;
    if geteuid().is_root() && found.uid() != 0 {
        setegid(Gid::from_raw(found.gid())).context("cannot ask lanes as their user")?;
        seteuid(Uid::from_raw(found.uid())).context("cannot ask lanes as their user")?;
    }
    if geteuid().as_raw() != found.uid() {
        let user = nix::unistd::User::from_uid(Uid::from_raw(found.uid())).ok().flatten();
        let name = user.map_or_else(|| found.uid().to_string(), |user| user.name);
        bail!("its lanes can be asked by user {name} and by root only");
    }
    Ok(())
}

struct Asked {
    number: u32,
    answer: Answer,
    memo: Option<[OwnedFd; 2]>,
}

async fn ask(number: u32, path: &Path, patience: Duration) -> anyhow::Result<Asked> {
    let of = |answer| Asked { number, answer, memo: None };
    let connection = match door::knock(path)? {
        Knocked::Open(connection) => connection,
        Knocked::Nobody => return Ok(of(Answer::Dead)),
        Knocked::Crowded => return Ok(of(Answer::Silent)),
    };
    let age = |since: u64| (since != 0).then(|| now_ns().saturating_sub(since));
    let mut talk = Talk::with_a_lane(connection)?;
    Ok(match talk.look(patience).await {
        Ok(Looked::Alone { since, memo }) => Asked { number, answer: Answer::Alone { for_ns: age(since) }, memo },
        Ok(Looked::Taken { since, memo }) => Asked { number, answer: Answer::Taken { for_ns: age(since) }, memo },
        // It hung up: it died meanwhile, or is of a version that cannot be asked so.
        Err(_) if !talk.is_connected() => of(Answer::Dead),
        Err(_) => of(Answer::Silent),
    })
}

impl Seen {
    /// The evidence, where the relays that are meant count.
    #[must_use]
    pub fn evidence(&self, meant: &Selector, limit: Option<Duration>) -> Away<'_> {
        Away {
            is_silent: self.is_silent,
            lanes: self.lanes.clone(),
            bare: self.bare(),
            waiting: self.waiting(meant),
            limit_ns: limit.map(|limit| u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)),
        }
    }

    fn link(&self, name: &str) -> Option<&Reading> {
        self.links.iter().find(|reading| reading.link.name == name)
    }

    fn relays(&self) -> impl Iterator<Item = &KnownRelay> {
        self.known.iter().flat_map(|known| &known.relays).filter(|relay| relay.definition.enabled)
    }

    /// Links that relays take in from, that are there and have no program.
    fn bare(&self) -> Vec<&str> {
        let inputs: BTreeSet<&str> =
            self.relays().filter(|relay| !relay.dark).map(|relay| relay.definition.input.interface.as_str()).collect();
        let is_bare = |name: &&str| self.link(name).is_some_and(|reading| reading.attached.is_empty());
        inputs.into_iter().filter(is_bare).collect()
    }

    /// What waited when the last control wrote it down, and what waits because a link has gone since.
    fn waiting(&self, meant: &Selector) -> Waiting {
        let is_up = |reading: &&Reading| reading.link.up && reading.link.carrier;
        let up: BTreeSet<&str> = self.links.iter().filter(is_up).map(|reading| reading.link.name.as_str()).collect();
        let (mut shares, mut used, mut waiting) = (Vec::new(), BTreeSet::new(), Waiting::default());
        let takes = |relay: &Definition| meant.takes(&relay.name, &relay.labels);
        let relays = self.relays().filter(|relay| takes(&relay.definition));
        for KnownRelay { definition: Definition { name, input, outputs, .. }, dark, waits } in relays {
            used.extend(outputs.iter().chain([input]).map(|at| at.interface.as_str()));
            let mut waits_for = |part: Part, link: &At, waited: bool| {
                let is_down = !up.contains(link.interface.as_str());
                if (waited || is_down) && waiting.first.len() < NAMED {
                    let link = &link.interface;
                    let why = if is_down {
                        format!("interface {link} is gone, down or without carrier")
                    } else {
                        WAITED.to_owned()
                    };
                    waiting.first.push(format!("relay \"{name}\" {part}: {why}"));
                }
                waiting.n += usize::from(waited || is_down);
                !waited && !is_down
            };
            let takes_in = waits_for(Part::Input, input, *dark);
            let sends = |(i, output): (usize, &At)| waits_for(Part::Output(i), output, waits.contains(&i));
            let sending = outputs.iter().enumerate().map(sends).filter(|sends| *sends).count();
            shares.push(of_relay(takes_in, sending as u64, outputs.len() as u64));
        }
        let links = used.into_iter().map(|link| if up.contains(link) { Share::ALL } else { Share::NONE });
        let all = self.known.iter().flat_map(|known| &known.relays);
        let is_known = |wanted: &str| all.clone().any(|relay| pattern::matches(wanted, &relay.definition.name));
        if self.known.is_some() {
            waiting.unknown = meant.unknown(is_known, !all.clone().any(|relay| takes(&relay.definition)));
        }
        Waiting { relays: shares.into_iter().collect(), links: links.collect(), ..waiting }
    }
}
