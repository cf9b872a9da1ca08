//! The user that lanes run as, as the file names it.

use super::error::Fault;
use super::section::text;
use super::value::Value;
use crate::users::User;
use std::io;

/// Looks for a user of this machine. A text that is no file is read without looking.
pub(super) type Look = fn(&str) -> io::Result<Option<User>>;

/// A name, or a number in quotes.
pub(super) fn user(value: &Value, look: Option<Look>) -> Result<Option<String>, Fault> {
    let name = text(value)?;
    let remedy = "write the name of a user, or its number in quotes";
    if name.is_empty() {
        return Err(Fault::new("is empty", remedy));
    }
    // To the kernel the highest number is nobody at all: whoever is asked to become it stays who he is.
    if name.contains(|c: char| c.is_whitespace() || c.is_control() || c == ':') || name.parse() == Ok(u32::MAX) {
        return Err(Fault::new(format!("\"{name}\" cannot be a user"), remedy));
    }
    let is_root = || Fault::new(format!("\"{name}\" may do everything"), "name a user that nothing belongs to");
    if name == "root" || name.parse() == Ok(0_u32) {
        return Err(is_root());
    }
    match look.map(|look| look(name)).transpose() {
        Ok(Some(None)) => {
            let remedy = format!(
                "make it (useradd --system --no-create-home {name}, or systemd-sysusers for mcr-lane), name another, or \
                 remove the key"
            );
            Err(Fault::new(format!("there is no user \"{name}\" on this machine"), remedy))
        }
        Ok(Some(Some(User { uid: 0, .. }))) => Err(is_root()),
        Ok(_) => Ok(Some(name.to_owned())),
        Err(error) => Err(Fault::new(
            format!("whether there is a user \"{name}\" cannot be told: {error}"),
            "see /etc/nsswitch.conf, or write the number of the user, in quotes",
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::{load, parse};

    fn lanes(user: &str) -> Result<Option<String>, String> {
        let read = parse("relay.toml", &format!("[lanes]\nuser = {user}"));
        read.map(|read| read.plan.lanes.user).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_user_has_a_name_or_a_number() {
        assert_eq!(parse("relay.toml", "").unwrap().plan.lanes.user, None);
        assert_eq!(lanes("'mcr-lane'"), Ok(Some("mcr-lane".to_owned())));
        assert_eq!(lanes("'990'"), Ok(Some("990".to_owned())));
        for (user, told) in [
            ("990", "relay.toml:2: lanes.user: is a number, not a text: put it in quotes"),
            ("''", "relay.toml:2: lanes.user: is empty: write the name of a user, or its number in quotes"),
            (
                "'a b'",
                "relay.toml:2: lanes.user: \"a b\" cannot be a user: write the name of a user, or its number in quotes",
            ),
            (
                "'4294967295'",
                "relay.toml:2: lanes.user: \"4294967295\" cannot be a user: write the name of a user, or its number in quotes",
            ),
            ("'root'", "relay.toml:2: lanes.user: \"root\" may do everything: name a user that nothing belongs to"),
            ("'00'", "relay.toml:2: lanes.user: \"00\" may do everything: name a user that nothing belongs to"),
        ] {
            assert_eq!(lanes(user), Err(told.to_owned()));
        }
    }

    #[test]
    fn a_file_that_names_a_user_who_is_not_there_is_refused_with_line_key_and_remedy() {
        let file = std::env::temp_dir().join(format!("mcr-lane-user-{}.toml", std::process::id()));
        let read = |user: &str| {
            std::fs::write(&file, format!("# a file\n[lanes]\nuser = \"{user}\"\n")).unwrap();
            load(&file).map(|read| read.plan.lanes.user).map_err(|errors| errors.to_string())
        };
        let told = read("mcr-of-nowhere").unwrap_err();
        assert_eq!(
            told,
            format!(
                "{}:3: lanes.user: there is no user \"mcr-of-nowhere\" on this machine: make it (useradd --system \
                 --no-create-home mcr-of-nowhere, or systemd-sysusers for mcr-lane), name another, or remove the key",
                file.display()
            )
        );
        assert_eq!(read("daemon"), Ok(Some("daemon".to_owned())));
        assert_eq!(read("64123"), Ok(Some("64123".to_owned())));
        std::fs::remove_file(file).unwrap();
    }
}
