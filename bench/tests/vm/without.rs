//! Kernels that have no zero-copy for these NICs: the program loads, mcr copies and says so.

use anyhow::{Context, Result, ensure};

use crate::guest::Guest;
use crate::mcr;
use crate::nic::Nic;
use crate::parts::Parts;
use crate::play::{Case, Through, play, play_with};
use crate::table::{Table, in_a_guest};
use crate::{backlog, kills, rebinds};

const NICS: [Nic; 2] = [Nic::virtio("in0"), Nic::virtio("out1")];

#[test]
#[ignore = "needs an emulator and kernels: cargo xtask test vm"]
fn linux_6_1_relays_and_says_what_a_dead_lane_costs() {
    let parts = Parts::find().unwrap();
    in_a_guest(|| play_6_1(&parts));
}

fn play_6_1(parts: &Parts) -> Result<()> {
    let (mut guest, mut table) = boot(parts, "kernel-6.1", "6.1.")?;
    table.seen("mcr check --kernel", lacks(&mut guest, &["bound_rings"]));
    table.seen("mcr probe", probed(&mut guest, "mcr relays here, and the kernel copies each frame."));
    let one = one();
    table.played(&one, play(&mut guest, &one));
    table.seen("what mcr says", warns(&mut guest));
    let taken_over = Case { name: "control killed", goes_on: true, ..one.clone() };
    table.played(&taken_over, play_with(&mut guest, &taken_over, 0, rebinds::kill_control));
    let killed = Case { awaited: 0, ..kills::case("3 kills, new sockets", &one) };
    table.seen(killed.name, rebinds::play(&mut guest, &killed));
    table.close(parts, &guest)
}

#[test]
#[ignore = "needs an emulator and kernels: cargo xtask test vm"]
fn linux_6_12_copies_and_says_so() {
    let parts = Parts::find().unwrap();
    in_a_guest(|| play_6_12(&parts));
}

fn play_6_12(parts: &Parts) -> Result<()> {
    let (mut guest, mut table) = boot(parts, "kernel-6.12", "6.12.")?;
    table.seen("mcr check --kernel", lacks(&mut guest, &[]));
    table.seen("mcr probe", probed(&mut guest, "mcr relays here, and the kernel copies each frame."));
    let one = one();
    table.played(&one, play(&mut guest, &one));
    table.seen("what mcr says", says_so(&mut guest));
    table.seen("zero_copy = \"always\"", refuses(&mut guest));
    table.seen("a backlog", backlog::play(&mut guest, "in0", "out1", true));
    table.seen("a bond in native mode", bonded(&mut guest));
    let through = Through::new("239.1.1.1:5000", &[("out1", "239.2.1.1:5001")]);
    let bond = ONE.replace("in0", "bond0");
    let bond = Case::new("a bond", &bond, "in0", vec![through], &[("bond0", false), ("out1", false)]);
    table.played(&bond, play(&mut guest, &bond));
    table.seen("the bond's mode", is_generic(&mut guest));
    let through = Through::new("239.1.1.1:5000", &[("out1", "239.2.1.1:5001")]);
    let member = Case::new("a bond's member", ONE, "in0", vec![through], &[("in0", false), ("out1", false)]);
    table.played(&member, play(&mut guest, &member));
    table.close(parts, &guest)
}

fn boot(parts: &Parts, kernel: &'static str, release: &str) -> Result<(Guest, Table)> {
    let mut guest = Guest::boot(parts, kernel, kernel, &NICS)?;
    for (number, Nic { name, .. }) in (1..).zip(&NICS) {
        guest.run(&format!("ip address add 10.{number}.0.1/24 dev {name}; ip link set {name} up"))?;
    }
    let running = guest.run("uname -r")?;
    ensure!(running.starts_with(release), "the guest runs {running}");
    let table = Table::new(kernel, "virtio_net", running.trim());
    Ok((guest, table))
}

fn one() -> Case {
    let through = Through::new("239.1.1.1:5000", &[("out1", "239.2.1.1:5001")]);
    Case::new("1 to 1", ONE, "in0", vec![through], &[("in0", false), ("out1", false)])
}

const ONE: &str = r#"
[[relay]]
name = "one"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [{ interface = "out1", group = "239.2.1.1", port = 5001 }]
"#;

/// The program loads and attaches, and a socket is bound, which copies.
fn probed(guest: &mut Guest, verdict: &str) -> Result<String> {
    let found = guest.run("mcr probe in0")?;
    for words in ["XDP                attached native", "queue 0            copy", verdict] {
        ensure!(found.contains(words), "no \"{words}\":\n{found}");
    }
    Ok("attached native, bound copy".to_owned())
}

/// What falls away is said once in the log, and shown as a warning of a node that is well.
fn warns(guest: &mut Guest) -> Result<String> {
    let log = mcr::log(guest)?;
    ensure!(log.matches("this kernel lacks bound_rings").count() == 1, "{log}");
    Ok("bound_rings: a killed lane has new sockets".to_owned())
}

/// This kernel lacks these, and besides only what is optional.
fn lacks(guest: &mut Guest, wanted: &[&str]) -> Result<String> {
    let (printed, _) = guest.attempt("mcr check --kernel --json")?;
    let found: serde_json::Value = serde_json::from_str(&printed).with_context(|| printed.clone())?;
    let of = |need: &dyn Fn(&str) -> bool, state: &str| -> Vec<&str> {
        let all = found["features"].as_array().into_iter().flatten();
        let these = all.filter(|one| one["state"] == state && one["need"].as_str().is_some_and(need));
        these.filter_map(|one| one["name"].as_str()).collect()
    };
    ensure!(of(&|need| need != "optional", "missing") == wanted, "{printed}");
    ensure!(of(&|_| true, "untried").is_empty(), "{printed}");
    Ok(format!("lacks {}", [wanted, &of(&|need| need == "optional", "missing")].concat().join(", ")))
}

/// The last run's log.
fn says_so(guest: &mut Guest) -> Result<String> {
    let log = mcr::log(guest)?;
    for words in ["input attached link=in0 mode=\"native\" zero_copy=false", "output ready link=out1 zero_copy=false"] {
        ensure!(log.contains(words), "no \"{words}\":\n{log}");
    }
    Ok("native, zero_copy=false".to_owned())
}

fn refuses(guest: &mut Guest) -> Result<String> {
    let said = mcr::refusal(guest, &mcr::demanding_zero_copy(&["in0"], ONE))?;
    ensure!(said.contains("in0 queue 0 cannot do zero-copy: use zero_copy = \"auto\""), "{said}");
    Ok("refused: in0 queue 0 cannot do zero-copy".to_owned())
}

/// in0 becomes a bond's member. Native mode would run on the members, so it is refused with their names.
fn bonded(guest: &mut Guest) -> Result<String> {
    guest.run("echo +bond0 >/sys/class/net/bonding_masters; ip link set in0 down; ip address flush dev in0")?;
    guest.run("echo +in0 >/sys/class/net/bond0/bonding/slaves; ip link set bond0 up; wait_for_carrier bond0")?;
    guest.run("ip address add 10.1.0.1/24 dev bond0")?;
    let links = guest.run("mcr links bond0")?;
    ensure!(links.contains("bond0 is made of in0: mcr runs behind them in generic mode"), "{links}");
    let native = "[[interface]]\nname = \"bond0\"\nmode = \"native\"\n";
    let said = mcr::refusal(guest, &format!("{native}{}", ONE.replace("in0", "bond0")))?;
    ensure!(said.contains("relay from in0, or use mode = \"generic\""), "{said}");
    Ok("refused: relay from in0".to_owned())
}

/// The last run's log.
fn is_generic(guest: &mut Guest) -> Result<String> {
    let log = mcr::log(guest)?;
    ensure!(log.contains("input attached link=bond0 mode=\"generic\" zero_copy=false"), "{log}");
    Ok("generic".to_owned())
}
