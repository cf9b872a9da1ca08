//! Which relays a token is for: those that its holder may change, and whose packets it may see.

use super::Admitted;
use crate::problem::{Kind, Problem};
use relay_common::pattern;
use relay_config::{Access, Token};
use relay_control::desk::{Ask, Who};

/// Refuses a change that the token of whoever asks is not for.
pub(crate) fn check_change(who: &Who, ask: &Ask) -> Result<(), Problem> {
    let Who::Token { name, relays } = who else { return Ok(()) };
    if relays.is_empty() {
        return Ok(());
    }
    if let Ask::Many { names, .. } = ask {
        let outsider = names.iter().find(|relay| !pattern::any(relays, relay));
        let detail = outsider.map(|relay| outside(name, relays, relay));
        return detail.map_or(Ok(()), |detail| Err(Problem::of_token(Kind::Forbidden, detail, name)));
    }
    let relay = match ask {
        Ask::Create(relay) | Ask::Put { relay, .. } => Some(&relay.name),
        Ask::Remove { name, .. } | Ask::Switch { name, .. } | Ask::Adopt { name } => Some(name),
        Ask::Many { .. } | Ask::PutAll { .. } | Ask::Import { .. } => None,
        Ask::Reload | Ask::Try { .. } | Ask::Confirm | Ask::Rollback => None,
        Ask::Restart | Ask::Upgrade { .. } => None,
    };
    let detail = match relay {
        Some(relay) if pattern::any(relays, relay) => return Ok(()),
        Some(relay) => outside(name, relays, relay),
        None => format!("the token \"{name}\" is for the relays {}, and this concerns all", relays.join(", ")),
    };
    Err(Problem::of_token(Kind::Forbidden, detail, name))
}

/// Refuses to show the packets of a relay that whoever asks may not see.
pub(crate) fn check_capture(admitted: &Admitted, relay: &str) -> Result<(), Problem> {
    match admitted {
        Admitted::Token(token) => {
            may_capture(token, relay).map_err(|detail| Problem::of_token(Kind::Forbidden, detail, &token.name))
        }
        Admitted::Unix { .. } => Ok(()),
        Admitted::Open => Err(super::nobody()),
    }
}

/// Refuses to show all that is in force to who may not change it: the hashes of tokens are in it.
pub(crate) fn check_export(admitted: &Admitted) -> Result<(), Problem> {
    match admitted {
        Admitted::Unix { .. } => Ok(()),
        Admitted::Open => Err(super::nobody()),
        Admitted::Token(Token { name, access, relays, .. }) if *access < Access::Write || !relays.is_empty() => {
            let detail = format!(
                "the token \"{name}\" may not see all that is in force: use one with access = \"write\" for all relays"
            );
            Err(Problem::of_token(Kind::Forbidden, detail, name))
        }
        Admitted::Token(_) => Ok(()),
    }
}

/// Whether the holder of a token may see the packets of a relay; if not, why.
pub(super) fn may_capture(token: &Token, relay: &str) -> Result<(), String> {
    let Token { name, relays, access, .. } = token;
    if *access < Access::Capture {
        return Err(format!(
            "the token \"{name}\" may not see packets: use one with access = \"capture\" or \"write\""
        ));
    }
    if pattern::any(relays, relay) { Ok(()) } else { Err(outside(name, relays, relay)) }
}

fn outside(token: &str, relays: &[String], relay: &str) -> String {
    format!("the token \"{token}\" is for the relays {}, not for \"{relay}\"", relays.join(", "))
}
