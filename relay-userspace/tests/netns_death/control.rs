//! Control dies, is asked to end under traffic, or is there twice.

use crate::adopt::lost_before_lanes;
use crate::stage::{Account, RATE, SOON, Stage, frames_are_all_there, is_alive, kill_now, wait_until};
use crate::wire::{Reports, Stranger, door};
use bench::Relay;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Kills control as nothing can be prepared for, and waits until it is gone.
pub(crate) fn kill_control(relay: &mut Relay) {
    relay.process.signal(Signal::SIGKILL).unwrap();
    relay.process.wait(SOON).unwrap();
}

/// Nothing was lost but what a full ring or a full link has counted.
pub(crate) fn nothing_is_lost(account: &Account, wanted: u64, in_rings: u64) {
    assert!(account.wanted >= wanted, "{account:?}");
    assert_eq!(account.lost(), account.lost_on_links + in_rings, "{account:?}, rings {in_rings}");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn lanes_relay_on_without_their_control_until_they_end_too() {
    let stage = Stage::new(2);
    let mut relay = stage.start();
    let traffic = stage.stream_at(RATE / 4);
    let wire = Reports::listen(&stage);
    traffic.pass(RATE / 20);
    let lanes = relay.lanes();
    assert!(stage.is_attached() && stage.is_joined() && lanes.len() == 1);
    kill_control(&mut relay);
    // Longer than any lane sleeps, and than everything that is done once a second.
    traffic.pass(RATE);
    assert_eq!(relay.lanes(), lanes, "a lane died with its control");
    assert!(stage.is_attached() && stage.is_joined());
    assert_eq!(wire.leaves(), 0, "the group was left");
    let account = traffic.settle();
    nothing_is_lost(&account, 2 * RATE, 2 * lost_before_lanes(&stage, &relay));
    drop(relay);
    wait_until("a lane is left behind", || !lanes.iter().any(|lane| is_alive(*lane)));
    wait_until("something stays behind", || stage_is_bare(&stage));
    assert!(wire.leaves() > 0, "who counts leaves sees one when there is one");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn control_is_killed_under_traffic_ten_times_and_no_packet_knows() {
    for _ in 0..10 {
        let stage = Stage::new(1);
        let mut relay = stage.start();
        let traffic = stage.stream_at(RATE / 2);
        let wire = Reports::listen(&stage);
        traffic.pass(RATE / 20);
        kill_control(&mut relay);
        traffic.pass(RATE / 10);
        let account = traffic.settle();
        nothing_is_lost(&account, RATE / 10, lost_before_lanes(&stage, &relay));
        assert_eq!(wire.leaves(), 0, "the group was left");
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_lane_that_dies_while_control_is_dead_is_missed_and_leaves_nothing_behind() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let traffic = stage.stream();
    traffic.pass(RATE / 10);
    let lanes = relay.lanes();
    kill_control(&mut relay);
    lanes.iter().copied().for_each(kill_now);
    // Everything that the lane held goes with it.
    wait_until("something stays behind", || stage_is_bare(&stage));
    assert!(relay.lanes().is_empty());
    relay.process = stage.another(&relay);
    relay.wait_until_ready().unwrap();
    traffic.wait_until_it_arrives();
    traffic.settle();
    // What was lost while nobody relayed is known to nobody. From here on everything is.
    let traffic = stage.stream();
    traffic.pass(RATE / 10);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    assert!(account.wanted >= RATE / 10);
    account.balance(&report, 1);
    frames_are_all_there(&report, 1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn strangers_at_the_door_are_shown_out_and_nothing_is_lost() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let traffic = stage.stream_at(RATE / 4);
    traffic.pass(RATE / 40);
    let door = door(&relay);
    // Control is there: whoever comes is told so and hung up on.
    let told = Stranger::come_in(&door).hear();
    assert_eq!(told.first_chunk(), Some(&103_u32.to_le_bytes()), "not told that the lane is busy");
    kill_control(&mut relay);
    // One that says nothing, one that says what makes no sense, one that asks for what only a control may ask.
    let silent = Stranger::come_in(&door);
    assert!(silent.hear().is_empty(), "a silent stranger may stay");
    for nonsense in [&[7; 3][..], &[0xff; 128], &[0; 500], &[9; 128]] {
        let stranger = Stranger::come_in(&door);
        stranger.say(nonsense);
        assert!(stranger.hear().is_empty(), "{nonsense:?} is answered");
    }
    // One that asks properly is shown the lane.
    let asker = Stranger::come_in(&door);
    let mut show = [0; 128];
    show[0] = 8;
    asker.say(&show);
    let shown = asker.hear();
    assert_eq!(shown.first_chunk(), Some(&102_u32.to_le_bytes()), "{shown:?}");
    assert_eq!(shown[16..20], relay.lanes()[0].to_le_bytes());
    drop(asker);
    traffic.pass(RATE / 40);
    let account = traffic.settle();
    nothing_is_lost(&account, RATE / 20, lost_before_lanes(&stage, &relay));
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn everything_is_killed_and_started_again_ten_times() {
    let stage = Stage::new(2);
    let mut relay = stage.start();
    let traffic = stage.stream();
    for _ in 0..10 {
        traffic.pass(RATE / 100);
        let lanes = relay.lanes();
        relay.process.signal(Signal::SIGKILL).unwrap();
        lanes.into_iter().for_each(kill_now);
        relay.process.wait(SOON).unwrap();
        // The sockets of the dead are taken down in the background: their queues are busy for a while.
        relay.process = stage.another(&relay);
        relay.wait_until_ready().unwrap();
        traffic.wait_until_it_arrives();
    }
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    assert!(account.arrived > 0 && stage_is_bare(&stage));
    frames_are_all_there(&report, 2);
}

fn stage_is_bare(stage: &Stage) -> bool {
    !stage.is_attached() && !stage.is_joined()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn asked_to_end_under_traffic_it_sends_what_it_has_and_leaves_nothing_behind() {
    for n_outputs in [1, 2] {
        let stage = Stage::new(n_outputs);
        let relay = stage.start();
        let traffic = stage.stream();
        traffic.pass(RATE / 2);
        let report = relay.stop().unwrap();
        assert!(stage_is_bare(&stage));
        let account = traffic.settle();
        let sent: u64 = (0..n_outputs).map(|output| report.sent("one", output)).sum();
        assert_eq!(sent, report.received("one") * n_outputs as u64, "half sent: {:#}", report.0);
        assert_eq!(account.arrived, sent - account.lost_on_links);
        frames_are_all_there(&report, n_outputs);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_waits_in_the_receive_ring_is_sent_before_the_end() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let traffic = stage.stream_at(2_000);
    traffic.pass(100);
    // The lane holds still while packets come and while control is asked to end, so there is something to drain.
    let lane = Pid::from_raw(relay.lanes()[0].try_into().unwrap());
    kill(lane, Signal::SIGSTOP).unwrap();
    traffic.pass(500);
    relay.process.signal(Signal::SIGTERM).unwrap();
    wait_until("the program stays attached", || !stage.is_attached());
    kill(lane, Signal::SIGCONT).unwrap();
    let report = relay.stop().unwrap();
    let account = traffic.settle();
    assert!(report.verdict("ours") >= 600, "{:#}", report.0);
    assert_eq!(report.received("one"), report.verdict("ours"), "left in the ring: {:#}", report.0);
    assert_eq!((report.sent("one", 0), account.arrived), (report.received("one"), report.received("one")));
    frames_are_all_there(&report, 1);
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_second_control_is_refused_and_changes_nothing() {
    let stage = Stage::new(1);
    let relay = stage.start();
    let lanes = relay.lanes();
    let traffic = stage.stream();
    traffic.pass(RATE / 10);
    let mut second = stage.another(&relay);
    assert!(!second.wait(SOON).unwrap().success());
    let complaint = format!("another mcr (pid {}) runs in this network namespace", relay.process.pid());
    assert!(second.lines().iter().any(|line| line.contains(&complaint)), "{:?}", second.lines());
    traffic.pass(RATE / 10);
    assert_eq!(relay.lanes(), lanes);
    let account = traffic.settle();
    let report = relay.stop().unwrap();
    assert_eq!((report.restarts(), report.lanes("generation")), (0, 1));
    account.balance(&report, 1);
    frames_are_all_there(&report, 1);
}

/// A stop that came before anybody listened is a stop all the same: what is there is taken over and taken down.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_stop_in_the_first_moments_of_a_start_is_a_stop() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    let lanes = relay.lanes();
    kill_control(&mut relay);
    let folder = relay.folder();
    let mut command = stage.relay.command("env");
    command.args(["--block-signal=TERM", "sh", "-c", "kill -TERM $$; exec \"$@\"", "sh"]).arg(bench::relay::binary());
    command.args(["run", "--json", "--run-dir"]).arg(folder).arg("--state-dir").arg(folder);
    command.arg("--config").arg(relay.config());
    relay.process = bench::Process::start("mcr", command).unwrap();
    let ended = relay.process.wait(SOON).unwrap();
    assert_eq!(ended.code(), Some(0), "{ended}: {}", relay.process.last_words());
    assert!(relay.process.lines().iter().any(|line| line.starts_with('{')), "{}", relay.process.last_words());
    wait_until("a lane is left behind", || !lanes.iter().any(|lane| is_alive(*lane)));
    assert!(stage_is_bare(&stage), "something stays behind");
}

/// Gigabytes for frames take seconds: a stop in the middle of that gets no more of them.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_stop_while_frames_get_their_memory_ends_that() {
    /// Bytes for the frames of the only lane, in frames of 2 KiB.
    const ALL: u64 = 2 << 30;
    /// What comes between a signal and when it is heard.
    const ON_THE_WAY: u64 = 512 << 20;
    let stage = Stage::new(1);
    let config = stage.config().replace("[lanes]", &format!("[lanes]\nframes = {}", ALL / 2048));
    let mut relay = Relay::launch(&bench::relay::binary(), &stage.relay, &config, &[]).unwrap();
    wait_until("frames get no memory", || memory_of_frames(&relay) > 64 << 20);
    let before = memory_of_frames(&relay);
    relay.process.signal(Signal::SIGTERM).unwrap();
    let mut most = before;
    while relay.process.is_running().unwrap() {
        most = most.max(memory_of_frames(&relay));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let ended = relay.process.wait(SOON).unwrap();
    assert_eq!(ended.code(), Some(0), "{ended}: {}", relay.process.last_words());
    eprintln!("    {} MiB at the stop, {} MiB at the end", before >> 20, most >> 20);
    assert!(before + ON_THE_WAY < ALL, "it was got too soon to show anything: {before}");
    assert!(most < before + ON_THE_WAY, "{before} bytes at the stop, {most} at the end");
    assert!(stage_is_bare(&stage) && relay.lanes().is_empty(), "something stays behind");
}

/// Bytes that a node's frames have got so far.
fn memory_of_frames(relay: &Relay) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let folder = format!("/proc/{}/fd", relay.process.pid());
    let open = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|one| one.path());
    let mut frames = open
        .filter(|path| std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:mcr-frames")));
    // A block is 512 bytes.
    frames.find_map(|path| std::fs::metadata(path).ok()).map_or(0, |found| found.blocks() * 512)
}

/// Whatever of `[http]` cannot be had when control begins, it is in charge all the same, says so, and tries again.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_control_whose_api_cannot_be_had_is_in_charge_and_tries_again() {
    let stage = Stage::new(1);
    let folder = std::env::temp_dir().join(format!("mcr-api-lacks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = |name: &str| folder.join(name);
    std::fs::write(file("c.pem"), made.cert.pem()).unwrap();
    std::fs::write(file("k.pem"), made.signing_key.serialize_pem()).unwrap();
    let tls = format!("tls = {{ certificate = '{0}/c.pem', key = '{0}/k.pem' }}", folder.display());
    let http = format!("[http]\nlisten = '0.0.0.0:9281'\ninsecure = true\n{tls}\n");
    let mut relay = Relay::start(&stage.relay, &format!("{http}{}", stage.config())).unwrap();
    let mcr = |relay: &Relay, arguments: &[&str]| {
        let mut mcr = std::process::Command::new(bench::relay::binary());
        let said = mcr.env("MCR_SOCKET", relay.folder().join("mcr.sock")).args(arguments).output().unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    };
    let traffic = stage.stream_at(RATE / 10);
    traffic.pass(RATE / 100);
    std::fs::write(relay.config(), format!("{http}socket_group = 'mcr-no-such-group'\n{}", stage.config())).unwrap();
    mcr(&relay, &["reload"]);
    kill_control(&mut relay);
    std::fs::rename(file("c.pem"), file("away.pem")).unwrap();
    let taken = std::cell::RefCell::new(None);
    wait_until("the address does not come free", || {
        taken.replace(stage.relay.run(|| std::net::TcpListener::bind("0.0.0.0:9281")).ok());
        taken.borrow().is_some()
    });
    relay.process = stage.another(&relay);
    relay.wait_until_ready().unwrap();
    let lacking = [
        "cannot listen on 0.0.0.0:9281",
        "there is no group \\\"mcr-no-such-group",
        "http.tls.certificate: cannot read",
    ];
    let says = |relay: &Relay, text: &str| mcr(relay, &["health", "--json", "--timeout", "5s"]).contains(text);
    for text in lacking {
        assert!(mcr(&relay, &["status", "--json"]).contains(text), "{text}");
        assert!(says(&relay, text), "{text}");
    }
    traffic.pass(RATE / 100);
    drop(taken.take());
    std::fs::rename(file("away.pem"), file("c.pem")).unwrap();
    wait_until("it is not tried again", || ![lacking[0], lacking[2]].iter().any(|text| says(&relay, text)));
    let connect = || stage.relay.run(|| std::net::TcpStream::connect("10.1.0.2:9281"));
    assert!(connect().is_ok());
    // What is lacking still is no reason to refuse what else the file says, nor to end.
    assert!(says(&relay, lacking[1]));
    mcr(&relay, &["reload"]);
    mcr(&relay, &["restart"]);
    wait_until("another control does not say so", || says(&relay, lacking[1]));
    assert!(connect().is_ok());
    let _ = std::fs::remove_dir_all(&folder);
    let account = traffic.settle();
    account.balance(&relay.stop().unwrap(), 1);
}

/// Two nodes in namespaces of their own were given one folder for their state.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn the_relays_of_another_node_are_not_run_and_that_is_told() {
    let (stage, other) = (Stage::new(1), Stage::new(1));
    let first = stage.start();
    let asked = |folder: &std::path::Path, arguments: &[&str]| {
        let mut mcr = std::process::Command::new(bench::relay::binary());
        let said = mcr.env("MCR_SOCKET", folder.join("mcr.sock")).args(arguments).output().unwrap();
        String::from_utf8(said.stdout).unwrap() + &String::from_utf8(said.stderr).unwrap()
    };
    asked(first.folder(), &["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.0.2:5001"]);
    assert!(asked(first.folder(), &["relay", "ls"]).contains("two"));
    let folder = std::env::temp_dir().join(format!("mcr-two-nodes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("relay.toml"), other.config()).unwrap();
    let mut command = other.relay.command(bench::relay::binary());
    command.args(["run", "--json", "--run-dir"]).arg(&folder).arg("--state-dir").arg(first.folder());
    command.arg("--config").arg(folder.join("relay.toml"));
    let mut second = bench::Process::start("mcr", command).unwrap();
    second.wait_for(" ready relays=1", SOON).unwrap();
    assert!(!asked(&folder, &["relay", "ls"]).contains("two"));
    let health = asked(&folder, &["health", "--timeout", "5s"]);
    assert!(health.contains("drift: state:") && health.contains("the 1 relays in it do not run here"), "{health}");
    second.stop(SOON).unwrap();
    let _ = std::fs::remove_dir_all(&folder);
    assert!(asked(first.folder(), &["relay", "ls"]).contains("two"));
}
