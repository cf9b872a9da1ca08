//! `mcr hash-token`: only the hash of a token stands in the configuration.

use super::exit::Exit;
use super::failure::Failure;
use super::screen::Screen;
use crate::args::HashToken;
use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read, Write};

/// A token that is shorter can be guessed.
const SHORTEST: usize = 16;
/// No token is longer.
const LONGEST: u64 = 4096;

/// Reads a token, and prints the line for the configuration.
///
/// # Errors
/// When there is no token, or it cannot be one.
pub fn hash_token<O: Write, E: Write>(asked: &HashToken, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    if io::stdin().is_terminal() {
        screen.note("type the token, then Enter and Ctrl-D; openssl rand -hex 32 makes a good one");
    }
    let mut text = String::new();
    io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text).context("standard input cannot be read")?;
    writeln!(screen.out, "{}", line(&asked.name, &text)?)?;
    screen.note("put this line below [http] in the configuration; the token itself goes to who may use it");
    Ok(Exit::Done)
}

fn line(name: &str, text: &str) -> Result<String, Failure> {
    let token = text.trim();
    let remedy = "openssl rand -hex 32 makes a good one";
    if token.len() as u64 > LONGEST || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Failure::usage(format!("this cannot be a token, which is one word of ASCII: {remedy}")));
    }
    if token.len() < SHORTEST {
        let problem = format!("a token of {} characters can be guessed", token.len());
        return Err(Failure::usage(format!("{problem}: use {SHORTEST} or more; {remedy}")));
    }
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
        return Err(Failure::usage(format!("\"{name}\" cannot be a name: use letters, digits, '-', '_' and '.'")));
    }
    let mut hash = String::new();
    Sha256::digest(token).iter().for_each(|byte| _ = write!(hash, "{byte:02x}")); // Writing to a String cannot fail.
    Ok(format!("tokens = [{{ name = \"{name}\", sha256 = \"{hash}\" }}]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_word_alone() {
        // printf 0123456789abcdef | sha256sum
        let hash = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
        let expected = format!("tokens = [{{ name = \"ops\", sha256 = \"{hash}\" }}]");
        assert_eq!(line("ops", "0123456789abcdef\n").unwrap(), expected);
        let told = |name: &str, text: &str| line(name, text).unwrap_err().to_string();
        assert!(told("ops", "short").starts_with("a token of 5 characters can be guessed: "));
        assert!(told("ops", "two words of a good length").starts_with("this cannot be a token"));
        assert!(told("a b", "0123456789abcdef").starts_with("\"a b\" cannot be a name"));
    }
}
