//! pcapng (draft-ietf-opsawg-pcapng), as far as a capture needs it: one section, a block for each link, and packets
//! with nanoseconds, their direction and a comment.

use std::io::{self, Write};

/// Kinds of blocks.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// What a reader tells the order of bytes by.
const ORDER: u32 = 0x1a2b_3c4d;
/// Packets begin with an Ethernet header.
const ETHERNET: u16 = 1;
/// Options: of every block, of a section, of an interface, of a packet.
const COMMENT: u16 = 1;
const APPLICATION: u16 = 4;
const NAME: u16 = 2;
const RESOLUTION: u16 = 9;
const FLAGS: u16 = 2;
/// Times count in 10^-9 s.
const NANOSECONDS: u8 = 9;
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// The same moment on two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Nanoseconds of the monotonic clock, which packets have.
    pub monotonic_ns: u64,
    /// Nanoseconds since 1970, which files have.
    pub real_ns: u64,
}

impl Clocks {
    /// A time of the monotonic clock in nanoseconds since 1970. A clock that is set meanwhile changes nothing.
    const fn real(&self, monotonic_ns: u64) -> u64 {
        self.real_ns.wrapping_add(monotonic_ns.wrapping_sub(self.monotonic_ns))
    }
}

/// A packet to be written.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The link's name.
    pub link: &'a str,
    /// Whether it goes out, or else came in.
    pub is_out: bool,
    /// When, in nanoseconds of the monotonic clock.
    pub time_ns: u64,
    /// How long it was.
    pub original: u32,
    /// Its first bytes.
    pub bytes: &'a [u8],
    /// What there is to say of it.
    pub comment: &'a str,
}

/// A file under way.
#[derive(Debug)]
pub struct PcapNg<W> {
    out: W,
    clocks: Clocks,
    /// The longest that is kept of a packet; 0 for all.
    snap: u32,
    /// The links so far, by their numbers in the file.
    links: Vec<String>,
    len: u64,
}

impl<W: Write> PcapNg<W> {
    /// Hands on what was written so far.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes what a file begins with.
    pub fn begin(out: W, clocks: Clocks, snap: u32) -> io::Result<Self> {
        let mut file = Self { out, clocks, snap, links: Vec::new(), len: 0 };
        let mut body = Vec::new();
        body.extend(ORDER.to_le_bytes());
        body.extend([1, 0, 0, 0]); // version 1.0
        body.extend(u64::MAX.to_le_bytes()); // the section's length is not known yet
        option(&mut body, APPLICATION, concat!("mcr ", env!("CARGO_PKG_VERSION")).as_bytes());
        file.block(SECTION, &ended(body))?;
        Ok(file)
    }

    /// Writes a packet, and its link when that is new.
    pub fn write(&mut self, packet: &Packet<'_>) -> io::Result<()> {
        let link = match self.number(packet.link) {
            Some(number) => number,
            None => {
                self.block(INTERFACE, &self.interface(packet.link))?;
                self.links.push(packet.link.to_owned());
                self.links.len() - 1
            }
        };
        let link = u32::try_from(link).map_err(io::Error::other)?;
        self.block(PACKET, &self.body(packet, link))
    }

    /// How much longer the file gets with a packet.
    #[must_use]
    pub fn len_of(&self, packet: &Packet<'_>) -> u64 {
        let link = if self.number(packet.link).is_some() { 0 } else { block_len(&self.interface(packet.link)) };
        link + block_len(&self.body(packet, 0))
    }

    /// Bytes written so far.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no file is empty")]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Writes out what was held back, and gives the file back.
    pub fn end(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn number(&self, link: &str) -> Option<usize> {
        self.links.iter().position(|known| known == link)
    }

    fn interface(&self, link: &str) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(ETHERNET.to_le_bytes());
        body.extend([0; 2]);
        body.extend(self.snap.to_le_bytes());
        option(&mut body, NAME, link.as_bytes());
        option(&mut body, RESOLUTION, &[NANOSECONDS]);
        ended(body)
    }

    fn body(&self, packet: &Packet<'_>, link: u32) -> Vec<u8> {
        let time = self.clocks.real(packet.time_ns);
        let [a, b, c, d, e, f, g, h] = time.to_le_bytes();
        let mut body = Vec::with_capacity(packet.bytes.len() + packet.comment.len() + 64);
        body.extend(link.to_le_bytes());
        body.extend([e, f, g, h, a, b, c, d]); // the upper half first
        body.extend(u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        body.extend(packet.original.to_le_bytes());
        body.extend(packet.bytes);
        pad(&mut body);
        let direction = if packet.is_out { OUTBOUND } else { INBOUND };
        option(&mut body, FLAGS, &direction.to_le_bytes());
        option(&mut body, COMMENT, packet.comment.as_bytes());
        ended(body)
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let len = block_len(body);
        let length = u32::try_from(len).map_err(io::Error::other)?.to_le_bytes();
        self.out.write_all(&[&kind.to_le_bytes(), &length, body, &length].concat())?;
        self.len += len;
        Ok(())
    }
}

/// A block is its body with kind and length before it, and the length again behind it.
const fn block_len(body: &[u8]) -> u64 {
    body.len() as u64 + 12
}

/// Everything begins at a multiple of four.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

fn option(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // An option has 16 bits for its length; nothing of ours comes near.
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    body.extend(kind.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(&value[..length.into()]);
    pad(body);
}

/// The body with its last option, which says that there are no more.
fn ended(mut body: Vec<u8>) -> Vec<u8> {
    body.extend([0; 4]);
    body
}
