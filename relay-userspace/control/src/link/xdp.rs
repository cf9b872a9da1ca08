//! What a driver says of XDP, and which programs are attached.

use rtnetlink::packet_core::NlasIterator;
use rtnetlink::packet_route::link::{LinkXdp, XdpAttached};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};
use std::io;

/// Where an attached program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the driver.
    Native,
    /// Behind the driver.
    Generic,
    /// In the hardware.
    Hardware,
}

impl Place {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Hardware => "hardware",
        }
    }
}

/// A program that is attached to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Where it runs.
    pub place: Place,
    /// The kernel's number of it.
    pub program: u32,
}

/// The programs that a link message tells of.
pub(super) fn attached(parts: &[LinkXdp]) -> Vec<Attached> {
    let only = parts.iter().find_map(|part| match part {
        LinkXdp::Attached(XdpAttached::Driver) => Some(Place::Native),
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(Place::Generic),
        LinkXdp::Attached(XdpAttached::Hardware) => Some(Place::Hardware),
        _ => None,
    });
    let mut found: Vec<Attached> = Vec::new();
    for part in parts {
        let (place, program) = match part {
            LinkXdp::DrvProgId(program) => (Some(Place::Native), *program),
            LinkXdp::SkbProgId(program) => (Some(Place::Generic), *program),
            LinkXdp::HwProgId(program) => (Some(Place::Hardware), *program),
            LinkXdp::ProgId(program) => (only, *program),
            _ => continue,
        };
        if let Some(place) = place.filter(|place| !found.iter().any(|one| one.place == *place)) {
            found.push(Attached { place, program });
        }
    }
    found
}

/// What a driver says it can do (kernel 6.3 and later). It is what is advertised, not what works: zero-copy is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Support {
    features: u64,
    metadata: u64,
    transmit: u64,
    /// Buffers that one frame may be spread over in zero-copy mode; 1 when it may not.
    pub zero_copy_segments: u32,
}

impl Support {
    /// A driver that advertises these features.
    #[cfg(test)]
    pub(super) const fn of(features: u64, zero_copy_segments: u32) -> Self {
        Self { features, metadata: 0, transmit: 0, zero_copy_segments }
    }

    /// The same, and it tells of VLAN tags.
    #[cfg(test)]
    pub(super) const fn telling_tags(self) -> Self {
        Self { metadata: self.metadata | 1 << 2, ..self }
    }

    /// Runs programs in the driver.
    #[must_use]
    pub const fn native(&self) -> bool {
        self.features & 1 != 0
    }

    /// Redirects frames to sockets and other links.
    #[must_use]
    pub const fn redirect(&self) -> bool {
        self.features & 1 << 1 != 0
    }

    /// Takes frames that are redirected to it.
    #[must_use]
    pub const fn transmit(&self) -> bool {
        self.features & 1 << 2 != 0
    }

    /// Binds AF_XDP sockets without copying.
    #[must_use]
    pub const fn zero_copy(&self) -> bool {
        self.features & 1 << 3 != 0
    }

    /// Receives frames that are spread over several buffers.
    #[must_use]
    pub const fn receive_segments(&self) -> bool {
        self.features & 1 << 5 != 0
    }

    /// Tells a program when the hardware received a frame.
    #[must_use]
    pub const fn timestamps(&self) -> bool {
        self.metadata & 1 != 0
    }

    /// Tells a program of a VLAN tag that the hardware took out of a frame.
    #[must_use]
    pub const fn vlan_tags(&self) -> bool {
        self.metadata & 1 << 2 != 0
    }

    /// What the driver does for frames that are sent, if their metadata asks for it (kernel 6.8 and later).
    #[must_use]
    pub fn transmit_metadata(&self) -> Vec<&'static str> {
        let all = [(1, "timestamp"), (2, "checksum"), (4, "launch-time")];
        all.into_iter().filter_map(|(bit, name)| (self.transmit & bit != 0).then_some(name)).collect()
    }

    /// The names of what is advertised, for people and programs.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let all = [
            ("native", self.native()),
            ("redirect", self.redirect()),
            ("transmit", self.transmit()),
            ("zero-copy", self.zero_copy()),
            ("receive-segments", self.receive_segments()),
            ("timestamps", self.timestamps()),
            ("vlan-tags", self.vlan_tags()),
        ];
        all.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
    }
}

/// The kernel's generic netlink family `netdev`, in the network namespace of the thread that opened it.
///
/// Generic netlink is answered within the call that asks, so these calls do not wait.
pub struct Netdev {
    socket: Socket,
    family: u16,
}

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_A_DEV_XDP_ZC_MAX_SEGS: u16 = 4;
const NETDEV_A_DEV_XDP_RX_METADATA_FEATURES: u16 = 5;
const NETDEV_A_DEV_XSK_FEATURES: u16 = 6;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
/// nlmsghdr and genlmsghdr.
const HEADERS: usize = 20;

impl Netdev {
    /// Opens it; `None` on a kernel before 6.3, which has no such family.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn open() -> io::Result<Option<Self>> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let answer = ask(&socket, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, b"netdev\0")?;
        let family = answer.and_then(|answer| attribute(&answer, CTRL_ATTR_FAMILY_ID));
        Ok(family.and_then(|id| u16::try_from(id).ok()).map(|family| Self { socket, family }))
    }

    /// What the driver of a link says; `None` when there is no such link.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn support(&self, ifindex: u32) -> io::Result<Option<Support>> {
        let question = ifindex.to_ne_bytes();
        let answer = ask(&self.socket, self.family, NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, &question)?;
        Ok(answer.map(|answer| Support {
            features: attribute(&answer, NETDEV_A_DEV_XDP_FEATURES).unwrap_or(0),
            metadata: attribute(&answer, NETDEV_A_DEV_XDP_RX_METADATA_FEATURES).unwrap_or(0),
            transmit: attribute(&answer, NETDEV_A_DEV_XSK_FEATURES).unwrap_or(0),
            zero_copy_segments: attribute(&answer, NETDEV_A_DEV_XDP_ZC_MAX_SEGS)
                .and_then(|segments| u32::try_from(segments).ok())
                .unwrap_or(1),
        }))
    }
}

/// One request with one attribute. Answers the attributes of the reply; `None` for what the kernel does not have.
fn ask(socket: &Socket, family: u16, command: u8, kind: u16, value: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let attribute_length = 4 + value.len();
    let length = HEADERS + attribute_length.next_multiple_of(4);
    let mut request = Vec::with_capacity(length);
    request.extend(u32::try_from(length).map_err(too_long)?.to_ne_bytes());
    request.extend(family.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 8]); // sequence and port: the socket has one question open at a time
    request.extend([command, 1, 0, 0]);
    request.extend(u16::try_from(attribute_length).map_err(too_long)?.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(value);
    request.resize(length, 0);
    socket.send(&request, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    match answer.get(4..6).map(|kind| u16::from_ne_bytes([kind[0], kind[1]])) {
        Some(NLMSG_ERROR) => {
            let code = answer.get(16..20).map_or(0, |code| i32::from_ne_bytes([code[0], code[1], code[2], code[3]]));
            match -code {
                libc::ENOENT | libc::ENODEV => Ok(None),
                code => Err(io::Error::from_raw_os_error(code)),
            }
        }
        Some(kind) if kind == family => Ok(answer.get(HEADERS..).map(<[u8]>::to_vec)),
        _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

/// An unsigned attribute of two, four or eight bytes.
fn attribute(attributes: &[u8], kind: u16) -> Option<u64> {
    let found = NlasIterator::new(attributes).filter_map(Result::ok).find(|attribute| attribute.kind() == kind)?;
    match *found.value() {
        [a, b] => Some(u64::from(u16::from_ne_bytes([a, b]))),
        [a, b, c, d] => Some(u64::from(u32::from_ne_bytes([a, b, c, d]))),
        [a, b, c, d, e, f, g, h] => Some(u64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
