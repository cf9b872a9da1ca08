//! What is shown: tables, health, why, events, captures.

use crate::stage::{Stage, ran};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn tables_are_for_people_and_fit() {
    let stage = Stage::new();
    let ran = stage.run("relay ls");
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert!(ran.side.contains("there are no relays: mcr relay add NAME"));
    stage.play.relay("ch1", "api", "239.1.1.1");
    stage.play.relay("ch2", "file", "239.1.1.2");
    let table = stage.out("relay ls");
    assert!(table.lines().count() == 3 && table.lines().all(|line| line.len() <= 80), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours but on a terminal");
    assert_eq!(stage.out("relay ls --origin file").lines().count(), 2);
    assert!(stage.out("relay show ch1").starts_with("ch1: running, from the API\ninput         in0/239.1.1.1:5000\n"));
    assert!(stage.out("status").starts_with("mcr 0.1.0, pid 4242, up 61s, standalone, generation 0\nhealth  ok\n"));
    assert_eq!(stage.out("log debug"), "log level: debug\n");
}

#[test]
fn health_and_why_are_exit_codes() {
    let stage = Stage::new();
    stage.play.relay("ch1", "api", "239.1.1.1");
    assert_eq!((stage.out("health"), stage.out("health --ready --quiet")), ("ok\n".to_owned(), String::new()));
    assert!(stage.out("why ch1").starts_with("ch1: flows\n"));
    stage.play.with(|state| (state.healthy, state.verdict) = (false, "dark"));
    // A busy machine must not make this the test of the timeout.
    let ran = stage.run("health --timeout 1m");
    assert_eq!((ran.code, ran.out.as_str()), (1, "failing\n  fault: lanes: lane 0 has not come round for 2100 ms\n"));
    let ran = stage.run("why ch1");
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("BROKEN") && ran.out.contains("what to do: join it"), "{ran:?}");
    assert_eq!(stage.run("why none").code, 1);
}

#[test]
fn what_is_no_fault_is_shown_and_fails_nobody_over() {
    let stage = Stage::new();
    let check =
        |name: &str, verdict: &str| json!({ "name": name, "verdict": verdict, "ok": false, "text": "it is so" });
    stage.play.with(|state| state.checks = vec![check("config", "drift"), check("pending", "partial")]);
    let told = "ok (drift, partial)\n  drift: config: it is so\n  partial: pending: it is so\n";
    assert_eq!(stage.out("health --timeout 1m"), told);
    assert_eq!(stage.out("health --quiet --timeout 1m"), "");
}

#[test]
fn a_minimum_is_asked_for_where_one_chooses_between_nodes() {
    let stage = Stage::new();
    for (line, path) in [
        ("health --relay sport-* --relay news-? --min 90%", "/healthz?relay=sport-%2A,news-%3F&min=90"),
        ("health --ready --min 99.5", "/readyz?min=99.5"),
        ("health --ready", "/readyz"),
        ("health --relay a", "/healthz?relay=a"),
        ("health -l group=news -l !site --min 90%", "/healthz?selector=group%3Dnews,%21site&min=90"),
    ] {
        stage.out(&format!("{line} --timeout 1m"));
        assert_eq!(stage.play.asked().last().unwrap(), &format!("GET {path}"));
    }
    for wrong in ["--min 101", "--min x", "--relay a,b", "--weight --json", "--weight --quiet"] {
        assert_eq!(stage.run(&format!("health {wrong}")).code, 2, "{wrong}");
    }
}

/// A track_file of weight 1 takes this from the priority, and -254 is a fault whatever the priority.
#[test]
fn the_weight_is_a_number_whatever_happens() {
    let stage = Stage::new();
    let weight = |line: &str| {
        let ran = stage.run(line);
        (ran.code, ran.out)
    };
    assert_eq!(weight("health --weight --timeout 1m"), (0, "0\n".to_owned()));
    stage.play.with(|state| state.missing = 3);
    assert_eq!(weight("health --weight --timeout 1m"), (0, "-3\n".to_owned()));
    stage.play.with(|state| state.healthy = false);
    assert_eq!(weight("health --weight --timeout 1m"), (1, "-254\n".to_owned()));
    stage.play.with(|state| state.delay = Duration::from_secs(3600));
    assert_eq!(weight("health --weight --timeout 50ms"), (3, "-254\n".to_owned()));
}

fn message(id: u64, kind: &str, relay: &str) -> String {
    format!(
        "id: {id}\nevent: {kind}\ndata: {{\"id\":{id},\"time\":\"2026-01-02T03:04:05Z\",\"event\":\"{kind}\",\
         \"level\":\"warn\",\"text\":\"{relay}: event {id}\",\"fields\":{{\"relay\":\"{relay}\"}}}}\n\n"
    )
}

#[test]
fn what_is_kept_is_shown_and_chosen_from() {
    let stage = Stage::new();
    let first = [message(1, "stream.interrupted", "ch1"), message(2, "relay.created", "ch2")].concat();
    let all: &'static str = Box::leak(first.into_boxed_str());
    let again = |stage: &Stage| stage.play.with(|state| state.streams = vec![vec![": hello\n\n", all]]);
    again(&stage);
    assert_eq!(
        stage.out("events"),
        "2026-01-02T03:04:05Z warn  stream.interrupted ch1: event 1\n2026-01-02T03:04:05Z warn  relay.created ch2: event 2\n"
    );
    again(&stage);
    assert_eq!(stage.out("events --kind stream.*").lines().count(), 1);
    again(&stage);
    assert!(stage.out("events --relay ch2 --json").starts_with("{\"id\":2,"));
}

#[test]
fn who_follows_misses_nothing_when_the_connection_goes() {
    let stage = Stage::new();
    let first: &'static str = Box::leak(message(7, "stream.interrupted", "ch1").into_boxed_str());
    let second: &'static str = Box::leak(message(8, "stream.restored", "ch1").into_boxed_str());
    stage.play.with(|state| state.streams = vec![vec![first], vec![second]]);
    let mut command = stage.command("events --follow");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().ends_with("ch1: event 7"));
    assert!(lines.next().unwrap().unwrap().ends_with("ch1: event 8"));
    child.kill().unwrap();
    let ran = ran(child.wait_with_output().unwrap());
    assert!(ran.side.contains("was lost after event 7: connecting again\nmcr: connected again"), "{ran:?}");
    let lasts: Vec<String> = stage.play.asked().into_iter().filter(|asked| asked.starts_with("LAST ")).collect();
    assert_eq!(lasts, ["LAST ", "LAST 7"]);
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let stage = Stage::new();
    let many: String = (1..20_000).map(|id| message(id, "relay.created", "ch1")).collect();
    let many: &'static str = Box::leak(many.into_boxed_str());
    stage.play.with(|state| state.streams = vec![vec![many]]);
    let mut child = stage.command("events --follow").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut some = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let ran = ran(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.side.as_str()), (0, ""));
}

/// A section's header, an interface and so many packets, in the order of this machine.
fn capture(packets: usize) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let length = u32::try_from(12 + body.len()).unwrap().to_ne_bytes();
        [&kind.to_ne_bytes()[..], &length, body, &length].concat()
    };
    let head = [&0x1a2b_3c4d_u32.to_ne_bytes()[..], &1_u16.to_ne_bytes(), &[0; 2], &[0xff; 8]].concat();
    let mut all = [block(0x0a0d_0d0a, &head), block(1, &[1, 0, 0, 0, 0, 0, 0, 0])].concat();
    for _ in 0..packets {
        let words = [0_u32, 0, 0, 16, 16].map(u32::to_ne_bytes).concat();
        all.extend(block(6, &[&words[..], &[0; 16]].concat()));
    }
    all
}

#[test]
fn a_capture_is_a_file_or_a_pipe() {
    let stage = Stage::new();
    stage.play.relay("ch1", "api", "239.1.1.1");
    let packets = capture(3);
    stage.play.with(|state| state.capture = packets.clone());
    let file = stage.path("ch1.pcapng");
    let ran = stage.run(&format!("capture ch1 -w {} -c 3 --seconds 9 --snap 64 --direction in", file.display()));
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{ran:?}");
    assert!(ran.side.starts_with("mcr: 3 packets, "), "{ran:?}");
    assert_eq!(std::fs::read(&file).unwrap(), packets);
    let asked = "GET /api/v1/relays/ch1/capture?direction=in&packets=3&seconds=9&snap=64";
    assert_eq!(stage.play.asked().last().unwrap(), asked);

    let mut whole = packets.clone();
    whole.extend([6, 0, 0, 0, 48]);
    stage.play.with(|state| state.capture = whole);
    let output: std::process::Output = stage.command("capture ch1 -w -").output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(0), packets), "half a block is no packet");

    std::fs::write(&file, "precious").unwrap();
    assert_eq!(stage.run(&format!("capture none -w {}", file.display())).code, 1);
    assert_eq!(std::fs::read(&file).unwrap(), b"precious", "what is refused spoils no file");
}

#[test]
fn an_upgrade_tells_who_took_over() {
    let stage = Stage::new();
    let told = stage.out("upgrade");
    assert_eq!(told, "mcr 0.2.0 (pid 4343) took over from mcr 0.1.0 (pid 4242)\n");
    assert_eq!(stage.run("upgrade /nonexistent/mcr").code, 1);
}

#[test]
fn a_restart_tells_that_control_is_another() {
    let stage = Stage::new();
    let told = stage.out("restart");
    assert_eq!(told, "control of mcr 0.1.0 (pid 4242) is started anew; its 0 lanes relayed on\n");
    let status: serde_json::Value = serde_json::from_str(&stage.out("restart --json")).unwrap();
    assert_eq!(status["started_ns"], 2, "asked twice");
}

#[test]
fn stop_ends_mcr_and_nothing_else() {
    let stage = Stage::new();
    let name = stage.path("mcr");
    std::fs::copy("/bin/sleep", &name).unwrap();
    let mut sleeper = Command::new(&name).arg("600").spawn().unwrap();
    stage.play.with(|state| state.pid = sleeper.id());
    let told = stage.run("stop");
    let _ = sleeper.kill();
    sleeper.wait().unwrap();
    assert_eq!((told.code, told.out), (0, format!("mcr (pid {}) has ended\n", sleeper.id())));
    let mut other = Command::new("/bin/sleep").arg("600").spawn().unwrap();
    stage.play.with(|state| state.pid = other.id());
    let told = stage.run("stop");
    let lives = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!((told.code, lives, told.side.contains("is not mcr here")), (1, true, true), "{told:?}");
}
