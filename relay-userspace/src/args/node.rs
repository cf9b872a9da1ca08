//! Which control is asked: the one behind a Unix socket, or behind an address.

use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Where the running mcr is.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which mcr")]
pub struct Node {
    /// Its Unix socket [env: MCR_SOCKET] [default: /run/mcr/mcr.sock]
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    pub socket: Option<PathBuf>,
    /// Its address, as http://10.0.0.7:9280 or https://node1, in place of the socket [env: MCR_URL]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The file that holds the token over TCP; without, MCR_TOKEN is taken.
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    pub token_file: Option<PathBuf>,
    /// With https: the file of the certificates to believe [env: MCR_CA_FILE] [default: this machine's list]
    #[arg(long, value_name = "FILE", conflicts_with = "socket")]
    pub ca_file: Option<PathBuf>,
}

/// A duration: a number and its unit.
///
/// # Errors
/// What is wrong and what to write.
pub fn duration(text: &str) -> Result<Duration, String> {
    const REMEDY: &str = "write a number and ms, s, m or h, as in 500ms";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => return Err(format!("{text} has no unit: {REMEDY}")),
        _ => return Err(format!("\"{text}\" is no duration: {REMEDY}")),
    };
    let number: u64 = number.parse().map_err(|_| format!("\"{text}\" is no duration: {REMEDY}"))?;
    match number.checked_mul(factor) {
        Some(0) => Err("must be longer than nothing".to_owned()),
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => Err(format!("{text} is too long")),
    }
}
