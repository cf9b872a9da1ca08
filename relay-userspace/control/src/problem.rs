//! What the kernel was found not to hold as it should: for programs by its type, for people by its text.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The XDP program on a link.
    Program {
        /// The link.
        link: String,
        /// What is wrong with it.
        fault: ProgramFault,
    },
    /// The program's maps.
    Maps(MapFault),
    /// The socket of a queue.
    Socket {
        /// The link.
        link: String,
        /// The queue.
        queue: u32,
        /// What is wrong with it.
        fault: SocketFault,
    },
    /// Groups may not be reported when a carrier returns, and why.
    Reports(String),
}

/// What is wrong with the program on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramFault {
    /// It was taken off.
    Detached,
    /// Another one is in its place.
    Replaced {
        /// The kernel's number of the other one.
        program: u32,
    },
    /// The kernel does not say.
    Unknown(String),
    /// It could not be attached, and why.
    NotAttached(String),
}

/// What is wrong with the program's maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapFault {
    /// They cannot be read.
    Unreadable(String),
    /// Entries were missing or wrong.
    Missing {
        /// The map.
        map: &'static str,
        /// How many.
        n: usize,
    },
    /// Entries were there that nobody wanted.
    Foreign {
        /// The map.
        map: &'static str,
        /// How many.
        n: usize,
    },
}

/// What is wrong with the socket of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketFault {
    /// There is none, and why.
    Missing(String),
    /// The program did not know it, and what became of putting it back.
    NotInMap(Result<(), String>),
}

impl Problem {
    /// The name of the health check that it fails.
    #[must_use]
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Program { .. } => "program",
            Self::Maps(_) => "maps",
            Self::Socket { .. } => "sockets",
            Self::Reports(_) => "reports",
        }
    }

    /// The link that it is about, if it is about one.
    #[must_use]
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::Program { link, .. } | Self::Socket { link, .. } => Some(link),
            Self::Maps(_) | Self::Reports(_) => None,
        }
    }

    /// What is wrong with the program on this link, if this is about it.
    #[must_use]
    pub fn of_program(&self, of: &str) -> Option<&ProgramFault> {
        match self {
            Self::Program { link, fault } if link == of => Some(fault),
            _ => None,
        }
    }

    /// Whether this is about the socket of that queue.
    #[must_use]
    pub fn is_of_queue(&self, of: &str, number: u32) -> bool {
        matches!(self, Self::Socket { link, queue, .. } if link == of && *queue == number)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program { link, fault } => match fault {
                ProgramFault::Detached => {
                    write!(f, "the XDP program was detached from {link} behind mcr's back: it is attached again")
                }
                ProgramFault::Replaced { program } => {
                    write!(f, "XDP program {program} is on {link} in the place of mcr's, which is put back: ")?;
                    write!(f, "`bpftool prog show id {program}` names what put it there")
                }
                ProgramFault::Unknown(error) => write!(f, "the XDP program on {link} cannot be asked for: {error}"),
                ProgramFault::NotAttached(why) => write!(f, "{link} has no XDP program: {why}"),
            },
            Self::Maps(fault) => match fault {
                MapFault::Unreadable(error) => write!(f, "the program's maps cannot be read: {error}"),
                MapFault::Missing { map, n } => {
                    write!(f, "{n} entries of the map {map} were missing or wrong: put back")
                }
                MapFault::Foreign { map, n } => write!(f, "{n} entries of the map {map} were not mcr's: taken out"),
            },
            Self::Socket { link, queue, fault } => match fault {
                SocketFault::Missing(why) => write!(f, "{link} queue {queue} has no socket: {why}"),
                SocketFault::NotInMap(mended) => {
                    let mended = mended.as_ref().map_or_else(String::as_str, |()| "put back");
                    write!(f, "the entry of {link} queue {queue} in the program's socket map was missing: {mended}")
                }
            },
            Self::Reports(why) => write!(f, "groups may not be reported when a carrier returns: {why}"),
        }
    }
}
