//! A real programme through the relay: ffmpeg or GStreamer sends it, over a veth as it is, and ffmpeg plays what arrives.

use crate::line::{Folder, INPUT, Line, ONE, OUTPUT, printed};
use bench::links::ip;
use bench::{Process, UdpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A moment that only the end of the programme can bring.
const SILENCE: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(60);

fn ffmpeg(command: &mut Command) -> &mut Command {
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error"])
}

/// Three seconds of picture and tone as an MPEG transport stream.
fn make_programme(path: &Path) {
    let mut command = Command::new("ffmpeg");
    ffmpeg(&mut command).args(["-f", "lavfi", "-i", "testsrc=size=640x360:rate=25:duration=3"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=1000:duration=3"]);
    command.args(["-c:v", "mpeg2video", "-b:v", "4M", "-c:a", "mp2", "-f", "mpegts"]).arg(path);
    printed(&mut command);
}

/// What a decoder makes of a file: a hash of every picture and sound, and no word of complaint.
fn decoded(path: &Path) -> String {
    let mut command = Command::new("ffmpeg");
    ffmpeg(&mut command).arg("-i").arg(path).args(["-f", "md5", "-"]);
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All datagrams until silence.
fn hear(listener: &UdpListener) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| listener.receive(SILENCE).unwrap()).map(|(datagram, _)| datagram).collect()
}

/// Sends a programme and compares what arrives with what the sender gave.
fn check(name: &str, send: impl FnOnce(&Line, &Path) -> Process) {
    let folder = Folder::new(name);
    let (programme, arrived) = (folder.file("programme.ts"), folder.file("arrived.ts"));
    make_programme(&programme);
    let line = Line::new();
    ip(&["-n", line.source.name(), "route", "add", "239.0.0.0/8", "dev", "src0"]).unwrap();
    let mcr = line.start(ONE);
    // The sender's own kernel loops back what leaves: exactly what the relay was given.
    let given = UdpListener::start(&line.source, "src0", INPUT.parse().unwrap()).unwrap();
    let taken = UdpListener::start(&line.receiver, "rx0", OUTPUT.parse().unwrap()).unwrap();
    let mut sender = send(&line, &programme);
    assert!(sender.wait(LONG).unwrap().success(), "{:?}", sender.lines());
    let (given, taken) = (hear(&given), hear(&taken));
    let report = mcr.stop().unwrap();
    assert!(given.len() > 250, "only {} datagrams were sent", given.len());
    assert_eq!(report.received("one"), given.len() as u64);
    assert!(given == taken, "{} datagrams went in, {} came out, and they differ", given.len(), taken.len());
    let completed = report.0["relays"][0]["checksums_completed"].as_u64().unwrap();
    assert!(completed + 5 > given.len() as u64, "the sender's kernel left its checksums to hardware: {completed}");
    std::fs::write(&arrived, taken.concat()).unwrap();
    assert_eq!(decoded(&arrived), decoded(&programme), "what plays is not what was made");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_programme_of_ffmpeg_arrives_byte_for_byte_and_plays() {
    check("ffmpeg", |line, programme| {
        let mut command = line.source.command("ffmpeg");
        ffmpeg(&mut command).arg("-re").arg("-i").arg(programme).args(["-c", "copy", "-f", "mpegts", "-muxrate", "5M"]);
        command.arg(format!("udp://{INPUT}?pkt_size=1316&ttl=8"));
        Process::start("ffmpeg", command).unwrap()
    });
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_programme_of_gstreamer_arrives_byte_for_byte_and_plays() {
    check("gstreamer", |line, programme| {
        let mut command = line.source.command("gst-launch-1.0");
        command.args(["-q", "filesrc", "blocksize=1316"]).arg(format!("location={}", programme.display()));
        // Microseconds from one datagram to the next: some 20 Mbit/s.
        command.args(["!", "identity", "sleep-time=500", "!", "udpsink", "sync=false", "ttl-mc=8"]);
        let (group, port) = INPUT.split_once(':').unwrap();
        command.args([format!("host={group}"), format!("port={port}"), String::from("multicast-iface=src0")]);
        Process::start("gst-launch-1.0", command).unwrap()
    });
}
