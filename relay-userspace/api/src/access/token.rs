//! Whose token this is.

use crate::problem::{Kind, Problem};
use crate::shared::Api;
use axum::http::{HeaderMap, header};
use relay_config::Token;
use relay_control::events::rfc3339;
use relay_engine::clock::unix_ms;
use sha2::{Digest as _, Sha256};
use std::sync::atomic::Ordering::Relaxed;
use subtle::ConstantTimeEq as _;

/// Whose token this is.
pub(super) async fn holder(api: &Api, tokens: &[Token], headers: &HeaderMap) -> Result<Token, Problem> {
    if tokens.is_empty() {
        let detail = "over TCP this takes a token, and there is none: use the Unix socket, or add a token to http.tokens in the configuration";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let needed = || {
        Problem::new(Kind::TokenNeeded, "send Authorization: Bearer TOKEN, with a token whose hash is in http.tokens")
    };
    let line = headers.get(header::AUTHORIZATION).ok_or_else(needed)?.as_bytes();
    let (scheme, token) = line.split_at_checked("Bearer ".len()).ok_or_else(needed)?;
    if !scheme.eq_ignore_ascii_case(b"Bearer ") {
        return Err(needed());
    }
    match find(tokens, token.trim_ascii()) {
        Some(token) if token.is_expired(unix_ms()) => {
            let detail = format!("{}: use another, or give it a later end in http.tokens", expired(token));
            Err(Problem::of_token(Kind::TokenNeeded, detail, &token.name))
        }
        Some(token) => Ok(token.clone()),
        None => Err(unknown(api).await),
    }
}

/// The answer to a token that nobody knows.
async fn unknown(api: &Api) -> Problem {
    api.counts.requests.wrong_tokens.fetch_add(1, Relaxed);
    // Guessing takes time; where too many guess at once, nobody is held back but told to come again.
    let Ok(_slot) = api.wrong_tokens.try_acquire() else {
        return Problem::new(Kind::TooMany, "too many wrong tokens at once: come again later");
    };
    tokio::time::sleep(api.limits.wrong_token).await;
    Problem::new(Kind::TokenNeeded, "this token is not known: its hash must be in http.tokens")
}

/// Looks at all tokens, and at all of each: the time it takes tells nothing.
fn find<'a>(tokens: &'a [Token], token: &[u8]) -> Option<&'a Token> {
    let hash = Sha256::digest(token);
    let mut found = None;
    for token in tokens {
        if bool::from(token.hash.ct_eq(hash.as_slice())) {
            found = Some(token);
        }
    }
    found
}

/// That a token's time is over.
pub(super) fn expired(token: &Token) -> String {
    let when = token.expires.map(rfc3339).unwrap_or_default();
    format!("the token \"{}\" expired at {when}", token.name)
}

#[cfg(test)]
mod tests {
    use super::find;
    use relay_config::{Access, Token};
    use sha2::{Digest as _, Sha256};

    #[test]
    fn a_token_is_known_by_its_hash() {
        let token = |name: &str, text: &str| Token::new(name, Sha256::digest(text).into(), Access::Write);
        let tokens = [token("a", "one"), token("b", "two")];
        let name_of = |tokens: &[Token], token: &[u8]| find(tokens, token).map(|token| token.name.clone());
        assert_eq!(name_of(&tokens, b"one").as_deref(), Some("a"));
        assert_eq!(name_of(&tokens, b"two").as_deref(), Some("b"));
        assert_eq!(name_of(&tokens, b""), None);
        assert_eq!(name_of(&[], b"one"), None);
    }
}
