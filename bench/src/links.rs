//! Links between namespaces: veth pairs, made with `ip` and `ethtool`.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::netns::Namespace;
use crate::packet::Mac;

/// One end of a veth pair, as asked for.
#[derive(Debug)]
pub struct End<'a> {
    namespace: &'a Namespace,
    name: String,
    addresses: Vec<String>,
    mac: Option<Mac>,
    checksum_offload: bool,
}

impl<'a> End<'a> {
    /// An end called `name` in `namespace`.
    pub fn new(namespace: &'a Namespace, name: &str) -> Self {
        Self { namespace, name: name.to_owned(), addresses: Vec::new(), mac: None, checksum_offload: true }
    }

    /// Gives it an address with prefix length, of either family: `10.0.0.1/24`, `fd00::1/64`.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.to_owned());
        self
    }

    /// Gives it this MAC in place of a random one.
    #[must_use]
    pub fn mac(mut self, mac: Mac) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Switches transmit checksum offload off. UDP sockets on a veth leave checksums partial otherwise; frames of a
    /// [`Source`](crate::Source) are sent as they are and do not need it.
    #[must_use]
    pub fn without_checksum_offload(mut self) -> Self {
        self.checksum_offload = false;
        self
    }

    fn finish(&self) -> Result<Port> {
        let (namespace, name) = (self.namespace, self.name.as_str());
        if let Some(mac) = self.mac {
            ip(&["-n", namespace.name(), "link", "set", name, "address", &mac.to_string()])?;
        }
        if !self.checksum_offload {
            ethtool(namespace, &["-K", name, "tx", "off"])?;
        }
        ip(&["-n", namespace.name(), "link", "set", name, "up"])?;
        for address in &self.addresses {
            let mut arguments = vec!["-n", namespace.name(), "address", "add", address, "dev", name];
            if address.contains(':') {
                arguments.push("nodad");
            }
            ip(&arguments)?;
        }
        let addresses = self.addresses.iter().map(|address| parse_address(address)).collect::<Result<_>>()?;
        Ok(Port { name: name.to_owned(), index: namespace.index(name)?, mac: mac_of(namespace, name)?, addresses })
    }
}

/// One end of a link, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in its namespace.
    pub name: String,
    /// Its index in its namespace.
    pub index: u32,
    /// Its MAC.
    pub mac: Mac,
    /// The addresses asked for, in order.
    pub addresses: Vec<IpAddr>,
}

/// A veth pair to be made.
#[derive(Debug)]
pub struct Veth<'a> {
    left: End<'a>,
    right: End<'a>,
    queues: u16,
    mtu: u16,
}

impl<'a> Veth<'a> {
    /// A pair with one queue each way and an MTU of 1500.
    pub fn new(left: End<'a>, right: End<'a>) -> Self {
        Self { left, right, queues: 1, mtu: 1500 }
    }

    /// Gives both ends this many queues in each direction. Transmit queue *n* of one end feeds receive queue *n* of
    /// the other.
    #[must_use]
    pub fn queues(mut self, queues: u16) -> Self {
        self.queues = queues;
        self
    }

    /// Sets the MTU of both ends.
    #[must_use]
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }

    /// Makes the pair and brings both ends up. It goes when either namespace goes.
    pub fn create(self) -> Result<(Port, Port)> {
        let (queues, mtu) = (self.queues.to_string(), self.mtu.to_string());
        let shape = ["mtu", &mtu, "numtxqueues", &queues, "numrxqueues", &queues];
        let mut arguments = vec!["-n", self.left.namespace.name(), "link", "add", &self.left.name];
        arguments.extend(shape);
        arguments.extend(["type", "veth", "peer", "name", &self.right.name]);
        arguments.extend(shape);
        arguments.extend(["netns", self.right.namespace.name()]);
        ip(&arguments)?;
        Ok((self.left.finish()?, self.right.finish()?))
    }
}

/// Puts everything that `interface` sends into transmit queue `queue`, whatever flow and CPU it comes from (XPS); with
/// veth it therefore arrives in receive queue `queue` of the peer. Without it flows spread over the queues by their hash,
/// whose key the kernel draws at boot.
pub fn steer(namespace: &Namespace, interface: &str, queue: u16, queues: u16) -> Result<()> {
    if queue >= queues {
        bail!("queue {queue} of {interface} does not exist: it has {queues}");
    }
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    for number in 0..queues {
        let mask = if number == queue { cpu_mask(cpus) } else { "0".to_owned() };
        let path = format!("/sys/class/net/{interface}/queues/tx-{number}/xps_cpus");
        let mut shell = namespace.command("sh");
        shell.args(["-c", &format!("echo {mask} > {path}")]);
        output(shell).with_context(|| format!("steer {interface} to queue {queue}"))?;
    }
    Ok(())
}

/// The mask of the first `cpus` CPUs, as sysfs wants it: groups of 32 bits with commas.
fn cpu_mask(cpus: usize) -> String {
    let full = std::iter::repeat_n("ffffffff".to_owned(), cpus / 32);
    let rest = (!cpus.is_multiple_of(32)).then(|| format!("{:x}", (1_u64 << (cpus % 32)) - 1));
    rest.into_iter().chain(full).collect::<Vec<_>>().join(",")
}

/// Work of the kernel on what an interface receives, handed to another core (RPS) until this is dropped.
#[derive(Debug)]
pub struct Handed {
    back: Command,
}

impl Handed {
    /// Hands what comes in by the first queue of `interface` to `core`.
    pub fn over(namespace: &Namespace, interface: &str, core: usize) -> Result<Self> {
        let mask = (0..core / 32).fold(format!("{:x}", 1_u32 << (core % 32)), |mask, _| mask + ",00000000");
        let path = format!("/sys/class/net/{interface}/queues/rx-0/rps_cpus");
        let write = |mask: &str| {
            let mut shell = namespace.command("sh");
            shell.args(["-c", &format!("echo {mask} > {path}")]);
            shell
        };
        output(write(&mask)).with_context(|| format!("hand what {interface} receives to core {core}"))?;
        Ok(Self { back: write("0") })
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        // The namespace may be gone by now, and the setting with it.
        self.back.output().ok();
    }
}

/// How many frames each receive queue of a veth end has taken. The kernel counts them while the end works with NAPI:
/// with an XDP program on it, or with `ethtool -K IF gro on` here and `ethtool -K PEER tso off` there.
pub fn received_per_queue(namespace: &Namespace, interface: &str) -> Result<Vec<u64>> {
    let text = ethtool(namespace, &["-S", interface])?;
    let counts = text.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once(": ")?;
        let queue = name.strip_prefix("rx_queue_")?.strip_suffix("_xdp_packets")?;
        queue.parse::<u16>().ok()?;
        value.parse().ok()
    });
    Ok(counts.collect())
}

/// Runs `ip` and returns what it printed.
pub fn ip(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("ip");
    command.args(arguments);
    output(command)
}

/// Runs `ethtool` in a namespace and returns what it printed.
pub fn ethtool(namespace: &Namespace, arguments: &[&str]) -> Result<String> {
    let mut command = namespace.command("ethtool");
    command.args(arguments);
    output(command).context("the laboratory needs ethtool (Debian: apt-get install ethtool)")
}

fn output(mut command: Command) -> Result<String> {
    let result = match command.output() {
        Ok(result) => result,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("ip is not installed (Debian: apt-get install iproute2)")
        }
        Err(error) => return Err(anyhow!(error).context(Line(&command).to_string())),
    };
    if !result.status.success() {
        bail!("`{}` failed: {}", Line(&command), String::from_utf8_lossy(&result.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

/// A command as a person would type it.
struct Line<'a>(&'a Command);

impl fmt::Display for Line<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.get_program().to_string_lossy())?;
        self.0.get_args().map(OsStr::to_string_lossy).try_for_each(|argument| write!(formatter, " {argument}"))
    }
}

fn parse_address(address: &str) -> Result<IpAddr> {
    let (address, _) = address.split_once('/').with_context(|| format!("{address} lacks its prefix length (/24)"))?;
    Ok(address.parse()?)
}

fn mac_of(namespace: &Namespace, interface: &str) -> Result<Mac> {
    let mut command = namespace.command("cat");
    command.arg(format!("/sys/class/net/{interface}/address"));
    output(command)?.trim().parse()
}

#[cfg(test)]
mod tests {
    use super::cpu_mask;

    #[test]
    fn cpu_masks_have_a_group_for_each_32_cpus() {
        assert_eq!(cpu_mask(2), "3");
        assert_eq!(cpu_mask(32), "ffffffff");
        assert_eq!(cpu_mask(33), "1,ffffffff");
        assert_eq!(cpu_mask(64), "ffffffff,ffffffff");
    }
}
