//! What follows the plan.

pub mod membership; // groups that are joined
