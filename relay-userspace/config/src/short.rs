//! The short form of inputs and outputs: `ens1f0/239.1.1.1:5000,vlan=100`. It is only read here; whether the values are
//! right, control says, in the same words as of a file.

use serde_json::{Map, Value};
use std::net::IpAddr;

/// An input or an output, in the form that it has in a file.
pub(super) type Part = Map<String, Value>;

const INPUT: &[&str] = &["sources", "vlan"];
const OUTPUT: &[&str] = &["ttl", "dscp", "source", "source_port", "vlan"];
const FORM: &str = "write IFACE/ADDR:PORT, as in ens1f0/239.1.1.1:5000 or ens1f0/[ff3e::1]:5000";

/// Reads an input.
pub fn input(text: &str) -> Result<Part, String> {
    read(text, INPUT)
}

/// Reads an output.
pub fn output(text: &str) -> Result<Part, String> {
    read(text, OUTPUT)
}

fn read(text: &str, keys: &[&str]) -> Result<Part, String> {
    let mut words = text.split(',');
    let mut part = place(words.next().unwrap_or_default())?;
    for word in words {
        let (key, value) = word.split_once('=').ok_or_else(|| {
            format!("\"{word}\" is no setting: write KEY=VALUE; the keys here are {}", keys.join(", "))
        })?;
        if !keys.contains(&key) {
            return Err(format!("unknown key \"{key}\": the keys here are {}", keys.join(", ")));
        }
        if part.insert(key.to_owned(), setting(key, value)?).is_some() {
            return Err(format!("{key} stands there twice: keep one"));
        }
    }
    Ok(part)
}

/// `IFACE/ADDR:PORT`.
fn place(text: &str) -> Result<Part, String> {
    let (interface, rest) = text.split_once('/').ok_or_else(|| format!("names no interface: {FORM}"))?;
    let (address, port) = endpoint(rest)?;
    let key = if address.is_multicast() { "group" } else { "address" };
    let mut part = Part::new();
    part.insert("interface".to_owned(), interface.into());
    part.insert(key.to_owned(), address.to_string().into());
    part.insert("port".to_owned(), port.into());
    Ok(part)
}

/// `ADDR:PORT`, IPv6 in brackets.
pub fn endpoint(text: &str) -> Result<(IpAddr, u32), String> {
    let parts = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => text.rsplit_once(':'),
    };
    let (address, port) = parts.ok_or_else(|| format!("\"{text}\" names no port: {FORM}"))?;
    if address.contains('-') || port.contains('-') {
        let problem = "is a range, and relays of the API are single ones";
        return Err(format!("\"{text}\" {problem}: add one relay for each, or write it in the configuration file"));
    }
    let found: IpAddr = address.parse().map_err(|_| format!("\"{address}\" is not an IP address: {FORM}"))?;
    if found.is_ipv6() && !text.starts_with('[') {
        return Err(format!(
            "an IPv6 address stands in brackets: write [{found}]:{port}, or [{text}]:PORT if that is all address"
        ));
    }
    Ok((found, number("port", port, "1 to 65535")?))
}

fn setting(key: &str, value: &str) -> Result<Value, String> {
    let word = |word: &str, bounds: &str| match value {
        _ if value == word => Ok(word.into()),
        _ => number(key, value, &format!("{bounds}, or {word}")).map(Value::from),
    };
    match key {
        "sources" => Ok(value.split('+').map(Value::from).collect()),
        "ttl" => word("decrement", "1 to 255"),
        "dscp" => word("keep", "0 to 63"),
        "source_port" => word("keep", "1 to 65535"),
        "vlan" => vlan(value),
        _ => Ok(value.into()),
    }
}

fn vlan(value: &str) -> Result<Value, String> {
    const FORMS: &str = "1 to 4094, OUTER.INNER, none, or for an output keep";
    match value.split_once('.') {
        _ if matches!(value, "none" | "keep") => Ok(value.into()),
        Some((outer, inner)) => Ok(vec![number("vlan", outer, FORMS)?, number("vlan", inner, FORMS)?].into()),
        None => number("vlan", value, FORMS).map(Value::from),
    }
}

fn number(key: &str, text: &str, bounds: &str) -> Result<u32, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| format!("{key} \"{text}\" is not a number: use {bounds}"))
}

/// An input or output in the short form; what is as it is by default is left out.
pub fn show(part: &Value) -> String {
    let mut text = place_of(part);
    for (key, default) in [
        ("sources", ""),
        ("ttl", "16"),
        ("dscp", "keep"),
        ("source", "link"),
        ("source_port", "keep"),
        ("vlan", "none"),
    ] {
        let value = match part.get(key) {
            Some(Value::Array(list)) => {
                list.iter().map(word).collect::<Vec<_>>().join(if key == "vlan" { "." } else { "+" })
            }
            Some(value) => word(value),
            None => continue,
        };
        if value != default {
            text.push_str(&format!(",{key}={value}"));
        }
    }
    text
}

/// Where an input or output is: `IFACE/ADDR:PORT`.
pub fn place_of(part: &Value) -> String {
    let at = |key: &str| part.get(key).map_or_else(String::new, word);
    format!("{}/{}", at("interface"), endpoint_of(part))
}

/// `ADDR:PORT`.
pub fn endpoint_of(part: &Value) -> String {
    let address = part.get("group").or_else(|| part.get("address")).map_or_else(String::new, word);
    let port = part.get("port").map_or_else(String::new, word);
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
