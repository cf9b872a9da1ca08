//! A node that lives through anything in any order, and a model of what it must be after each step.
//!
//! Steps are drawn at random: changes by the API that are to be kept or need not be, edits of the configuration file,
//! reloads, trials that are confirmed, given up or run out, deaths of control and of lanes, restarts, upgrades, signals,
//! links that go down, a disk that is full or hangs. After each the node must list what the model says, and relay just
//! that: one packet to every group, once at each output that there is; and what it says of the disk must be so. A sequence
//! that fails is shrunk and printed. `MCR_SEED=N` plays the sequences of that seed.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

mod death; // how processes die, and come again
mod disk; // what is on it
mod model; // what must be
mod node; // what is
mod step; // what happens
mod words; // how it is said

use model::Model;
use node::{Links, Node};
use proptest::collection::vec;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use step::{Dies, Spec, Step, Text, step};

/// Steps of one life.
const STEPS: usize = 40;
/// Lives: together 640 steps are drawn, and 10 000 with `test long`.
const LIVES: u32 = 16;
const LIVES_LONG: u32 = 250;
/// How often a sequence that fails is tried without some of its steps.
const SHRINKS: u32 = 60;

/// Lives one life. Says how many of the steps could be taken, or where it went otherwise than the model.
fn live(steps: &[Step]) -> Result<usize, String> {
    let links = Links::new();
    let mut model = Model::default();
    let mut node = Node::start(&links, &model);
    node.check(&model, None).map_err(|wrong| format!("at the start: {wrong}"))?;
    let mut taken = 0;
    for (number, step) in steps.iter().enumerate() {
        if model.allows(step) {
            taken += 1;
            let done = node.take(step, &mut model).and_then(|()| node.check(&model, Some(step)));
            let done = done.and_then(|()| node.check_disk(&mut model));
            done.map_err(|wrong| format!("after step {number}, {step:?}: {wrong}\n{}", node.last_words()))?;
        }
    }
    node.end(&mut model).map(|()| taken)
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn whatever_happens_the_node_is_what_the_model_says() {
    let long = env::var_os("MCR_LONG").is_some();
    // Always the same for those who only want to know whether all is well; others each time with `long`.
    let seed = env::var("MCR_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = seed.unwrap_or_else(|| if long { u64::from(std::process::id()) } else { 1 });
    let cases = if long { LIVES_LONG } else { LIVES };
    eprintln!("    {cases} lives of {STEPS} steps, MCR_SEED={seed}");
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        max_shrink_iters: SHRINKS,
        failure_persistence: None,
        ..Config::default()
    };
    let taken = AtomicUsize::new(0);
    let lived = TestRunner::new(config).run(&vec(step(), STEPS), |steps| {
        let lived = live(&steps).map_err(|wrong| {
            eprintln!("    {} steps: {wrong}", steps.len());
            TestCaseError::fail(wrong)
        });
        lived.map(|steps| {
            taken.fetch_add(steps, Ordering::Relaxed);
        })
    });
    if let Err(TestError::Fail(why, steps)) = &lived {
        panic!("MCR_SEED={seed}, the fewest steps that were found: {why}\n{steps:?}");
    }
    lived.unwrap();
    let (taken, drawn) = (taken.into_inner(), cases as usize * STEPS);
    assert!(2 * taken > drawn, "of {drawn} steps only {taken} could be taken");
    eprintln!("    {taken} steps of {drawn}, and after each the node was what the model says");
}

/// Lives that once went otherwise, in their fewest steps.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_was_found_once_stays_mended() {
    let nothing = || Step::Write(Text::Relays(BTreeMap::new()));
    let one = |ttl| Text::Relays(BTreeMap::from([(0, Spec { outputs: 1, ttl })]));
    let as_begun = one(7);
    let lives = [
        // A node that was begun with nothing runs nothing after its control was killed, whatever the file says by then.
        vec![nothing(), Step::Restart, Step::Write(one(5)), Step::KillControl],
        // MCR_SEED=102: the same with a file that is refused, while the last good one is older than what runs.
        vec![
            nothing(),
            Step::Disk { full: true },
            Step::Reload,
            Step::KillBoth,
            Step::Write(Text::Broken),
            Step::KillControl,
        ],
        // A start does not undo a rollback that brought back what the file says,
        vec![Step::Write(one(5)), Step::Reload, Step::Write(as_begun), Step::Rollback, Step::Restart],
        // nor one that undid another.
        vec![Step::Write(one(5)), Step::Reload, Step::Rollback, Step::Rollback, Step::KillBoth],
        // A configuration whose trial ran out while nothing ran is not the last good one.
        vec![Step::Try(one(5)), Step::Expire(Dies::Everything), Step::Write(Text::Broken), Step::Restart],
    ];
    for steps in lives {
        live(&steps).unwrap_or_else(|wrong| panic!("{steps:?}: {wrong}"));
    }
}
