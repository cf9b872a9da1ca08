//! docs/events.md is what the code says. `MCR_WRITE_DOCS=1 cargo test -p relay-userspace --test events_page` writes it
//! anew.

#![expect(clippy::unwrap_used, reason = "a test")]

use relay_control::events::Kind;
use std::fmt::Write as _;
use std::{env, fs, path::Path};

#[test]
fn the_page_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let wanted = page();
    if env::var_os("MCR_WRITE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "docs/events.md is out of date: MCR_WRITE_DOCS=1 cargo test --test events_page");
}

fn page() -> String {
    let mut page = String::from(HEAD);
    for kind in Kind::ALL {
        let fields: Vec<String> = kind.fields().iter().map(|field| format!("`{field}`")).collect();
        let (name, level) = (kind.name(), kind.level().name());
        writeln!(page, "| `{name}` | {level} | {} | {} |", kind.help(), fields.join(" ")).unwrap();
    }
    page
}

const HEAD: &str = "\
# Every event

This page is made from the code: `relay-userspace/control/src/events/event.rs`. Names and fields are stable.

An event is a line of the log and an entry of `/api/v1/events`. With `--log-format json` a line is one JSON object with `time`
(RFC 3339, UTC), `level` (`error`, `warn`, `info`), `event` and `text`, and the event's fields beside them; a line that is no event
has the event `log`. Good labels for Loki are `level` and `event`; the others are for searching.

An event has an `id`, as `5f3c9a1e0d2b-1041`: the history that it belongs to, and its number there. Numbers follow each other without a
gap, over restarts, upgrades and deaths of control, and no id is ever given twice. A history ends where nothing is left of it, as when the
machine is booted; another begins then, with number 1.

The last 4096 events (4 MiB of them) are kept, and replayed to whoever follows. Who names the last one that it saw (`Last-Event-ID`, `after`)
gets everything after it, and where events are missing, because they were pushed out before or belong to a history that is gone, one
that says so: `events.lost`, `from` and `to` which, whatever kinds were asked for. They outlive control, and also lanes and `mcr stop`, in the run
folder: `events.NAMESPACE.jsonl` and `events.NAMESPACE.old.jsonl` are these events, one a line, for `jq` when no mcr runs. Where nothing can
be written there, events are kept in memory only, in a history of their own; `mcr status` says so, and writing is tried again every five
seconds. What must be kept for longer belongs into a log store (the journal, Loki): every event is a line of the log too.

`time` is when it happened, `told_at` when it was told: later where events came too fast and this one was held back (a line of the log has
`told_at` only then). So a wave of interruptions has one time, however long it takes to tell of it.

Of one relay, link or lane at most eight events of a topic (what stands before the dot) are told at once, and then one every five
seconds; of all together 200 at once, and then twenty a second. Of what comes faster only the latest is told, as soon as it may be,
with `held_back`: how many before it were left out. So what was told last is what happened last. Who has waited longest is told first; a
removal (`relay.removed`) is told whatever follows it. The deaths of a lane (`lane.died`) are a topic of their own. Events of `audit`,
`config`, `node`, `role` and `health` are always told, but for requests that change nothing (refused, or without effect), which anybody
who may ask could repeat without end: of one client twenty at once, and then one every five seconds; of all together a hundred, and then
one every two seconds.

An audit line has `who` (and `uid` and `pid`, or `token`), `what` (`create`, `set`, `remove`, `enable`, `disable`, `mute`, `unmute`,
`replace`, `reload`, `restart`, `upgrade`, `log`), the relays that it touched `before` and `after` (of a set those that differ, by their tags when they
are more than 32; of `log` the level), and the `outcome` (`applied` with its `generation`, or `refused` with the `error`; `unknown` where control hung in the middle of it and
was started anew). Audit lines stand
in the log whatever its level is, also when it is `off`.

| name | level | meaning | fields |
|---|---|---|---|
";
