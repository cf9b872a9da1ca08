//! Which sockets each lane must have, and what is to be done when that changes. Nothing here has an effect.

use relay_common::abi::MAX_QUEUES;
use relay_common::facts::Facts;
use relay_common::journal::Queue;
use relay_common::plan::{Interface, Mode, Plan, ZeroCopy};
use relay_common::table::{Placement, longest_mtu};
use relay_engine::xsk::socket::SocketError;
use std::collections::BTreeMap;

/// A socket that a lane must have. Two that differ in anything are two sockets: rings and mode are fixed at the bind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The lane.
    pub lane: u32,
    /// The link.
    pub link: String,
    /// The link's index: a link that was made anew is another link.
    pub ifindex: u32,
    /// The link's queue.
    pub queue: u32,
    /// Whether it has a receive ring.
    pub receives: bool,
    /// Whether it has a transmit ring.
    pub sends: bool,
    /// Whether zero-copy is tried: 0 not, 1 tried, 2 demanded.
    pub zero_copy: u8,
}

/// What a socket is used for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Packets come in by it.
    pub is_input: bool,
    /// The output link's number in the table, when packets leave by it.
    pub output: Option<u16>,
}

/// Everything that the lanes must have: a socket for each receive queue of their own, and their own transmit queue on
/// every output link, with what it is used for.
///
/// A receive queue that could become its lane's transmit queue has a transmit ring from the start, and the other way round:
/// no stream ever stops because its link becomes an output or an input too, or is one no longer.
#[must_use]
pub fn needs(plan: &Plan, place: &Placement, facts: &Facts) -> BTreeMap<Need, Uses> {
    let n_lanes = plan.lanes.n_lanes();
    let mut needs: BTreeMap<(u32, &str, u32), Uses> = BTreeMap::new();
    for lane in 0..n_lanes {
        for (link, queue) in place.rx_queues(lane, n_lanes) {
            needs.entry((lane, link, queue)).or_default().is_input = true;
        }
        for (link, output) in place.outputs() {
            let queue = place.tx_queue(link, lane, n_lanes);
            if facts.link(link).is_some_and(|link| queue < link.n_tx_queues) {
                needs.entry((lane, link, queue)).or_default().output = Some(output);
            }
        }
    }
    let full = |((lane, link, queue), uses): ((u32, &str, u32), Uses)| {
        let known = facts.link(link)?;
        let interface = interface(plan, link);
        let receives = queue < known.n_rx_queues.min(MAX_QUEUES) && interface.queues.serves(queue);
        let sends = queue == place.tx_queue(link, lane, n_lanes) && queue < known.n_tx_queues;
        // What does not fit would come in pieces, or not at all; where the kernel copies it counts it.
        let is_long = known.mtu > longest_mtu(plan.lanes.frame_size) || facts.cut_above.contains_key(link);
        let zero_copy = match wanted_zero_copy(&interface) {
            1 if uses.is_input && is_long || facts.no_zero_copy.contains_key(link) => 0,
            wanted => wanted,
        };
        let need = Need { lane, link: link.to_owned(), ifindex: known.ifindex, queue, receives, sends, zero_copy };
        Some((need, uses))
    };
    needs.into_iter().filter_map(full).collect()
}

/// Input links on which zero-copy is demanded although their NIC would cut what it receives.
#[must_use]
pub fn would_be_cut(plan: &Plan, place: &Placement, facts: &Facts) -> BTreeMap<String, SocketError> {
    let frame_size = plan.lanes.frame_size;
    let cut = |(link, _): (&str, _)| {
        let longest = *facts.cut_above.get(link)?;
        let is_demanded = wanted_zero_copy(&interface(plan, link)) == 2;
        let mtu = facts.link(link).filter(|_| is_demanded)?.mtu;
        Some((link.to_owned(), SocketError::Cuts { link: link.to_owned(), mtu, longest, frame_size }))
    };
    place.inputs().filter_map(cut).collect()
}

/// How the plan wants a link to be used.
#[must_use]
pub fn interface(plan: &Plan, link: &str) -> Interface {
    plan.interfaces.iter().find(|i| i.name == link).cloned().unwrap_or_else(|| Interface::default_for(link))
}

/// Behind the driver there is nothing to share with it.
const fn wanted_zero_copy(interface: &Interface) -> u8 {
    match (interface.mode, interface.zero_copy) {
        (Mode::Generic, _) | (_, ZeroCopy::Never) => 0,
        (_, ZeroCopy::Auto) => 1,
        (_, ZeroCopy::Always) => 2,
    }
}

impl Need {
    /// The queue, for whoever asks the kernel about it.
    #[must_use]
    pub const fn queue(&self) -> Queue {
        Queue { ifindex: self.ifindex, number: self.queue }
    }

    /// Whether zero-copy is tried.
    #[must_use]
    pub const fn zero_copy(&self) -> ZeroCopy {
        match self.zero_copy {
            0 => ZeroCopy::Never,
            1 => ZeroCopy::Auto,
            _ => ZeroCopy::Always,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Need, Uses, needs};
    use relay_common::facts::{Facts, Link};
    use relay_common::table::Placement;
    use relay_config::parse;

    fn link(name: &str, ifindex: u32, queues: u32) -> Link {
        Link {
            name: name.to_owned(),
            ifindex,
            mac: [2; 6],
            mtu: 1500,
            up: true,
            carrier: true,
            v4: vec![],
            v6: vec![],
            n_rx_queues: queues,
            n_tx_queues: queues,
        }
    }

    /// Lane, link, queue, whether it is an input, whether it can be an output, and which output it is.
    fn looked_at(
        relays: &[(&str, &str)],
        cores: &str,
        facts: &Facts,
    ) -> Vec<(u32, String, u32, bool, bool, Option<u16>)> {
        let one = |(i, (from, to)): (usize, &(&str, &str))| {
            format!(
                "[[relay]]\nname = \"r{i}\"\ninput = {{ interface = \"{from}\", group = \"239.1.1.{i}\", port = 5 }}\n\
                 outputs = [{{ interface = \"{to}\", group = \"239.2.1.{i}\", port = 5 }}]\n"
            )
        };
        let text: String = relays.iter().enumerate().map(one).collect();
        let plan = parse("test", &format!("[lanes]\ncores = {cores}\n{text}")).unwrap().plan;
        let place = Placement::new(&plan, facts, None);
        let flat = |(need, uses): (Need, Uses)| {
            assert!(need.receives, "it can become an input");
            (need.lane, need.link, need.queue, uses.is_input, need.sends, uses.output)
        };
        needs(&plan, &place, facts).into_iter().map(flat).collect()
    }

    #[test]
    fn a_lane_has_its_receive_queues_and_a_transmit_queue_on_each_output_link() {
        let facts = Facts { links: vec![link("in0", 1, 2), link("out0", 2, 2)], ..Facts::default() };
        let found = looked_at(&[("in0", "out0")], "[0, 1]", &facts);
        let (input, output) = ("in0".to_owned(), "out0".to_owned());
        assert_eq!(
            found,
            [
                (0, input.clone(), 0, true, true, None),
                (0, output.clone(), 0, false, true, Some(0)),
                (1, input, 1, true, true, None),
                (1, output, 1, false, true, Some(0)),
            ]
        );
    }

    #[test]
    fn an_input_that_becomes_an_output_keeps_its_sockets_and_so_does_an_output_that_becomes_an_input() {
        let facts = Facts { links: vec![link("a", 1, 2), link("b", 2, 2)], ..Facts::default() };
        let one = |from: &str, to: &str| {
            format!(
                "[[relay]]\nname = \"{from}\"\ninput = {{ interface = \"{from}\", group = \"239.1.1.1\", port = 5 }}\n\
                 outputs = [{{ interface = \"{to}\", group = \"239.2.1.1\", port = 5 }}]\n"
            )
        };
        let sockets = |text: &str| {
            let plan = parse("test", text).unwrap().plan;
            needs(&plan, &Placement::new(&plan, &facts, None), &facts).into_keys().collect::<Vec<_>>()
        };
        let (before, after) = (sockets(&one("a", "b")), sockets(&(one("a", "b") + &one("b", "a"))));
        assert_eq!(before.len(), 3, "two queues to receive, one to send");
        assert!(before.iter().all(|need| after.contains(need)), "{before:?}\n{after:?}");
        // A queue that is not to be served gets no receive ring.
        let none = format!("[[interface]]\nname = \"b\"\nqueues = [1]\n{}", one("a", "b"));
        assert!(sockets(&none).iter().any(|need| need.link == "b" && !need.receives));
    }

    /// Also with one queue and several lanes, where the second input begins at the second lane.
    #[test]
    fn with_several_lanes_too() {
        let links = vec![link("a", 1, 1), link("b", 2, 1), link("c", 3, 2)];
        let facts = Facts { links, ..Facts::default() };
        let plan = |relays: &[(&str, &str)]| {
            let one = |(i, (from, to)): (usize, &(&str, &str))| {
                format!(
                    "[[relay]]\nname = \"r{i}\"\n\
                     input = {{ interface = \"{from}\", group = \"239.1.1.{i}\", port = 5 }}\n\
                     outputs = [{{ interface = \"{to}\", group = \"239.2.1.{i}\", port = 5 }}]\n"
                )
            };
            let text: String = relays.iter().enumerate().map(one).collect();
            parse("test", &format!("[lanes]\ncores = [0, 1]\n{text}")).unwrap().plan
        };
        let (before, after) = (plan(&[("a", "c"), ("b", "c")]), plan(&[("a", "c"), ("b", "c"), ("a", "b")]));
        let place = Placement::new(&before, &facts, None);
        let sockets = needs(&before, &place, &facts);
        assert!(sockets.keys().any(|need| (need.lane, need.link.as_str(), need.queue) == (1, "b", 0) && need.sends));
        let next = Placement::new(&after, &facts, Some(&place));
        let sockets_after = needs(&after, &next, &facts);
        assert!(sockets.keys().eq(sockets_after.keys()), "{sockets:?}\n{sockets_after:?}");
        let back = needs(&before, &Placement::new(&before, &facts, Some(&next)), &facts);
        assert_eq!(back, sockets);
    }

    #[test]
    fn what_comes_in_on_a_link_with_long_packets_is_copied() {
        let mut facts = Facts { links: vec![link("in0", 1, 1), link("out0", 2, 1)], ..Facts::default() };
        let zero_copy = |facts: &Facts, interface: &str| {
            let text = format!(
                "{interface}[[relay]]\nname = \"r\"\ninput = {{ interface = \"in0\", group = \"239.1.1.1\", port = 5 }}\n\
                 outputs = [{{ interface = \"out0\", group = \"239.2.1.1\", port = 5 }}]\n"
            );
            let plan = parse("test", &text).unwrap().plan;
            let place = Placement::new(&plan, facts, None);
            needs(&plan, &place, facts).into_keys().map(|need| (need.link, need.zero_copy)).collect::<Vec<_>>()
        };
        let (input, output) = ("in0".to_owned(), "out0".to_owned());
        assert_eq!(zero_copy(&facts, ""), [(input.clone(), 1), (output.clone(), 1)]);
        facts.links.iter_mut().for_each(|link| link.mtu = 9000);
        assert_eq!(zero_copy(&facts, ""), [(input.clone(), 0), (output.clone(), 1)]);
        let always = "[[interface]]\nname = \"in0\"\nzero_copy = \"always\"\n";
        assert_eq!(zero_copy(&facts, always), [(input, 2), (output, 1)], "its input is pending");
    }

    #[test]
    fn a_link_that_is_not_there_needs_nothing() {
        let facts = Facts { links: vec![link("a", 1, 1)], ..Facts::default() };
        assert_eq!(looked_at(&[("a", "gone")], "[]", &facts).len(), 1);
    }

    #[test]
    fn zero_copy_is_left_alone_where_the_kernel_has_a_fault_unless_it_is_demanded() {
        let relay = "[[relay]]\nname = \"r\"\ninput = { interface = \"in0\", group = \"239.1.1.1\", port = 5 }\n\
                     outputs = [{ interface = \"out0\", group = \"239.2.1.1\", port = 5 }]\n";
        let no_zero_copy = ["in0", "out0"].map(|link| (link.to_owned(), "a fault".to_owned())).into();
        let links = vec![link("in0", 1, 1), link("out0", 2, 1)];
        let modes = |demanded: &str, facts: &Facts| {
            let plan = parse("test", &format!("{demanded}{relay}")).unwrap().plan;
            let place = Placement::new(&plan, facts, None);
            needs(&plan, &place, facts).into_keys().map(|need| (need.link, need.zero_copy)).collect::<Vec<_>>()
        };
        let (input, output) = ("in0".to_owned(), "out0".to_owned());
        let sound = Facts { links: links.clone(), ..Facts::default() };
        assert_eq!(modes("", &sound), [(input.clone(), 1), (output.clone(), 1)]);
        let faulty = Facts { links, no_zero_copy, ..Facts::default() };
        assert_eq!(modes("", &faulty), [(input.clone(), 0), (output.clone(), 0)]);
        let always = "[[interface]]\nname = \"out0\"\nzero_copy = \"always\"\n";
        assert_eq!(modes(always, &faulty), [(input, 0), (output, 2)]);
    }
}
