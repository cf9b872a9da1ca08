//! A whole node as one document.

use super::node::Node;
use clap::Args;
use std::path::PathBuf;

/// How to write it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr export > node7.toml
  mcr export --url https://node7:9280 --token-file token > node7.toml
  mcr export | ssh node8 mcr import - --dry-run     what node8 has otherwise
  mcr export --json | jq -r .file.text > relay.toml    the configuration file that is in force

The document has the text of the configuration file, as it was when it was taken, and each relay of the API. Keep it as you
keep the file: it holds the hashes of tokens, not the tokens. Over TCP it takes a token that may change every relay.
Relays of the API that are shadowed by the file are not in force: they are named on standard error, and left out.")]
pub struct Export {
    /// Print the API's JSON; mcr import takes that, too.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}

/// What to take in.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  mcr import node7.toml --dry-run     what would change
  mcr import node7.toml
  mcr import node7.json               as mcr export --json wrote it

+ is new, ~ another, - gone. Every error is told at once, with its line and key, and then nothing has changed. Relays that stay
as they are lose no packet. The lanes stay as well: a document whose [lanes] are others is refused; start mcr with its
file first (mcr export --json | jq -r .file.text), and then import it for the relays of the API.

Over TCP the configuration file cannot be written: there the text must be the one that is in force.")]
pub struct Import {
    /// The document that mcr export wrote, TOML or JSON; - reads standard input.
    pub file: PathBuf,
    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
    /// Which mcr.
    #[command(flatten)]
    pub node: Node,
}
