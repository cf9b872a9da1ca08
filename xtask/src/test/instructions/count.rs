//! One case under callgrind: how many instructions, for how many packets or relays.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::step;

/// The function whose calls are counted: `counted` of bench/benches/forward/counting.rs.
const COUNTED: &str = "--toggle-collect=*::counting::counted";
/// The C library chooses how it copies and compares by what the processor can do. Here it may use only what every x86-64
/// has, so that every processor counts the same.
const PLAIN_COPIES: &str = "glibc.cpu.hwcaps=-AVX2,-AVX_Fast_Unaligned_Load,-ERMS,-SSSE3,-SSE4_1";

/// What counts.
pub(super) struct Counter {
    program: PathBuf,
    profiles: PathBuf,
}

/// What was counted.
#[derive(Debug)]
pub(super) struct Count {
    total: u64,
    n_units: u64,
    /// A packet or a relay.
    pub(super) unit: String,
    /// Where callgrind says which function took how many.
    pub(super) profile: PathBuf,
}

impl Count {
    /// Instructions for each packet or relay.
    pub(super) fn each(&self) -> f64 {
        self.total as f64 / self.n_units as f64
    }
}

impl Counter {
    /// The program has the cases; the directory is for what callgrind writes.
    pub(super) fn new(program: PathBuf, profiles: PathBuf) -> Result<Self> {
        fs::create_dir_all(&profiles).with_context(|| format!("cannot make {}", profiles.display()))?;
        Ok(Self { program, profiles })
    }

    /// Counts the instructions of a case.
    pub(super) fn count(&self, case: &str) -> Result<Count> {
        let profile = self.profiles.join(case.replace([' ', ','], "-")).with_extension("callgrind");
        let printed = step::capture(&mut self.command(case, &profile))?;
        let (n_units, unit) =
            units(&printed).with_context(|| format!("the case \"{case}\" did not say what it counted: {printed}"))?;
        let written = fs::read_to_string(&profile).with_context(|| format!("cannot read {}", profile.display()))?;
        let total = total(&written).with_context(|| format!("no total in {}", profile.display()))?;
        ensure!(total > 0, "nothing was counted of \"{case}\": is there still a function `counting::counted`?");
        Ok(Count { total, n_units, unit, profile })
    }

    /// Nothing of the user's environment reaches the program: it lies on the stack and moves what stands below.
    fn command(&self, case: &str, profile: &Path) -> Command {
        let mut out = std::ffi::OsString::from("--callgrind-out-file=");
        out.push(profile);
        let mut command = Command::new("valgrind");
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("GLIBC_TUNABLES", PLAIN_COPIES);
        command.args(["-q", "--tool=callgrind", COUNTED]).arg(out).arg(&self.program).args(["--count", case]);
        command
    }
}

/// Reads `counted 6400 packets`.
fn units(printed: &str) -> Option<(u64, String)> {
    let (n, unit) = printed.lines().find_map(|line| line.strip_prefix("counted ")?.split_once(' '))?;
    let n = n.parse().ok().filter(|n| *n > 0)?;
    Some((n, unit.strip_suffix('s').unwrap_or(unit).to_owned()))
}

/// Reads the total of what callgrind wrote.
fn total(written: &str) -> Option<u64> {
    written.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_read() {
        assert_eq!(units("counted 6400 packets\n"), Some((6400, "packet".to_owned())));
        assert_eq!(units("==1== a warning\ncounted 20000 relays\n"), Some((20_000, "relay".to_owned())));
        assert_eq!(units("counted 0 packets\n"), None);
        assert_eq!(units("counted 6400\n"), None);
    }

    #[test]
    fn the_total_is_read() {
        let written = "# callgrind format\nevents: Ir\nsummary: 930700\n\nfn=(1) a\n16 5\n\ntotals: 930700\n";
        assert_eq!(total(written), Some(930_700));
        assert_eq!(total("events: Ir\nsummary: 930700\n"), None);
    }

    #[test]
    fn a_count_is_for_each_packet() {
        let count = Count { total: 4_769_900, n_units: 6400, unit: "packet".to_owned(), profile: PathBuf::new() };
        assert_eq!(format!("{:.1}", count.each()), "745.3");
    }
}
