//! Intel's igb in a guest: a driver that resets its link for a program, and has queues and buffers like a real card's.

use anyhow::{Result, ensure};

use crate::guest::Guest;
use crate::nic::Nic;
use crate::parts::Parts;
use crate::play::{Case, Through, play};
use crate::table::{Table, in_a_guest};
use crate::{down, kills, mcr};

const NICS: [Nic; 4] = [Nic::igb("in0"), Nic::igb("out1"), Nic::igb("out2"), Nic::igb("out3")];
const BOTH: [(&str, bool); 2] = [("in0", true), ("out1", true)];

#[test]
#[ignore = "needs an emulator and kernels: cargo xtask test vm"]
fn igb_relays_in_zero_copy() {
    let parts = Parts::find().unwrap();
    in_a_guest(|| play_all(&parts));
}

fn play_all(parts: &Parts) -> Result<()> {
    let mut guest = Guest::boot(parts, "igb", "kernel-zero-copy", &NICS)?;
    let kernel = set_up(&mut guest)?;
    let mut table = Table::new("igb", "igb", &kernel);
    table.seen("mcr probe", mcr::probe(&mut guest, "out1", true, &["out1: igb", "carrier            was away for"]));
    let one = Case::new("1 to 1", ONE, "in0", vec![Through::new(IN, &[("out1", OUT)])], &BOTH);
    table.played(&one, play(&mut guest, &one));
    table.seen("carrier", carrier(&mut guest));
    let lanes = two_lanes();
    table.played(&lanes, play(&mut guest, &lanes).and_then(|played| played.both_lanes().map(|()| played)));
    let mut short = one.clone();
    (short.name, short.links[0].1) = ("short frames", false);
    short.config = ONE.replace("frame_size = 4096", "");
    table.played(&short, play(&mut guest, &short));
    table.seen("short frames, zero-copy demanded", cut_packets(&mut guest));
    let down = down::case(ONE);
    table.seen(down.name, down::play(&mut guest, &down));
    let killed = kills::case("10 kills", &one);
    table.played(&killed, kills::play(&mut guest, &killed));
    table.close(parts, &guest)
}

/// With frames of 2048 bytes this NIC would receive 1024 at once: see relay-userspace/control/src/link/quirk.rs.
const ONE: &str = r#"
[lanes]
frame_size = 4096
[[relay]]
name = "one"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [{ interface = "out1", group = "239.2.1.1", port = 5001 }]
"#;
const IN: &str = "239.1.1.1:5000";
const OUT: &str = "239.2.1.1:5001";

/// Sixteen groups, so that the NIC has to spread them over its queues, one for each lane.
fn two_lanes() -> Case {
    let config = ONE
        .replace("[lanes]", "[lanes]\ncores = [0, 1]")
        .replace("239.1.1.1", "239.1.1.0-15")
        .replace("239.2.1.1", "239.2.1.0-15");
    let through = |group| Through::new(&format!("239.1.1.{group}:5000"), &[("out1", &format!("239.2.1.{group}:5001"))]);
    Case::new("2 queues, 2 lanes", &config, "in0", (0..16).map(through).collect(), &BOTH)
}

fn set_up(guest: &mut Guest) -> Result<String> {
    for (number, Nic { name, .. }) in (1..).zip(&NICS) {
        guest.run(&format!("ip address add 10.{number}.0.1/24 dev {name}; ip link set {name} up"))?;
    }
    for Nic { name, .. } in &NICS {
        guest.run(&format!("wait_for_carrier {name}"))?;
    }
    Ok(guest.run("uname -r")?.trim().to_owned())
}

/// What the log of the last run says of the carrier: this driver resets its link when a program is attached.
fn carrier(guest: &mut Guest) -> Result<String> {
    let log = mcr::log(guest)?;
    ensure!(log.contains("waiting for the carrier"), "no carrier was lost when the program was attached:\n{log}");
    ensure!(!log.contains("did not get it back"), "the carrier did not return:\n{log}");
    Ok("lost when XDP attaches, and waited for".to_owned())
}

fn cut_packets(guest: &mut Guest) -> Result<String> {
    let said = mcr::refusal(guest, &mcr::demanding_zero_copy(&["in0"], &ONE.replace("frame_size = 4096", "")))?;
    ensure!(said.contains("in0 would cut packets in zero-copy") && said.contains("frame_size = 4096"), "{said}");
    Ok("refused: in0 would cut packets".to_owned())
}
