//! What is relayed where: the one list from which the relay's configuration, the streams and the checks are made.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bench::ledger::{Ledger, SharedLedger};
use bench::packet::{Headers, Mac};
use bench::payload::Shape;
use bench::sink::Flow;
use bench::source::Stream;

use crate::stage::{OUT0, OUT1, RECEIVER1, SOURCE};

const CHANNELS: [u8; 4] = [1, 2, 3, 4];
/// What the sources mark their packets with; kept on out1, rewritten on out0.
const DSCP_SENT: u8 = 34;
const DSCP_OUT0: u8 = 46;
const TTL_OUT0: u8 = 32;
/// The relay's default.
const TTL_OUT1: u8 = 16;

/// One stream at one output.
pub(crate) struct Account {
    /// `channel-1`
    pub(crate) relay: String,
    /// `out0 239.2.1.1:5001`
    pub(crate) output: String,
    /// Number of the stream.
    pub(crate) stream: u32,
    /// Which of the two output links.
    pub(crate) link: usize,
    destination: SocketAddr,
    pub(crate) ledger: SharedLedger,
}

fn input(channel: u8) -> SocketAddr {
    (Ipv4Addr::new(239, 1, 1, channel), 5000).into()
}

/// Where a channel goes on out0 and on out1; the last channel leaves out1 as unicast.
fn outputs(channel: u8) -> [SocketAddr; 2] {
    let out1 = if channel == 4 { (RECEIVER1, 6000).into() } else { (Ipv4Addr::new(239, 3, 1, channel), 6001).into() };
    [(Ipv4Addr::new(239, 2, 1, channel), 5001).into(), out1]
}

/// The relay's configuration file.
pub(crate) fn config() -> String {
    let mut text = "[lanes]\ncores = [1]\npoll = \"adaptive\"\n".to_owned();
    for channel in CHANNELS {
        let [out0, out1] = outputs(channel);
        let kind = if out1.ip().is_multicast() { "group" } else { "address" };
        text.push_str(&format!(
            "\n[[relay]]\nname = \"channel-{channel}\"\n\
             input = {{ interface = \"in0\", group = \"{}\", port = {} }}\n\
             outputs = [\n  \
               {{ interface = \"out0\", group = \"{}\", port = {}, ttl = {TTL_OUT0}, dscp = {DSCP_OUT0} }},\n  \
               {{ interface = \"out1\", {kind} = \"{}\", port = {} }},\n]\n",
            input(channel).ip(),
            input(channel).port(),
            out0.ip(),
            out0.port(),
            out1.ip(),
            out1.port(),
        ));
    }
    text
}

/// What the source sends: RTP with MPEG-TS packets, one stream a channel.
pub(crate) fn streams(source: Mac) -> Vec<Stream> {
    let stream = |channel: u8| {
        let headers = Headers::new((SOURCE, 40_000 + u16::from(channel)).into(), input(channel));
        Stream::broadcast(channel.into(), headers.from_mac(source).dscp(DSCP_SENT))
    };
    CHANNELS.map(stream).to_vec()
}

/// An empty account for each channel at each output.
pub(crate) fn accounts() -> Vec<Account> {
    let of_channel = |channel: u8| {
        outputs(channel).into_iter().enumerate().map(move |(link, destination)| {
            let (relay, output) = (format!("channel-{channel}"), format!("out{link} {destination}"));
            let ledger = Ledger::shared(&format!("{relay} at {output}"), channel.into());
            Account { relay, output, stream: channel.into(), link, destination, ledger }
        })
    };
    CHANNELS.into_iter().flat_map(of_channel).collect()
}

impl Account {
    /// What must be true of each of its packets; `receiver` is the MAC at the far end of its link.
    pub(crate) fn flow(&self, relay: Mac, receiver: Mac) -> Flow {
        let flow = Flow::new(self.destination, &self.ledger).shape(Shape::RtpTs).vlans(&[]).source_mac(relay);
        let flow = if self.destination.ip().is_multicast() { flow } else { flow.destination_mac(receiver) };
        match self.link {
            0 => flow.source(IpAddr::V4(OUT0)).hops(TTL_OUT0).dscp(DSCP_OUT0),
            _ => flow.source(IpAddr::V4(OUT1)).hops(TTL_OUT1).dscp(DSCP_SENT),
        }
    }
}
