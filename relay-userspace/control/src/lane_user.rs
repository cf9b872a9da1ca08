//! The user that lanes run as. They parse what strangers send, so they run as a user that has nothing else: what control owns is
//! closed to them by the kernel, whatever becomes of their filter of system calls.

use crate::rights;
use anyhow::Context as _;
use relay_config::users::{self, User};

/// The user that `deploy/sysusers.conf` makes.
const USUAL: &str = "mcr-lane";

/// The user that lanes run as, and control's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneUser {
    user: User,
    own: User,
    warning: Option<String>,
}

/// Where a user comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    ByTheFile,
    Usual,
    ForLackOfOthers,
}

impl LaneUser {
    /// The user that lanes run as on this machine, with what this process may. `configured` is `lanes.user`. Lanes that this thread
    /// starts from now on can become that user.
    ///
    /// # Errors
    /// When the user that is named is not there, or cannot be looked for.
    pub fn choose(configured: Option<&str>) -> anyhow::Result<Self> {
        let (user, named) = find(configured)?;
        Ok(Self::decide(user, named, users::own(), &rights::let_lanes_switch()))
    }

    /// What there is to say of the user that lanes would have on this machine, if mcr may all that it takes.
    #[must_use]
    pub fn doubt(configured: Option<&str>) -> Option<String> {
        let (user, named) = find(configured).ok()?;
        // Control runs as somebody else than whoever looks.
        let own = User { name: String::new(), uid: u32::MAX, gid: u32::MAX };
        Self::decide(user, named, own, &[]).warning
    }

    /// Nobody else: for whoever starts no lane.
    #[must_use]
    pub fn own() -> Self {
        let own = users::own();
        Self { user: own.clone(), own, warning: None }
    }

    fn decide(wanted: User, named: Named, own: User, lacks: &[String]) -> Self {
        let risk = "code in a lane in a stranger's hands is kept from what mcr may by its filter of system calls alone";
        if !lacks.is_empty() && wanted.uid != own.uid {
            let (name, lacks) = (&wanted.name, lacks.join(", "));
            let warning = format!(
                "lanes run as mcr's own user, {}, and not as {name}: mcr lacks {lacks}, so {risk}; remedy: give it these \
                 capabilities, as deploy/mcr.service does, or run it as root",
                own.name
            );
            return Self { user: own.clone(), own, warning: Some(warning) };
        }
        let warning = match named {
            // Whoever writes it knows it.
            Named::ByTheFile => None,
            _ if wanted.uid == own.uid => Some(format!(
                "lanes run as mcr's own user, {}, so {risk}; remedy: run mcr as another user, or name one in lanes.user",
                own.name
            )),
            Named::ForLackOfOthers => Some(format!(
                "lanes run as {}, whose other processes, if there are any, can end them; remedy: make the user {USUAL} \
                 (systemd-sysusers, or useradd --system --no-create-home {USUAL}) or name one in lanes.user, then end \
                 mcr (mcr stop) and start it",
                wanted.name
            )),
            Named::Usual => None,
        };
        Self { user: wanted, own, warning }
    }

    /// The user that a lane is to be.
    #[must_use]
    pub const fn user(&self) -> &User {
        &self.user
    }

    /// What a lane becomes in its first moment: the numbers of user and group. `None` when it is that already.
    #[must_use]
    pub fn becomes(&self) -> Option<(u32, u32)> {
        (self.user.uid != self.own.uid).then_some((self.user.uid, self.user.gid))
    }

    /// What is not as it should be, with the remedy.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// What the user of that number is called.
    #[must_use]
    pub fn name_of(&self, uid: u32) -> String {
        let known = [&self.user, &self.own].into_iter().find(|user| user.uid == uid);
        known.map_or_else(|| uid.to_string(), |user| user.name.clone())
    }
}

fn find(configured: Option<&str>) -> anyhow::Result<(User, Named)> {
    if let Some(name) = configured {
        let found = users::find(name).with_context(|| format!("lanes.user: cannot look for user {name}"))?;
        return Ok((found.with_context(|| format!("lanes.user: there is no user \"{name}\""))?, Named::ByTheFile));
    }
    // Where the lists cannot be read there is nobody else to be.
    let usual = users::find(USUAL).ok().flatten();
    Ok(usual.map_or_else(|| (users::nobody(), Named::ForLackOfOthers), |user| (user, Named::Usual)))
}

#[cfg(test)]
mod tests {
    use super::{LaneUser, Named};
    use relay_config::users::User;

    fn user(name: &str, uid: u32) -> User {
        User { name: name.to_owned(), uid, gid: uid + 1 }
    }

    fn decide(wanted: User, named: Named, lacks: &[&str]) -> LaneUser {
        let lacks: Vec<String> = lacks.iter().map(ToString::to_string).collect();
        LaneUser::decide(wanted, named, user("mcr", 990), &lacks)
    }

    #[test]
    fn with_the_rights_for_it_lanes_are_the_user_and_nothing_is_told() {
        for named in [Named::ByTheFile, Named::Usual] {
            let of = decide(user("mcr-lane", 991), named, &[]);
            assert_eq!((of.becomes(), of.warning()), (Some((991, 992)), None));
        }
        let of = decide(user("mcr-lane", 991), Named::Usual, &[]);
        assert_eq!([991, 990, 5].map(|uid| of.name_of(uid)), ["mcr-lane", "mcr", "5"]);
    }

    #[test]
    fn without_them_lanes_run_as_mcr_and_it_is_told_what_is_missing() {
        let of = decide(user("mcr-lane", 991), Named::ByTheFile, &["CAP_SETUID", "CAP_KILL"]);
        assert_eq!((of.becomes(), of.user().name.as_str()), (None, "mcr"));
        let told = of.warning().unwrap();
        assert!(told.contains("own user, mcr, and not as mcr-lane: mcr lacks CAP_SETUID, CAP_KILL, so"), "{told}");
        assert!(told.contains("remedy: give it these capabilities, as deploy/mcr.service does"), "{told}");
    }

    #[test]
    fn nobody_is_told_of_unless_the_file_says_so() {
        let of = decide(user("nobody", 65_534), Named::ForLackOfOthers, &[]);
        assert_eq!(of.becomes(), Some((65_534, 65_535)));
        assert!(of.warning().unwrap().contains("make the user mcr-lane"), "{of:?}");
        assert_eq!(decide(user("nobody", 65_534), Named::ByTheFile, &[]).warning(), None);
    }

    #[test]
    fn lanes_that_are_control_s_own_user_are_told_of_unless_the_file_says_so() {
        let of = decide(user("mcr", 990), Named::ForLackOfOthers, &[]);
        assert_eq!(of.becomes(), None);
        assert!(of.warning().unwrap().contains("remedy: run mcr as another user"), "{of:?}");
        // Nothing is lacking where nothing is to be done.
        assert_eq!(decide(user("mcr", 990), Named::ByTheFile, &["CAP_SETUID"]).warning(), None);
    }
}
