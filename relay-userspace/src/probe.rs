//! The command `mcr probe`: what a link really does when a program is attached and sockets are bound, found out by doing
//! it. It sends nothing and leaves nothing behind.

use anyhow::{Context, bail, ensure};
use relay_cli::args::Probe;
use relay_common::faults;
use relay_common::plan::{Mode, ZeroCopy};
use relay_common::table::{longest_mtu, longest_mtu_in_kilobytes};
use relay_control::bpf::program::{Loading, Program};
use relay_control::link::ability::Ability;
use relay_control::link::hint::{self, Hint, KERNEL_FAULT, Use};
use relay_control::link::netlink::{Netlink, Reading};
use relay_control::link::quirk;
use relay_control::link::release;
use relay_control::link::xdp::Netdev;
use relay_control::preflight;
use relay_engine::clock;
use relay_engine::memory::{self, Mapping};
use relay_engine::xsk::port::Port;
use relay_engine::xsk::socket::{self, Bound, SocketError, Wanted};
use std::io::Write;
use std::os::fd::AsFd as _;
use std::time::Duration;

pub mod findings; // what was found, for people and programs

use findings::{Findings, KernelFault, Limits, Queue, Tried};

/// As `lanes.ring_size` and `lanes.frame_size` are unless told otherwise: drivers want a full ring.
const RING: u32 = 2048;
const FRAME: u32 = 2048;
const LONG_FRAME: u32 = 4096;
/// A driver that resets its link for a program has it back within this.
const CARRIER_PATIENCE: Duration = Duration::from_secs(10);
const CARRIER_STEP: Duration = Duration::from_millis(20);

/// Probes a link and writes down what was found.
///
/// # Errors
/// When the link cannot be probed: it is not there, is down, or somebody uses it; or the rights are missing.
pub async fn run(options: &Probe, out: &mut impl Write) -> anyhow::Result<()> {
    preflight::check_own_rights("mcr probe")?;
    let netlink = Netlink::new().context("cannot ask the kernel for its links")?;
    let reading = look(&netlink, &options.name).await?;
    is_free(&reading)?;
    let findings = try_out(&netlink, reading).await?;
    let after = look(&netlink, &options.name).await?;
    ensure!(after.attached.is_empty(), "the program is still attached to {}: report this", options.name);
    if options.json {
        serde_json::to_writer_pretty(&mut *out, &findings)?;
        writeln!(out)?;
    } else {
        write!(out, "{findings}")?;
    }
    Ok(())
}

async fn look(netlink: &Netlink, name: &str) -> anyhow::Result<Reading> {
    let mut readings = netlink.readings(None).await.context("cannot read the links")?;
    match readings.iter().position(|reading| reading.link.name == name) {
        Some(place) => Ok(readings.swap_remove(place)),
        None => {
            let there: Vec<_> = readings.iter().map(|reading| reading.link.name.as_str()).collect();
            bail!("there is no interface {name}; there are {}", there.join(", "))
        }
    }
}

/// Probing resets queues, so nobody may be using them.
fn is_free(reading: &Reading) -> anyhow::Result<()> {
    let name = &reading.link.name;
    if let Some(one) = reading.attached.first() {
        let ours = crate::links::own_programs().contains(&one.program);
        let whose = if ours { "mcr runs on it" } else { "another XDP program is attached to it" };
        bail!(
            "{name} is in use: {whose} (program {}, {}); end that first, `mcr links {name}` looks without touching",
            one.program,
            one.place.name()
        );
    }
    ensure!(reading.link.up, "{name} is down and cannot be probed: ip link set dev {name} up");
    Ok(())
}

async fn try_out(netlink: &Netlink, reading: Reading) -> anyhow::Result<Findings> {
    let link = reading.link.clone();
    let release = release::running();
    let ability = Ability::of(reading.clone(), &[], Netdev::open().context("cannot ask what drivers can do")?.as_ref());
    let usage = Use { release, own_programs: crate::links::own_programs(), ..Use::default() };
    let faults: Vec<Hint> = hint::hints(&ability, &usage).into_iter().filter(|one| one.name == KERNEL_FAULT).collect();
    // What could hang the card is not tried out on it.
    let spoilt = release.is_some_and(|release| faults::spoils_zero_copy(&release, ability.faults_driver()).is_some());
    let zero_copy = if spoilt { ZeroCopy::Never } else { ZeroCopy::Auto };
    let program = Program::load(Loading { max_relays: 1, debug: false })?;
    let bytes = RING as usize * FRAME as usize;
    let (memory, _) =
        memory::huge::create_for_frames(c"mcr-probe", bytes, || true).context("cannot get memory for frames")?;
    let frames = Mapping::shared(&memory, bytes).context("cannot map the frames")?;
    let mut queues = Vec::new();
    for number in (1..link.n_rx_queues.max(link.n_tx_queues)).rev() {
        queues.push(Queue { number, bound: mode(bind(&frames, &reading, number, zero_copy)) });
    }
    // The first queue last: with the program attached it can also be asked whether it sends.
    let first = bind(&frames, &reading, 0, zero_copy);
    let before = reading.carrier_changes;
    let attached = program.attach(&link.name, link.ifindex, Mode::Auto)?;
    let started = clock::now_ns();
    let resets = wait_for_carrier(netlink, &reading).await?;
    let carrier_lost_ms = (resets != before).then(|| (clock::now_ns() - started) / 1_000_000);
    let sends = match &first {
        Ok(bound) => {
            socket::probe(bound.fd.as_fd()).map_or_else(|errno| errno.desc().to_owned(), |()| "yes".to_owned())
        }
        Err(_) => "no socket".to_owned(),
    };
    queues.push(Queue { number: 0, bound: mode(first) });
    queues.reverse();
    let tried = Tried { xdp: attached.hook.name(), queues, sends, carrier_lost_ms };
    drop(attached);
    wait_for_carrier(netlink, &reading).await?;
    let ability = Ability::of(reading, &[], Netdev::open().context("cannot ask what drivers can do")?.as_ref());
    let kernel = release::name();
    let refused = preflight::features().refusal();
    let limits = limits(&ability);
    let faults = faults.into_iter().map(|Hint { text, remedy, .. }| KernelFault { text, remedy }).collect();
    Ok(Findings::new(&ability, (kernel, faults), refused, tried, limits))
}

/// Binds a queue's socket as a lane would.
fn bind(frames: &Mapping, reading: &Reading, queue: u32, zero_copy: ZeroCopy) -> Result<Bound, SocketError> {
    let link = &reading.link;
    let wanted = Wanted {
        link: &link.name,
        queue,
        receives: queue < link.n_rx_queues,
        sends: queue < link.n_tx_queues,
        zero_copy,
        ring_size: RING,
        frame_size: FRAME,
    };
    socket::create(frames, &wanted, |port: &mut Port| {
        for frame in 0..RING {
            port.fill.put(u64::from(frame) * u64::from(FRAME));
        }
        port.fill.publish(port.fill.next());
    })
}

/// What became of a bind, in words. The socket closes here.
fn mode(bound: Result<Bound, SocketError>) -> String {
    match bound {
        Ok(Bound { zero_copy: true, .. }) => "zero-copy".to_owned(),
        Ok(Bound { zero_copy: false, .. }) => "copy".to_owned(),
        Err(error) => format!("{:#}", anyhow::Error::from(error)),
    }
}

/// Waits until a link that had a carrier has one, and says how often it has changed.
async fn wait_for_carrier(netlink: &Netlink, before: &Reading) -> anyhow::Result<u32> {
    let mut waited = Duration::ZERO;
    loop {
        let now = look(netlink, &before.link.name).await?;
        if now.link.carrier || !before.link.carrier || waited >= CARRIER_PATIENCE {
            return Ok(now.carrier_changes);
        }
        tokio::time::sleep(CARRIER_STEP).await;
        waited += CARRIER_STEP;
    }
}

fn limits(ability: &Ability) -> Limits {
    let driver = ability.driver_name();
    let cuts = |frame_size| quirk::cuts_above(driver, u32::MAX, frame_size).is_some();
    let longest =
        |frame_size| if cuts(frame_size) { longest_mtu_in_kilobytes(frame_size) } else { longest_mtu(frame_size) };
    Limits {
        mtu: ability.reading.link.mtu,
        mtu_of_2048: longest(FRAME),
        mtu_of_4096: longest(LONG_FRAME),
        rx_ring: ability.rings.map(|rings| rings.rx),
        tx_ring: ability.rings.map(|rings| rings.tx),
        zero_copy_segments: ability.xdp.filter(|xdp| xdp.zero_copy()).map(|xdp| xdp.zero_copy_segments),
    }
}
