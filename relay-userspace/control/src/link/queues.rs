//! How many queues links use. A question that fails changes nothing: while a driver is busy with itself, or no descriptor is
//! free, the last answer stays in force.

use super::ethtool::Channels;
use nix::errno::Errno;
use relay_common::facts::Link;
use std::collections::BTreeMap;

/// The last answers, by the links' indices.
#[derive(Clone, Debug, Default)]
pub struct Queues(BTreeMap<u32, (u32, u32)>);

impl Queues {
    /// Writes down how many queues a link uses. Before anybody looked, it has as many as the kernel reserved for it: a driver
    /// that has no answer uses them all.
    pub fn settle(&mut self, link: &mut Link, answer: Result<Option<Channels>, Errno>) {
        let in_use = match answer {
            Ok(Some(Channels { rx, tx, .. })) => Some((rx.max(1), tx.max(1))),
            Ok(None) => None,
            Err(errno) => {
                tracing::debug!(link = %link.name, "does not say how many queues it uses ({errno}): the last answer counts");
                self.0.get(&link.ifindex).copied()
            }
        };
        let Some((rx, tx)) = in_use else {
            self.0.remove(&link.ifindex);
            return;
        };
        self.0.insert(link.ifindex, (rx, tx));
        (link.n_rx_queues, link.n_tx_queues) = (rx, tx);
    }

    /// Forgets links that are gone: their indices may be others' some day.
    pub fn keep_only(&mut self, is_there: impl Fn(u32) -> bool) {
        self.0.retain(|ifindex, _| is_there(*ifindex));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a link has that uses `rx` and `tx` of 64 queues.
    fn settled(queues: &mut Queues, answer: Result<Option<(u32, u32)>, Errno>) -> (u32, u32) {
        let (name, mac, v4, v6) = Default::default();
        let reserved = 64;
        let mut link = Link {
            name,
            ifindex: 7,
            mac,
            mtu: 1500,
            up: true,
            carrier: true,
            v4,
            v6,
            n_rx_queues: reserved,
            n_tx_queues: reserved,
        };
        let channels = |(rx, tx)| Channels { rx, tx, max_rx: reserved, max_tx: reserved, combined: true };
        queues.settle(&mut link, answer.map(|answer| answer.map(channels)));
        (link.n_rx_queues, link.n_tx_queues)
    }

    #[test]
    fn a_question_that_fails_leaves_the_last_answer_in_force() {
        let mut queues = Queues::default();
        assert_eq!(settled(&mut queues, Err(Errno::EBUSY)), (64, 64), "nothing is known yet");
        assert_eq!(settled(&mut queues, Ok(Some((2, 4)))), (2, 4));
        assert_eq!(settled(&mut queues, Err(Errno::EBUSY)), (2, 4));
        assert_eq!(settled(&mut queues, Err(Errno::EMFILE)), (2, 4));
        assert_eq!(settled(&mut queues, Ok(Some((0, 1)))), (1, 1));
        queues.keep_only(|ifindex| ifindex == 7);
        assert_eq!(settled(&mut queues, Err(Errno::EBUSY)), (1, 1));
        queues.keep_only(|_| false);
        assert_eq!(settled(&mut queues, Err(Errno::EBUSY)), (64, 64), "another link has its index");
        settled(&mut queues, Ok(Some((3, 3))));
        assert_eq!(settled(&mut queues, Ok(None)), (64, 64), "its driver has no answer");
    }
}
