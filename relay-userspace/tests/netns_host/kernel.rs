//! `mcr check --kernel` tries out what mcr needs of the kernel, and leaves loopback as it was.

use crate::line::{Line, ONE, printed};
use bench::links::ip;
use bench::relay::binary;
use relay_control::preflight::features::{Feature, Need};
use serde_json::Value;
use std::thread;

fn looked_at(line: &Line) -> Value {
    let said = printed(line.relay.command(binary()).args(["check", "--kernel", "--json"]));
    serde_json::from_str(&said).unwrap()
}

/// The state of a feature.
fn state(found: &Value, feature: Feature) -> String {
    let all = found["features"].as_array().unwrap();
    let one = all.iter().find(|one| one["name"] == feature.name()).unwrap();
    one["state"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_mcr_needs_is_tried_out_and_nothing_is_left() {
    let line = Line::new();
    let loopback = || ip(&["-n", line.relay.name(), "-d", "link", "show", "lo"]).unwrap();
    let before = loopback();
    let found = looked_at(&line);
    assert_eq!((&found["good"], &found["refused"]), (&true.into(), &Value::Null), "{found:#}");
    for feature in Feature::ALL.into_iter().filter(|feature| feature.need() != Need::Optional) {
        assert_eq!(state(&found, feature), "there", "{}: {found:#}", feature.name());
    }
    assert_eq!(loopback(), before);
    assert_eq!(ip(&["netns", "pids", line.relay.name()]).unwrap(), "");
    let said = printed(line.relay.command(binary()).args(["check", "--kernel"]));
    assert!(said.starts_with("Linux ") && said.contains("bound_rings          there"), "{said}");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn it_is_tried_beside_a_relay_at_work_and_by_several_at_once() {
    let line = Line::new();
    let mcr = line.start(ONE);
    thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| looked_at(&line))).collect();
        for found in all.into_iter().map(|one| one.join().unwrap()) {
            assert_eq!(found["good"], true, "{found:#}");
            // Another one may be at loopback at that moment: then it is not known, and never called missing.
            assert_ne!(state(&found, Feature::BoundRings), "missing", "{found:#}");
            assert_ne!(state(&found, Feature::ProgramLinks), "missing", "{found:#}");
        }
    });
    mcr.stop().unwrap();
}
