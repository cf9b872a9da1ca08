//! Programs that are named by hand.

use bench::measure::contestant::Contestant;
use bench::measure::stage::Stage;

use crate::play::{Look, programs, relays_all, scenario};

const MULTICAT: &str = "multicat=multicat -u -U -t 16 @{in_group}:{in_port}/ifaddr={in_address} \
                        {out_group}:{out_port}@{out_address}";
const SOCAT: &str = "by-hand=socat -u -b 2000 \
                     'UDP4-RECV:{in_port},bind={in_group},ip-add-membership={in_group}:{in_if}' \
                     \"UDP4-SENDTO:{out_group}:{out_port},ip-multicast-if={out_address},ip-multicast-ttl=16\"";

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn programs_by_template_relay() {
    for text in [MULTICAT, SOCAT] {
        relays_all(&Contestant::by_hand(text).unwrap(), "1-to-1", Look::SOCKETS);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_program_that_cannot_take_part_says_why() {
    let scenario = scenario("1-to-1");
    let stage = Stage::new(&scenario).unwrap();
    let error = |text: &str| {
        let running = Contestant::by_hand(text).unwrap().start(&programs(), &stage, &scenario);
        format!("{:#}", running.err().unwrap())
    };
    let missing = error("mine=no-such-program {in_group}");
    assert!(missing.contains("\"mine\"") && missing.contains("no-such-program: not found"), "{missing}");
    let ended = error("mine=sh -c 'echo on {in_if} only >&2; exit 3'");
    assert!(ended.contains("exit status: 3") && ended.contains("on in0 only"), "{ended}");
    let deaf = error("mine=sh -c 'echo I listen; exec sleep 60'");
    assert!(deaf.contains("joined 239.1.0.1 on in0") && deaf.contains("I listen"), "{deaf}");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_program_that_ends_by_itself_is_an_error() {
    let scenario = scenario("1-to-1");
    let stage = Stage::new(&scenario).unwrap();
    let text = format!("mine=timeout --preserve-status 1 {}", SOCAT.split_once('=').unwrap().1);
    let running = Contestant::by_hand(&text).unwrap().start(&programs(), &stage, &scenario).unwrap();
    assert_eq!(running.pids.len(), 2, "timeout and socat");
    std::thread::sleep(std::time::Duration::from_secs(3));
    let error = format!("{:#}", (running.end)().unwrap_err());
    assert!(error.contains("\"mine\"") && error.contains("ended by itself"), "{error}");
}
