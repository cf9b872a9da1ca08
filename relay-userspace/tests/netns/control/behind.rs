//! What somebody with `bpftool` does behind the node's back.

use bench::Namespace;
use serde_json::Value;
use std::process::Command;

fn bpftool(namespace: &Namespace, arguments: &[&str]) -> Value {
    let output = namespace.command("bpftool").arg("-j").args(arguments).output().unwrap();
    assert!(output.status.success(), "bpftool {arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

/// The number of the XDP program on a link.
fn program(namespace: &Namespace, link: &str) -> u64 {
    let shown = bpftool(namespace, &["net", "show"]);
    let hooks = shown[0]["xdp"].as_array().unwrap();
    hooks.iter().find(|hook| hook["devname"] == link).unwrap()["id"].as_u64().unwrap()
}

/// Detaches the XDP program from a link.
pub(super) fn detach(namespace: &Namespace, link: &str) {
    let program = program(namespace, link);
    let all = bpftool(namespace, &["link", "list"]);
    let ours = all.as_array().unwrap().iter().find(|link| link["prog_id"] == program).unwrap();
    let id = ours["id"].to_string();
    bpftool(namespace, &["link", "detach", "id", &id]);
}

/// The number of the program's map of that name.
fn map(namespace: &Namespace, link: &str, name: &str) -> String {
    let program = bpftool(namespace, &["prog", "show", "id", &program(namespace, link).to_string()]);
    let maps = program["map_ids"].as_array().unwrap().iter().map(Value::to_string);
    let is_it = |id: &String| bpftool(namespace, &["map", "show", "id", id])["name"] == name;
    maps.into_iter().find(is_it).unwrap()
}

/// Deletes every entry of a map, and says how many there were.
pub(super) fn empty(namespace: &Namespace, link: &str, name: &str) -> usize {
    let id = map(namespace, link, name);
    let entries = bpftool(namespace, &["map", "dump", "id", &id]);
    let entries = entries.as_array().unwrap();
    for entry in entries {
        let key: Vec<&str> = entry["key"].as_array().unwrap().iter().map(|byte| byte.as_str().unwrap()).collect();
        bpftool(namespace, &[&["map", "delete", "id", &id, "key"][..], &key].concat());
    }
    entries.len()
}

/// Takes every socket out of the program's map of sockets, which does not say where they are.
pub(super) fn take_sockets(namespace: &Namespace, link: &str) -> usize {
    let id = map(namespace, link, "SOCKETS");
    let slots = (0..=u8::MAX).map(|slot| slot.to_string());
    let take = |slot: &String| {
        let delete = ["map", "delete", "id", &id, "key", slot, "0", "0", "0"];
        let output: std::process::Output = Command::new("bpftool").args(delete).output().unwrap();
        output.status.success()
    };
    slots.filter(take).count()
}
