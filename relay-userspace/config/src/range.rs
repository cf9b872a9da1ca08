//! Many relays in one: ranges of addresses and of ports.

use super::error::Fault;
use super::value::{Kind, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

/// Members that a range can have.
pub(super) const MAX_LENGTH: u32 = 65_536;

/// A value, or several that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run<T> {
    first: T,
    /// How many; `None` for a single value, which goes with ranges of any length.
    pub(super) length: Option<u32>,
}

impl Run<IpAddr> {
    /// The first address, which is of the same family as all.
    pub(super) const fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address.
    pub(super) fn last(&self) -> IpAddr {
        self.member(self.length.unwrap_or(1) - 1)
    }

    /// The address for member `i`: the same for all if it is a single one.
    pub(super) fn member(&self, i: u32) -> IpAddr {
        let i = if self.length.is_some() { i } else { 0 };
        match self.first {
            IpAddr::V4(first) => IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() + i)),
            IpAddr::V6(first) => IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() + u128::from(i))),
        }
    }
}

impl Run<NonZeroU16> {
    /// The port for member `i`: the same for all if it is a single one.
    pub(super) fn member(&self, i: u32) -> NonZeroU16 {
        let i = self.length.map_or(0, |_| u16::try_from(i).unwrap_or(u16::MAX));
        self.first.saturating_add(i)
    }
}

/// An address or a range of addresses: `239.1.1.0-63`, `239.1.1.250-239.1.2.10`, `ff3e::10-ff`.
pub(super) fn addresses(text: &str) -> Result<Run<IpAddr>, Fault> {
    let Some((first, last)) = text.split_once('-') else {
        return Ok(Run { first: address(text)?, length: None });
    };
    let (first, last) = (address(first.trim())?, last.trim());
    let short = match first {
        IpAddr::V4(first) => last.parse::<u8>().ok().map(|last| {
            let [a, b, c, _] = first.octets();
            IpAddr::from([a, b, c, last])
        }),
        IpAddr::V6(first) => u16::from_str_radix(last, 16).ok().map(|last| {
            let [a, b, c, d, e, f, g, _] = first.segments();
            IpAddr::from([a, b, c, d, e, f, g, last])
        }),
    };
    let last = short.map_or_else(|| address(last), Ok)?;
    let steps = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => last.to_bits().checked_sub(first.to_bits()).map(u128::from),
        (IpAddr::V6(first), IpAddr::V6(last)) => last.to_bits().checked_sub(first.to_bits()),
        _ => {
            return Err(Fault::new(format!("\"{text}\" begins as one family and ends as the other"), "use one family"));
        }
    };
    length(text, steps).map(|length| Run { first, length: Some(length) })
}

/// A port or a range of ports: `5000`, `"5000-5063"`.
pub(super) fn ports(value: &Value) -> Result<Run<NonZeroU16>, Fault> {
    let remedy = "use 1 to 65535, or a range as in \"5000-5063\"";
    let port = |number: i64| {
        let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
        port.ok_or_else(|| Fault::new(format!("{number} is not a port"), remedy))
    };
    let text = match &value.kind {
        Kind::Integer(number) => return Ok(Run { first: port(*number)?, length: None }),
        Kind::Text(text) => text,
        _ => return Err(Fault::new(format!("is {}, not a port", value.kind_name()), remedy)),
    };
    let wrong = || Fault::new(format!("\"{text}\" is not a port"), remedy);
    let number = |text: &str| text.trim().parse::<i64>().map_err(|_| wrong()).and_then(port);
    let Some((first, last)) = text.split_once('-') else {
        return Ok(Run { first: number(text)?, length: None });
    };
    let (first, last) = (number(first)?, number(last)?);
    let steps = last.get().checked_sub(first.get()).map(u128::from);
    length(text, steps).map(|length| Run { first, length: Some(length) })
}

fn address(text: &str) -> Result<IpAddr, Fault> {
    let remedy = "write it as in 239.1.1.1 or ff3e::1, or as a range: 239.1.1.0-63";
    let address: IpAddr = text.parse().map_err(|_| Fault::new(format!("\"{text}\" is not an IP address"), remedy))?;
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            let plain = v6.to_canonical();
            Err(Fault::new(format!("{v6} is an IPv4 address in IPv6's clothes"), format!("write {plain}")))
        }
        _ => Ok(address),
    }
}

fn length(text: &str, steps: Option<u128>) -> Result<u32, Fault> {
    let steps = steps.ok_or_else(|| Fault::new(format!("\"{text}\" runs backwards"), "put the lower end first"))?;
    match u32::try_from(steps) {
        Ok(steps) if steps < MAX_LENGTH => Ok(steps + 1),
        _ => {
            let problem = format!("\"{text}\" has more than {MAX_LENGTH} members");
            Err(Fault::new(problem, "write several shorter ranges"))
        }
    }
}
