//! `mcr capture`: a relay's packets in a file.

use super::client::{Client, Question, path_of};
use super::exit::Exit;
use super::failure::Failure;
use super::number::{bytes, counted};
use super::pcapng::Blocks;
use super::relay::meant_alone;
use super::screen::Screen;
use crate::args::{Capture, Direction};
use anyhow::Context as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often it is said how far it is.
const TELL: Duration = Duration::from_millis(500);

/// `mcr capture`.
pub(super) async fn run<O: Write, E: Write>(asked: &Capture, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let to_pipe = asked.file.as_os_str() == "-";
    if to_pipe && io::stdout().is_terminal() {
        let remedy = "write to a file, or pipe it: mcr capture ch1 -w - | tshark -r -";
        return Err(Failure::usage(format!("packets are no text for a terminal: {remedy}")).into());
    }
    let client = Client::new(&asked.node)?;
    let relay = meant_alone(&client, asked.name.as_ref(), &asked.labels, "one is captured at a time").await?;
    let name = asked.file.display().to_string();
    let cannot_write = || format!("cannot write {name}");
    // Opened first, so that no capture is begun that cannot be kept; emptied only when there is one, so that what is
    // refused spoils no older file.
    let mut new = false;
    let file = if to_pipe { None } else { Some(open(&asked.file, &mut new).with_context(cannot_write)?) };
    let stream = client.stream(Question::get(path(&relay, asked))).await.inspect_err(|_| {
        if new {
            let _ = fs::remove_file(&asked.file);
        }
    })?;
    let (blocks, broke_off) = match file {
        None => copy(stream, &mut screen.out, &mut screen.side, screen.live).await?,
        Some(mut file) => {
            // A pipe or a device has no length.
            if file.metadata().is_ok_and(|file| file.is_file()) {
                file.set_len(0).with_context(cannot_write)?;
            }
            copy(stream, &mut file, &mut screen.side, screen.live).await.with_context(cannot_write)?
        }
    };
    let n = usize::try_from(blocks.packets).unwrap_or(usize::MAX);
    let place = if to_pipe { "standard output".to_owned() } else { name };
    screen.note(&format!("{}, {} in {place}", counted(n, "packet"), bytes(blocks.bytes)));
    let Some(why) = broke_off else { return Ok(Exit::Done) };
    let remedy =
        "control was started anew, the relay is gone, or the token may no more: mcr events tells; capture again";
    screen.note(&format!("the capture broke off before its end ({why}); what came before is whole: {remedy}"));
    Ok(Exit::Failed)
}

/// Opens a file to write, and says whether it was made.
fn open(path: &Path, new: &mut bool) -> io::Result<File> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => OpenOptions::new().write(true).open(path),
        made => {
            *new = made.is_ok();
            made
        }
    }
}

fn path(relay: &str, asked: &Capture) -> String {
    let direction = match asked.direction {
        Direction::In => "in",
        Direction::Out => "out",
        Direction::Both => "both",
    };
    let mut path = format!("{}/capture?direction={direction}", path_of(relay));
    let snap = asked.snap.map(u64::from);
    for (key, value) in [("packets", asked.packets), ("seconds", asked.seconds), ("snap", snap)] {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={value}"));
        }
    }
    path
}

/// Copies whole blocks until the capture ends, or somebody presses Ctrl-C. Says why it ended before its time, if it did.
async fn copy(
    mut stream: Incoming,
    to: &mut impl Write,
    side: &mut impl Write,
    live: bool,
) -> io::Result<(Blocks, Option<hyper::Error>)> {
    let (mut blocks, mut broke_off) = (Blocks::default(), None);
    let mut clock = every(TELL);
    loop {
        tokio::select! {
            frame = stream.frame() => match frame {
                None => break,
                Some(Err(error)) => {
                    broke_off = Some(error);
                    break;
                }
                Some(Ok(frame)) => {
                    let Ok(bytes) = frame.into_data() else { continue };
                    let whole = blocks.feed(&bytes);
                    to.write_all(&whole.ok_or_else(|| io::Error::other("the answer is no capture: is that mcr?"))?)?;
                    to.flush()?;
                }
            },
            _ = tokio::signal::ctrl_c() => break,
            _ = clock.tick(), if live => {
                let _ = write!(side, "\r{} packets, {} ", blocks.packets, super::number::bytes(blocks.bytes));
                let _ = side.flush();
            }
        }
    }
    if live {
        let _ = writeln!(side);
    }
    Ok((blocks, broke_off))
}

fn every(period: Duration) -> Interval {
    let mut clock = interval(period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}
