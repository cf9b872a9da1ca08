//! A table that was compiled to see whether a plan fits: where nothing else turns out on the way, it is the one that comes into
//! force.

use relay_common::facts::Facts;
use relay_common::plan::Plan;
use relay_common::table::{Compiled, Placement, Table, compile};
use std::sync::Arc;

/// The table that was compiled last, if it is not in force yet, and of what.
#[derive(Debug, Default)]
pub(super) struct Tried(Option<(Compiled, Plan, Facts, Placement, Arc<Table>)>);

impl Tried {
    /// Compiles a plan, and says why it does not fit, if it does not.
    pub(super) fn refused(&mut self, plan: &Plan, facts: &Facts, place: &Placement, after: &Arc<Table>) -> Vec<String> {
        let compiled = compile(plan, facts, place, Some(after));
        let refused: Vec<String> = compiled.refused.iter().map(ToString::to_string).collect();
        self.0 = refused.is_empty().then(|| (compiled, plan.clone(), facts.clone(), place.clone(), Arc::clone(after)));
        refused
    }

    /// Where the links of a plan are, if that was found out for the same.
    pub(super) fn place(&self, plan: &Plan, facts: &Facts) -> Option<Placement> {
        let (_, of, with, at, _) = self.0.as_ref()?;
        (with == facts && of == plan).then(|| at.clone())
    }

    /// What a plan becomes: what was compiled, if it was of the same.
    pub(super) fn take(&mut self, plan: &Plan, facts: &Facts, place: &Placement, after: &Arc<Table>) -> Compiled {
        match self.0.take() {
            Some((compiled, of, with, at, from))
                if Arc::ptr_eq(&from, after) && at == *place && with == *facts && of == *plan =>
            {
                compiled
            }
            _ => compile(plan, facts, place, Some(after)),
        }
    }
}
