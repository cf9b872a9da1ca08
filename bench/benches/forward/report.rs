//! What is printed, packets in nanoseconds and tables in milliseconds; and what is kept.

use crate::case::{Case, Per};
use crate::timing::Figures;
use bench::measure::results::Function;
use relay_common::journal::BATCH;
use std::io::{Result, Write, stdout};
use std::path::Path;
use std::process::ExitCode;

type Row = (Figures, Case);

/// Prints everything; a failure when something was allocated on the way of a packet.
pub(crate) fn print(rows: &[Row]) -> ExitCode {
    // A reader who has seen enough (`| head`) is no error.
    let _ = write(rows, &mut stdout().lock());
    let of_packets = rows.iter().filter(|(_, case)| case.per == Per::Packets);
    let allocates: Vec<&str> =
        of_packets.filter(|(figures, _)| figures.allocations > 0.0).map(|(_, case)| case.name.as_str()).collect();
    if allocates.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: nothing on the way of a packet may allocate, but these do: {}", allocates.join("; "));
    ExitCode::FAILURE
}

/// Writes everything to a file, for the bench to put beside what it measures itself.
pub(crate) fn keep(rows: &[Row], file: &Path) -> Result<()> {
    let function = |(figures, case): &Row| {
        let (unit, n) = if case.per == Per::Packets { ("packet", BATCH as f64) } else { ("table", 1.0) };
        Function {
            name: case.name.clone(),
            unit: unit.to_owned(),
            median_ns: figures.median / n,
            minimum_ns: figures.minimum / n,
            allocations: figures.allocations,
        }
    };
    let functions: Vec<Function> = rows.iter().map(function).collect();
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, serde_json::to_string_pretty(&functions)? + "\n")
}

fn write(rows: &[Row], out: &mut impl Write) -> Result<()> {
    let (packets, tables): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|(_, case)| case.per == Per::Packets);
    if !packets.is_empty() {
        head(out, "ns a packet", &["median", "minimum", "each further", "allocations"])?;
    }
    for (figures, case) in &packets {
        let ns = |round: f64| round / BATCH as f64;
        let further =
            each_further(rows, &case.name, figures.median).map_or_else(String::new, |t| format!("{:.1}", ns(t)));
        let (median, minimum) = (ns(figures.median), ns(figures.minimum));
        writeln!(out, "{:<36}{median:>14.1}{minimum:>14.1}{further:>14}{:>14}", case.name, figures.allocations)?;
    }
    if !packets.is_empty() && !tables.is_empty() {
        writeln!(out)?;
    }
    if !tables.is_empty() {
        head(out, "ms a table", &["median", "minimum", "allocations"])?;
    }
    for (figures, case) in tables {
        let [median, minimum] = [figures.median, figures.minimum].map(|ns| ns / 1e6);
        writeln!(out, "{:<36}{median:>14.3}{minimum:>14.3}{:>14.0}", case.name, figures.allocations)?;
    }
    Ok(())
}

fn head(out: &mut impl Write, first: &str, columns: &[&str]) -> Result<()> {
    write!(out, "{first:<36}")?;
    columns.iter().try_for_each(|column| write!(out, "{column:>14}"))?;
    writeln!(out)
}

/// What each output beyond the first adds to a batch, when the same with one output was measured, too.
fn each_further(rows: &[Row], name: &str, median: f64) -> Option<f64> {
    let (what, lane) = name.split_once(" 1 to ")?;
    let (n_outputs, _) = lane.split_once(", ")?;
    let n_further = n_outputs.parse::<u16>().ok()?.checked_sub(1).filter(|n| *n > 0)?;
    let single = format!("{what} 1 to 1, {}", lane.rsplit(", ").next()?);
    let (of_one, _) = rows.iter().find(|(_, case)| case.name == single)?;
    Some((median - of_one.median) / f64::from(n_further))
}
