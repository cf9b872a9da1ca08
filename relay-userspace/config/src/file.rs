//! What the user wrote: every value right by itself, nothing compared yet.

use super::address::{Ids, groups, host, hosts, input_vlan, interface, link, output_vlan};
use super::duration::silence_after;
use super::error::{At, Errors, Fault, Place};
use super::health::{HEALTH, read_health};
use super::http::{HTTP, STATE, read_http, read_state};
use super::labels::{description, labels};
use super::lane_user::{Look, user};
use super::number::{describe, power_of_two, within, within_or};
use super::range::{Run, ports};
use super::section::{Section, boolean, choice, text};
use super::settings::Settings;
use super::token::TOKEN;
use super::value::{Kind, Value};
use super::watch::{CONFIG, read_config};
use relay_common::abi::MAX_QUEUES;
use relay_common::label::Labels;
use relay_common::plan::{
    Interface, Lanes, MAX_NAME, MAX_OUTPUTS, MAX_RELAYS, Meters, Mode, Poll, Queues, SILENCE_AFTER_MS, Source, ZeroCopy,
};
use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU16};

/// Every section and its keys. `config/relay.toml` shows each of them.
pub const SCHEMA: &[(&str, &[&str])] = &[
    ("", ROOT),
    ("config", CONFIG),
    ("health", HEALTH),
    ("http", HTTP),
    ("http.tokens", TOKEN),
    ("interface", INTERFACE),
    ("lanes", LANES),
    ("relay", RELAY),
    ("relay.input", INPUT),
    ("relay.outputs", OUTPUT),
    ("state", STATE),
];
const ROOT: &[&str] = &["config", "health", "http", "interface", "lanes", "relay", "state"];
const INTERFACE: &[&str] = &["name", "mode", "zero_copy", "queues"];
const LANES: &[&str] = &[
    "cores",
    "poll",
    "spin_us",
    "busy_poll_us",
    "frame_size",
    "ring_size",
    "frames",
    "spare_sockets",
    "max_relays",
    "max_outputs",
    "user",
];
const RELAY: &[&str] = &[
    "name",
    "description",
    "labels",
    "enabled",
    "muted",
    "silence_after",
    "meters",
    "allow_link_local",
    "input",
    "outputs",
];
const INPUT: &[&str] = &["interface", "group", "address", "port", "sources", "vlan"];
const OUTPUT: &[&str] = &["interface", "group", "address", "port", "ttl", "dscp", "source", "source_port", "vlan"];

/// Hops that a packet may go when the output does not say: enough for a plant, too few for the world.
const DEFAULT_TTL: Option<NonZeroU8> = NonZeroU8::new(16);
/// Lanes of one node: each needs a transmit queue of its own on every output link.
const MAX_LANES: usize = MAX_QUEUES as usize;
/// Cores that the kernel's affinity masks have (`CPU_SETSIZE`).
const MAX_CORES: u32 = 1024;

/// A whole file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) interfaces: Vec<At<Interface>>,
    pub(super) lanes: Lanes,
    pub(super) max_relays: Place,
    pub(super) max_outputs: Place,
    pub(super) relays: Vec<FileRelay>,
    pub(super) settings: Settings,
}

/// A relay. What is missing or wrong is `None`, and noted.
#[derive(Debug)]
pub(super) struct FileRelay {
    pub(super) place: Place,
    pub(super) name: Option<At<String>>,
    pub(super) description: String,
    pub(super) labels: Labels,
    pub(super) enabled: bool,
    pub(super) muted: bool,
    pub(super) silence_after_ms: Option<u32>,
    pub(super) meters: Meters,
    pub(super) allow_link_local: bool,
    pub(super) input: Option<FileInput>,
    pub(super) outputs: Vec<FileOutput>,
    /// Whether nothing of it was missing or wrong.
    pub(super) sound: bool,
}

/// The input of a relay.
#[derive(Debug)]
pub(super) struct FileInput {
    pub(super) place: Place,
    pub(super) interface: Option<At<(String, Ids)>>,
    pub(super) destination: Option<At<Run<IpAddr>>>,
    pub(super) port: Option<At<Run<NonZeroU16>>>,
    pub(super) sources: Vec<At<IpAddr>>,
    pub(super) vlan: Option<At<Ids>>,
}

/// An output of a relay.
#[derive(Debug)]
pub(super) struct FileOutput {
    pub(super) place: Place,
    pub(super) interface: Option<At<(String, Ids)>>,
    pub(super) destination: Option<At<Run<IpAddr>>>,
    pub(super) port: Option<At<Run<NonZeroU16>>>,
    pub(super) ttl: Option<NonZeroU8>,
    pub(super) dscp: Option<u8>,
    pub(super) source: Option<At<Source>>,
    pub(super) source_port: Option<NonZeroU16>,
    pub(super) vlan: Option<At<Option<Ids>>>,
}

/// Reads a whole file. Where it can be looked for users they must be there.
pub(super) fn read(root: &Value, look: Option<Look>, errors: &mut Errors) -> File {
    let mut file = File {
        interfaces: Vec::new(),
        lanes: Lanes::default(),
        max_relays: Place { line: None, key: "lanes.max_relays".to_owned() },
        max_outputs: Place { line: None, key: "lanes.max_outputs".to_owned() },
        relays: Vec::new(),
        settings: Settings::default(),
    };
    let Some(section) = Section::open(root, "", ROOT, errors) else { return file };
    for (i, value) in section.elements("interface", errors).iter().enumerate() {
        file.interfaces.extend(read_interface(value, i, errors));
    }
    if let Some(lanes) = section.value("lanes").and_then(|value| Section::open(value, "lanes", LANES, errors)) {
        file.lanes = read_lanes(&lanes, errors);
        set(&mut file.lanes.user, lanes.read("user", |value| user(value, look), errors));
        file.max_relays = lanes.place_of("max_relays");
        file.max_outputs = lanes.place_of("max_outputs");
    }
    for (i, value) in section.elements("relay", errors).iter().enumerate() {
        file.relays.push(read_relay(value, i, errors));
    }
    if let Some(config) = section.value("config").and_then(|value| Section::open(value, "config", CONFIG, errors)) {
        file.settings.config = read_config(&config, errors);
    }
    if let Some(health) = section.value("health").and_then(|value| Section::open(value, "health", HEALTH, errors)) {
        file.settings.health = read_health(&health, errors);
    }
    if let Some(http) = section.value("http").and_then(|value| Section::open(value, "http", HTTP, errors)) {
        file.settings.http = read_http(&http, errors);
    }
    if let Some(state) = section.value("state").and_then(|value| Section::open(value, "state", STATE, errors)) {
        file.settings.state = read_state(&state, errors);
    }
    file
}

fn read_interface(value: &Value, i: usize, errors: &mut Errors) -> Option<At<Interface>> {
    let section = Section::open(value, &path_of(value, "interface", i), INTERFACE, errors)?;
    let name = section.require("name", link, "\"ens1f0\"", errors);
    let modes = [("auto", Mode::Auto), ("native", Mode::Native), ("generic", Mode::Generic)];
    let mode = section.read("mode", |value| choice(value, &modes), errors);
    let uses = [("auto", ZeroCopy::Auto), ("always", ZeroCopy::Always), ("never", ZeroCopy::Never)];
    let zero_copy = section.read("zero_copy", |value| choice(value, &uses), errors);
    let queues = section.read("queues", queues, errors);
    let At { value: name, place } = name?;
    let mut interface = Interface::default_for(&name);
    set(&mut interface.mode, mode);
    set(&mut interface.zero_copy, zero_copy);
    set(&mut interface.queues, queues);
    Some(At { value: interface, place })
}

fn queues(value: &Value) -> Result<Queues, Fault> {
    let remedy = || format!("write \"all\" or a list of numbers from 0 to {}", MAX_QUEUES - 1);
    match &value.kind {
        Kind::Text(word) if word == "all" => Ok(Queues::All),
        Kind::List(list) if list.is_empty() => Err(Fault::new("is empty, so nothing would be received", remedy())),
        Kind::List(list) => {
            let queues = list.iter().map(|value| within(value, 0..=MAX_QUEUES - 1)).collect::<Result<Vec<_>, _>>()?;
            all_different(&queues).map(|()| Queues::Some(queues))
        }
        _ => Err(Fault::new(format!("is {}", describe(value)), remedy())),
    }
}

fn read_lanes(section: &Section<'_>, errors: &mut Errors) -> Lanes {
    let mut lanes = Lanes::default();
    let polls = [("busy", Poll::Busy), ("adaptive", Poll::Adaptive), ("wait", Poll::Wait)];
    set(&mut lanes.cores, section.read("cores", cores, errors));
    set(&mut lanes.poll, section.read("poll", |value| choice(value, &polls), errors));
    set(&mut lanes.spin_us, section.read("spin_us", |value| within(value, 0..=100_000), errors));
    set(&mut lanes.busy_poll_us, section.read("busy_poll_us", |value| within(value, 0..=10_000), errors));
    set(&mut lanes.frame_size, section.read("frame_size", frame_size, errors));
    set(&mut lanes.ring_size, section.read("ring_size", |value| power_of_two(value, 64..=32_768), errors));
    set(&mut lanes.frames, section.read("frames", |value| within_or(value, 64..=16_777_216, "auto"), errors));
    set(&mut lanes.spare_sockets, section.read("spare_sockets", |value| within(value, 0..=64), errors));
    set(&mut lanes.max_relays, section.read("max_relays", |value| within(value, 1..=MAX_RELAYS), errors));
    set(&mut lanes.max_outputs, section.read("max_outputs", |value| within(value, 1..=MAX_OUTPUTS), errors));
    lanes
}

fn cores(value: &Value) -> Result<Vec<u32>, Fault> {
    let Kind::List(list) = &value.kind else {
        return Err(Fault::new(format!("is {}, not a list", value.kind_name()), "write it as in [2, 3]"));
    };
    let cores = list.iter().map(|value| within(value, 0..=MAX_CORES - 1)).collect::<Result<Vec<_>, _>>()?;
    if cores.len() > MAX_LANES {
        return Err(Fault::new(format!("names {} cores", cores.len()), format!("name at most {MAX_LANES}")));
    }
    all_different(&cores).map(|()| cores)
}

fn frame_size(value: &Value) -> Result<u32, Fault> {
    match value.kind {
        Kind::Integer(2048) => Ok(2048),
        Kind::Integer(4096) => Ok(4096),
        Kind::Integer(number) => Err(Fault::new(format!("{number} is no frame size"), "use 2048 or 4096")),
        _ => Err(Fault::new(format!("is {}, not a number", value.kind_name()), "use 2048 or 4096")),
    }
}

fn all_different(numbers: &[u32]) -> Result<(), Fault> {
    let twice = numbers.iter().enumerate().find(|(i, number)| numbers[..*i].contains(number));
    twice.map_or(Ok(()), |(_, number)| Err(Fault::new(format!("names {number} twice"), "name each once")))
}

/// Reads one relay, the `i`th of its file.
pub(super) fn read_relay(value: &Value, i: usize, errors: &mut Errors) -> FileRelay {
    let before = errors.errors.len();
    let path = path_of(value, "relay", i);
    let mut relay = FileRelay {
        place: Place { line: value.line, key: path.clone() },
        name: None,
        description: String::new(),
        labels: Labels::new(),
        enabled: true,
        muted: false,
        silence_after_ms: Some(SILENCE_AFTER_MS),
        meters: Meters::default(),
        allow_link_local: false,
        input: None,
        outputs: Vec::new(),
        sound: false,
    };
    let Some(section) = Section::open(value, &path, RELAY, errors) else { return relay };
    relay.name = section.require("name", name, "\"channel-1\"", errors);
    set(&mut relay.description, section.read("description", description, errors));
    relay.labels =
        section.value("labels").map(|value| labels(value, &section.path("labels"), errors)).unwrap_or_default();
    set(&mut relay.enabled, section.read("enabled", boolean, errors));
    set(&mut relay.muted, section.read("muted", boolean, errors));
    set(&mut relay.silence_after_ms, section.read("silence_after", silence_after, errors));
    let meters = [("off", Meters::Off), ("rtp", Meters::Rtp), ("full", Meters::Full)];
    set(&mut relay.meters, section.read("meters", |value| choice(value, &meters), errors));
    set(&mut relay.allow_link_local, section.read("allow_link_local", boolean, errors));
    match section.value("input") {
        Some(input) => relay.input = read_input(input, &section.path("input"), errors),
        None => {
            let remedy = "add input = { interface = \"ens1f0\", group = \"239.1.1.1\", port = 5000 }";
            errors.add(&section.place_of("input"), Fault::new("is missing", remedy));
        }
    }
    let outputs = section.elements("outputs", errors);
    for (j, output) in outputs.iter().enumerate() {
        relay.outputs.extend(read_output(output, &format!("{}[{j}]", section.path("outputs")), errors));
    }
    let is_list = section.value("outputs").is_none_or(|value| matches!(value.kind, Kind::List(_)));
    if outputs.is_empty() && is_list {
        let remedy = "add outputs = [{ interface = \"ens1f1\", group = \"239.2.1.1\", port = 5000 }]";
        errors.add(&section.place_of("outputs"), Fault::new("is empty, so the relay would send nothing", remedy));
    }
    relay.sound = errors.errors.len() == before;
    relay
}

fn read_input(value: &Value, path: &str, errors: &mut Errors) -> Option<FileInput> {
    let section = Section::open(value, path, INPUT, errors)?;
    Some(FileInput {
        place: section.place().clone(),
        interface: section.require("interface", interface, "\"ens1f0\"", errors),
        destination: destination(&section, errors),
        port: section.require("port", ports, "5000", errors),
        sources: section.list("sources", host, errors),
        vlan: section.read("vlan", input_vlan, errors),
    })
}

fn read_output(value: &Value, path: &str, errors: &mut Errors) -> Option<FileOutput> {
    let section = Section::open(value, path, OUTPUT, errors)?;
    let mut output = FileOutput {
        place: section.place().clone(),
        interface: section.require("interface", interface, "\"ens1f1\"", errors),
        destination: destination(&section, errors),
        port: section.require("port", ports, "5000", errors),
        ttl: DEFAULT_TTL,
        dscp: None,
        source: section.read("source", source, errors),
        source_port: None,
        vlan: section.read("vlan", output_vlan, errors),
    };
    set(&mut output.ttl, section.read("ttl", ttl, errors));
    set(&mut output.dscp, section.read("dscp", dscp, errors));
    set(&mut output.source_port, section.read("source_port", source_port, errors));
    Some(output)
}

/// `group` or `address`, exactly one of them.
fn destination(section: &Section<'_>, errors: &mut Errors) -> Option<At<Run<IpAddr>>> {
    let (group, address) = (section.value("group").is_some(), section.value("address").is_some());
    if group && address {
        let fault = Fault::new("stands next to group", "keep group for multicast, or address for unicast, not both");
        errors.add(&section.place_of("address"), fault);
    } else if !group && !address {
        let remedy = "add group = \"239.1.1.1\", or address = \"10.0.0.1\" for unicast";
        errors.add(&section.place_of("group"), Fault::new("is missing", remedy));
    }
    let group = section.read("group", groups, errors);
    let address = section.read("address", hosts, errors);
    group.or(address)
}

/// The name of a relay or of a token.
pub(super) fn name(value: &Value) -> Result<String, Fault> {
    let name = text(value)?;
    let remedy = format!("use 1 to {MAX_NAME} letters, digits, '-', '_' and '.', the first a letter or a digit");
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() > MAX_NAME {
        return Err(Fault::new(format!("has {} characters", name.len()), remedy));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(known) {
        return Err(Fault::new(format!("\"{name}\" cannot be a name"), remedy));
    }
    Ok(name.to_owned())
}

fn ttl(value: &Value) -> Result<Option<NonZeroU8>, Fault> {
    let ttl = within_or(value, 1..=255, "decrement")?;
    Ok(ttl.and_then(|ttl| u8::try_from(ttl).ok()).and_then(NonZeroU8::new))
}

fn dscp(value: &Value) -> Result<Option<u8>, Fault> {
    Ok(within_or(value, 0..=63, "keep")?.and_then(|dscp| u8::try_from(dscp).ok()))
}

fn source_port(value: &Value) -> Result<Option<NonZeroU16>, Fault> {
    let port = within_or(value, 1..=65_535, "keep")?;
    Ok(port.and_then(|port| u16::try_from(port).ok()).and_then(NonZeroU16::new))
}

fn source(value: &Value) -> Result<Source, Fault> {
    match &value.kind {
        Kind::Text(word) if word == "link" => Ok(Source::Link),
        Kind::Text(word) if word == "keep" => Ok(Source::Keep),
        Kind::Text(word) if !word.starts_with(|c: char| c.is_ascii_hexdigit() || c == ':') => {
            Err(Fault::new(format!("\"{word}\" is not known here"), "use \"link\", \"keep\" or an address"))
        }
        _ => host(value).map(Source::Address),
    }
}

/// The path of a section of which there are many: by its name where it has one.
fn path_of(value: &Value, section: &str, i: usize) -> String {
    let Kind::Table(entries) = &value.kind else { return format!("{section}[{i}]") };
    let name = entries.iter().find(|(key, ..)| key == "name").map(|(.., value)| &value.kind);
    match name {
        Some(Kind::Text(name)) if !name.is_empty() && name.len() <= MAX_NAME => format!("{section} \"{name}\""),
        _ => format!("{section}[{i}]"),
    }
}

/// Takes a value over, if one was read.
pub(super) fn set<T>(value: &mut T, read: Option<At<T>>) {
    if let Some(read) = read {
        *value = read.value;
    }
}
