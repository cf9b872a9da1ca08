//! What the kernel counts in a namespace, read from `/proc/net`.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::net::Ipv4Addr;

use anyhow::{Context, Result};

use crate::Namespace;

/// A file of `/proc/net`. It speaks of the namespace in which it was opened, whoever reads it.
#[derive(Debug)]
pub(super) struct NetFile(File);

impl NetFile {
    pub(super) fn open(namespace: &Namespace, name: &str) -> Result<Self> {
        let path = format!("/proc/thread-self/net/{name}");
        namespace.run(|| File::open(&path)).map(Self).with_context(|| format!("open /proc/net/{name}"))
    }

    pub(super) fn read(&self) -> Result<String> {
        let (mut file, mut text) = (&self.0, String::new());
        file.rewind()?;
        file.read_to_string(&mut text).context("read /proc/net")?;
        Ok(text)
    }
}

/// Datagrams that the sockets of a namespace did not take, since this was made.
#[derive(Debug)]
pub(super) struct SocketLosses {
    file: NetFile,
    ipv6: bool,
    before: (u64, u64),
}

impl SocketLosses {
    pub(super) fn begin(namespace: &Namespace, ipv6: bool) -> Result<Self> {
        let file = NetFile::open(namespace, if ipv6 { "snmp6" } else { "snmp" })?;
        let before = udp_errors(&file.read()?, ipv6)?;
        Ok(Self { file, ipv6, before })
    }

    /// By name; each is missing at so many outputs.
    pub(super) fn lost(&self, outputs: u16) -> Result<[(&'static str, u64); 2]> {
        let (full, memory) = udp_errors(&self.file.read()?, self.ipv6)?;
        let missing = |now: u64, before: u64| (now - before) * u64::from(outputs);
        Ok([
            ("socket buffer full", missing(full, self.before.0)),
            ("no memory for sockets", missing(memory, self.before.1)),
        ])
    }
}

/// Datagrams that found their socket's buffer full, and those that found all sockets' memory used up.
fn udp_errors(text: &str, ipv6: bool) -> Result<(u64, u64)> {
    let value = |name: &str| -> Result<u64> {
        let value = if ipv6 {
            text.lines()
                .find_map(|line| line.strip_prefix("Udp6")?.trim_start().strip_prefix(name)?.split_whitespace().next())
        } else {
            let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
            let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
            names.split(' ').zip(values.split(' ')).find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        Ok(value.with_context(|| format!("this kernel does not count {name}"))?.parse()?)
    };
    Ok((value("RcvbufErrors")?, value("MemErrors")?))
}

/// Packets that the kernel dropped between an interface and the protocols, from `/proc/net/dev`.
pub(super) fn dropped_on_receiving(text: &str, interface: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'));
    let field = line.and_then(|line| line.split_whitespace().nth(3));
    Ok(field.with_context(|| format!("no interface {interface} in /proc/net/dev"))?.parse()?)
}

/// Whether somebody in the namespace is a member of the group on that interface.
pub(super) fn is_joined(namespace: &Namespace, interface: &str, group: Ipv4Addr) -> Result<bool> {
    let text = namespace.run(|| fs::read_to_string("/proc/thread-self/net/igmp")).context("read /proc/net/igmp")?;
    Ok(has_member(&text, interface, group))
}

/// Reads `/proc/net/igmp`: a line for each interface, and below it, indented, a line for each group.
fn has_member(text: &str, interface: &str, group: Ipv4Addr) -> bool {
    // The kernel prints the address as a number of the machine's byte order.
    let group = format!("{:08X}", u32::from_ne_bytes(group.octets()));
    let is_interface = |line: &&str| !line.starts_with('\t') && line.split_whitespace().nth(1) == Some(interface);
    let mut groups =
        text.lines().skip_while(|line| !is_interface(line)).skip(1).take_while(|line| line.starts_with('\t'));
    groups.any(|line| line.split_whitespace().next() == Some(&group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_sockets_are_read_for_both_families() {
        let snmp = "Ip: Forwarding\nIp: 1\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors \
                    InCsumErrors IgnoredMulti MemErrors\nUdp: 9 8 7 6 5 4 3 2 1\nUdpLite: InDatagrams\nUdpLite: 0\n";
        assert_eq!(udp_errors(snmp, false).unwrap(), (5, 1));
        let snmp6 = "Ip6InReceives 3\nUdp6InErrors                    \t9\nUdp6RcvbufErrors                \t7\n\
                     Udp6MemErrors                   \t2\nUdpLite6RcvbufErrors \t1\n";
        assert_eq!(udp_errors(snmp6, true).unwrap(), (7, 2));
        let error = udp_errors("Udp: InDatagrams\nUdp: 1\n", false).unwrap_err().to_string();
        assert!(error.contains("RcvbufErrors"), "{error}");
    }

    #[test]
    fn drops_of_an_interface_are_its_own() {
        let dev = "Inter-|   Receive    |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes\n\
                   \x20 in0: 10 20 30 40 50 0 0 0 1 2 3 4 0 0 0 0\n in01: 1 2 3 4 5 0 0 0 1 2 3 4 0 0 0 0\n";
        assert_eq!(dropped_on_receiving(dev, "in0").unwrap(), 40);
        assert_eq!(dropped_on_receiving(dev, "in01").unwrap(), 4);
        assert!(dropped_on_receiving(dev, "in").is_err());
    }

    #[test]
    fn a_member_counts_on_its_interface_only() {
        let group = Ipv4Addr::new(239, 1, 0, 1);
        let number = format!("{:08X}", u32::from_ne_bytes(group.octets()));
        let igmp = format!(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n1\tlo        :     1      V3\n\
             \t\t\t\t010000E0     1 0:00000000\t\t0\n2\tin0       :     2      V3\n\
             \t\t\t\t{number}     1 0:00000000\t\t0\n3\tout0      :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"
        );
        assert!(has_member(&igmp, "in0", group));
        assert!(!has_member(&igmp, "out0", group) && !has_member(&igmp, "in1", group));
        assert!(!has_member(&igmp, "in0", Ipv4Addr::new(239, 1, 0, 2)));
    }
}
