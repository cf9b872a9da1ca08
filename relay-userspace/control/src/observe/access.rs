//! Where the API answers and whom it lets in, and what of that somebody should look at before it hurts.

use crate::events::rfc3339;
use crate::http::HttpDesk;
use relay_config::Token;
use relay_config::model;

const DAY_MS: u64 = 86_400_000;
/// A certificate or token that ends within so many days is warned of: time enough to have another made.
const SOON_DAYS: u64 = 21;

/// Whom the API lets in, as it goes over the wire. Of tokens nothing is told but what the file says beside their hashes.
#[must_use]
pub(super) fn document(http: &HttpDesk, unix_ms: u64) -> model::Http {
    let in_force = http.in_force();
    let certificate = http.certificate.load_full().map(|certificate| model::Certificate {
        file: certificate.files().certificate.display().to_string(),
        expires: certificate.expires().map(rfc3339),
    });
    let token = |token: &Token| model::Token {
        name: token.name.clone(),
        access: token.access.name().to_owned(),
        relays: token.relays.clone(),
        expires: token.expires.map(rfc3339),
        expired: token.is_expired(unix_ms),
    };
    model::Http {
        listen: in_force.listen.map(|address| address.to_string()),
        socket: in_force.socket.display().to_string(),
        reads: in_force.reads.name().to_owned(),
        certificate,
        tokens: in_force.tokens.iter().map(token).collect(),
        restart_keys: in_force.restart_keys.iter().map(|key| (*key).to_owned()).collect(),
    }
}

/// What will keep somebody out soon, or does already, and what is not in force.
#[must_use]
pub(super) fn warnings(http: &HttpDesk, unix_ms: u64) -> Vec<String> {
    let in_force = http.in_force();
    let mut warnings = Vec::new();
    if let Some(certificate) = http.certificate.load_full()
        && let Some(end) = certificate.expires().and_then(|expires| end(expires, unix_ms))
    {
        let file = certificate.files().certificate.display();
        warnings.push(format!("the certificate {file} {end}: renew it, mcr takes it within two seconds"));
    }
    for token in &in_force.tokens {
        if let Some(end) = token.expires.and_then(|expires| end(expires, unix_ms)) {
            let name = &token.name;
            warnings.push(format!("the token \"{name}\" {end}: give it a later end in http.tokens, or remove it"));
        }
    }
    warnings.extend(http.lacks().values().map(|why| format!("{why}; mcr tries again each second")));
    warnings
}

/// That something ends soon or has ended, in words.
fn end(expires: u64, unix_ms: u64) -> Option<String> {
    let when = rfc3339(expires);
    match expires.checked_sub(unix_ms) {
        None | Some(0) => Some(format!("expired at {when}")),
        Some(left) if left < DAY_MS => Some(format!("expires within a day, at {when}")),
        Some(left) if left < SOON_DAYS * DAY_MS => Some(format!("expires in {} days, at {when}", left / DAY_MS)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY_MS, document, warnings};
    use crate::http::HttpDesk;
    use relay_config::{Access, Http, Reads, Token};

    const NOW: u64 = 1_800_000_000_000;

    #[test]
    fn tokens_are_shown_by_name_and_what_ends_is_warned_of_in_time() {
        let token = |name: &str, expires: Option<u64>| Token {
            expires,
            relays: vec!["sport-*".to_owned()],
            ..Token::new(name, [0xab; 32], Access::Capture)
        };
        let tokens = vec![
            token("gone", Some(NOW)),
            token("today", Some(NOW + DAY_MS / 2)),
            token("soon", Some(NOW + 20 * DAY_MS)),
            token("later", Some(NOW + 22 * DAY_MS)),
            token("never", None),
        ];
        let http = Http { tokens, reads: Reads::Token, ..Http::default() };
        let desk = HttpDesk::default();
        desk.begin(&http, &http, None);
        let shown = document(&desk, NOW);
        assert_eq!((shown.reads.as_str(), shown.listen.as_deref()), ("token", Some("127.0.0.1:9280")));
        let first = &shown.tokens[0];
        assert_eq!((first.name.as_str(), first.access.as_str(), first.expired), ("gone", "capture", true));
        assert!(shown.tokens[1..].iter().all(|token| !token.expired));
        assert!(!serde_json::to_string(&shown).unwrap().contains("abab"), "a hash is shown");
        let told = warnings(&desk, NOW);
        let begins = [
            "the token \"gone\" expired at 2027-01-15T08:00",
            "the token \"today\" expires within a day",
            "the token \"soon\" expires in 20 days",
        ];
        assert_eq!(told.len(), begins.len(), "{told:?}");
        assert!(told.iter().zip(begins).all(|(text, begin)| text.starts_with(begin)), "{told:?}");
    }

    #[test]
    fn what_cannot_be_had_yet_is_named() {
        let desk = HttpDesk::default();
        assert!(desk.note_lack("http.listen", Some("http.listen: it is taken".to_owned())));
        assert_eq!(warnings(&desk, NOW), ["http.listen: it is taken; mcr tries again each second"]);
        assert!(desk.note_lack("http.listen", None));
        assert_eq!(warnings(&desk, NOW), [""; 0]);
    }

    #[test]
    fn what_is_not_in_effect_is_named() {
        let desk = HttpDesk::default();
        let http = Http::default();
        desk.begin(&http, &http, None);
        desk.take(desk.prepare(&Http { listen: None, ..http }).unwrap());
        assert_eq!(document(&desk, NOW).restart_keys, ["http.listen"]);
    }
}
