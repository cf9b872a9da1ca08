//! `mcr status`: a node at a glance.

use super::changes::step_of;
use super::client::{Client, Question};
use super::exit::Exit;
use super::health::{failing, paint_status};
use super::number::{counted, span};
use super::relay::tone;
use super::screen::{Paint, Screen, Tone, plain};
use super::table::{Cell, Table};
use crate::args;
use relay_common::health;
use relay_config::model::{Config, Doing, Health, Http, Lane, NotKept, Partial, Status, Token};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;

/// A lane that did not come round for so long stands still.
pub(super) const STALE_MS: u64 = 1000;

/// What control does each second is over sooner.
const SHOWN_AFTER_S: f64 = 0.2;

/// `mcr status`.
pub(super) async fn run<O: Write, E: Write>(asked: &args::Status, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    let answer = client.ask(Question::get("/api/v1/status")).await?;
    if asked.json {
        screen.json(&answer.body)?;
    } else {
        write!(screen.out, "{}", text(&answer.read()?, screen.paint))?;
    }
    Ok(Exit::Done)
}

fn text(status: &Status, paint: Paint) -> String {
    let Status { version, pid, uptime_s, role, generation, .. } = status;
    let mut text = format!(
        "mcr {}, pid {pid}, up {}, {}, generation {generation}\n",
        plain(version),
        span(*uptime_s),
        plain(role)
    );
    // Writing to a String cannot fail.
    let mut line = |name: &str, value: &str| _ = writeln!(text, "{name:<8}{value}");
    line("health", &paint_status(&status.health, paint));
    line("ready", &paint_status(&status.ready, paint));
    if let Some(partial) = status.ready.partial.as_ref().filter(|partial| partial.missing > 0) {
        line("works", &paint.paint(Tone::Warn, &works(partial)));
    }
    let config = &status.config;
    let in_force = in_force(config, paint);
    line("config", &format!("{}: {in_force}", plain(&config.file)));
    if let Some(trial) = &config.on_trial {
        let text = format!("on trial until {} ({} s): mcr confirm keeps it", plain(&trial.until), trial.seconds_left);
        line("", &paint.paint(Tone::Warn, &text));
    }
    if let Some(since) = &config.last_good {
        let text = format!("config refused, running the last good configuration of {}", plain(since));
        line("", &paint.paint(Tone::Warn, &text));
    }
    if let Some(NotKept { file, since, problem }) = &status.not_kept {
        let text = format!("{} has NOT what is in force since {}: {}", plain(file), plain(since), plain(problem));
        line("state", &paint.paint(Tone::Warn, &text));
    }
    if let Some(doing) = status.doing.as_ref().filter(|doing| doing.since_s >= SHOWN_AFTER_S) {
        line("at work", &at_work(doing));
    }
    let n_relays: u64 = status.relays.values().sum();
    let states = status.relays.iter().filter(|(_, n)| **n > 0);
    let states: Vec<String> =
        states.map(|(state, n)| paint.paint(tone(state), &format!("{n} {}", plain(state)))).collect();
    let relays = counted(usize::try_from(n_relays).unwrap_or(usize::MAX), "relay");
    line("relays", &if states.is_empty() { relays } else { format!("{relays}: {}", states.join(", ")) });
    if let Some(users) = users(status) {
        line("users", &users);
    }
    // An older node does not tell.
    if !status.http.socket.is_empty() {
        line("api", &api(&status.http));
        line("tokens", &tokens(&status.http.tokens, paint));
    }
    line("rights", &rights(&status.rights));
    let warnings: String = status.warnings.iter().map(|warning| format!("  {}\n", plain(warning))).collect();
    text.push_str(&section("warnings", &warnings, paint));
    text.push_str(&verdicts(&status.ready, paint));
    let pending: String = status
        .pending
        .iter()
        .map(|pending| {
            format!(
                "  {} {}: {}: {}\n",
                plain(&pending.relay),
                plain(&pending.part),
                plain(&pending.reason),
                plain(&pending.text)
            )
        })
        .collect();
    text.push_str(&section("cannot work yet", &pending, paint));
    if !status.lanes.is_empty() {
        let _ = write!(text, "\n{}", lanes(&status.lanes, *generation).show(paint));
    }
    text
}

/// Whether the configuration file is in force, and why not.
fn in_force(config: &Config, paint: Paint) -> String {
    match (&config.error, config.in_force) {
        (_, true) => paint.paint(Tone::Good, "in force"),
        (Some(error), false) => {
            paint.paint(Tone::Bad, &format!("NOT in force: {}", error.trim().replace('\n', "\n        ")))
        }
        (None, false) => match &config.differs {
            Some(differs) => {
                let text =
                    format!("differs from what is in force: mcr reload would {} (mcr diff)", plain(&differs.text));
                paint.paint(Tone::Warn, &text)
            }
            None => paint.paint(Tone::Bad, "NOT in force: mcr check says why, mcr reload tries again"),
        },
    }
}

/// What fails, verdict by verdict. What waits is listed by itself.
fn verdicts(ready: &Health, paint: Paint) -> String {
    let of = |verdict: Option<&str>| {
        let mut health = ready.clone();
        health.checks.retain(|check| check.verdict.as_deref() == verdict);
        health.checks.iter_mut().for_each(|check| check.verdict = None);
        failing(&health, paint)
    };
    [("fault", Some("fault")), ("drift, packets flow", Some("drift")), ("not ready", None)]
        .map(|(name, verdict)| section(name, &of(verdict), paint))
        .concat()
}

/// How much works: `97.5% of 120 relays, 3 of 4 links`.
fn works(Partial { relays, links, .. }: &Partial) -> String {
    let share = health::Share::parse(&relays.percent.to_string()).unwrap_or(health::Share::NONE);
    format!(
        "{share} of {}, {} of {}",
        counted(relays.of as usize, "relay"),
        links.whole,
        counted(links.of as usize, "link")
    )
}

/// Whom control and lanes run as; nothing of a node that does not tell.
fn users(status: &Status) -> Option<String> {
    let lanes: BTreeSet<&str> = status.lanes.iter().filter_map(|lane| lane.user.as_deref()).collect();
    let lanes: Vec<_> = lanes.into_iter().map(plain).collect();
    let lanes = if lanes.is_empty() { "no lane runs".to_owned() } else { format!("lanes {}", lanes.join(", ")) };
    (!status.user.is_empty()).then(|| format!("control {}, {lanes}", plain(&status.user)))
}

/// Where the API answers: `127.0.0.1:9280, everybody may look; /run/mcr/mcr.sock`.
fn api(http: &Http) -> String {
    let tls = match http.certificate.as_ref().map(|certificate| certificate.expires.as_deref()) {
        None => String::new(),
        Some(expires) => format!(" (TLS, until {})", plain(expires.unwrap_or("nobody knows when"))),
    };
    let reads = if http.reads == "token" { "looking takes a token" } else { "everybody may look" };
    let tcp = http.listen.as_ref().map(|address| format!("{}{tls}, {reads}; ", plain(address)));
    format!("{}{}", tcp.unwrap_or_default(), plain(&http.socket))
}

/// Tokens: `ops (write), sport (capture, sport-*, until 2027-01-01T00:00:00.000Z)`.
fn tokens(tokens: &[Token], paint: Paint) -> String {
    let one = |token: &Token| {
        let until = token.expires.as_ref().map(|end| format!("until {}", plain(end)));
        let parts = std::iter::once(plain(&token.access)).chain(token.relays.iter().map(|relay| plain(relay)));
        let text = format!("{} ({})", plain(&token.name), parts.chain(until).collect::<Vec<_>>().join(", "));
        if token.expired { paint.paint(Tone::Warn, &format!("{text} EXPIRED")) } else { text }
    };
    if tokens.is_empty() { "none".to_owned() } else { tokens.iter().map(one).collect::<Vec<_>>().join(", ") }
}

/// What control is at, and how far it has come.
fn at_work(doing: &Doing) -> String {
    let what = plain(&doing.what);
    let what = doing.change.map_or_else(|| what.clone(), |change| format!("change {change} ({what})"));
    match &doing.step {
        None => format!("{what}, since {}", span(doing.since_s)),
        Some(step) => format!("{what}: {}", step_of(step)),
    }
}

/// Capabilities, as people call them.
fn rights(names: &[String]) -> String {
    let short = names.iter().map(|name| plain(name.strip_prefix("CAP_").unwrap_or(name)).to_lowercase());
    let short: Vec<String> = short.collect();
    if short.is_empty() { "none".to_owned() } else { short.join(", ") }
}

fn section(name: &str, lines: &str, paint: Paint) -> String {
    if lines.is_empty() {
        String::new()
    } else {
        format!("\n{}\n{lines}", paint.paint(Tone::Head, &format!("{name}:")))
    }
}

fn lanes(lanes: &[Lane], generation: u64) -> Table {
    let mut table = Table::new(&[">LANE", ">CORE", ">PID", ">BEAT", ">GEN", ">RESTARTS", ">FREE/FRAMES", "SOCKETS"]);
    let or_none = |number: Option<u32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for lane in lanes {
        let is_stale = lane.heartbeat_age_ms > STALE_MS;
        let restarts = if lane.restarts > 0 { Tone::Warn } else { Tone::Plain };
        table.row([
            lane.number.to_string().into(),
            or_none(lane.core).into(),
            Cell::new(or_none(lane.pid), if lane.pid.is_none() { Tone::Bad } else { Tone::Plain }),
            Cell::new(format!("{}ms", lane.heartbeat_age_ms), if is_stale { Tone::Bad } else { Tone::Plain }),
            Cell::new(
                lane.generation.to_string(),
                if lane.generation == generation { Tone::Plain } else { Tone::Warn },
            ),
            Cell::new(lane.restarts.to_string(), restarts),
            format!("{}/{}", lane.free_frames, lane.frames).into(),
            sockets(lane).into(),
        ]);
    }
    table
}

/// A lane's sockets by mode: `4 zero-copy, 1 copy`.
pub(super) fn sockets(lane: &Lane) -> String {
    let count = |mode: &str| lane.sockets.iter().filter(|socket| socket.mode == mode).count();
    let modes = ["zero-copy", "copy"].map(|mode| (count(mode), mode));
    let told: Vec<String> = modes.iter().filter(|(n, _)| *n > 0).map(|(n, mode)| format!("{n} {mode}")).collect();
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(well: bool) -> Status {
        let check = |name: &str, verdict: &str, text: &str| json!({ "name": name, "verdict": verdict, "ok": well, "text": if well { "" } else { text } });
        let stuck = check("lanes", "fault", "lane 1 has not come round for 2100 ms: is it stopped?");
        let typo = check("config", "drift", "/etc/mcr/relay.toml as it is now is not in force: line 4: is missing");
        let pending = check("pending", "partial", "1 part cannot work yet");
        let word = if well { "ok" } else { "failing" };
        let verdicts = if well { json!([]) } else { json!(["fault", "drift", "partial"]) };
        let share = |percent: f64, whole: u32, of: u32| json!({ "percent": percent, "whole": whole, "of": of });
        let partial = if well {
            json!({ "relays": share(100.0, 10, 10), "links": share(100.0, 2, 2), "min": 100.0, "missing": 0 })
        } else {
            json!({ "relays": share(98.75, 10, 11), "links": share(50.0, 1, 2), "min": 100.0, "missing": 2 })
        };
        let socket =
            |mode: &str| json!({ "link": "ens1f0", "queue": 0, "receives": true, "sends": true, "mode": mode });
        let lane = |number: u32, age: u64| {
            json!({ "number": number, "core": number + 2, "pid": 4243 + number, "user": "mcr-lane", "heartbeat_age_ms": age, "generation": 7,
                    "restarts": number, "frames": 20544, "free_frames": 16000, "sockets": [socket("zero-copy"), socket("copy")] })
        };
        let waiting = json!([{ "relay": "ch2", "part": "outputs[0]", "reason": "link_down", "text": "ens1f2 is down: ip link set ens1f2 up" }]);
        serde_json::from_value(json!({
            "version": "0.1.0", "pid": 4242, "uptime_s": 200_000.0, "role": "standalone", "generation": 7,
            "health": { "status": word, "verdicts": verdicts, "partial": partial, "checks": [stuck, typo, pending] },
            "ready": { "status": word, "verdicts": verdicts, "partial": partial, "checks": [stuck, typo, pending] },
            "config": { "file": "/etc/mcr/relay.toml", "in_force": well,
                        "error": if well { None } else { Some("relay.toml:4: relay \"a\" name: is missing: add it\nrelay.toml:9: no") } },
            "doing": if well { json!(null) } else { json!({ "what": "reload by uid 0", "change": 12, "since_s": 0.6,
                        "step": { "what": "joining groups", "done": 2048, "total": 4096, "since_s": 0.4 } }) },
            "relays": { "running": 10, "pending": if well { 0 } else { 1 } },
            "pending": if well { json!([]) } else { waiting },
            "lanes": [lane(0, 1), lane(1, if well { 1 } else { 2100 })],
            "user": "mcr", "rights": ["CAP_NET_ADMIN", "CAP_SETUID"],
            "warnings": if well { json!([]) } else { json!(["lanes run as nobody, who has other processes; remedy: make another"]) },
        }))
        .unwrap()
    }

    #[test]
    fn all_is_well() {
        insta::assert_snapshot!(text(&status(true), Paint::default()));
    }

    #[test]
    fn whom_the_api_lets_in_is_told_on_two_lines() {
        let http: Http = serde_json::from_value(json!({
            "listen": "10.0.0.7:9280", "socket": "/run/mcr/mcr.sock", "reads": "token", "restart_keys": [],
            "certificate": { "file": "/c.pem", "expires": "2027-02-28T00:00:00.000Z" },
            "tokens": [{ "name": "ops", "access": "write", "expires": null },
                       { "name": "old", "access": "capture", "relays": ["sport-*", "news"], "expires": "2026-01-01T00:00:00.000Z", "expired": true }],
        }))
        .unwrap();
        assert_eq!(
            api(&http),
            "10.0.0.7:9280 (TLS, until 2027-02-28T00:00:00.000Z), looking takes a token; /run/mcr/mcr.sock"
        );
        let old = "old (capture, sport-*, news, until 2026-01-01T00:00:00.000Z) EXPIRED";
        assert_eq!(tokens(&http.tokens, Paint::default()), format!("ops (write), {old}"));
        assert_eq!(api(&Http { listen: None, certificate: None, ..http }), "/run/mcr/mcr.sock");
        assert_eq!(tokens(&[], Paint::default()), "none");
    }

    #[test]
    fn everything_that_is_wrong_is_told_once() {
        let text = text(&status(false), Paint::default());
        assert_eq!(text.matches("lane 1 has not").count(), 1);
        insta::assert_snapshot!(text);
    }
}
