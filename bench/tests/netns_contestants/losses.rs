//! Packets that a contestant loses are counted, each where it is missing.

use std::thread::sleep;
use std::time::Duration;

use bench::ledger::lock;
use bench::measure::account::{Account, UNCOUNTED};
use bench::measure::contestant::Contestant;
use bench::measure::gauge::Gauge;
use bench::measure::generator::Generator;
use bench::measure::stage::Stage;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::play::{Look, Play, programs, scenario};

/// Its socket has the system's usual buffer, which 2000 packets overflow when nobody reads.
const SMALL: &str = "small=socat -u -b 2000 UDP4-RECV:{in_port},bind={in_group},ip-add-membership={in_group}:{in_if} \
                     UDP4-SENDTO:{out_group}:{out_port},ip-multicast-if={out_address},ip-multicast-ttl=16";

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_a_full_socket_refuses_is_what_is_missing() {
    let play = Play::start(&Contestant::by_hand(SMALL).unwrap(), "1-to-1", Look::SOCKETS);
    let pid = Pid::from_raw(i32::try_from(play.running.pids[0]).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    play.send();
    kill(pid, Signal::SIGCONT).unwrap();
    play.settle();
    let ledger = play.ledgers[0].clone();
    let losses = play.end();
    let [loss] = losses.as_slice() else { panic!("one reason, not {losses:?}") };
    assert!(loss.name == "socket buffer full" && loss.packets > 0, "{loss:?}");
    lock(&ledger).check(loss.packets).unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn of_a_flood_every_packet_arrives_or_is_counted() {
    for contestant in ["mcr", "mmsg", "plain", "kernel", "socat"] {
        flood(contestant, "1-to-1");
    }
    for contestant in ["mcr", "mmsg", "kernel"] {
        flood(contestant, "1-to-4-links");
    }
    for contestant in ["mcr", "mmsg", "plain"] {
        flood(contestant, "ipv6");
    }
}

fn flood(contestant: &str, name: &str) {
    let scenario = scenario(name);
    let stage = Stage::new(&scenario).unwrap();
    let (gauge, mut generator) = (Gauge::new(&stage).unwrap(), Generator::new(&stage, &scenario).unwrap());
    let running = Contestant::named(contestant).unwrap().start(&programs(), &stage, &scenario).unwrap();
    let outputs = u64::from(scenario.outputs);
    let (mut account, before) = (Account::open(&stage, outputs).unwrap(), gauge.arrived().unwrap());
    let offered = generator.send(None, Duration::from_millis(300)).unwrap().packets;
    account.offered(offered);
    let mut last = None;
    while last != Some(gauge.arrived().unwrap()) {
        last = Some(gauge.arrived().unwrap());
        sleep(Duration::from_millis(200));
    }
    let arrived = gauge.arrived().unwrap().since(before);
    let losses = account.close(arrived.packets, (running.end)().unwrap()).unwrap();
    let said = format!("{contestant} in {name}: {offered} in, {arrived:?}, {losses:?}");
    assert!(arrived.packets > 0 && arrived.late == 0 && arrived.strangers == 0, "{said}");
    // Neither is one missing without a name nor counted twice.
    assert!(losses.iter().all(|loss| loss.name != UNCOUNTED), "{said}");
    let lost: u64 = losses.iter().map(|loss| loss.packets).sum();
    assert_eq!(offered * outputs, arrived.packets + lost, "{said}");
}
