//! A change of the configuration: a plan becomes a table, two tables become changes.

use crate::case::{Case, Per, Round};
use crate::plans::{self, Changed};
use relay_common::facts::Facts;
use relay_common::plan::Plan;
use relay_common::table::{Change, Compiled, Placement, Table, compile, diff};
use std::hint::black_box;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for n_relays in [200, 10_000] {
        cases.push(case(n_relays, "compile", "", move || Box::new(Compile::first(n_relays))));
        for (changed, how) in CHANGES {
            cases.push(case(n_relays, "compile", how, move || Box::new(Compile::next(n_relays, changed))));
        }
        for (changed, how) in CHANGES {
            cases.push(case(n_relays, "diff", how, move || Box::new(Diff::new(n_relays, changed))));
        }
    }
    cases
}

const CHANGES: [(Changed, &str); 3] =
    [(Changed::None, ", nothing changed"), (Changed::One, ", 1 changed"), (Changed::All, ", all changed")];

fn case(n_relays: usize, what: &str, how: &str, make: impl Fn() -> Box<dyn Round> + 'static) -> Case {
    let name = format!("{what} {n_relays} relays{how}");
    Case { name, per: Per::Table(n_relays), weight: n_relays, make: Box::new(make) }
}

/// Compiling a plan.
struct Compile {
    plan: Plan,
    facts: Facts,
    place: Placement,
    previous: Option<Table>,
    compiled: Option<Compiled>,
}

impl Compile {
    /// The first plan of a node.
    fn first(n_relays: usize) -> Self {
        let (plan, facts) = (plans::plan(n_relays, Changed::None), plans::facts());
        let place = Placement::new(&plan, &facts, None);
        Self { plan, facts, place, previous: None, compiled: None }
    }

    /// The plan after that.
    fn next(n_relays: usize, changed: Changed) -> Self {
        let first = Self::first(n_relays);
        let previous = Some(first.compile().table);
        Self { plan: plans::plan(n_relays, changed), previous, ..first }
    }

    fn compile(&self) -> Compiled {
        compile(black_box(&self.plan), &self.facts, &self.place, self.previous.as_ref())
    }
}

impl Round for Compile {
    fn work(&mut self) {
        self.compiled = Some(self.compile());
    }

    fn clean_up(&mut self) {
        let compiled = self.compiled.take().expect("it was compiled");
        assert!(compiled.pending.is_empty() && compiled.refused.is_empty(), "the plan does not fit");
    }
}

/// Comparing two tables.
struct Diff {
    old: Table,
    new: Table,
    n_expected: usize,
    changes: Vec<Change>,
}

impl Diff {
    fn new(n_relays: usize, changed: Changed) -> Self {
        let next = Compile::next(n_relays, changed);
        let new = next.compile().table;
        // Of each: unmatch, join, leave, match, and where it names its source forbid the old and allow the new; and one
        // publish. Every second relay names one.
        let n_expected = match changed {
            Changed::None => 0,
            Changed::One => 7,
            Changed::All => n_relays * 5 + 1,
        };
        Self { old: next.previous.expect("there is one"), new, n_expected, changes: Vec::new() }
    }
}

impl Round for Diff {
    fn work(&mut self) {
        self.changes = diff(black_box(&self.old), black_box(&self.new));
    }

    fn clean_up(&mut self) {
        assert_eq!(self.changes.len(), self.n_expected);
        self.changes = Vec::new();
    }
}
