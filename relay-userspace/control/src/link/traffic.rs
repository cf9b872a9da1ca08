//! What the kernel and the drivers count of each link, in `/proc/thread-self/net/dev`.

use relay_common::facts::LinkCounts;
use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

/// Where the network namespace of the calling thread is shown.
pub const NET: &str = "/proc/thread-self/net";

/// Reads the counts of all links below [`NET`].
///
/// # Errors
/// When the file cannot be read.
pub fn read(net: &Path) -> io::Result<BTreeMap<String, LinkCounts>> {
    Ok(parse(&fs::read_to_string(net.join("dev"))?))
}

/// A line that makes no sense is left out.
fn parse(text: &str) -> BTreeMap<String, LinkCounts> {
    let of_line = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> = numbers.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        // Eight numbers of receiving and eight of sending: bytes, packets, errors, dropped, …
        let [_, rx_packets, rx_errors, rx_dropped, _, _, _, _, _, _, tx_errors, tx_dropped, ..] = numbers[..] else {
            return None;
        };
        Some((name.trim().to_owned(), LinkCounts { rx_packets, rx_errors, rx_dropped, tx_errors, tx_dropped }))
    };
    text.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_stands_in_its_column() {
        let text = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
ens1f0.100:100 20 30 40 0 0 0 0 90 100 110 120 0 0 0 0
 short: 1 2 3
 wrong: 1 2 3 4 5 6 7 8 9 10 11 twelve 13 14 15 16
";
        let counts = parse(text);
        assert_eq!(counts.keys().collect::<Vec<_>>(), ["ens1f0.100", "lo"]);
        let expected = LinkCounts { rx_packets: 2, rx_errors: 3, rx_dropped: 4, tx_errors: 11, tx_dropped: 12 };
        assert_eq!((counts["lo"], counts["ens1f0.100"].rx_packets), (expected, 20));
    }

    #[test]
    fn this_machine_has_a_loopback() {
        assert!(read(Path::new(NET)).unwrap().contains_key("lo"));
    }
}
