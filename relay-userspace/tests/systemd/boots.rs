//! The whole node is booted again: file and API have what they had.

use crate::stage::Stage;

#[test]
#[ignore = "needs root: cargo xtask test systemd"]
fn relays_of_file_and_api_come_back_by_themselves() {
    let mut stage = Stage::boot();
    stage.container.done("systemctl", &["enable", "--now", "mcr"]);
    stage.mcr(&["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001"]);
    stage.container.run("systemctl", &["reboot"]);
    stage.container.comes_back();
    stage.container.wait_for_state("running");
    let listed = stage.mcr(&["relay", "ls"]);
    assert!(listed.contains("one") && listed.contains("two"), "{listed}");
    let traffic = stage.stream();
    traffic.pass(500);
    assert!(traffic.arrives_whole() >= 500);
}
