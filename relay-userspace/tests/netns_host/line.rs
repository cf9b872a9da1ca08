//! The topology of every test here: `src0 -- in0` and `out0 -- rx0`, with the relay in the middle.

use bench::links::{End, Port, Veth};
use bench::packet::{Headers, build};
use bench::{Namespace, Relay};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The group that the simplest relay takes in, and where it sends.
pub(crate) const INPUT: &str = "239.1.1.1:5000";
/// Where the simplest relay sends.
pub(crate) const OUTPUT: &str = "239.2.1.1:5001";

/// The simplest configuration.
pub(crate) const ONE: &str = r#"
[[relay]]
name = "one"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
"#;

/// Source, relay and receiver in a row, each a namespace.
pub(crate) struct Line {
    pub(crate) source: Namespace,
    pub(crate) relay: Namespace,
    pub(crate) receiver: Namespace,
    pub(crate) src0: Port,
    pub(crate) in0: Port,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self::shaped(1500, 1)
    }

    /// A line whose source's link has this MTU at both ends, and so many queues everywhere.
    pub(crate) fn shaped(mtu: u16, queues: u16) -> Self {
        let namespace = || Namespace::new("mcr-host").unwrap();
        let (source, relay, receiver) = (namespace(), namespace(), namespace());
        let near = End::new(&source, "src0").address("10.1.0.1/24").address("fd00:1::1/64");
        let input = End::new(&relay, "in0").address("10.1.0.2/24").address("fd00:1::2/64");
        let (src0, in0) = Veth::new(near, input).mtu(mtu).queues(queues).create().unwrap();
        let output = End::new(&relay, "out0").address("10.2.0.1/24").address("fd00:2::1/64");
        let far = End::new(&receiver, "rx0").address("10.2.0.9/24").address("fd00:2::9/64");
        Veth::new(output, far).queues(queues).create().unwrap();
        Self { source, relay, receiver, src0, in0 }
    }

    pub(crate) fn start(&self, config: &str) -> Relay {
        Relay::start(&self.relay, config).unwrap()
    }

    /// Headers of a stream that the source sends; to a host it goes by the MAC of `in0`.
    pub(crate) fn headers(&self, destination: &str) -> Headers {
        let destination: SocketAddr = destination.parse().unwrap();
        let source = if destination.is_ipv4() { "10.1.0.1:4000" } else { "[fd00:1::1]:4000" };
        let headers = Headers::new(source.parse().unwrap(), destination).from_mac(self.src0.mac);
        if destination.ip().is_multicast() { headers } else { headers.to_mac(self.in0.mac) }
    }

    /// A frame that the source sends.
    pub(crate) fn frame(&self, destination: &str, payload: &[u8]) -> Vec<u8> {
        build(&self.headers(destination), payload)
    }
}

/// Runs a program to its end and says what it printed.
pub(crate) fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A folder that goes with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mcr-host-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is left over: {error}", self.0.display());
        }
    }
}
