//! What a kernel has, found out by trying each thing on something of its own: a few frames, a socket on loopback that
//! nothing is redirected to, a program that passes everything. Everything is gone again when this returns, within
//! milliseconds.

use super::features::{Feature, Features, State};
use crate::bpf::program::{Loading, Program, ProgramError};
use crate::link::xdp::Netdev;
use nix::errno::Errno;
use relay_common::plan::ZeroCopy;
use relay_engine::clock::now_ns;
use relay_engine::memory::{self, Mapping};
use relay_engine::sandbox;
use relay_engine::sys::process;
use relay_engine::xsk::options;
use relay_engine::xsk::port::Port;
use relay_engine::xsk::socket::{LETTING_GO, SocketError, Tries, Unbound, Wanted};
use std::error::Error;
use std::os::fd::{AsFd as _, OwnedFd};

/// Every network namespace has it, and nobody relays over it.
const LOOPBACK: &str = "lo";
/// The least that a socket takes.
const RING: u32 = 64;
const FRAME: u32 = 2048;

/// Tries everything.
#[must_use]
pub fn features() -> Features {
    let mut found: Vec<(Feature, State)> = vec![
        (Feature::SharedMemory, tried(memory::create(c"mcr-trial", memory::PAGE))),
        (Feature::ProcessDescriptors, tried(process::open(std::process::id()))),
        (Feature::CloseRange, tried(sandbox::close_nothing())),
        (Feature::DriverFeatures, driver_features()),
    ];
    found.extend(program());
    found.extend(socket());
    // As they are listed, whatever order they are tried in.
    let place = |feature: &Feature| Feature::ALL.iter().position(|one| one == feature);
    found.sort_by_key(|(feature, _)| place(feature));
    Features(found)
}

fn tried<T, E: Error>(result: Result<T, E>) -> State {
    result.map_or_else(|error| State::Missing(error.to_string()), |_| State::There)
}

fn driver_features() -> State {
    match Netdev::open() {
        Ok(Some(_)) => State::There,
        Ok(None) => State::Missing("there is no such family".to_owned()),
        Err(error) => State::Missing(error.to_string()),
    }
}

fn program() -> [(Feature, State); 2] {
    let all = |program, links| [(Feature::Program, program), (Feature::ProgramLinks, links)];
    let program = match Program::load(Loading { max_relays: 1, debug: false }) {
        Ok(program) => program,
        Err(error @ (ProgramError::NoRights | ProgramError::NotEmbedded)) => {
            let why = State::Untried(error.to_string());
            return all(why.clone(), why);
        }
        Err(error) => {
            let why = format!("{:#}", anyhow::Error::from(error));
            return all(State::Missing(why), State::Untried("there is no program to attach".to_owned()));
        }
    };
    let Ok(ifindex) = nix::net::if_::if_nametoindex(LOOPBACK) else {
        return all(State::There, State::Untried(format!("there is no {LOOPBACK}")));
    };
    // Behind the driver it changes nothing that loopback does: it passes everything.
    let links = match program.try_links(LOOPBACK, ifindex) {
        Ok(()) => State::There,
        Err(error @ (ProgramError::Occupied { .. } | ProgramError::NoRights)) => State::Untried(error.to_string()),
        Err(error) => State::Missing(format!("{:#}", anyhow::Error::from(error))),
    };
    all(State::There, links)
}

/// The features that a socket shows.
const OF_SOCKET: [Feature; 5] =
    [Feature::XdpSockets, Feature::Umem, Feature::BoundRings, Feature::TransmitBudget, Feature::BusyPolling];

fn socket() -> Vec<(Feature, State)> {
    let mut found = Vec::new();
    let stopped = try_socket(&mut found).err();
    let why = stopped.unwrap_or_else(|| "another program has queue 0 of lo".to_owned());
    for feature in OF_SOCKET {
        if !found.iter().any(|(tried, _)| *tried == feature) {
            found.push((feature, State::Untried(why.clone())));
        }
    }
    found
}

/// Goes as far as the kernel lets it; the error says why no further.
fn try_socket(found: &mut Vec<(Feature, State)>) -> Result<(), String> {
    let bytes = (RING * FRAME) as usize;
    let memory = memory::create(c"mcr-trial", bytes).map_err(|error| error.to_string())?;
    let frames = Mapping::shared(&memory, bytes).map_err(|error| error.to_string())?;
    let wanted = Wanted {
        link: LOOPBACK,
        queue: 0,
        receives: true,
        sends: true,
        zero_copy: ZeroCopy::Never,
        ring_size: RING,
        frame_size: FRAME,
    };
    let mut tries = Tries::new(&wanted, LETTING_GO);
    let (socket, unbound): (OwnedFd, Unbound) = loop {
        let unbound = match Unbound::prepare(&frames, &wanted, tries.mode()) {
            Ok(unbound) => unbound,
            Err(error) => return Err(refused(found, &error)),
        };
        note(found, Feature::XdpSockets, State::There);
        if let Err(error) = open(&unbound) {
            note(found, Feature::Umem, State::Missing(format!("its rings cannot be mapped: {error}")));
            return Err("there is no socket to try it on".to_owned());
        }
        match unbound.bind() {
            Ok(fd) => break (fd, unbound),
            Err(errno) => {
                drop(unbound);
                match tries.again(&wanted, errno, now_ns()) {
                    Ok(pause) => std::thread::sleep(pause.unwrap_or_default()),
                    // Somebody relays over loopback, of all links.
                    Err(SocketError::InUse { .. }) => return Ok(()),
                    Err(error) => return Err(refused(found, &error)),
                }
            }
        }
    };
    note(found, Feature::Umem, State::There);
    let rings = match open(&unbound) {
        Ok(_) => State::There,
        Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => State::Missing(error.to_string()),
        Err(error) => State::Untried(error.to_string()),
    };
    note(found, Feature::BoundRings, rings);
    note(found, Feature::TransmitBudget, tried(options::set_transmit_budget(socket.as_fd(), RING)));
    note(found, Feature::BusyPolling, tried(options::prefer_busy_poll(socket.as_fd(), 1)));
    Ok(())
}

fn note(found: &mut Vec<(Feature, State)>, feature: Feature, state: State) {
    found.retain(|(noted, _)| *noted != feature);
    found.push((feature, state));
}

fn open(unbound: &Unbound) -> std::io::Result<Port> {
    Port::open(unbound.fd().try_clone_to_owned()?, true, true, RING)
}

/// What it means that there is no socket.
fn refused(found: &mut Vec<(Feature, State)>, error: &SocketError) -> String {
    let text = format!("{error}");
    match error {
        SocketError::NoXdp => note(found, Feature::XdpSockets, State::Missing(text)),
        SocketError::NoRights | SocketError::MemoryLock { .. } => return text,
        _ => {
            note(found, Feature::XdpSockets, State::There);
            note(found, Feature::Umem, State::Missing(text));
        }
    }
    "there is no socket to try it on".to_owned()
}
