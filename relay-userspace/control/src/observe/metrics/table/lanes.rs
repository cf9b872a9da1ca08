//! Families of lanes and their sockets.

use super::super::exposition::Value;
use super::super::family::{Family, Read, Type};
use super::{counter, gauge};
use relay_common::counters::{BATCH_BUCKETS, LATENCY_BUCKETS, LaneCounter};

const LANE: &[&str] = &["lane"];
const SOCKET: &[&str] = &["lane", "link", "queue"];

const fn lane(name: &'static str, help: &'static str, of: LaneCounter) -> Family {
    Family::new(Type::Counter, name, LANE, help, Read::Lane(of))
}

pub(super) const FAMILIES: &[Family] = &[
    // Of each lane.
    gauge(
        "mcr_lane_up",
        LANE,
        "1 while a lane's process lives.",
        Read::LaneOther(|_, row| Some(row.of.pid.is_some().into())),
    ),
    gauge(
        "mcr_lane_heartbeat_age_seconds",
        LANE,
        "Time since a lane last came round.",
        Read::LaneOther(|scrape, row| {
            Some(Value::seconds(scrape.now.saturating_sub(row.of.counters.get(LaneCounter::Heartbeat))))
        }),
    ),
    gauge(
        "mcr_lane_generation",
        LANE,
        "The generation of the table that a lane runs.",
        Read::Lane(LaneCounter::Generation),
    ),
    counter(
        "mcr_lane_restarts",
        LANE,
        "How often a lane was started again.",
        Read::LaneOther(|_, row| Some(Value::Count(row.of.restarts))),
    ),
    lane("mcr_lane_received_packets", "Packets that a lane took from its receive rings.", LaneCounter::Received),
    lane("mcr_lane_transmitted_packets", "Packets that a lane put on its transmit rings.", LaneCounter::Transmitted),
    lane("mcr_lane_completed_packets", "Packets whose frames the kernel gave back.", LaneCounter::Completed),
    lane(
        "mcr_lane_copied_frames",
        "Frames that were copied, because outputs of one relay want different bytes.",
        LaneCounter::Copied,
    ),
    lane("mcr_lane_batches", "Batches that a lane committed.", LaneCounter::Batches),
    lane("mcr_lane_redone_commits", "Commits of a dead lane that its successor finished.", LaneCounter::Redone),
    lane("mcr_lane_foreign_descriptors", "Descriptors from the kernel that make no sense.", LaneCounter::Foreign),
    lane("mcr_lane_sleeps", "How often a lane slept.", LaneCounter::Sleeps),
    lane(
        "mcr_lane_stamp_hits",
        "Packets whose stamp named their relay, so that nothing was looked up.",
        LaneCounter::StampHits,
    ),
    lane("mcr_lane_starts", "How often a lane has begun with its counters.", LaneCounter::Starts),
    gauge(
        "mcr_lane_age_seconds",
        LANE,
        "Time since a lane made its first round.",
        Read::LaneOther(|scrape, row| {
            let started = row.of.counters.get(LaneCounter::Started);
            (started > 0).then(|| Value::seconds(scrape.now.saturating_sub(started)))
        }),
    ),
    counter(
        "mcr_lane_busy_seconds",
        LANE,
        "Time that a lane spent in rounds that found something to do.",
        Read::LaneSeconds(LaneCounter::BusyNs),
    ),
    lane(
        "mcr_lane_dropped_with_socket_packets",
        "Packets that were not sent because the socket they lay on was dropped: its link went.",
        LaneCounter::DroppedWithSocket,
    ),
    lane(
        "mcr_lane_not_shown_packets",
        "Packets that were wanted for a capture and not shown, because its memory was full.",
        LaneCounter::NotShown,
    ),
    lane("mcr_lane_kicks", "Transmit calls of a lane.", LaneCounter::Kicks),
    lane(
        "mcr_lane_receive_calls",
        "Calls of a lane that asked the kernel to go on receiving, or to poll a link.",
        LaneCounter::ReceiveCalls,
    ),
    counter(
        "mcr_lane_kick_errors",
        &["lane", "errno"],
        "Transmit calls that failed. EAGAIN is normal in copy mode; each EBUSY is a packet that the device lost.",
        Read::LaneOneOf(&[
            ("EAGAIN", LaneCounter::KickAgain),
            ("EBUSY", LaneCounter::KickBusy),
            ("ENOBUFS", LaneCounter::KickNoBuffers),
            ("ENETDOWN", LaneCounter::KickLinkDown),
            ("other", LaneCounter::KickOther),
        ]),
    ),
    counter(
        "mcr_lane_drops",
        &["lane", "reason"],
        "Packets of no relay that a lane dropped, by reason.",
        Read::LaneDrops,
    ),
    gauge(
        "mcr_lane_frames",
        &["lane", "owner"],
        "Frames of a lane by who has them: free in its pool, with the kernel to fill or to transmit, or lost.",
        Read::LaneBy(|row, tell| {
            if let Some(census) = row.census {
                let owners = [
                    ("free", census.free),
                    ("fill", census.fill),
                    ("transmit", census.transmit),
                    ("lost", census.lost),
                ];
                owners.iter().for_each(|(owner, n)| tell(owner, Value::Count(*n)));
            }
        }),
    ),
    gauge(
        "mcr_lane_pool_frames",
        LANE,
        "Free frames in a lane's pool, as it said when it last slept.",
        Read::Lane(LaneCounter::Free),
    ),
    gauge(
        "mcr_lane_lost_frames",
        LANE,
        "Frames that a lane found to be nobody's when it started, and never uses again.",
        Read::Lane(LaneCounter::LostFrames),
    ),
    Family::new(
        Type::Histogram,
        "mcr_lane_latency_seconds",
        LANE,
        "Time from the XDP program's stamp to the transmit ring. There is no sum: lanes count into buckets only.",
        Read::LaneHistogram {
            n: LATENCY_BUCKETS,
            first: 9, // Nothing crosses a lane in half a microsecond.
            read: |lane, bucket| lane.get_latency(bucket),
            per_unit: 1e9,
        },
    ),
    Family::new(
        Type::Histogram,
        "mcr_lane_batch_packets",
        LANE,
        "Packets of a batch.",
        Read::LaneHistogram {
            n: BATCH_BUCKETS,
            first: 0,
            read: |lane, bucket| lane.get_batches(bucket),
            per_unit: 1.0,
        },
    ),
    Family::new(
        Type::Histogram,
        "mcr_lane_round_seconds",
        LANE,
        "Time of a lane's rounds that found something to do.",
        Read::LaneHistogram {
            n: LATENCY_BUCKETS,
            first: 9,
            read: |lane, bucket| lane.get_rounds(bucket),
            per_unit: 1e9,
        },
    ),
    // Of each socket.
    gauge(
        "mcr_socket_zero_copy",
        SOCKET,
        "1 for a socket in zero-copy mode, 0 in copy mode.",
        Read::Socket(|row| row.zero_copy.into()),
    ),
    counter(
        "mcr_socket_rx_dropped_packets",
        SOCKET,
        "Packets that did not fit a frame or found none.",
        Read::Socket(|row| Value::Count(row.statistics.rx_dropped)),
    ),
    counter(
        "mcr_socket_rx_ring_full_packets",
        SOCKET,
        "Packets that found the receive ring full: the lane is too slow.",
        Read::Socket(|row| Value::Count(row.statistics.rx_ring_full)),
    ),
    counter(
        "mcr_socket_fill_ring_empty",
        SOCKET,
        "Times that the kernel found no frame on the fill ring.",
        Read::Socket(|row| Value::Count(row.statistics.fill_ring_empty)),
    ),
    counter(
        "mcr_socket_rx_invalid_descriptors",
        SOCKET,
        "Descriptors on the fill ring that the kernel refused.",
        Read::Socket(|row| Value::Count(row.statistics.rx_invalid)),
    ),
    counter(
        "mcr_socket_tx_invalid_descriptors",
        SOCKET,
        "Descriptors on the transmit ring that the kernel refused.",
        Read::Socket(|row| Value::Count(row.statistics.tx_invalid)),
    ),
    counter(
        "mcr_socket_tx_ring_empty",
        SOCKET,
        "Times that the kernel found nothing to send: normal.",
        Read::Socket(|row| Value::Count(row.statistics.tx_ring_empty)),
    ),
    gauge(
        "mcr_socket_ring_entries",
        &["lane", "link", "queue", "ring"],
        "Entries on the rings of a socket.",
        Read::SocketBy(|row, tell| {
            let levels = row.levels;
            let rings = [
                ("fill", Some(levels.fill)),
                ("rx", levels.rx),
                ("tx", levels.tx),
                ("completion", Some(levels.completion)),
            ];
            rings.iter().for_each(|(ring, n)| n.iter().for_each(|n| tell(ring, Value::Count((*n).into()))));
        }),
    ),
    gauge(
        "mcr_ring_size_entries",
        &[],
        "Room for entries on every ring.",
        Read::Node(|scrape| Value::Count(scrape.view.plan.lanes.ring_size.into())),
    ),
];
