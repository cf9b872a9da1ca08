//! What the user wrote becomes what is true: the values of one relay are compared with each other, ranges are
//! expanded, defaults filled in.

use super::address::{Ids, is_link_local};
use super::cross::{Origins, RelayPlaces, check};
use super::error::{At, Errors, Fault, Place};
use super::file::{File, FileInput, FileOutput, FileRelay};
use super::range::Run;
use relay_common::entry::{MAX_OUTPUTS_PER_RELAY, Vlans};
use relay_common::plan::{Definition, Input, MAX_RELAYS, MAX_SOURCES, Output, Plan, Relay, Source};
use std::net::IpAddr;
use std::num::NonZeroU16;

/// Makes the plan. It is complete only if no error was noted.
pub(super) fn make(file: File, errors: &mut Errors) -> Plan {
    let mut plan = Plan { interfaces: Vec::new(), lanes: file.lanes, relays: Vec::new() };
    let mut origins = Origins { max_relays: file.max_relays, max_outputs: file.max_outputs, ..Origins::default() };
    for At { value, place } in file.interfaces {
        plan.interfaces.push(value);
        origins.interfaces.push(place);
    }
    let mut n_relays = 0;
    for (i, relay) in file.relays.iter().enumerate() {
        origins.places.push(RelayPlaces::of(relay));
        let Some(length) = check_relay(relay, errors) else { continue };
        n_relays += u64::from(length);
        if n_relays <= u64::from(MAX_RELAYS) {
            plan.relays.extend(expand(relay, length));
            origins.relays.resize(plan.relays.len(), i);
        }
    }
    if n_relays > u64::from(MAX_RELAYS) {
        let problem = format!("{n_relays} relays are configured, ranges expanded");
        errors.add(&origins.max_relays, Fault::new(problem, format!("no node runs more than {MAX_RELAYS}")));
    } else {
        check(&plan, &origins, errors);
    }
    plan
}

/// Makes the relays of one section. They are complete only if no error was noted.
pub(super) fn make_relay(relay: &FileRelay, errors: &mut Errors) -> Vec<Relay> {
    check_relay(relay, errors).map_or_else(Vec::new, |length| expand(relay, length).collect())
}

/// Compares the values of a relay with each other; how many relays it stands for, if nothing is wrong with it.
fn check_relay(relay: &FileRelay, errors: &mut Errors) -> Option<u32> {
    let before = errors.errors.len();
    if let Some(input) = &relay.input {
        check_input(relay, input, errors);
        let family = input.destination.as_ref().map(|input| input.value.first().is_ipv4());
        for output in &relay.outputs {
            check_output(relay, output, family, errors);
        }
    }
    check_outputs(relay, errors);
    let length = check_lengths(relay, errors);
    (relay.sound && errors.errors.len() == before).then_some(length)
}

fn check_input(relay: &FileRelay, input: &FileInput, errors: &mut Errors) {
    check_vlan(input.interface.as_ref(), input.vlan.as_ref().map(|vlan| (&vlan.place, Some(vlan.value))), errors);
    let Some(destination) = &input.destination else { return };
    check_scope(relay, destination, errors);
    if input.sources.len() > MAX_SOURCES {
        let place = Place { line: input.place.line, key: format!("{}.sources", input.place.key) };
        let problem = format!("names {} sources", input.sources.len());
        errors.add(&place, Fault::new(problem, format!("name at most {MAX_SOURCES}, or none to accept any")));
        // Comparing each with each is for few: a stranger can send a hundred thousand.
        return;
    }
    for (i, source) in input.sources.iter().enumerate() {
        if source.value.is_ipv4() != destination.value.first().is_ipv4() {
            errors.add(&source.place, other_family(source.value, destination.value.first()));
        }
        if input.sources[..i].iter().any(|before| before.value == source.value) {
            errors.add(&source.place, Fault::new(format!("names {} twice", source.value), "remove one"));
        }
    }
}

fn check_output(relay: &FileRelay, output: &FileOutput, is_ipv4: Option<bool>, errors: &mut Errors) {
    check_vlan(output.interface.as_ref(), output.vlan.as_ref().map(|vlan| (&vlan.place, vlan.value)), errors);
    let Some(destination) = &output.destination else { return };
    check_scope(relay, destination, errors);
    let first = destination.value.first();
    if is_ipv4.is_some_and(|is_ipv4| is_ipv4 != first.is_ipv4()) {
        let problem = format!("{first} is {}, but the input is not", family(first));
        errors.add(&destination.place, Fault::new(problem, "a relay does not translate: use the input's family"));
    }
    if let Some(At { value: Source::Address(source), place }) = &output.source
        && source.is_ipv4() != first.is_ipv4()
    {
        errors.add(place, other_family(*source, first));
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn other_family(source: IpAddr, destination: IpAddr) -> Fault {
    let problem = format!("{source} is {}, but {destination} is {}", family(source), family(destination));
    Fault::new(problem, format!("name an {} address", family(destination)))
}

/// A name like `ens1f0.100` and a `vlan` must not say different things.
fn check_vlan(interface: Option<&At<(String, Ids)>>, vlan: Option<(&Place, Option<Ids>)>, errors: &mut Errors) {
    let (Some(At { value: (link, ids), .. }), Some((place, vlan))) = (interface, vlan) else { return };
    if *ids != [0, 0] && vlan != Some(*ids) {
        let remedy = format!("remove vlan, or write interface = \"{link}\"");
        errors.add(place, Fault::new("contradicts the interface's name, which says a VLAN too", remedy));
    }
}

fn check_scope(relay: &FileRelay, destination: &At<Run<IpAddr>>, errors: &mut Errors) {
    let ends = [destination.value.first(), destination.value.last()];
    let link_local = ends.into_iter().find(|end| is_link_local(*end));
    if let Some(group) = link_local.filter(|_| !relay.allow_link_local) {
        let remedy = "use another group, or set allow_link_local = true on the relay";
        errors.add(&destination.place, Fault::new(format!("{group} belongs to the protocols of its link"), remedy));
    }
}

fn check_outputs(relay: &FileRelay, errors: &mut Errors) {
    let place = Place { line: relay.place.line, key: format!("{} outputs", relay.place.key) };
    if relay.outputs.len() > MAX_OUTPUTS_PER_RELAY {
        let problem = format!("has {} outputs", relay.outputs.len());
        let remedy = format!(
            "a relay can have {MAX_OUTPUTS_PER_RELAY}: send the stream in by a second group or port for the others, or relay \
             them on another node"
        );
        errors.add(&place, Fault::new(problem, remedy));
        return; // See `check_input`.
    }
    for (i, output) in relay.outputs.iter().enumerate() {
        let same = |other: &FileOutput| leads_to(other).is_some_and(|to| Some(to) == leads_to(output));
        if let Some(first) = relay.outputs[..i].iter().position(same) {
            let problem = format!("leads where outputs[{first}] does");
            errors.add(&output.place, Fault::new(problem, "remove one, or every packet is sent twice"));
        }
    }
}

type Wire<'a> = (&'a str, Option<Ids>, Run<IpAddr>, Run<NonZeroU16>);

fn leads_to(output: &FileOutput) -> Option<Wire<'_>> {
    let interface = output.interface.as_ref()?;
    Some((&interface.value.0, output_ids(output), output.destination.as_ref()?.value, output.port.as_ref()?.value))
}

/// The tags that an output sends with; `None` keeps the datagram's own.
fn output_ids(output: &FileOutput) -> Option<Ids> {
    let implied = output.interface.as_ref().map_or([0, 0], |interface| interface.value.1);
    output.vlan.as_ref().map_or(Some(implied), |vlan| vlan.value)
}

/// All ranges of a relay have one length, and the input has one if any output has. That length, or 1.
fn check_lengths(relay: &FileRelay, errors: &mut Errors) -> u32 {
    let Some(input) = &relay.input else { return 1 };
    let outputs = relay.outputs.iter().flat_map(|output| lengths(output.destination.as_ref(), output.port.as_ref()));
    let inputs: Vec<_> = lengths(input.destination.as_ref(), input.port.as_ref()).collect();
    let mut first: Option<(u32, &Place)> = None;
    for (length, place) in inputs.iter().copied().chain(outputs) {
        match first {
            None => {
                first = Some((length, place));
                if inputs.is_empty() {
                    let problem = format!("is a range of {length}, but the input is not one");
                    let remedy = "give input.group or input.port a range of the same length";
                    errors.add(place, Fault::new(problem, remedy));
                }
            }
            Some((expected, other)) if expected != length => {
                let problem = format!("is a range of {length}, but {} is one of {expected}", other.key);
                errors.add(place, Fault::new(problem, "make all ranges of a relay equally long"));
            }
            Some(_) => {}
        }
    }
    first.map_or(1, |(length, _)| length)
}

fn lengths<'a>(
    destination: Option<&'a At<Run<IpAddr>>>,
    port: Option<&'a At<Run<NonZeroU16>>>,
) -> impl Iterator<Item = (u32, &'a Place)> {
    let destination = destination.and_then(|at| Some((at.value.length?, &at.place)));
    destination.into_iter().chain(port.and_then(|at| Some((at.value.length?, &at.place))))
}

/// The relays that a sound section stands for: itself, or `NAME/0`, `NAME/1` and so on for a range.
fn expand(relay: &FileRelay, length: u32) -> impl Iterator<Item = Relay> {
    (0..length).filter_map(move |i| {
        let name = &relay.name.as_ref()?.value;
        let input = relay.input.as_ref()?;
        let is_range = lengths(input.destination.as_ref(), input.port.as_ref()).next().is_some();
        Some(Relay::from(Definition {
            name: if is_range { format!("{name}/{i}") } else { name.clone() },
            description: relay.description.clone(),
            labels: relay.labels.clone(),
            enabled: relay.enabled,
            muted: relay.muted,
            silence_after_ms: relay.silence_after_ms,
            meters: relay.meters,
            input: input_of(input, i)?,
            outputs: relay.outputs.iter().map(|output| output_of(output, i)).collect::<Option<_>>()?,
        }))
    })
}

fn input_of(input: &FileInput, i: u32) -> Option<Input> {
    let (interface, implied) = &input.interface.as_ref()?.value;
    Some(Input {
        interface: interface.clone(),
        vlans: input.vlan.as_ref().map_or(*implied, |vlan| vlan.value),
        destination: input.destination.as_ref()?.value.member(i),
        port: input.port.as_ref()?.value.member(i),
        sources: input.sources.iter().map(|source| source.value).collect(),
    })
}

fn output_of(output: &FileOutput, i: u32) -> Option<Output> {
    let vlans = output_ids(output)
        .map_or(Vlans::Keep, |ids| Vlans::Set { n: ids.iter().map(|id| u8::from(*id != 0)).sum(), ids });
    Some(Output {
        interface: output.interface.as_ref()?.value.0.clone(),
        vlans,
        destination: output.destination.as_ref()?.value.member(i),
        port: output.port.as_ref()?.value.member(i),
        ttl: output.ttl,
        dscp: output.dscp,
        source: output.source.as_ref().map_or(Source::Link, |source| source.value),
        source_port: output.source_port,
    })
}
