//! What control's process takes of the machine, by the names that every exporter has for it.

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};
use std::fs;

/// What the kernel says of a process; nothing where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) most_files: Option<u64>,
    /// Seconds since 1970.
    pub(super) started: Option<f64>,
}

/// What there is of a second in `/proc/self/stat`.
const fn ticks_of(ticks: u64, a_second: u64) -> f64 {
    ticks as f64 / a_second as f64
}

impl Process {
    /// This process.
    pub(super) fn own() -> Self {
        let number =
            |what: SysconfVar| sysconf(what).ok().flatten().and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        let (a_second, page) =
            (number(SysconfVar::CLK_TCK).unwrap_or(100), number(SysconfVar::PAGE_SIZE).unwrap_or(4096));
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let booted = fs::read_to_string("/proc/stat").unwrap_or_default();
        let booted = booted.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
        // One of them is the folder that is being read.
        let open = fs::read_dir("/proc/self/fd").map(|all| (all.count() as u64).saturating_sub(1)).ok();
        let most = getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, _)| soft).ok();
        Self { open_files: open, most_files: most, ..Self::of(&stat, booted, a_second, page) }
    }

    /// What stands in a line of `/proc/PID/stat` (proc(5)): its fields are counted from the third, behind the name.
    fn of(stat: &str, booted: Option<u64>, a_second: u64, page: u64) -> Self {
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let field = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
        let cpu = field(14).zip(field(15)).map(|(user, system)| ticks_of(user + system, a_second));
        Self {
            cpu_seconds: cpu,
            virtual_bytes: field(23),
            resident_bytes: field(24).map(|pages| pages * page),
            started: field(22).zip(booted).map(|(ticks, booted)| booted as f64 + ticks_of(ticks, a_second)),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Process;

    #[test]
    fn a_line_of_the_kernel_is_read_whatever_the_process_is_called() {
        let rest = "S 1 1 1 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 5000 104857600 2560 18446744073709551615 1 1 0";
        for name in ["mcr", "a b", "a) b (c", ""] {
            let process = Process::of(&format!("7 ({name}) {rest}"), Some(1_700_000_000), 100, 4096);
            assert_eq!((process.cpu_seconds, process.started), (Some(2.0), Some(1_700_000_050.0)), "{name}");
            assert_eq!((process.virtual_bytes, process.resident_bytes), (Some(100 << 20), Some(10 << 20)));
        }
        assert_eq!(Process::of("", None, 100, 4096), Process::default());
        assert_eq!(Process::of("7 (mcr) S 1", Some(1), 100, 4096), Process::default());
    }

    #[test]
    fn this_process_is_there() {
        let own = Process::own();
        assert!(own.resident_bytes.is_some_and(|bytes| bytes > 1 << 20), "{own:?}");
        assert!(own.open_files.zip(own.most_files).is_some_and(|(open, most)| open > 0 && open <= most), "{own:?}");
        let now = relay_engine::clock::unix_ms() as f64 / 1000.0;
        assert!(own.started.is_some_and(|started| started <= now + 1.0 && started > now - 86_400.0 * 30.0), "{own:?}");
        assert!(own.cpu_seconds.is_some() && own.virtual_bytes > own.resident_bytes, "{own:?}");
    }
}
