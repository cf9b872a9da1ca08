//! The configuration that ran before the last one, and whether the last one is on trial: beside the state file, so that the
//! way back is known whatever becomes of control and of the machine.

use super::store::{beside, flush_folder, write_in_place};
use crate::events::rfc3339;
use relay_common::trial::{Now, Trial};
use relay_config as config;
use relay_config::{Configuration, Errors};
use relay_engine::clock::{boot_ns, unix_ms};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What stands above it; the path of the configuration file follows.
const HEAD: &str = "# The configuration that mcr ran before the last reload of ";
const REST: &str = "\n# mcr writes this, for mcr rollback and mcr reload --confirm.\n\n";

/// Where all of it lies.
#[derive(Clone, Debug)]
pub struct Previous {
    path: PathBuf,
    /// What ran before the trial. What ran before that stays where it is until the trial is over: it may come to nothing.
    trial: PathBuf,
    standing: PathBuf,
    /// The configuration file.
    of: PathBuf,
}

/// How the configuration file stands that was taken last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is given up unless somebody confirms it in time.
    OnTrial(Trial),
    /// It was given up. No start takes it again as it is: this is the hash of what it says.
    GivenUp(String),
}

/// What has become of the configuration file, as the disk is to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How it stands.
    pub standing: Option<Standing>,
    /// What ran before, if something else runs now.
    pub before: Option<Arc<str>>,
}

impl Previous {
    /// Those that belong to a configuration file and lie beside that state file.
    #[must_use]
    pub fn beside(state_file: &Path, of: &Path) -> Self {
        let [path, trial, standing] = ["previous", "trial", "standing"].map(|ending| beside(state_file, ending));
        Self { path, trial, standing, of: of.to_owned() }
    }

    /// Where what ran before lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the way back from a trial that is to begin, flushed.
    ///
    /// # Errors
    /// When that failed.
    pub fn keep_for_trial(&self, text: &str) -> io::Result<()> {
        write_in_place(&self.trial, &self.whole(text))
    }

    /// Notes what has become of the configuration file. Wherever that ends, there is a way back to what somebody has agreed to.
    ///
    /// # Errors
    /// When that failed, perhaps half-way: it can be done once more.
    pub fn settle(&self, Outcome { standing, before }: &Outcome) -> io::Result<()> {
        if before.is_some() {
            // Takes no room, so what ran before a trial is known on a full disk, too.
            unless_missing(fs::rename(&self.trial, &self.path))?;
        }
        self.note(standing.as_ref())?;
        if !matches!(standing, Some(Standing::OnTrial(_))) {
            // One that is left over is written anew before it counts.
            let _ = fs::remove_file(&self.trial);
        }
        before.as_ref().map_or(Ok(()), |text| self.keep(text))
    }

    fn keep(&self, text: &str) -> io::Result<()> {
        let whole = self.whole(text);
        if fs::read_to_string(&self.path).is_ok_and(|kept| kept == whole) {
            return Ok(());
        }
        write_in_place(&self.path, &whole)
    }

    fn whole(&self, text: &str) -> String {
        format!("{}{text}", self.head())
    }

    fn head(&self) -> String {
        format!("{HEAD}{}{REST}", self.of.display())
    }

    /// Reads what ran before. `None` when there is nothing, or another file's.
    ///
    /// # Errors
    /// What is wrong with it.
    #[must_use]
    pub fn read(&self) -> Option<Result<Configuration, Errors>> {
        self.read_at(&self.path)
    }

    /// Reads what ran before the trial that there is.
    ///
    /// # Errors
    /// What is wrong with it.
    #[must_use]
    pub fn read_before_trial(&self) -> Option<Result<Configuration, Errors>> {
        // None is there where the trial is about to end.
        self.read_at(&self.trial).or_else(|| self.read())
    }

    fn read_at(&self, path: &Path) -> Option<Result<Configuration, Errors>> {
        let whole = fs::read_to_string(path).ok()?;
        let text = whole.strip_prefix(&self.head())?;
        Some(config::load(path).map(|read| Configuration { text: text.into(), ..read }))
    }

    /// Notes how the file stands, flushed; nothing is noted of one that nobody doubts.
    ///
    /// # Errors
    /// When that failed.
    pub fn note(&self, standing: Option<&Standing>) -> io::Result<()> {
        match standing {
            None => unless_missing(fs::remove_file(&self.standing).and_then(|()| flush_folder(&self.standing))),
            Some(standing) => write_in_place(&self.standing, &format!("{}\n", self.standing_to_json(standing))),
        }
    }

    fn standing_to_json(&self, standing: &Standing) -> Value {
        match standing {
            Standing::OnTrial(Trial { boot, ends_boot_ns, began_ms, length_ms }) => json!({
                "of": self.of(), "boot": boot, "ends_boot_ns": ends_boot_ns, "began_ms": began_ms, "length_ms": length_ms,
            }),
            Standing::GivenUp(hash) => json!({ "of": self.of(), "given_up": hash }),
        }
    }

    /// An outcome as a text that [`outcome_from`](Self::outcome_from) reads.
    #[must_use]
    pub fn outcome_to_text(&self, Outcome { standing, before }: &Outcome) -> String {
        let standing = standing.as_ref().map(|standing| self.standing_to_json(standing));
        format!("{}\n", json!({ "of": self.of(), "standing": standing, "before": before.as_deref() }))
    }

    /// The outcome that such a text says; `None` where it is another file's.
    #[must_use]
    pub fn outcome_from(&self, text: &str) -> Option<Outcome> {
        let json: Value = serde_json::from_str(text).ok()?;
        let standing = match &json["standing"] {
            Value::Null => None,
            standing => Some(self.standing_from(standing)?),
        };
        (json["of"].as_str()? == self.of())
            .then(|| Outcome { standing, before: json["before"].as_str().map(Arc::from) })
    }

    fn of(&self) -> String {
        self.of.display().to_string()
    }

    /// How the file stands, as far as somebody doubts it.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        self.standing_from(&serde_json::from_slice(&fs::read(&self.standing).ok()?).ok()?)
    }

    fn standing_from(&self, json: &Value) -> Option<Standing> {
        if json["of"].as_str() != Some(&self.of()) {
            return None;
        }
        if let Some(hash) = json["given_up"].as_str() {
            return Some(Standing::GivenUp(hash.to_owned()));
        }
        let number = |key: &str| json[key].as_u64();
        Some(Standing::OnTrial(Trial {
            boot: json["boot"].as_str()?.to_owned(),
            ends_boot_ns: number("ends_boot_ns")?,
            began_ms: number("began_ms")?,
            length_ms: number("length_ms")?,
        }))
    }
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// A trial that begins now.
#[must_use]
pub fn begin(length_ms: u64) -> Trial {
    let ends_boot_ns = boot_ns().saturating_add(length_ms.saturating_mul(1_000_000));
    Trial { boot: boot(), ends_boot_ns, began_ms: unix_ms(), length_ms }
}

/// How long it has left, in milliseconds; `None` when its time is up.
#[must_use]
pub fn left(trial: &Trial) -> Option<u64> {
    trial.left(Now { boot: &boot(), boot_ns: boot_ns(), unix_ms: unix_ms() })
}

/// When that is, for people.
#[must_use]
pub fn until(trial: &Trial) -> String {
    rfc3339(unix_ms().saturating_add(left(trial).unwrap_or(0)))
}

/// What a text is known by.
#[must_use]
pub fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// This boot. Where it cannot be told every trial is another boot's.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Previous, Standing, begin, hash, left};
    use std::fs;
    use std::sync::Arc;

    #[test]
    fn the_way_back_is_read_by_whoever_has_that_configuration_file() {
        let folder = std::env::temp_dir().join(format!("mcr-previous-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let previous = Previous::beside(&folder.join("relays.toml"), &folder.join("relay.toml"));
        assert!(previous.read().is_none() && previous.standing().is_none());
        let text = "[lanes]\nring_size = 512\n";
        let before = |text: &str| Outcome { standing: None, before: Some(text.into()) };
        previous.settle(&before(text)).unwrap();
        let read = previous.read().unwrap().unwrap();
        assert_eq!((read.plan.lanes.ring_size, &*read.text), (512, text));
        for standing in [Standing::OnTrial(begin(60_000)), Standing::GivenUp(hash(text))] {
            previous.note(Some(&standing)).unwrap();
            assert_eq!(previous.standing(), Some(standing));
        }
        let other = Previous::beside(&folder.join("relays.toml"), &folder.join("other.toml"));
        assert!(other.read().is_none() && other.standing().is_none(), "another file's");
        previous.note(None).unwrap();
        previous.note(None).unwrap();
        assert_eq!(previous.standing(), None);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_ran_before_a_trial_is_what_ran_before_once_the_trial_has_changed_something() {
        let folder = std::env::temp_dir().join(format!("mcr-settled-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let previous = Previous::beside(&folder.join("relays.toml"), &folder.join("relay.toml"));
        let texts = ["# first\n", "# second\n", "# third\n"];
        let leads_to = || [previous.read_before_trial(), previous.read()].map(|read| read.unwrap().unwrap().text);
        let trial = Standing::OnTrial(begin(60_000));
        previous.settle(&Outcome { standing: None, before: Some(texts[0].into()) }).unwrap();
        for (before, standing, wanted) in [
            (None, None, texts[0]),
            (None, Some(Standing::GivenUp(hash(texts[2]))), texts[0]),
            (Some(texts[1]), None, texts[1]),
            (Some(texts[2]), None, texts[2]),
        ] {
            previous.keep_for_trial(texts[1]).unwrap();
            previous.note(Some(&trial)).unwrap();
            let was = previous.read().unwrap().unwrap().text;
            assert_eq!(leads_to().map(|text| text.to_string()), [texts[1], &*was]);
            let outcome = Outcome { standing: standing.clone(), before: before.map(Arc::from) };
            assert_eq!(previous.outcome_from(&previous.outcome_to_text(&outcome)), Some(outcome.clone()));
            previous.settle(&outcome).unwrap();
            assert_eq!(leads_to().map(|text| text.to_string()), [wanted; 2]);
            assert_eq!(previous.standing(), standing);
        }
        // A second trial keeps the way back of the first.
        previous.keep_for_trial(texts[0]).unwrap();
        previous.settle(&Outcome { standing: Some(trial), before: None }).unwrap();
        assert_eq!(leads_to().map(|text| text.to_string()), [texts[0], texts[2]]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_trial_that_begins_has_its_whole_time() {
        let trial = begin(60_000);
        assert!(left(&trial).is_some_and(|left| left > 50_000 && left <= 60_000));
        assert_eq!(left(&begin(0)), None);
    }
}
