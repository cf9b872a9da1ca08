//! Control is slow, gone, or closed to us.

use crate::stage::{Stage, command, run};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

#[test]
fn a_control_that_is_not_there_has_a_code_of_its_own() {
    let socket = Path::new("/nonexistent/mcr.sock");
    for line in [
        "relay ls",
        "relay rm a",
        "status",
        "health",
        "events -f",
        "why a",
        "reload",
        "log info",
        "stop",
        "restart",
        "upgrade",
    ] {
        let ran = run(command(line, socket), "");
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{line}: {ran:?}");
        assert_eq!(
            ran.side,
            "mcr: cannot reach mcr: there is no socket /nonexistent/mcr.sock: is mcr running? systemctl status mcr, or \
             start it: mcr run --config /etc/mcr/relay.toml\n"
        );
    }
}

#[test]
fn a_dead_socket_is_told_from_none() {
    let stage = Stage::new();
    let path = stage.path("dead.sock");
    drop(UnixListener::bind(&path).unwrap());
    let ran = run(command("health", &path), "");
    assert_eq!((ran.code, ran.side.contains("nobody listens at")), (3, true), "{ran:?}");
}

#[test]
fn health_never_takes_longer_than_it_may() {
    let stage = Stage::new();
    stage.play.with(|state| state.delay = Duration::from_secs(3600));
    let ran = stage.run("health --timeout 100ms");
    assert_eq!((ran.code, ran.side.contains("did not answer within 100ms")), (3, true), "{ran:?}");
    // A socket that nobody serves takes the connection and says nothing.
    let path = stage.path("mute.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    assert_eq!(run(command("health --timeout 100ms", &path), "").code, 3);
}

#[test]
fn changes_over_tcp_carry_the_token() {
    let stage = Stage::new();
    let url = stage.play.listen();
    stage.play.relay("ch1", "api", "239.1.1.1");
    stage.play.with(|state| state.token = Some("0123456789abcdef".to_owned()));
    let ran = stage.run(&format!("relay mute ch1 --url {url}"));
    assert_eq!((ran.code, ran.side.contains("needs a token")), (1, true), "{ran:?}");
    let file = stage.write("token", "0123456789abcdef\n");
    assert_eq!(stage.out(&format!("relay mute ch1 --url {url} --token-file {file}")), "ch1: muted (generation 1)\n");
    let mut by_variables = stage.command("relay unmute ch1");
    by_variables.env_remove("MCR_SOCKET").env("MCR_URL", &url).env("MCR_TOKEN", "0123456789abcdef");
    assert_eq!(run(by_variables, "").out, "ch1: unmuted (generation 2)\n");
    assert_eq!(stage.run("status --url ftp://x").code, 2);
}

#[test]
fn a_token_becomes_a_line_of_the_configuration() {
    let stage = Stage::new();
    let ran = stage.run_with("hash-token --name ops", "0123456789abcdef\n");
    let hash = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
    assert_eq!((ran.code, ran.out), (0, format!("tokens = [{{ name = \"ops\", sha256 = \"{hash}\" }}]\n")));
    assert_eq!(stage.run_with("hash-token", "short").code, 2);
}
