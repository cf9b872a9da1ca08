//! Which control is asked: the one behind a Unix socket, or behind an address.

use clap::Args;
use std::path::PathBuf;

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
