//! The program of the bench as people meet it: what it refuses, and how it ends.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::{env, fs};

use bench::measure::results::{ContestantResult, FORMAT, Kind, Machine, Results, ScenarioResult, Spread};

fn figures(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_figures")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("mcr-figures-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, results: &Results) -> String {
        let path = self.0.join(name);
        results.write(&path).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn contestant(name: &str, kind: Kind, rate: f64) -> ContestantResult {
    let spread = Spread { values: vec![rate, rate * 1.01, rate * 0.99] };
    ContestantResult {
        name: name.to_owned(),
        about: "invented".to_owned(),
        kind,
        skipped: None,
        rate: Some(spread.clone()),
        overload: Some(spread),
        loads: Vec::new(),
        memory_kib: None,
        idle_percent: None,
        losses: Vec::new(),
    }
}

fn results(mcr: f64, peer: f64) -> Results {
    let scenario = ScenarioResult {
        name: "1-to-1".to_owned(),
        about: "invented".to_owned(),
        relays: 1,
        outputs: 1,
        links: 1,
        payload: 1316,
        frame: 1358,
        contestants: vec![contestant("mcr", Kind::Mcr, mcr), contestant("mmsg", Kind::Peer, peer)],
    };
    Results {
        format: FORMAT,
        date: "2026-11-21".to_owned(),
        commit: "invented".to_owned(),
        extent: "full".to_owned(),
        seconds: 1,
        machine: Machine::here(),
        scenarios: vec![scenario],
        functions: Vec::new(),
    }
}

#[test]
fn what_it_does_not_know_it_refuses_with_what_it_knows() {
    let mcr = env!("CARGO_BIN_EXE_figures"); // any file will do: nothing is started
    let measure = |more: &[&str]| {
        let output = figures(&[&["measure", "--mcr", mcr, "--json", "x.json", "--docs", "x"], more].concat());
        assert!(!output.status.success(), "{more:?}");
        said(&output)
    };
    assert!(measure(&["--scenario", "2-to-1"]).contains("no scenario \"2-to-1\"; there are 1-to-1, 1-to-4"));
    assert!(measure(&["--peer", "mine"]).contains("not of the form name"));
    assert!(measure(&["--peer", "mine=relay {group}"]).contains("{in_group}"));
    assert!(measure(&["--variant", "mcr=ring_size = 64"]).contains("its own \"mcr\""));
    assert!(measure(&["--only", "nobody"]).contains("nobody is left"));
    assert!(measure(&["--rounds", "0"]).contains("must be 1 or more"));
    let output = figures(&["measure", "--mcr", "/nowhere/mcr", "--json", "x.json", "--docs", "x"]);
    assert!(said(&output).contains("no MCR at /nowhere/mcr"));
}

#[test]
fn a_run_that_is_slower_than_its_peers_tell_ends_the_comparison_with_1() {
    let folder = Folder::new("compare");
    let before = folder.write("before.json", &results(1e6, 3e5));
    for (name, mcr, peer, code) in [
        ("same.json", 1.01e6, 3e5, 0),
        ("slower-machine.json", 5e5, 1.5e5, 0),
        ("slower.json", 6e5, 3e5, 1),
        ("faster.json", 1.5e6, 3e5, 0),
    ] {
        let output = figures(&["compare", &before, &folder.write(name, &results(mcr, peer))]);
        assert_eq!(output.status.code(), Some(code), "{name}: {}", said(&output));
    }
    let output = figures(&["compare", &before, "/nowhere/new.json"]);
    assert!(!output.status.success() && said(&output).contains("/nowhere/new.json"));
}

#[test]
fn a_run_is_rendered_as_page_and_plots() {
    let folder = Folder::new("render");
    let json = folder.write("results.json", &results(1e6, 3e5));
    let output = figures(&["render", "--json", &json, "--docs", folder.0.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let page = fs::read_to_string(folder.0.join("benchmarks.md")).unwrap();
    assert!(page.contains("| 1-to-1 "), "{page}");
    assert!(folder.0.join("benchmarks/rates-1-to-1.svg").is_file());
}
