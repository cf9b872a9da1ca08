//! A run of the bench.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bench::clock::monotonic_ns;
use bench::measure::bout::Lengths;
use bench::measure::contestant::{Contestant, Programs};
use bench::measure::machine::{commit, today};
use bench::measure::results::{FORMAT, Function, Machine, Results};
use bench::measure::scenario::Scenario;
use bench::measure::session::Session;
use bench::measure::stage::{PREFIX, RELAY_CORE};

/// Measure; as root.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The binary of MCR
    #[arg(long, value_name = "PATH")]
    mcr: PathBuf,
    /// Fewer scenarios, one round, shorter runs: under three minutes
    #[arg(long)]
    quick: bool,
    /// Only these scenarios (see bench/scenarios.toml)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    scenario: Vec<String>,
    /// Of the contestants in the list only these
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    /// Another relay, as NAME=COMMAND; {in_if}, {in_group}, {in_port}, {in_address}, {out_if}, {out_group}, {out_port} and
    /// {out_address} are filled in. It takes part wherever there is one relay with one output over IPv4. May be repeated
    #[arg(long, value_name = "NAME=COMMAND")]
    peer: Vec<String>,
    /// MCR with other settings, as NAME=LINES: lines of the section `lanes`, a semicolon between two. It takes part wherever
    /// MCR does. May be repeated
    #[arg(long, value_name = "NAME=LINES")]
    variant: Vec<String>,
    /// How often each contestant has its turn
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// What was measured of the functions of the data path, to be kept with the rest
    #[arg(long, value_name = "FILE")]
    functions: Option<PathBuf>,
    /// Where to write what was measured
    #[arg(long, value_name = "FILE", required_unless_present = "keep")]
    json: Option<PathBuf>,
    /// Where to keep what was measured, in a file that is called after the processor, in place of --json
    #[arg(long, value_name = "FOLDER", conflicts_with = "json")]
    keep: Option<PathBuf>,
    /// Where to write the document and the plots
    #[arg(long, value_name = "FOLDER")]
    docs: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let session = session(arguments)?;
    ensure!(nix::unistd::geteuid().is_root(), "measuring makes network namespaces: run it as root");
    let cores = std::thread::available_parallelism()?.get();
    ensure!(cores > RELAY_CORE, "this machine has {cores} core; the generator and the relay need one each");
    for name in bench::netns::sweep(PREFIX)? {
        eprintln!("bench: removed {name}, left behind by an earlier run");
    }
    let minutes = session.estimate().as_secs().div_ceil(60);
    let names: Vec<&str> = session.scenarios.iter().map(|(scenario, _)| scenario.name.as_str()).collect();
    eprintln!("bench: {} in {} rounds; this takes about {minutes} min", names.join(", "), session.rounds);
    eprintln!("bench: do nothing else on this machine meanwhile, or the figures tell of that");
    let started = monotonic_ns();
    let date = today();
    let (scenarios, faults) = session.run(&mut |line| eprintln!("{line}"))?;
    let results = Results {
        format: FORMAT,
        date,
        commit: commit(Path::new(env!("CARGO_MANIFEST_DIR"))),
        extent: extent(arguments),
        seconds: Duration::from_nanos(monotonic_ns() - started).as_secs(),
        machine: Machine::here(),
        scenarios,
        functions: arguments.functions.as_deref().map_or_else(|| Ok(Vec::new()), functions)?,
    };
    let kept_as = |folder: &PathBuf| folder.join(results.machine.file_stem()).with_extension("json");
    let json = arguments.json.clone().or_else(|| arguments.keep.as_ref().map(kept_as)).context("--json is missing")?;
    if let Some(folder) = json.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    if !faults.is_empty() {
        // Under a name that is not taken for what is kept.
        let aside = json.with_extension("faulty");
        results.write(&aside)?;
        bail!("what must not happen happened; figures are in {}:\n  {}", aside.display(), faults.join("\n  "));
    }
    results.write(&json)?;
    eprintln!("bench: wrote {}", json.display());
    match &arguments.keep {
        Some(kept) => crate::show::render_kept(kept, &arguments.docs)?,
        None => crate::show::render(&json, &arguments.docs)?,
    }
    crate::show::in_short(&results)
}

fn functions(path: &Path) -> Result<Vec<Function>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}", path.display()))
}

fn extent(arguments: &Arguments) -> String {
    let chosen = |what: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!(", {what} {}", names.join(" ")),
    };
    let base = if arguments.quick { "quick" } else { "full" };
    let rounds = arguments.rounds.map_or_else(String::new, |rounds| format!(", rounds {rounds}"));
    let by_hand = [("peer", &arguments.peer), ("variant", &arguments.variant)].map(|(what, names)| chosen(what, names));
    base.to_owned()
        + &chosen("scenarios", &arguments.scenario)
        + &chosen("only", &arguments.only)
        + &by_hand.concat()
        + &rounds
}

fn session(arguments: &Arguments) -> Result<Session> {
    let mcr = arguments.mcr.canonicalize().with_context(|| format!("no MCR at {}", arguments.mcr.display()))?;
    let peer = std::env::current_exe()?.with_file_name("peer");
    ensure!(peer.exists(), "the peer is missing: cargo build --release --package bench --bin peer");
    let by_hand: Vec<Contestant> =
        arguments.peer.iter().map(|text| Contestant::by_hand(text)).collect::<Result<_>>()?;
    let variants: Vec<Contestant> =
        arguments.variant.iter().map(|text| Contestant::variant(text)).collect::<Result<_>>()?;
    let shipped = Scenario::shipped()?;
    for name in &arguments.scenario {
        let known: Vec<&str> = shipped.iter().map(|scenario| scenario.name.as_str()).collect();
        ensure!(known.contains(&name.as_str()), "no scenario \"{name}\"; there are {}", known.join(", "));
    }
    let mut scenarios = Vec::new();
    for scenario in shipped {
        let named = arguments.scenario.contains(&scenario.name);
        if !(named || arguments.scenario.is_empty() && (scenario.quick || !arguments.quick)) {
            continue;
        }
        let names = scenario.contestants.iter();
        let chosen = names.filter(|name| arguments.only.is_empty() || arguments.only.contains(name));
        let mut contestants = chosen.map(|name| Contestant::named(name)).collect::<Result<Vec<_>>>()?;
        contestants.extend(variants.iter().cloned());
        if scenario.takes_any_peer() {
            contestants.extend(by_hand.iter().cloned());
        }
        if !contestants.is_empty() {
            scenarios.push((scenario, contestants));
        }
    }
    ensure!(!scenarios.is_empty(), "nobody is left to be measured: --only names none who takes part");
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 3 });
    ensure!(rounds > 0, "--rounds is 0 and must be 1 or more");
    let programs = Programs { mcr, peer };
    Ok(Session { scenarios, rounds, lengths: lengths(arguments.quick), programs })
}

fn lengths(quick: bool) -> Lengths {
    let ms = Duration::from_millis;
    if quick {
        Lengths { overload: ms(400), trial: ms(250), load: ms(400), idle: ms(300), loads: vec![10, 50] }
    } else {
        Lengths { overload: ms(1000), trial: ms(400), load: ms(800), idle: ms(500), loads: vec![10, 50, 90] }
    }
}
