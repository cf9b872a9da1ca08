//! Packets at a pace, made by the kernel: up to the fastest rate there is, and slower ones evenly.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::program::Programs;
use super::program::abi::{TEMPLATE_WORDS, pace};
use super::scenario::{Scenario, VLAN};
use super::stage::{GENERATOR_CORE, INPUT_LINK, SOURCE_LINK, Stage};
use crate::clock::{Deadline, in_ns};
use crate::packet::{Headers, Mac, Vlan, build};
use crate::sys::bpf::{interrupt, run_on_live_frames};

/// Held up for longer than this, the generator does not catch up.
const SLACK_NS: u64 = 200_000;
/// Frames that the kernel makes at once without a pace.
const AT_ONCE: u32 = 64;
/// Frames that the kernel looks at at once with a pace: those that are due leave when all have been looked at.
const AT_ONCE_PACED: u32 = 16;
const ETHERNET: usize = 14;
const TAG: usize = 4;
/// Bytes of a stamp.
const STAMP: usize = 22;
/// How often it is looked whether the generator has ended.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Setting up a call takes milliseconds, not this.
const PATIENCE: Duration = Duration::from_secs(10);
/// A rate at which the generator has time to spare.
const EASY_RATE: f64 = 300e3;

/// The generator of a stage.
#[derive(Debug)]
pub struct Generator<'a> {
    stage: &'a Stage,
    programs: Programs,
    program: Arc<OwnedFd>,
    frame: Arc<[u8]>,
    plan: [u64; pace::WORDS],
    run: u16,
    /// What it takes to find that no packet is due, in nanoseconds.
    spare_ns: f64,
    /// What it takes to make a packet and have a link drop it, in nanoseconds.
    packet_ns: f64,
}

/// What the generator did.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Packets.
    pub packets: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Time that it had nothing to do.
    pub spare: Duration,
}

impl Made {
    /// Packets per second.
    pub fn rate(&self) -> f64 {
        self.packets as f64 / self.elapsed.as_secs_f64()
    }

    /// The share of its time in which it had something to do.
    pub fn busy(&self) -> f64 {
        1.0 - self.spare.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

/// A generator at work.
#[derive(Debug)]
pub struct Sending(JoinHandle<Result<()>>);

impl<'a> Generator<'a> {
    /// Gets ready to send a scenario's streams.
    pub fn new(stage: &'a Stage, scenario: &Scenario) -> Result<Self> {
        let mut programs = Programs::open()?;
        let program = Arc::new(programs.xdp("generate")?.fd()?.as_fd().try_clone_to_owned()?);
        let frame = frame(stage, scenario)?;
        let headers = ETHERNET + if scenario.tagged { TAG } else { 0 };
        let (payload, address, checksum) =
            if scenario.ipv6 { (headers + 48, headers + 38, 0) } else { (headers + 28, headers + 18, headers + 10) };
        let words = frame.chunks_exact(8).take(TEMPLATE_WORDS).map(|word| word.try_into().map(u64::from_le_bytes));
        let words = words.collect::<Result<Vec<u64>, _>>()?;
        let template: [u64; TEMPLATE_WORDS] = words.try_into().ok().context("the frame is too short for a stamp")?;
        programs.put("TEMPLATE", template)?;
        let mut plan = [0; pace::WORDS];
        plan[pace::IFINDEX] = stage.source.index(SOURCE_LINK)?.into();
        plan[pace::STREAMS] = scenario.relays.into();
        plan[pace::PAYLOAD_AT] = payload as u64;
        plan[pace::ADDRESS_AT] = address as u64;
        plan[pace::CHECKSUM_AT] = checksum as u64;
        let frame = frame.into();
        let mut generator = Self { stage, programs, program, frame, plan, run: 0, spare_ns: 0.0, packet_ns: 0.0 };
        generator.calibrate()?;
        Ok(generator)
    }

    /// Bytes of a frame without the Ethernet checksum.
    pub fn frame_bytes(&self) -> usize {
        self.frame.len()
    }

    /// What making a packet takes, its way to the other end of the link included, in nanoseconds.
    pub fn packet_ns(&self) -> f64 {
        self.packet_ns
    }

    /// Sends at a rate in packets per second over all streams, or as fast as this core can, for a while.
    pub fn send(&mut self, rate: Option<f64>, duration: Duration) -> Result<Made> {
        let sending = self.start(rate, duration)?;
        self.finish(sending)
    }

    /// Begins to send, and does not wait.
    pub fn start(&mut self, rate: Option<f64>, duration: Duration) -> Result<Sending> {
        self.run = self.run.wrapping_add(1);
        let mut plan = self.plan;
        plan[pace::RUN] = self.run.into();
        plan[pace::DURATION] = in_ns(duration);
        plan[pace::ADDRESS] = 1;
        plan[pace::SLACK] = rate.map_or(u64::MAX, |_| SLACK_NS << 10);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far below 2⁶³, above 0")]
        let interval = rate.map_or(0, |rate| (1024e9 / rate) as u64);
        plan[pace::INTERVAL] = interval;
        self.begin(plan, if rate.is_some() { AT_ONCE_PACED } else { AT_ONCE })
    }

    /// Packets made so far.
    pub fn made(&self) -> Result<u64> {
        Ok(self.programs.get::<[u64; pace::WORDS]>("PACE")?[pace::SENT])
    }

    /// Waits for the end of the time, and ends the generator.
    pub fn finish(&self, sending: Sending) -> Result<Made> {
        let made = self.end(sending)?;
        let spare = Duration::from_secs_f64(made[pace::SPARE] as f64 * self.spare_ns / 1e9);
        Ok(Made { packets: made[pace::SENT], elapsed: Duration::from_nanos(made[pace::ENDED]), spare })
    }

    fn begin(&mut self, plan: [u64; pace::WORDS], at_once: u32) -> Result<Sending> {
        self.programs.put("PACE", plan)?;
        let (program, frame) = (Arc::clone(&self.program), Arc::clone(&self.frame));
        let thread = self.stage.source.spawn("generator", move || -> Result<()> {
            let mut cores = CpuSet::new();
            cores.set(GENERATOR_CORE)?;
            sched_setaffinity(Pid::from_raw(0), &cores)?;
            run_on_live_frames(program.as_fd(), &frame, at_once)
                .context("make packets (BPF_PROG_TEST_RUN with live frames needs Linux 5.18)")
        })?;
        Ok(Sending(thread))
    }

    /// The program only notes that the time is over; the call goes on until it is interrupted.
    fn end(&self, Sending(thread): Sending) -> Result<[u64; pace::WORDS]> {
        let patience =
            Duration::from_nanos(self.programs.get::<[u64; pace::WORDS]>("PACE")?[pace::DURATION]) + PATIENCE;
        let deadline = Deadline::after(patience);
        let mut is_over = false;
        while !thread.is_finished() {
            is_over = is_over || self.programs.get::<[u64; pace::WORDS]>("PACE")?[pace::ENDED] > 0 || deadline.passed();
            if is_over {
                interrupt(&thread)?;
            }
            sleep(LOOK_EVERY);
        }
        thread.join().map_err(|_| anyhow!("the generator's thread panicked"))??;
        let made: [u64; pace::WORDS] = self.programs.get("PACE")?;
        ensure!(made[pace::ENDED] > 0, "the generator did not come to its end");
        Ok(made)
    }

    /// Finds out what a look takes at which nothing is due, and what a packet takes.
    fn calibrate(&mut self) -> Result<()> {
        let mut plan = self.plan;
        plan[pace::DURATION] = 100_000_000;
        // The first packet would be due after an hour.
        plan[pace::DUE] = 3600 << 40;
        let sending = self.begin(plan, AT_ONCE_PACED)?;
        let made = self.end(sending)?;
        self.spare_ns = made[pace::ENDED] as f64 / made[pace::SPARE].max(1) as f64;
        let mut dropping = Programs::open()?;
        self.stage.relay.run(|| dropping.attach_xdp("discard", INPUT_LINK))?;
        let made = self.send(Some(EASY_RATE), Duration::from_millis(200))?;
        self.packet_ns = in_ns(made.elapsed) as f64 * made.busy() / made.packets as f64;
        Ok(())
    }
}

/// The first stream's packet with a stamp of zeros.
fn frame(stage: &Stage, scenario: &Scenario) -> Result<Vec<u8>> {
    let group = scenario.input(0);
    let mut headers = Headers::new(Stage::sender(scenario), group).from_mac(stage.input.0.mac);
    headers = headers.to_mac(Mac::of_group(group.ip()).context("an input that is no group")?);
    if scenario.tagged {
        headers = headers.tagged(&[Vlan::new(VLAN)]);
    }
    let mut payload = vec![0x47; scenario.payload.into()];
    payload[..STAMP].fill(0);
    Ok(build(&headers, &payload))
}
