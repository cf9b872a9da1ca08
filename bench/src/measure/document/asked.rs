//! What we ask of MCR, and whether it holds.

use super::Page;
use super::table::Table;
use crate::measure::bounds;
use crate::measure::number::ABSENT;
use crate::measure::results::Results;

const ABOUT: &str = "\
Bounds that the data path must keep on veth, in copy mode. *Possible* is what an AF_XDP socket that does nothing but send reaches in the
same run, as a ratio to the same peer: copy mode cannot do better, whoever relays.
";

pub(super) fn write(page: &mut Page, results: &Results) {
    let mut table = Table::new(1, ["", "asked", "measured", "possible", "holds"]);
    for bound in bounds::of(results) {
        let possible = bound.possible.map_or_else(|| ABSENT.to_owned(), |possible| bound.shown(possible));
        let holds = match (bound.holds(), bound.share_of_possible()) {
            (true, _) => "yes".to_owned(),
            (false, Some(share)) if share > 1.0 => "no: it is not possible here".to_owned(),
            (false, Some(share)) => format!("no: it would be {:.0} % of what is possible", share * 100.0),
            (false, None) => "no".to_owned(),
        };
        table.row([bound.what, &bound.asked.to_string(), &bound.shown(bound.measured), &possible, &holds]);
    }
    if !table.is_empty() {
        page.text("## What we ask of it\n");
        page.text(ABOUT);
        page.table(&table);
    }
}
