//! The least that can be done with AF_XDP sockets: receive and drop, send one frame again and again, or pass frames on as
//! they came. Nothing is looked at, nothing is kept: what a relay could reach at most.

use std::ffi::CString;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use xdpilone::xdp::XdpDesc;

use crate::clock::Deadline;
use xdpilone::{DeviceQueue, Errno, IfInfo, RingRx, RingTx, Socket, SocketConfig, Umem, UmemConfig};

/// MCR's defaults.
const RING: u32 = 2048;
const FRAME: u32 = 2048;
/// The fill ring and the completion ring can both be full.
const FRAMES: usize = 2 * RING as usize;
const BATCH: u32 = 64;
/// How long a queue may stay busy.
const PATIENCE: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(5);
const SOL_XDP: libc::c_int = 283;
const XDP_STATISTICS: libc::c_int = 7;
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// A socket in copy mode on an interface's first queue.
pub struct Xsk {
    // Dropped in this order: rings, then what they belong to, then the memory.
    rx: Option<RingRx>,
    tx: Option<RingTx>,
    device: DeviceQueue,
    _umem: Umem,
    area: Arc<Area>,
    free: Vec<u64>,
}

struct Area(NonNull<[u8]>);

impl Area {
    fn new() -> io::Result<Arc<Self>> {
        let bytes = FRAMES * FRAME as usize;
        let length = bytes.try_into().map_err(io::Error::other)?;
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_POPULATE);
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let start = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE | flags) }?;
        Ok(Arc::new(Self(NonNull::slice_from_raw_parts(start.cast(), bytes))))
    }
}

// SAFETY: an area is memory like any other; who has which frame of it is what the rings say.
unsafe impl Send for Area {}
// SAFETY: as above; nothing reaches the bytes through a shared reference without saying why nobody else does.
unsafe impl Sync for Area {}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody uses it any more: the rings are gone before.
        let _ = unsafe { munmap(self.0.cast(), self.0.len()) };
    }
}

// SAFETY: the memory and the rings are this value's alone, wherever it is moved to.
unsafe impl Send for Xsk {}

impl Xsk {
    /// Opens a socket; waits for its queue when another socket has just been closed there: the kernel takes that down in
    /// the background.
    fn open(interface: &str, receives: bool, area: &Arc<Area>) -> io::Result<Self> {
        let patience = Deadline::after(PATIENCE);
        loop {
            match Self::try_open(interface, receives, area) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && !patience.passed() => sleep(STEP),
                done => return done,
            }
        }
    }

    /// A socket that receives. Packets come when a program redirects them to it.
    pub fn receiver(interface: &str) -> io::Result<Self> {
        let mut xsk = Self::open(interface, true, &Area::new()?)?;
        xsk.refill();
        Ok(xsk)
    }

    /// A socket that sends this frame.
    pub fn sender(interface: &str, frame: &[u8]) -> io::Result<Self> {
        let xsk = Self::open(interface, false, &Area::new()?)?;
        for at in 0..FRAMES {
            let mut all = xsk.area.0;
            // SAFETY: the area is ours alone until something is sent, and each frame lies within it.
            let bytes = unsafe { all.as_mut() };
            bytes[at * FRAME as usize..][..frame.len()].copy_from_slice(frame);
        }
        Ok(xsk)
    }

    fn try_open(interface: &str, receives: bool, area: &Arc<Area>) -> io::Result<Self> {
        let raw = |errno: Errno| io::Error::from_raw_os_error(errno.get_raw());
        let area = Arc::clone(area);
        let config = UmemConfig { fill_size: RING, complete_size: RING, frame_size: FRAME, headroom: 0, flags: 0 };
        // SAFETY: the area outlives the UMEM: it is dropped after it.
        let umem = unsafe { Umem::new(config, area.0) }.map_err(raw)?;
        let mut info = IfInfo::invalid();
        info.from_name(&CString::new(interface)?).map_err(raw)?;
        let socket = Socket::with_shared(&info, &umem).map_err(raw)?;
        let device = umem.fq_cq(&socket).map_err(raw)?;
        let size = NonZeroU32::new(RING);
        let config = SocketConfig {
            rx_size: size.filter(|_| receives),
            tx_size: size.filter(|_| !receives),
            bind_flags: SocketConfig::XDP_BIND_COPY | SocketConfig::XDP_BIND_NEED_WAKEUP,
        };
        let user = umem.rx_tx(&socket, &config).map_err(raw)?;
        umem.bind(&user).map_err(raw)?;
        let rx = if receives { Some(user.map_rx().map_err(raw)?) } else { None };
        let tx = if receives { None } else { Some(user.map_tx().map_err(raw)?) };
        if let Some(tx) = &tx {
            raise_limits(tx.as_raw_fd());
        }
        let free = (0..FRAMES as u64).map(|frame| frame * u64::from(FRAME)).collect();
        Ok(Self { rx, tx, device, _umem: umem, area, free })
    }

    /// Takes up to a batch and gives the frames back at once; says how many.
    pub fn receive(&mut self) -> u32 {
        let Some(rx) = &mut self.rx else { return 0 };
        let mut ring = rx.receive(BATCH);
        let mut taken = 0;
        while let Some(descriptor) = ring.read() {
            self.free.push(descriptor.addr & !u64::from(FRAME - 1));
            taken += 1;
        }
        ring.release();
        drop(ring);
        self.refill();
        taken
    }

    /// Packets that came for this socket and found no frame, or its ring full.
    pub fn n_dropped(&self) -> io::Result<u64> {
        // struct xdp_statistics: dropped, two kinds of invalid descriptors, ring full, and two more.
        let mut counts = [0_u64; 6];
        let mut length = 48;
        let place = counts.as_mut_ptr().cast();
        // SAFETY: the kernel writes at most `length` bytes to a place of that length.
        let done = unsafe { libc::getsockopt(self.as_raw_fd(), SOL_XDP, XDP_STATISTICS, place, &raw mut length) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(counts[0] + counts[3]) }
    }

    /// Sends up to a batch; says how many.
    pub fn send(&mut self, length: u32) -> u32 {
        self.take_back();
        let frames = self.free.iter().take(BATCH as usize).map(|at| XdpDesc { addr: *at, len: length, options: 0 });
        let sent = put(&mut self.tx, frames);
        self.free.drain(..sent);
        self.kick();
        u32::try_from(sent).unwrap_or(u32::MAX)
    }

    /// Takes back the frames that were sent.
    fn take_back(&mut self) {
        let mut done = self.device.complete(RING);
        while let Some(at) = done.read() {
            self.free.push(at & !u64::from(FRAME - 1));
        }
        done.release();
    }

    /// Has the kernel send what it was not told of yet.
    fn kick(&self) {
        if let Some(tx) = self.tx.as_ref().filter(|tx| tx.needs_wakeup()) {
            let socket = tx.as_raw_fd();
            // SAFETY: no buffer and no address: the call only names the socket. What it could not send now it will
            // with the next call.
            let _ = unsafe { libc::sendto(socket, std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
        }
    }

    fn refill(&mut self) {
        let mut ring = self.device.fill(u32::try_from(self.free.len()).unwrap_or(RING).min(RING));
        while let Some(at) = self.free.pop() {
            if !ring.insert_once(at) {
                self.free.push(at);
                break;
            }
        }
        ring.commit();
    }
}

/// Puts up to a batch on a transmit ring, as many as it takes; says how many.
fn put(tx: &mut Option<RingTx>, packets: impl Iterator<Item = XdpDesc>) -> usize {
    let Some(tx) = tx else { return 0 };
    let mut ring = tx.transmit(BATCH);
    let sent = ring.insert(packets);
    ring.commit();
    sent as usize
}

/// A socket that receives and one that sends, with the same memory: frames go from one to the other as they came.
pub struct Passage {
    receiver: Xsk,
    sender: Xsk,
    /// What was received and found no room on the transmit ring, and the room for what is.
    taken: Vec<XdpDesc>,
}

impl Passage {
    /// From one interface to another.
    pub fn new(from: &str, to: &str) -> io::Result<Self> {
        let area = Area::new()?;
        let mut receiver = Xsk::open(from, true, &area)?;
        let mut sender = Xsk::open(to, false, &area)?;
        // The frames are the receiver's until they are sent.
        sender.free.clear();
        receiver.refill();
        Ok(Self { receiver, sender, taken: Vec::with_capacity(BATCH as usize) })
    }

    /// Takes up to a batch, sends it, and gives back what was sent before; says how many.
    pub fn turn(&mut self) -> u32 {
        let Self { receiver, sender, taken } = self;
        sender.take_back();
        receiver.free.append(&mut sender.free);
        if let Some(rx) = &mut receiver.rx {
            let mut ring = rx.receive(BATCH - u32::try_from(taken.len()).unwrap_or(BATCH));
            while let Some(descriptor) = ring.read() {
                taken.push(descriptor);
            }
            ring.release();
        }
        let sent = put(&mut sender.tx, taken.iter().copied());
        taken.drain(..sent);
        receiver.refill();
        sender.kick();
        u32::try_from(sent).unwrap_or(u32::MAX)
    }

    /// Packets that came and found no frame, or the ring full.
    pub fn n_dropped(&self) -> io::Result<u64> {
        self.receiver.n_dropped()
    }
}

impl AsRawFd for Passage {
    fn as_raw_fd(&self) -> RawFd {
        self.receiver.as_raw_fd()
    }
}

impl AsRawFd for Xsk {
    fn as_raw_fd(&self) -> RawFd {
        let sends = || self.tx.as_ref().map(RingTx::as_raw_fd);
        self.rx.as_ref().map(RingRx::as_raw_fd).or_else(sends).unwrap_or(-1)
    }
}

/// One call sends a whole ring, and as many packets can be under way: as MCR does it.
fn raise_limits(socket: RawFd) {
    let ring = RING.cast_signed();
    let buffer = ring * 4096;
    for (level, name, value) in
        [(SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &ring), (libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &buffer)]
    {
        // SAFETY: the kernel reads four bytes of a value that lives until the call returns. Kernels that do not know
        // an option are no worse off.
        let _ = unsafe { libc::setsockopt(socket, level, name, std::ptr::from_ref(value).cast(), 4) };
    }
}
