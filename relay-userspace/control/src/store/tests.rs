//! Whatever happens to the file, what was kept is kept.

use super::{Store, beside};
use crate::desk::Refusal;
use nix::errno::Errno;
use relay_common::plan::Relay;
use relay_config::parse;
use std::fs;
use std::path::PathBuf;

/// A folder of one test's own, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mcr-store-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("relays.toml")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn relays(n: u8) -> Vec<Relay> {
    let one = |i: u8| {
        format!(
            "[[relay]]\nname = \"r{i}\"\ninput = {{ interface = \"in0\", group = \"239.1.1.{i}\", port = 5000 }}\n\
             outputs = [{{ interface = \"out0.7\", group = \"239.2.1.{i}\", port = 5000, dscp = 3 }}]\n"
        )
    };
    parse("test", &(1..=n).map(one).collect::<String>()).unwrap().plan.relays
}

#[test]
fn what_is_kept_comes_back() {
    let folder = Folder::new("kept");
    let mut store = Store::open(&folder.file());
    assert_eq!(store.load().unwrap(), []);
    store.prepare(&relays(3)).unwrap().commit().unwrap();
    assert_eq!(store.load().unwrap(), relays(3));
    store.prepare(&[]).unwrap().commit().unwrap();
    assert_eq!(store.load().unwrap(), []);
    assert!(fs::read_to_string(folder.file()).unwrap().starts_with("# Relays that were made through mcr's API"));
}

#[test]
fn what_is_only_prepared_changes_nothing_and_leaves_nothing() {
    let folder = Folder::new("prepared");
    let mut store = Store::open(&folder.file());
    store.prepare(&relays(1)).unwrap().commit().unwrap();
    drop(store.prepare(&relays(2)).unwrap());
    assert_eq!(store.load().unwrap(), relays(1));
    assert!(!beside(&folder.file(), "new").exists());
}

#[test]
fn a_crash_between_the_two_leaves_the_old_file() {
    let folder = Folder::new("crash");
    let mut store = Store::open(&folder.file());
    store.prepare(&relays(1)).unwrap().commit().unwrap();
    // As a crash leaves it: half a new file beside the old one.
    fs::write(beside(&folder.file(), "new"), "[[relay]]\nname = ").unwrap();
    assert_eq!(store.load().unwrap(), relays(1));
    store.prepare(&relays(2)).unwrap().commit().unwrap();
    assert_eq!(store.load().unwrap(), relays(2));
}

/// The rename is what counts: to say that nothing was changed would be wrong, for whoever starts next reads it.
#[test]
fn a_new_file_counts_though_its_folder_cannot_be_flushed() {
    let folder = Folder::new("flush");
    let mut store = Store::open(&folder.file());
    store.prepare(&relays(1)).unwrap().commit().unwrap();
    let doubt = store.prepare(&relays(2)).unwrap().commit_with(|_| Err(Errno::EIO.into())).unwrap().unwrap();
    assert!(doubt.contains("has the last change") && doubt.contains("Input/output error"), "{doubt}");
    assert_eq!(store.load().unwrap(), relays(2));
    assert!(store.prepare(&relays(3)).unwrap().commit().unwrap().is_none(), "all is well again");
}

#[test]
fn a_damaged_file_is_told_and_not_overwritten() {
    let folder = Folder::new("damaged");
    let mut store = Store::open(&folder.file());
    store.prepare(&relays(2)).unwrap().commit().unwrap();
    let whole = fs::read(folder.file()).unwrap();
    fs::write(folder.file(), &whole[..whole.len() / 2]).unwrap();
    let errors = store.load().unwrap_err().to_string();
    assert!(errors.contains("relays.toml"), "{errors}");
    let refused = store.prepare(&relays(1)).unwrap_err();
    assert!(matches!(&refused, Refusal::NotKept { problem, .. } if problem.contains("damaged")), "{refused}");
    assert_eq!(fs::read(folder.file()).unwrap().len(), whole.len() / 2);
    fs::write(folder.file(), whole).unwrap();
    assert_eq!(store.load().unwrap(), relays(2));
    store.prepare(&relays(1)).unwrap().commit().unwrap();
}

#[test]
fn two_nodes_do_not_share_a_file() {
    let folder = Folder::new("shared");
    let first = Store::open(&folder.file());
    let refused = Store::open(&folder.file()).prepare(&relays(1)).unwrap_err().to_string();
    assert!(refused.contains("another mcr uses it") && refused.contains("--state-dir"), "{refused}");
    drop(first);
    Store::open(&folder.file()).prepare(&relays(1)).unwrap().commit().unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = Folder::new("unmakeable");
    fs::write(&folder.0, "a file where the folder should be").unwrap();
    let refused = Store::open(&folder.file()).prepare(&relays(1)).unwrap_err().to_string();
    assert!(refused.contains("cannot make") && refused.contains("nothing was changed"), "{refused}");
    fs::remove_file(&folder.0).unwrap();
}

#[test]
fn what_nobody_could_look_at_is_not_written_over() {
    let folder = Folder::new("unopened");
    let file = folder.file();
    Store::open(&file).prepare(&relays(2)).unwrap().commit().unwrap();
    let mut store = Store::unopened(&file, "the disk hangs".into());
    let refused = store.prepare(&relays(1)).unwrap_err().to_string();
    assert!(!store.is_open() && !store.is_ours() && refused.contains("the disk hangs"), "{refused}");
    store.opened(Store::open(&file));
    assert!(store.is_open() && store.is_ours() && store.is_damaged(), "what it holds is not known yet");
    assert!(store.prepare(&relays(1)).is_err());
    assert_eq!(super::read(&file).unwrap(), relays(2));
    store.forget_damage();
    store.prepare(&relays(1)).unwrap().commit().unwrap();
    assert_eq!(super::read(&file).unwrap(), relays(1));
}

#[test]
fn a_file_that_is_a_symbolic_link_stays_one() {
    let folder = Folder::new("link");
    fs::create_dir_all(folder.0.join("elsewhere")).unwrap();
    let target = folder.0.join("elsewhere/real.toml");
    fs::write(&target, "").unwrap();
    std::os::unix::fs::symlink(&target, folder.file()).unwrap();
    let mut store = Store::open(&folder.file());
    store.prepare(&relays(2)).unwrap().commit().unwrap();
    assert!(fs::symlink_metadata(folder.file()).unwrap().is_symlink(), "it is a file of its own now");
    assert_eq!(store.load().unwrap(), relays(2));
    assert!(fs::read_to_string(&target).unwrap().contains("r2"));
}
