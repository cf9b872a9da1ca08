//! The packets of a relay in a file that others can read.

use super::desk::Desk;
use crate::rig::Rig;
use bench::clock::Deadline;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const AT_MOST: Duration = Duration::from_secs(60);

/// What tshark reads of each packet: the interface it was taken on, where it went, how long it is, whether its sum is right.
fn read(file: &Path) -> Vec<[String; 4]> {
    let fields = ["frame.interface_name", "ip.dst", "frame.len", "udp.checksum.status"];
    let mut tshark = Command::new("tshark");
    tshark.args(["-o", "udp.check_checksum:TRUE", "-T", "fields", "-r"]).arg(file);
    for field in fields {
        tshark.args(["-e", field]);
    }
    let output = tshark.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    printed.lines().map(row).collect()
}

/// Every packet that came in between the first and the last is in the file once, and once as it went out.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn packets_are_taken_as_they_come_and_as_they_go_and_the_relay_loses_none() {
    let rig = Rig::new(1);
    let mut show = rig.start(
        r#"
        [[relay]]
        name = "one"
        input = { interface = "in0", group = "239.1.1.1", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001, vlan = 7 }]
        [[relay]]
        name = "two"
        input = { interface = "in0", group = "239.1.1.2", port = 5000 }
        outputs = [{ interface = "out0", group = "239.2.1.2", port = 5001 }]
        "#,
    );
    let flow = show.expect(2, 0, "239.2.1.2:5001");
    let tagged = show.expect(1, 0, "239.2.1.1:5001").vlans(&[bench::packet::Vlan::new(7)]);
    show.listen(0, vec![tagged, flow]);
    let desk = Desk::of(&show.mcr);
    let source = show.source(rig.streams(&["239.1.1.1:5000", "239.1.1.2:5000"]).rate(2_000).duration(AT_MOST));

    let file = show.mcr.folder().join("one.pcapng");
    let to = file.to_str().unwrap();
    desk.done(&["capture", "one", "-w", to, "-c", "500"]);
    let packets = read(&file);
    assert_eq!(packets.len(), 500);
    let mut counts: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for [link, group, length, sum] in &packets {
        // 1 is "good": the program that reads has added it up itself.
        assert_eq!(sum, "1", "{link} {group}");
        *counts.entry((link, group, length)).or_default() += 1;
    }
    let length = 14 + 20 + 8 + 1316;
    let (plain, with_tag) = (length.to_string(), (length + 4).to_string());
    let (came, went) = (("in0", "239.1.1.1", plain.as_str()), ("out0", "239.2.1.1", with_tag.as_str()));
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), [came, went], "{counts:?}");
    let (n_in, n_out) = (counts[&came], counts[&went]);
    assert!(n_in.abs_diff(n_out) <= 64, "{n_in} came and {n_out} went: more than what is under way");

    desk.done(&["capture", "one", "-w", to, "--seconds", "1", "--direction", "out", "--snap", "64"]);
    let packets = read(&file);
    assert!(packets.len() > 200, "{} packets in a second", packets.len());
    assert!(packets.iter().all(|[link, group, ..]| link == "out0" && group == "239.2.1.1"));

    // Cut before its end it says so, and what there is can be read.
    let broken_off = |cut: &dyn Fn()| {
        fs::write(&file, "").unwrap();
        let capture = desk.command(&["capture", "one", "-w", to]).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Deadline::after(AT_MOST);
        while fs::metadata(&file).unwrap().len() < 100_000 {
            assert!(!deadline.passed(), "nothing is captured");
            std::thread::sleep(Duration::from_millis(5));
        }
        cut();
        let said = capture.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(1), "{errors}");
        assert!(errors.contains("broke off before its end"), "{errors}");
        let packets = read(&file).len();
        assert!(errors.contains(&format!("{packets} packets, ")), "{packets}: {errors}");
    };
    broken_off(&|| drop(desk.done(&["restart"])));

    let why = desk.refused(&["capture", "nobody", "-w", to, "-c", "1"]);
    assert!(why.contains("nobody"), "{why}");
    let sent = source.stop().unwrap();
    show.balance(&[sent]);
}
