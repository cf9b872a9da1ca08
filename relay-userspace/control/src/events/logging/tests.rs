//! What stands in the log, as programs and people read it.

use super::{Form, LogFormat, LogHandle, filter, subscriber};
use crate::events::{Event, EventLog, Kind};
use serde_json::Value;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Written {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What is written while `say` runs.
fn written(format: LogFormat, ansi: bool, say: impl FnOnce(&LogHandle)) -> String {
    written_as(format.into(), ansi, say)
}

fn written_as(form: Form, ansi: bool, say: impl FnOnce(&LogHandle)) -> String {
    let out = Written::default();
    let (subscriber, filter) = subscriber(form, ansi, filter("info").unwrap(), out.clone());
    let handle = LogHandle { filter, queue: Default::default(), form };
    tracing::subscriber::with_default(subscriber, || say(&handle));
    let bytes = out.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn died() -> Event {
    let fields = Event::new(Kind::LaneDied, "lane 3 died: \"started\" again").with("lane", 3).with("pid", 77);
    fields.with("ending", "signal 9")
}

#[test]
fn an_event_is_one_flat_json_object() {
    let log = written(LogFormat::Json, true, |_| EventLog::default().record(died()));
    assert_eq!(log.lines().count(), 1);
    let line: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(line["event"], "lane.died");
    assert_eq!(line["level"], "error");
    assert_eq!(line["text"], "lane 3 died: \"started\" again");
    assert_eq!((&line["lane"], &line["pid"], &line["ending"]), (&3.into(), &77.into(), &"signal 9".into()));
    let time = line["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    assert_eq!(line.as_object().unwrap().len(), 7, "{line}");
}

#[test]
fn what_is_no_event_has_the_same_shape() {
    let log = written(LogFormat::Json, false, |_| {
        let error = io::Error::other("no \"room\"");
        tracing::warn!(lane = 1_u64, core = Some(2_u32), good = true, %error, link = "in0", "busy {}", 7);
    });
    let line: Value = serde_json::from_str(&log).unwrap();
    assert_eq!((&line["event"], &line["level"], &line["text"]), (&"log".into(), &"warn".into(), &"busy 7".into()));
    assert_eq!((&line["lane"], &line["core"], &line["good"]), (&1.into(), &2.into(), &true.into()));
    assert_eq!((&line["error"], &line["link"]), (&"no \"room\"".into(), &"in0".into()));
}

#[test]
fn a_field_cannot_take_the_place_of_what_every_line_has() {
    let log = written(LogFormat::Json, false, |_| tracing::info!(text = "no", level = "no", time = 0, "yes"));
    let line: Value = serde_json::from_str(&log).unwrap();
    assert_eq!((&line["text"], &line["level"]), (&"yes".into(), &"info".into()));
    assert!(line["time"].is_string());
}

#[test]
fn a_line_break_in_a_field_does_not_break_the_line() {
    let log = written(LogFormat::Json, false, |_| {
        EventLog::default().record(Event::new(Kind::ConfigRefused, "a\nb").with("error", "c\r\nd\u{1b}[31m"));
    });
    assert_eq!(log.trim_end().lines().count(), 1);
    assert!(!log.contains('\u{1b}'));
}

#[test]
fn people_read_a_sentence_and_its_fields() {
    let log = written(LogFormat::Text, false, |_| {
        EventLog::default().record(died());
        tracing::info!(link = "in0", queues = 2, mode = %"native", "input attached");
    });
    let lines: Vec<&str> = log.lines().map(|line| &line[25..]).collect();
    assert_eq!(
        lines,
        [
            "ERROR lane 3 died: \"started\" again event=lane.died ending=\"signal 9\" lane=3 pid=77",
            " INFO input attached link=\"in0\" queues=2 mode=native",
        ]
    );
}

#[test]
fn colours_are_for_terminals() {
    let say = |_: &LogHandle| tracing::error!("no");
    assert!(written(LogFormat::Text, true, say).contains("\x1b[31mERROR\x1b[0m"));
    assert!(!written(LogFormat::Text, false, say).contains('\x1b'));
}

#[test]
fn the_level_changes_while_it_runs() {
    let log = written(LogFormat::Text, false, |handle| {
        tracing::debug!("one");
        handle.set("debug").unwrap();
        tracing::debug!("two");
        assert_eq!(handle.get(), "debug");
        let problem = handle.set("loud").unwrap_err();
        assert!(problem.contains("\"loud\" is no log level: use off, error"), "{problem}");
        tracing::debug!("three");
        handle.set("off").unwrap();
        tracing::error!("four");
        handle.set("warn, relay_control::events=trace").unwrap();
        tracing::trace!("five");
    });
    let said: Vec<&str> = log.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(said, ["two", "three", "five"]);
}

#[test]
fn audit_lines_pass_every_level() {
    let log = written(LogFormat::Text, false, |handle| {
        let events = EventLog::default();
        for level in ["off", "error", "off,mcr::audit=off"] {
            handle.set(level).unwrap();
            assert!(!level.contains("audit") || handle.get() == "off", "{}", handle.get());
            events.record(Event::new(Kind::Audit, format!("somebody at {level}")));
            events.record(Event::new(Kind::NodeReady, "ready"));
        }
    });
    let said: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("somebody at ")).map(|(_, rest)| rest).collect();
    assert_eq!(log.lines().count(), 3, "{log}");
    assert!(said.iter().zip(["off", "error", "off,mcr"]).all(|(line, level)| line.starts_with(level)), "{log}");
}

#[test]
fn what_is_told_late_has_both_times() {
    let json = written(LogFormat::Json, false, |_| {
        tracing::info!(event = "x.y", happened_ms = Some(7_u64), "late");
        tracing::info!(event = "x.y", happened_ms = None::<u64>, "at once");
    });
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["time"], "1970-01-01T00:00:00.007Z");
    assert!(lines[0]["told_at"].as_str().unwrap() > "2020", "{json}");
    assert!(lines[1].get("told_at").is_none() && lines[1]["time"].as_str().unwrap() > "2020", "{json}");
    let text = written(LogFormat::Text, false, |_| tracing::info!(event = "x.y", happened_ms = Some(7_u64), "late"));
    assert!(text.starts_with("1970-01-01T00:00:00.007Z  INFO late event=x.y told_at=20"), "{text}");
}

#[test]
fn only_levels_are_taken() {
    for level in ["info", "WARN", "off", "info,relay_ebpf=debug", "relay_control=trace"] {
        assert!(filter(level).is_ok(), "{level}");
    }
    for level in ["", "inf", "relay_control", "info,", "info,x=loud", "info;debug"] {
        assert!(filter(level).is_err(), "{level}");
    }
}

#[test]
fn in_the_journal_an_event_is_fields_and_the_same_words() {
    let log = written_as(Form::Journal, true, |_| EventLog::default().record(died()));
    let fields: Vec<&str> = log.split('\0').collect();
    let message = "MESSAGE=lane 3 died: \"started\" again event=lane.died";
    assert!(fields[0].starts_with(message), "{log:?}");
    let wanted = ["PRIORITY=3", "SYSLOG_IDENTIFIER=mcr", "MCR_EVENT=lane.died"];
    assert_eq!(fields[1..4], wanted, "{log:?}");
    for field in ["MCR_LANE=3", "MCR_PID=77", "MCR_ENDING=signal 9"] {
        assert!(fields.contains(&field), "{field}: {log:?}");
    }
    let log = written_as(Form::Journal, false, |_| tracing::info!(link = %"in0", n = 7, "output ready"));
    assert_eq!(log, "MESSAGE=output ready link=in0 n=7\0PRIORITY=6\0SYSLOG_IDENTIFIER=mcr\0MCR_LINK=in0\0MCR_N=7\0");
}
