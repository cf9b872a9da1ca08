//! What only all relays together can get wrong: names, inputs, circles, room.

use super::error::{Errors, Fault, Place};
use super::file::FileRelay;
use relay_common::circles::circles;
use relay_common::plan::{Input, Plan, Relay};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::num::NonZeroU16;

/// Where everything in a plan was written.
#[derive(Debug, Default)]
pub(super) struct Origins {
    pub(super) interfaces: Vec<Place>,
    pub(super) max_relays: Place,
    pub(super) max_outputs: Place,
    /// Of each relay of the plan, which of `places` it came from: those of a range have the same.
    pub(super) relays: Vec<usize>,
    pub(super) places: Vec<RelayPlaces>,
}

/// Where a relay was written.
#[derive(Debug)]
pub(super) enum RelayPlaces {
    /// In a file.
    Written { name: Place, input: Place, outputs: Vec<Place> },
    /// In none: it is known by its name. Mostly nobody asks where it was.
    Named(Relay),
}

impl RelayPlaces {
    pub(super) fn of(relay: &FileRelay) -> Self {
        let input = relay.input.as_ref().map_or(&relay.place, |input| &input.place);
        Self::Written {
            name: relay.name.as_ref().map_or(&relay.place, |name| &name.place).clone(),
            input: input.clone(),
            outputs: relay.outputs.iter().map(|output| output.place.clone()).collect(),
        }
    }

    fn name(&self) -> Place {
        match self {
            Self::Written { name, .. } => name.clone(),
            Self::Named(relay) => without_line(relay, "name"),
        }
    }

    fn input(&self) -> Place {
        match self {
            Self::Written { input, .. } => input.clone(),
            Self::Named(relay) => without_line(relay, "input"),
        }
    }

    fn output(&self, i: usize) -> Place {
        match self {
            Self::Written { outputs, .. } => outputs[i].clone(),
            Self::Named(relay) => without_line(relay, &format!("outputs[{i}]")),
        }
    }
}

fn without_line(relay: &Relay, part: &str) -> Place {
    Place { line: None, key: format!("relay \"{}\" {part}", relay.name) }
}

impl Origins {
    /// For a plan that was not written in one file: key paths without lines.
    pub(super) fn none(plan: &Plan) -> Self {
        let at = |key: String| Place { line: None, key };
        Self {
            interfaces: plan.interfaces.iter().map(|i| at(format!("interface \"{}\" name", i.name))).collect(),
            max_relays: at("lanes.max_relays".to_owned()),
            max_outputs: at("lanes.max_outputs".to_owned()),
            relays: (0..plan.relays.len()).collect(),
            places: plan.relays.iter().cloned().map(RelayPlaces::Named).collect(),
        }
    }
}

/// Notes everything that is wrong with a plan whose relays are right by themselves.
pub(super) fn check(plan: &Plan, origins: &Origins, errors: &mut Errors) {
    check_interfaces(plan, origins, errors);
    check_names(plan, origins, errors);
    check_inputs(plan, origins, errors);
    check_circles(plan, origins, errors);
    check_room(plan, origins, errors);
}

fn check_interfaces(plan: &Plan, origins: &Origins, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for (interface, place) in plan.interfaces.iter().zip(&origins.interfaces) {
        if !seen.insert(&interface.name) {
            errors.add(place, Fault::new("there is another section for this interface", "keep one of them"));
        }
    }
}

fn check_names(plan: &Plan, origins: &Origins, errors: &mut Errors) {
    let mut owners = HashMap::new();
    let mut told = HashSet::new();
    for (relay, origin) in plan.relays.iter().zip(&origins.relays) {
        let owner = *owners.entry(&relay.name).or_insert(*origin);
        let is_new = origin != &owner && told.insert(*origin);
        if is_new {
            let other = on_line(&origins.places[owner].name());
            let problem = format!("there is another relay of this name{other}");
            errors.add(&origins.places[*origin].name(), Fault::new(problem, "give one of them another name"));
        }
    }
}

/// A channel is what comes from a source to a group and port: two relays may share the group and the port if both name
/// their sources, and none is in both.
fn check_inputs(plan: &Plan, origins: &Origins, errors: &mut Errors) {
    let mut owners: HashMap<_, Owners> = HashMap::new();
    let mut told = HashSet::new();
    for (i, relay) in plan.relays.iter().enumerate().filter(|(_, relay)| relay.enabled) {
        let Some((owner, source)) = owners.entry(channel(&relay.input)).or_default().add(i, &relay.input.sources)
        else {
            continue;
        };
        let origin = origins.relays[i];
        if told.insert((origins.relays[owner], origin)) {
            let place = origins.places[origin].input();
            let other = on_line(&origins.places[origins.relays[owner]].input());
            errors.add(&place, input_fault(&relay.input, source, &plan.relays[owner].name, &other));
        }
    }
}

/// What two relays cannot both take in, unless their sources differ.
pub(super) type Channel<'a> = (&'a str, [u16; 2], IpAddr, NonZeroU16);

pub(super) fn channel(input: &Input) -> Channel<'_> {
    (&input.interface, input.vlans, input.destination, input.port)
}

/// Another relay takes in what comes to this input, from that source if both name theirs.
pub(super) fn input_fault(input: &Input, source: Option<IpAddr>, owner: &str, other: &str) -> Fault {
    let Input { destination, port, .. } = input;
    let from = source.map_or_else(String::new, |source| format!(" from {source}"));
    let problem = format!("{destination} port {port}{from} is the input of relay \"{owner}\" already{other}");
    let remedy = match source {
        Some(source) => format!("name {source} in one of them, or move the outputs to relay \"{owner}\""),
        None => format!("move the outputs to relay \"{owner}\", or name different sources in both"),
    };
    Fault::new(problem, remedy)
}

/// The relays of a circle, in their order.
pub(super) fn circle_fault<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Fault {
    let names: Vec<&str> = names.clone().chain(names.take(1)).collect();
    Fault::new(format!("closes a circle: {}", names.join(" -> ")), "use another group, port or interface")
}

/// Who takes in what comes to one group and port.
#[derive(Default)]
pub(super) struct Owners {
    of_any: Option<usize>,
    first: Option<usize>,
    by_source: HashMap<IpAddr, usize>,
}

impl Owners {
    /// Adds a relay, or says which one it meets, and at which source if both name theirs.
    pub(super) fn add(&mut self, relay: usize, sources: &[IpAddr]) -> Option<(usize, Option<IpAddr>)> {
        let met = self.meets(sources);
        if met.is_none() {
            self.first.get_or_insert(relay);
            self.by_source.extend(sources.iter().map(|source| (*source, relay)));
            if sources.is_empty() {
                self.of_any = Some(relay);
            }
        }
        met
    }

    /// Which one a relay with these sources would meet, and at which source if both name theirs.
    pub(super) fn meets(&self, sources: &[IpAddr]) -> Option<(usize, Option<IpAddr>)> {
        let of_all = if sources.is_empty() { self.first } else { self.of_any };
        let of_one = || sources.iter().find_map(|source| Some((*self.by_source.get(source)?, Some(*source))));
        of_all.map(|owner| (owner, None)).or_else(of_one)
    }
}

fn check_circles(plan: &Plan, origins: &Origins, errors: &mut Errors) {
    let mut told = HashSet::new();
    for circle in circles(&plan.relays) {
        let Some(&(relay, output)) = circle.last() else { continue };
        if !told.insert((origins.relays[relay], output)) {
            continue;
        }
        let places = &origins.places[origins.relays[relay]];
        let names = circle.iter().map(|(relay, _)| plan.relays[*relay].name.as_str());
        errors.add(&places.output(output), circle_fault(names));
    }
}

fn check_room(plan: &Plan, origins: &Origins, errors: &mut Errors) {
    let n_relays = plan.relays.len();
    if n_relays > plan.lanes.max_relays as usize {
        let problem =
            format!("{n_relays} relays are configured, ranges expanded, but max_relays is {}", plan.lanes.max_relays);
        errors.add(&origins.max_relays, Fault::new(problem, format!("raise it to {n_relays} or more")));
    }
    let n_outputs: usize = plan.relays.iter().map(|relay| relay.outputs.len()).sum();
    if n_outputs > plan.lanes.max_outputs as usize {
        let problem = format!(
            "{n_outputs} outputs are configured, ranges expanded, but max_outputs is {}",
            plan.lanes.max_outputs
        );
        errors.add(&origins.max_outputs, Fault::new(problem, format!("raise it to {n_outputs} or more")));
    }
}

fn on_line(place: &Place) -> String {
    place.line.map_or_else(String::new, |line| format!(" (line {line})"))
}
