//! What MCR costs besides: the time to start, memory, and processor time when no packet comes.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use bench::clock::monotonic_ns;
use bench::links::{End, Veth};
use bench::{Namespace, Relay};

/// A headend's worth.
const RELAYS: usize = 200;
/// The relay's default.
const FRAME_SIZE: u64 = 2048;
/// The kernel counts processor time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Measures and prints.
pub(crate) fn measure(mcr: &Path, quick: bool) -> Result<()> {
    let (relay, other) = (Namespace::new("mcr-fig")?, Namespace::new("mcr-fig")?);
    let near = |name: &str, address: &str| End::new(&relay, name).address(address);
    Veth::new(near("in0", "10.1.0.2/24"), End::new(&other, "src0")).create()?;
    Veth::new(near("out0", "10.2.0.1/24"), End::new(&other, "rx0")).create()?;
    let started = monotonic_ns();
    let running = Relay::launch(mcr, &relay, &configuration(), &[])?;
    running.wait_until_ready()?;
    let ready_ms = (monotonic_ns() - started) / 1_000_000;

    let mut pids = running.lanes();
    pids.push(running.process.pid());
    // What the start left to do is done by then.
    sleep(Duration::from_secs(1));
    let memory = pids.iter().map(|pid| Memory::of(*pid)).collect::<Result<Vec<_>>>()?;
    let idle = Duration::from_secs(if quick { 2 } else { 5 });
    let before = processor_ticks(&pids)?;
    sleep(idle);
    let ticks = processor_ticks(&pids)? - before;
    let report = running.stop()?;
    let lanes = report.0["lanes"].as_array().into_iter().flatten();
    let frames: u64 = lanes.filter_map(|lane| lane["frames"].as_u64()).sum();

    let mut out = io::stdout().lock();
    let sum = |part: fn(&Memory) -> u64| memory.iter().map(part).sum::<u64>() >> 10;
    writeln!(out, "\nmcr with {RELAYS} relays, {} processes", pids.len())?;
    writeln!(out, "start to ready      {ready_ms} ms")?;
    writeln!(out, "memory              {} MiB, of which frames {} MiB", sum(|m| m.share), (frames * FRAME_SIZE) >> 20)?;
    writeln!(out, "  of its own        {} MiB", sum(|m| m.private))?;
    writeln!(out, "  resident, summed  {} MiB: shared memory counts in each process", sum(|m| m.resident))?;
    let percent = ticks as f64 / TICKS_PER_SECOND / idle.as_secs_f64() * 100.0;
    writeln!(out, "idle                {percent:.1} % of a core, adaptive, over {} s", idle.as_secs())?;
    Ok(())
}

fn configuration() -> String {
    let relay = |n: usize| {
        let (c, d) = (n / 250, n % 250 + 1);
        format!(
            "[[relay]]\nname = \"r{n}\"\ninput = {{ interface = \"in0\", group = \"239.1.{c}.{d}\", port = 5000 }}\n\
             outputs = [{{ interface = \"out0\", group = \"239.2.{c}.{d}\", port = 5000 }}]\n"
        )
    };
    (0..RELAYS).map(relay).collect()
}

/// Memory of a process, in KiB.
struct Memory {
    resident: u64,
    /// Its share: what several processes have is divided among them.
    share: u64,
    private: u64,
}

impl Memory {
    fn of(pid: u32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("read a process's memory")?;
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let private = number("Private_Clean:") + number("Private_Dirty:");
        Ok(Self { resident: number("Rss:"), share: number("Pss:"), private })
    }
}

/// Processor time that the processes have used.
fn processor_ticks(pids: &[u32]) -> Result<u64> {
    let ticks = |pid: &u32| -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("read a process's times")?;
        // Behind the name, which may hold anything but ends at the last parenthesis: user time is field 14, system 15.
        let fields = text.rsplit_once(')').context("read /proc/PID/stat")?.1;
        fields.split_whitespace().skip(11).take(2).map(|field| Ok(field.parse::<u64>()?)).sum()
    };
    pids.iter().map(ticks).sum()
}
