//! The users of this machine, as its own lists and directories tell.

use nix::unistd::{Uid, User as Entry};
use std::io;

/// The user that nobody is: the kernel's own number for whoever has none here.
const NOBODY: u32 = 65_534;

/// A user, and the group that is its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What it is called; its number where no list names it.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

/// The user of that name, or of that number: a number needs no entry, and its group is of the same number then.
///
/// # Errors
/// When the lists cannot be read.
pub fn find(text: &str) -> io::Result<Option<User>> {
    match text.parse() {
        Ok(uid) => Ok(Some(of_number(uid))),
        Err(_) => Ok(Entry::from_name(text)?.map(User::from)),
    }
}

/// Whoever is nobody here. A container may have no list that says so.
#[must_use]
pub fn nobody() -> User {
    let listed = Entry::from_name("nobody").ok().flatten().map(User::from);
    listed.unwrap_or_else(|| User { name: "nobody".to_owned(), uid: NOBODY, gid: NOBODY })
}

/// The user that this process is.
#[must_use]
pub fn own() -> User {
    User { gid: nix::unistd::getegid().as_raw(), ..of_number(nix::unistd::geteuid().as_raw()) }
}

fn of_number(uid: u32) -> User {
    let listed = Entry::from_uid(Uid::from_raw(uid)).ok().flatten().map(User::from);
    listed.unwrap_or_else(|| User { name: uid.to_string(), uid, gid: uid })
}

impl From<Entry> for User {
    fn from(entry: Entry) -> Self {
        Self { name: entry.name, uid: entry.uid.as_raw(), gid: entry.gid.as_raw() }
    }
}

#[cfg(test)]
mod tests {
    use super::{User, find, own};

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let root = User { name: "root".to_owned(), uid: 0, gid: 0 };
        assert_eq!(find("root").unwrap().as_ref(), Some(&root));
        assert_eq!(find("0").unwrap(), Some(root));
        assert_eq!(find("there-is-nobody-of-that-name").unwrap(), None);
        let unlisted = find("64123").unwrap().unwrap();
        assert_eq!(unlisted, User { name: "64123".to_owned(), uid: 64_123, gid: 64_123 });
        assert_eq!(own().uid, nix::unistd::geteuid().as_raw());
    }
}
