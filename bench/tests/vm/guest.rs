//! A guest: an emulated machine with NICs whose other ends are ours, and a shell that does what it is told.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, bail, ensure};
use bench::Process;
use bench::clock::Deadline;

use crate::nic::Nic;
use crate::parts::Parts;
use crate::wire::Wire;

/// A guest boots in ten seconds where nothing else runs, and in less than a minute where much does.
const BOOTS_WITHIN: Duration = Duration::from_secs(100);
/// On a busy machine an emulated kernel stands still for ever now and then, before its first word: that is the emulator's, and
/// another try boots.
const TRIES: u32 = 3;
/// The longest that one line may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(90);
/// The first program of a guest.
const INIT: &str = include_str!("init.sh");
/// What each line's answer ends with, before how it ended.
const END: &str = "@@ ";

/// A running guest. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    emulator: Process,
    shell: BufReader<UnixStream>,
    monitor: UnixStream,
    wires: Vec<(&'static str, Wire)>,
    /// A line was not answered in time. No other will be: each would only wait as long again.
    hangs: bool,
}

impl Guest {
    /// Boots this kernel with these NICs.
    pub(crate) fn boot(parts: &Parts, name: &str, kernel: &str, nics: &[Nic]) -> Result<Self> {
        let first = Self::folder_with(parts, name, &parts.file_system(kernel, INIT)?)?;
        Self::try_hard_to_boot(parts, name, kernel, nics, &first)
    }

    /// The same with systemd, and with mcr installed and configured so.
    pub(crate) fn boot_systemd(parts: &Parts, name: &str, kernel: &str, nics: &[Nic], config: &str) -> Result<Self> {
        let first = Self::folder_with(parts, name, &parts.file_system_with_systemd(kernel, INIT, config)?)?;
        let mut guest = Self::try_hard_to_boot(parts, name, kernel, nics, &first)?;
        guest.run("wait_for_systemd").context("systemd does not boot")?;
        Ok(guest)
    }

    fn folder_with(parts: &Parts, name: &str, file_system: &[u8]) -> Result<PathBuf> {
        let first = parts.folder(name)?.join("initramfs");
        fs::write(&first, file_system).context("write the initramfs")?;
        Ok(first)
    }

    fn try_hard_to_boot(parts: &Parts, name: &str, kernel: &str, nics: &[Nic], first: &Path) -> Result<Self> {
        for left in (1..TRIES).rev() {
            match Self::try_to_boot(parts, kernel, nics, first) {
                Ok(guest) => return Ok(guest),
                Err(error) => eprintln!("{name}: {error:#}; it is tried {left} times more"),
            }
        }
        Self::try_to_boot(parts, kernel, nics, first)
    }

    fn try_to_boot(parts: &Parts, kernel: &str, nics: &[Nic], first: &Path) -> Result<Self> {
        let (mut wires, mut inherited) = (Vec::new(), Vec::new());
        // Names of sockets are short: the folder of a build may be deep, and 107 bytes are all there is.
        let sockets = Sockets::new()?;
        let mut command = parts.emulator();
        command.args(["-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "1024"]);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"]);
        for (what, path) in [("-serial", sockets.path("shell")), ("-monitor", sockets.path("monitor"))] {
            command.arg(what).arg(format!("unix:{},server=on,wait=off", path.display()));
        }
        command.arg("-kernel").arg(parts.image(kernel)?).arg("-initrd").arg(first);
        // A kernel that is emulated on a busy machine finds its timer too slow, and would give up.
        let mut line = "console=ttyS0 panic=-1 quiet mitigations=off no_timer_check".to_owned();
        for (number, nic) in nics.iter().enumerate() {
            let (wire, network) = if let Some(tap) = nic.tap() {
                // Without the header of virtio-net before each frame: the driver's in zero-copy is whatever lies at some place
                // of the guest's memory (docs/kernels.md), and a tap drops a frame whose header makes no sense.
                let options = "queues=2,script=no,downscript=no,vhost=off,vnet_hdr=off";
                (Wire::tap(tap)?, format!("tap,ifname={tap},{options}"))
            } else {
                let (wire, socket) = Wire::pair()?;
                let network = format!("dgram,local.type=fd,local.str={}", socket.as_raw_fd());
                inherited.push(socket);
                (wire, network)
            };
            command.args(nic.arguments(number, &network));
            write!(line, " mcr.nic={},{}", nic.mac(number), nic.name)?;
            wires.push((nic.name, wire));
        }
        command.arg("-append").arg(line);
        let emulator = Process::start("the emulator", command)?;
        drop(inherited);
        let deadline = Deadline::after(BOOTS_WITHIN);
        let connect = |name: &str| loop {
            match UnixStream::connect(sockets.path(name)) {
                Ok(stream) => break Ok(stream),
                Err(error) if deadline.passed() => break Err(error),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        };
        let said = || format!("the emulator said:\n{}", emulator.last_words());
        let (shell, monitor) = (connect("shell").with_context(said)?, connect("monitor").with_context(said)?);
        let mut guest = Self { emulator, shell: BufReader::new(shell), monitor, wires, hangs: false };
        guest.shell.get_ref().set_read_timeout(Some(BOOTS_WITHIN))?;
        guest.answer().context("the guest does not boot")?;
        guest.shell.get_ref().set_read_timeout(Some(ANSWERS_WITHIN))?;
        Ok(guest)
    }

    /// The other end of a NIC.
    pub(crate) fn wire(&self, nic: &str) -> Result<&Wire> {
        self.wires.iter().find(|(name, _)| *name == nic).map(|(_, wire)| wire).with_context(|| format!("no NIC {nic}"))
    }

    /// Has every wire take what its NIC sends, now that no case does.
    pub(crate) fn rest(&self) -> Result<()> {
        self.wires.iter().try_for_each(|(_, wire)| wire.rest())
    }

    /// Has the guest's shell run a line, and returns what it printed; an error when the line failed.
    pub(crate) fn run(&mut self, line: &str) -> Result<String> {
        let (printed, status) = self.attempt(line)?;
        ensure!(status == 0, "`{line}` failed with {status} in the guest:\n{printed}");
        Ok(printed)
    }

    /// Has the guest's shell run a line, and returns what it printed and how it ended.
    pub(crate) fn attempt(&mut self, line: &str) -> Result<(String, u8)> {
        ensure!(!line.contains('\n'), "one line at a time: {line}");
        ensure!(!self.hangs, "the guest has hung since an earlier line");
        let shell = self.shell.get_mut();
        shell.write_all(format!("{line}\n").as_bytes()).context("reach the guest's shell")?;
        self.answer().with_context(|| format!("in the guest: {line}"))
    }

    /// Writes a file of the guest. Its text may contain anything but single quotes and backslashes.
    pub(crate) fn write(&mut self, path: &str, text: &str) -> Result<()> {
        ensure!(!text.contains(['\'', '\\']), "this text cannot be handed to the guest: {text}");
        self.run(&format!("printf '%b' '{}' >{path}", text.replace('\n', "\\n"))).map(drop)
    }

    /// Tells the emulator's monitor something.
    pub(crate) fn monitor(&mut self, command: &str) -> Result<()> {
        self.monitor.write_all(format!("{command}\n").as_bytes()).context("reach the emulator's monitor")
    }

    fn answer(&mut self) -> Result<(String, u8)> {
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            match self.shell.read_line(&mut line) {
                Ok(0) => {
                    let words = self.emulator.last_words();
                    bail!("the guest is gone: {}\n{words}", words.lines().last().unwrap_or_default());
                }
                Ok(_) => {}
                Err(error) => {
                    self.hangs = true;
                    bail!("no answer: {error}; it printed:\n{printed}\nits console:\n{}", self.emulator.last_words());
                }
            }
            if let Some(status) = line.strip_prefix(END) {
                return Ok((printed, status.trim().parse().context("the shell did not say how the line ended")?));
            }
            printed.push_str(&line);
        }
    }

    /// What the guest's kernel wrote to its console.
    pub(crate) fn console(&self) -> String {
        self.emulator.lines().join("\n")
    }
}

/// A folder for sockets that goes when this is dropped.
#[derive(Debug)]
struct Sockets(PathBuf);

impl Sockets {
    fn new() -> Result<Self> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mcr-vm-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // What cannot be removed lies in the folder for temporary files and hurts nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
