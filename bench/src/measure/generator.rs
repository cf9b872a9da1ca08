//! Packets at a pace, made by the kernel: up to the fastest rate there is, and slower ones evenly.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::program::Programs;
use super::program::abi::{TEMPLATE_WORDS, pace};
use super::scenario::{Scenario, VLAN};
use super::stage::{GENERATOR_CORE, INPUT_LINK, SOURCE_LINK, Stage};
use crate::clock::in_ns;
use crate::packet::{Headers, Mac, Vlan, build};
use crate::sys::bpf::run_on_live_frames;

/// Held up for longer than this, the generator does not catch up.
const SLACK_NS: u64 = 200_000;
/// Frames that the kernel makes at once without a pace.
const AT_ONCE: u32 = 64;
/// Frames that the kernel looks at at once with a pace: those that are due leave when all have been looked at.
const AT_ONCE_PACED: u32 = 16;
/// What looking at a frame takes at least.
const FASTEST_LOOK_NS: f64 = 30.0;
const ETHERNET: usize = 14;
const TAG: usize = 4;

/// The generator of a stage.
#[derive(Debug)]
pub struct Generator<'a> {
    stage: &'a Stage,
    programs: Programs,
    frame: Vec<u8>,
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
}

impl<'a> Generator<'a> {
    /// Gets ready to send a scenario's streams.
    pub fn new(stage: &'a Stage, scenario: &Scenario) -> Result<Self> {
        let mut programs = Programs::open()?;
        programs.xdp("generate")?;
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
        let mut generator = Self { stage, programs, frame, plan, run: 0, spare_ns: FASTEST_LOOK_NS, packet_ns: 0.0 };
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
        self.run = self.run.wrapping_add(1);
        let mut plan = self.plan;
        plan[pace::RUN] = self.run.into();
        plan[pace::DURATION] = in_ns(duration);
        plan[pace::ADDRESS] = 1;
        plan[pace::SLACK] = rate.map_or(u64::MAX, |_| SLACK_NS << 10);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far below 2⁶³, above 0")]
        let interval = rate.map_or(0, |rate| (1024e9 / rate) as u64);
        plan[pace::INTERVAL] = interval;
        self.programs.put("PACE", plan)?;
        let at_once = if rate.is_some() { AT_ONCE_PACED } else { AT_ONCE };
        let looks = in_ns(duration) as f64 / self.spare_ns;
        let made = self.until_over(looks, at_once)?;
        let spare = Duration::from_secs_f64(made[pace::SPARE] as f64 * self.spare_ns / 1e9);
        Ok(Made { packets: made[pace::SENT], elapsed: Duration::from_nanos(made[pace::ENDED]), spare })
    }

    /// Has the kernel make frames until the program says that the time is over.
    fn until_over(&mut self, looks: f64, at_once: u32) -> Result<[u64; pace::WORDS]> {
        let Self { stage, programs, frame, .. } = self;
        let program = programs.xdp("generate")?.fd()?.as_fd().try_clone_to_owned()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, above 0")]
        let looks = (looks as u32).max(1000);
        // A call takes some milliseconds to set up; one is enough if looking takes as long as it should.
        for _ in 0..1000 {
            let called = stage.source.run(|| -> Result<()> {
                let mut cores = CpuSet::new();
                cores.set(GENERATOR_CORE)?;
                sched_setaffinity(Pid::from_raw(0), &cores)?;
                Ok(run_on_live_frames(program.as_fd(), frame, looks, at_once)?)
            });
            called.context("make packets (BPF_PROG_TEST_RUN with live frames needs Linux 5.18)")?;
            let made: [u64; pace::WORDS] = programs.get("PACE")?;
            ensure!(made[pace::SENT] + made[pace::SPARE] > 0, "the generator's program did not run");
            if made[pace::ENDED] > 0 {
                return Ok(made);
            }
        }
        anyhow::bail!("the generator does not come to its end")
    }

    /// Finds out what a look takes at which nothing is due, and what a packet takes.
    fn calibrate(&mut self) -> Result<()> {
        let mut plan = self.plan;
        plan[pace::DURATION] = 100_000_000;
        // The first packet would be due after an hour.
        plan[pace::DUE] = 3600 << 40;
        self.programs.put("PACE", plan)?;
        let made = self.until_over(1e6, AT_ONCE_PACED)?;
        self.spare_ns = made[pace::ENDED] as f64 / made[pace::SPARE] as f64;
        let mut dropping = Programs::open()?;
        self.stage.relay.run(|| dropping.attach_xdp("discard", INPUT_LINK))?;
        let made = self.send(None, Duration::from_millis(200))?;
        self.packet_ns = in_ns(made.elapsed) as f64 / made.packets as f64;
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

/// Bytes of a stamp.
const STAMP: usize = 22;
