//! A control that has just been started and holds no lock yet: whoever wants mcr to end means that one, too.

use super::door;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where `mcr run` has its run folder unless told otherwise.
const RUN_DIR: &str = "/run/mcr";

/// Its process number, if one is there with that run folder in this network namespace. One in a container that shares the
/// network has a folder of that name, too, and is not meant.
///
/// # Errors
/// When the namespace cannot be told.
pub fn find(run_dir: &Path) -> anyhow::Result<Option<i32>> {
    let (namespace, wanted) = (door::namespace()?, whole(Path::new(""), run_dir));
    // Where it cannot be read nobody is found.
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
    let is_it = |pid: &i32| {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let is_mcr = fs::read_to_string(process.join("comm")).is_ok_and(|name| name.starts_with("mcr"));
        is_mcr
            && fs::metadata(process.join("ns/net")).is_ok_and(|own| own.ino() == namespace)
            && fs::read(process.join("cmdline")).is_ok_and(|line| folder_of(&line, &process).as_ref() == Some(&wanted))
            && is_same(&wanted, &process.join("root"))
    };
    Ok(numbers.filter(is_it).find(|pid| u32::try_from(*pid).is_ok_and(|pid| pid != std::process::id())))
}

/// The run folder of `mcr run`, as it was called; `None` of every other command.
fn folder_of(line: &[u8], process: &Path) -> Option<PathBuf> {
    let mut words = line.split(|byte| *byte == 0).skip(1).skip_while(|word| word.starts_with(b"-"));
    words.next().filter(|command| *command == b"run")?;
    let mut folder: &[u8] = RUN_DIR.as_bytes();
    while let Some(word) = words.next() {
        match word.strip_prefix(b"--run-dir") {
            Some(b"") => folder = words.next()?,
            Some(rest) => folder = rest.strip_prefix(b"=").unwrap_or(folder),
            None => {}
        }
    }
    let stands = fs::read_link(process.join("cwd")).unwrap_or_default();
    Some(whole(&stands, Path::new(OsStr::from_bytes(folder))))
}

/// Whether a folder, or the nearest one above it that is there, is the same for a process that has its files below `root`.
fn is_same(folder: &Path, root: &Path) -> bool {
    let place = |path: &Path| fs::metadata(path).ok().map(|there| (there.dev(), there.ino()));
    let both = folder.ancestors().find_map(|folder| {
        let theirs = root.join(folder.strip_prefix("/").unwrap_or(folder));
        Some((place(folder)?, place(&theirs)?))
    });
    both.is_some_and(|(ours, theirs)| ours == theirs)
}

fn whole(stands: &Path, path: &Path) -> PathBuf {
    let path = std::path::absolute(stands.join(path)).unwrap_or_else(|_| path.to_owned());
    fs::canonicalize(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::{Path, PathBuf, folder_of, fs, is_same};

    #[test]
    fn the_run_folder_is_read_from_how_it_was_called() {
        let of = |words: &[&str]| folder_of(words.join("\0").as_bytes(), Path::new("/nonexistent"));
        assert_eq!(of(&["mcr", "run", "--config", "/a.toml"]), Some(PathBuf::from("/run/mcr")));
        assert_eq!(of(&["mcr", "run", "--run-dir", "/no/where", "--json"]), Some(PathBuf::from("/no/where")));
        assert_eq!(of(&["mcr", "run", "--run-dir=/no/where"]), Some(PathBuf::from("/no/where")));
        for other in
            [&["mcr", "stop", "--run-dir", "run"][..], &["mcr", "lane", "run"], &["mcr"], &["mcr", "run", "--run-dir"]]
        {
            assert_eq!(of(other), None, "{other:?}");
        }
    }
    #[test]
    fn a_folder_of_that_name_in_a_container_is_another() {
        let ours = std::env::temp_dir().join(format!("mcr-starting-{}", std::process::id()));
        let (folder, container) = (ours.join("run/mcr"), ours.join("container"));
        let theirs = container.join(folder.strip_prefix("/").unwrap());
        let own = Path::new("/proc/self/root");
        fs::create_dir_all(folder.parent().unwrap()).unwrap();
        assert!(is_same(&folder, own), "it is to be made still");
        fs::create_dir_all(&theirs).unwrap();
        assert!(!is_same(&folder, &container), "theirs is made, ours is not");
        fs::create_dir(&folder).unwrap();
        assert!(is_same(&folder, own));
        assert!(!is_same(&folder, &container));
        fs::remove_dir_all(&ours).unwrap();
    }
}
