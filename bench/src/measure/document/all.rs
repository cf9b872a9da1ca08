//! What was found on all processors that were tried.

use super::head::{METHOD, READING, in_short};
use super::table::escaped;
use super::{FOLDER, Page, possible};
use crate::measure::number;
use crate::measure::results::Results;

const INTRODUCTION: &str = "\
# Benchmarks

What MCR, its peers and the machine itself can do, measured in one run for each processor that was tried. This page and those on the
processors are made from the files in `bench/results/` by `cargo xtask bench render`: do not edit them. To measure yours, as root,
on a machine that does nothing else:

```sh
cargo xtask bench --full            # twenty minutes; replaces what is kept of a processor of the same name
cargo xtask bench --quick --keep    # three minutes, of fewer scenarios, kept too
```

Figures are good for ratios within one run: a machine, a kernel and a neighbour change each of them. What was tried to make the data
path cheaper is on [a page of its own](data-path.md).
";

pub(super) fn write(page: &mut Page, runs: &[Results]) {
    page.text(INTRODUCTION);
    page.text(
        "## In short\n\nThe highest rate without loss, in packets per second in, and in parentheses how many times as much MCR takes.\n",
    );
    for results in runs {
        let Results { date, extent, seconds, machine, .. } = results;
        let is_virtual = if machine.is_virtual { ", a virtual machine" } else { "" };
        let (processor, stem) = (escaped(&machine.processor_in_short()), machine.file_stem());
        page.text(&format!("### {processor}\n"));
        page.text(&format!(
            "{} cores{is_virtual}, Linux {}; {date}, {}, {}. [All figures, with plots]({FOLDER}/{stem}.md).\n",
            machine.cores,
            escaped(&machine.kernel),
            escaped(extent),
            number::seconds(*seconds),
        ));
        page.table(&in_short(results));
        possible::write(page, results);
    }
    page.text(METHOD);
    page.text(READING);
}
