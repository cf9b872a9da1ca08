//! docs/metrics.md is what the code says. `MCR_WRITE_DOCS=1 cargo test -p relay-userspace --test metrics_page` writes it
//! anew. And the example of alert rules names only metrics that there are.

#![expect(clippy::unwrap_used, reason = "a test")]

use relay_control::observe::metrics::{Type, families};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;
use std::{env, fs, path::Path, path::PathBuf};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

#[test]
fn the_page_is_what_the_code_says() {
    let wanted = page();
    if env::var_os("MCR_WRITE_DOCS").is_some() {
        fs::write(docs("metrics.md"), &wanted).unwrap();
    }
    let found = fs::read_to_string(docs("metrics.md")).unwrap_or_default();
    assert_eq!(found, wanted, "docs/metrics.md is out of date: MCR_WRITE_DOCS=1 cargo test --test metrics_page");
}

fn page() -> String {
    let mut page = String::from(
        "# Every metric\n\nThis page is made from the code: `relay-userspace/control/src/observe/metrics/table.rs`. `/metrics` is \
         Prometheus' text format, or OpenMetrics for whoever asks by the header Accept; gzip for who accepts it; at most a second \
         old. `/metrics?family=mcr_relay_packets,mcr_link_*` chooses families by name or pattern. Times are in seconds, counters end in \
         `_total`; bytes are those of IP packets. Counters of a relay begin at 0 with it and go with it.\n\n\
         The values of `reason` and `verdict` are [drops.md](drops.md)'s, those of `event` [events.md](events.md)'s. \
         `output` is the place of an output in its relay, from 0, and `to` where it sends. \
         [alerts.yml](alerts.yml) is an example of rules upon these.\n\n\
         | name | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for family in families() {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) = (family.full_name(), family.kind.name());
        writeln!(page, "| `{name}` | {kind} | {} | {} |", labels.join(" "), family.help).unwrap();
    }
    page
}

/// The words of a text that are names of metrics.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("mcr_")).map(str::to_owned).collect()
}

#[test]
fn alert_rules_name_only_what_there_is() {
    let rules = fs::read_to_string(docs("alerts.yml")).unwrap();
    let expressions: String = rules.lines().filter(|line| line.trim_start().starts_with("expr:")).collect();
    let mut known = BTreeSet::new();
    for family in families() {
        let name = family.full_name();
        if family.kind == Type::Histogram {
            known.extend(["bucket", "count", "sum"].map(|ending| format!("{name}_{ending}")));
        }
        known.insert(name);
    }
    let used = metrics_in(&expressions);
    assert!(used.len() > 10, "{used:?}");
    assert!(used.is_subset(&known), "{:?}", used.difference(&known));
}

#[test]
fn promtool_takes_the_alert_rules_and_they_fire() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let Ok(output) = Command::new("promtool").args(arguments).current_dir(docs("")).output() else {
            eprintln!("not judged by promtool, which is not here: apt-get install prometheus");
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "promtool {}: {said}", arguments.join(" "));
    }
}
