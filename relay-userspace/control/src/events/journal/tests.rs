//! Events outlive whoever wrote them, whatever befalls the files.

use super::{Journal, LONGEST_FILE, SEGMENT};
use crate::events::log::{EventLog, RETRY};
use crate::events::{After, Event, Id, Kind, Logged};
use proptest::prelude::*;
use relay_engine::clock::now_ns;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A folder of its own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("mcr-journal-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A control that starts, and all that it knows.
    fn control(&self) -> (EventLog, Vec<Id>) {
        let log = EventLog::open(&self.0, 7);
        let known = log.follow(None).since.iter().map(|logged| logged.id).collect();
        (log, known)
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.0.join(format!("events.7.{ending}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn record(log: &EventLog, text: &str) -> Id {
    log.record(Event::new(Kind::Audit, text).with("relay", "one"));
    log.follow(None).since.last().unwrap().id
}

#[test]
fn no_two_histories_are_the_same() {
    assert_ne!(super::new_history(), super::new_history());
}

#[test]
fn the_next_control_goes_on_with_the_next_number() {
    let folder = Folder::new();
    let (first, known) = folder.control();
    assert!(known.is_empty() && first.trouble().is_none(), "{:?}", first.trouble());
    let ids = [record(&first, "one"), record(&first, "two")];
    drop(first);
    let (second, known) = folder.control();
    assert_eq!(known, ids);
    let third = record(&second, "three");
    assert_eq!(third, Id { number: 3, ..ids[0] });
    let since = second.follow(Some(After::Id(ids[0]))).since;
    assert_eq!(since.iter().map(|logged| logged.id.number).collect::<Vec<_>>(), [2, 3]);
    assert!(since[0].json.contains("\"two\"") && since[0].relay.as_deref() == Some("one"));
    assert_eq!(fs::metadata(folder.file("jsonl")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn two_controls_at_once_give_no_number_twice() {
    let folder = Folder::new();
    let (old, _) = folder.control();
    record(&old, "before");
    let (new, _) = folder.control();
    let mut coming = new.follow(None).coming;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(record(if n % 3 == 0 { &old } else { &new }, &n.to_string()));
    }
    assert_eq!(ids.iter().map(|id| id.number).collect::<Vec<_>>(), (2..22).collect::<Vec<_>>());
    record(&old, "last words");
    // Whoever follows the new one hears what the old one says.
    let _ = new.follow(None);
    let heard: Vec<u64> = std::iter::from_fn(|| coming.try_recv().ok()).map(|logged| logged.id.number).collect();
    assert_eq!(heard, (2..23).collect::<Vec<_>>());
    assert_eq!(old.follow(None).since.len(), 22);
}

#[test]
fn death_in_mid_writing_leaves_the_lines_before() {
    let folder = Folder::new();
    let (log, _) = folder.control();
    let ids = [record(&log, "one"), record(&log, "two")];
    let mut file = fs::OpenOptions::new().append(true).open(folder.file("jsonl")).unwrap();
    file.write_all(b"{\"id\":\"half a line that is longer than the next one will be, so that a part of it would stay")
        .unwrap();
    // One that lives on and one that follows.
    assert_eq!(record(&log, "three").number, 3);
    file.write_all(b"{\"id\":").unwrap();
    let (next, known) = folder.control();
    assert_eq!((known.len(), &known[..2]), (3, &ids[..]));
    assert_eq!(record(&next, "four").number, 4);
    assert_eq!(folder.control().1.len(), 4);
}

#[test]
fn the_files_are_bounded_and_the_older_one_is_read_too() {
    let folder = Folder::new();
    let (log, _) = folder.control();
    let text = "x".repeat(8000);
    let n = 3 * SEGMENT / 8000;
    (0..n).for_each(|_| record_only(&log, &text));
    for ending in ["jsonl", "old.jsonl"] {
        let file = fs::metadata(folder.file(ending)).unwrap();
        assert!(file.len() <= LONGEST_FILE, "{ending}: {}", file.len());
    }
    let (next, known) = folder.control();
    assert!(known.len() as u64 >= SEGMENT / 8300, "{}", known.len());
    assert!(known.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
    assert_eq!(record(&next, "next").number, n + 1);
    // Who was away for so long is told.
    let since = next.follow(Some(After::Number(1))).since;
    assert!(since[0].is_for_everybody() && !since[1].is_for_everybody());
}

fn record_only(log: &EventLog, text: &str) {
    log.record(Event::new(Kind::Audit, text));
}

#[test]
fn where_nothing_can_be_kept_another_history_begins_and_it_is_said() {
    let folder = Folder::new();
    let first = record(&folder.control().0, "one");
    let (log, _) = folder.control();
    let seen = record(&log, "two");
    // Somebody takes the folder away.
    fs::rename(&folder.0, folder.0.with_extension("away")).unwrap();
    let third = record(&log, "three");
    assert!(log.trouble().unwrap().contains("end with this control"), "{:?}", log.trouble());
    assert_eq!((third.history == seen.history, third.number), (false, 1));
    let since = log.follow(Some(After::Id(seen))).since;
    assert_eq!(since.iter().map(|logged| logged.id).collect::<Vec<_>>(), [third], "nothing is missing");
    fs::rename(folder.0.with_extension("away"), &folder.0).unwrap();
    let (next, known) = folder.control();
    assert_eq!(known, [first, seen]);
    // What was told meanwhile is kept nowhere, and has a name that is not given again.
    assert_ne!(record(&next, "four"), third);
    assert!(next.follow(Some(After::Id(third))).since[0].is_for_everybody());
}

#[test]
fn files_of_others_are_not_touched() {
    let refused = |spoil: &dyn Fn(&Path)| {
        let folder = Folder::new();
        spoil(&folder.file("jsonl"));
        let (log, _) = folder.control();
        record(&log, "one");
        log.trouble().is_some()
    };
    assert!(refused(&|file| fs::create_dir(file).unwrap()));
    assert!(refused(&|file| symlink("/dev/null", file).unwrap()));
    assert!(refused(&|file| {
        fs::write(file, "").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o666)).unwrap();
    }));
    assert!(!refused(&|file| fs::write(file, "").unwrap()));
}

#[test]
fn who_holds_the_lock_for_long_holds_nobody_up() {
    let folder = Folder::new();
    let (log, _) = folder.control();
    record(&log, "one");
    let holder = fs::OpenOptions::new().read(true).open(folder.file("jsonl")).unwrap();
    holder.lock().unwrap();
    assert_eq!(record(&log, "two").number, 1, "another history");
    assert!(log.trouble().unwrap().contains("another mcr holds its lock"));
    let later = |n: u64, text| log.record_at(Event::new(Kind::Audit, text), now_ns() + n * RETRY, 0);
    // It is held still, and then no more.
    later(1, "three");
    assert!(log.trouble().is_some());
    drop(holder);
    later(2, "four");
    assert_eq!(log.trouble(), None);
    let ids: Vec<String> = log.follow(None).since.iter().map(|logged| logged.id.to_string()).collect();
    let history = |id: &String| id.split('-').next().unwrap().to_owned();
    assert_eq!((history(&ids[0]), history(&ids[1])), (history(&ids[3]), history(&ids[2])), "{ids:?}");
    let (_, known) = folder.control();
    assert_eq!(known.iter().map(Id::to_string).collect::<Vec<_>>(), [ids[0].clone(), ids[3].clone()]);
}

proptest! {
    /// Whatever stands in the files, what is found is a row of events, and the next has the next number.
    #[test]
    fn whatever_stands_in_the_files_is_events_or_nothing(
        pieces in proptest::collection::vec((0_usize..8, any::<Vec<u8>>()), 0..20),
        cut in any::<u16>(),
    ) {
        let folder = Folder::new();
        let (log, _) = folder.control();
        let real: Vec<String> = (0..4).map(|n| { record(&log, &n.to_string()); log.follow(None).since.last().unwrap().json.clone() }).collect();
        drop(log);
        let mut bytes = Vec::new();
        for (which, noise) in &pieces {
            match real.get(*which) {
                Some(line) => bytes.extend_from_slice(line.as_bytes()),
                None => bytes.extend_from_slice(noise),
            }
            bytes.push(b'\n');
        }
        bytes.truncate(bytes.len().min(usize::from(cut)));
        fs::write(folder.file("jsonl"), &bytes).unwrap();
        let (mut journal, found) = Journal::open(&folder.0, "events.7").unwrap();
        prop_assert!(found.windows(2).all(|pair| pair[0].id.number < pair[1].id.number && pair[0].id.history == pair[1].id.history));
        prop_assert!(found.iter().all(|logged| !logged.json.contains('\n')));
        let last = found.last().map_or(0, |logged| logged.id.number);
        let told = journal.append(|id| Logged::new(id, 1, 2, &Event::new(Kind::NodeReady, "x"))).unwrap();
        prop_assert_eq!(told.last().unwrap().id.number, last + 1);
    }
}
