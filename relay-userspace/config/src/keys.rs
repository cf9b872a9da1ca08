//! Every key of a configuration but those of its relays, with its value as it is written there: what two files are
//! compared by.

use super::Configuration;
use super::settings::{ConfigFile, Health, Http, Settings, State, Tls, Token};
use crate::time::rfc3339;
use relay_common::plan::{Interface, Lanes, Mode, Plan, Poll, Queues, ZeroCopy};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Keys by their paths, as in `lanes.cores`, `interface "in0" mode` and `http.tokens "ops"`. Links have only what is not
/// the default. Of a token's hash the beginning is told, so that another is seen to be another.
#[must_use]
pub fn keys(configuration: &Configuration) -> BTreeMap<String, Value> {
    let Configuration { plan: Plan { interfaces, lanes, relays: _ }, settings, text: _ } = configuration;
    let Settings { config: ConfigFile { watch }, http, state: State { file }, health } = settings;
    let Health { hold_down_ms, ready_min } = health;
    let mut keys = Keys::default();
    keys.add("config.watch", watch.name());
    keys.add("health.hold_down", if *hold_down_ms == 0 { "off".to_owned() } else { format!("{hold_down_ms}ms") });
    keys.add("health.ready_min", ready_min.to_string());
    keys.add("state.file", file.as_deref().map(path));
    keys.http(http);
    keys.lanes(lanes);
    interfaces.iter().for_each(|interface| keys.interface(interface));
    keys.0
}

#[derive(Default)]
struct Keys(BTreeMap<String, Value>);

impl Keys {
    fn add(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn http(&mut self, http: &Http) {
        let Http { listen, socket, socket_group, tokens, reads, tls, insecure } = http;
        self.add("http.listen", listen.map_or_else(|| "off".to_owned(), |address| address.to_string()));
        self.add("http.socket", path(socket));
        self.add("http.socket_group", socket_group.clone());
        self.add("http.reads", reads.name());
        self.add("http.insecure", *insecure);
        if let Some(Tls { certificate, key }) = tls {
            self.add("http.tls.certificate", path(certificate));
            self.add("http.tls.key", path(key));
        }
        for token in tokens {
            self.add(&format!("http.tokens \"{}\"", token.name), describe(token));
        }
    }

    fn lanes(&mut self, lanes: &Lanes) {
        let Lanes { cores, poll, spin_us, busy_poll_us, frame_size, ring_size, frames, spare_sockets, .. } = lanes;
        let Lanes { max_relays, max_outputs, user, .. } = lanes;
        let poll = match poll {
            Poll::Busy => "busy",
            Poll::Adaptive => "adaptive",
            Poll::Wait => "wait",
        };
        self.add("lanes.cores", cores.clone());
        self.add("lanes.poll", poll);
        self.add("lanes.spin_us", *spin_us);
        self.add("lanes.busy_poll_us", *busy_poll_us);
        self.add("lanes.frame_size", *frame_size);
        self.add("lanes.ring_size", *ring_size);
        self.add("lanes.frames", frames.map_or_else(|| "auto".into(), Value::from));
        self.add("lanes.spare_sockets", *spare_sockets);
        self.add("lanes.max_relays", *max_relays);
        self.add("lanes.max_outputs", *max_outputs);
        self.add("lanes.user", user.clone());
    }

    fn interface(&mut self, interface: &Interface) {
        let Interface { name, mode, zero_copy, queues } = interface;
        let key = |key: &str| format!("interface \"{name}\" {key}");
        match mode {
            Mode::Auto => {}
            Mode::Native => self.add(&key("mode"), "native"),
            Mode::Generic => self.add(&key("mode"), "generic"),
        }
        match zero_copy {
            ZeroCopy::Auto => {}
            ZeroCopy::Always => self.add(&key("zero_copy"), "always"),
            ZeroCopy::Never => self.add(&key("zero_copy"), "never"),
        }
        if let Queues::Some(queues) = queues {
            self.add(&key("queues"), queues.clone());
        }
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn describe(Token { name: _, hash, access, relays, expires }: &Token) -> Value {
    let hash: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    json!({ "sha256": hash + "…", "access": access.name(), "relays": relays, "expires": expires.map(rfc3339) })
}

#[cfg(test)]
mod tests {
    use super::keys;
    use crate::{SCHEMA, parse};

    const TEXT: &str = r#"
        [config]
        watch = "changes"
        [http]
        tls = { certificate = "/c.pem", key = "/k.pem" }
        tokens = [{ name = "ops", sha256 = "0123456789012345678901234567890123456789012345678901234567890123" }]
        [[interface]]
        name = "in0"
        mode = "native"
        zero_copy = "never"
        queues = [1, 2]
    "#;

    #[test]
    fn every_key_that_is_no_relays_is_there() {
        let keys = keys(&parse("test", TEXT).unwrap());
        let missing: Vec<String> = SCHEMA
            .iter()
            .filter(|(section, _)| !section.is_empty() && !section.starts_with("relay") && *section != "http.tokens")
            .flat_map(|(section, keys)| keys.iter().map(move |key| format!("{section}.{key}")))
            .map(|key| key.replace("interface.", "interface \"in0\" "))
            .filter(|key| !keys.keys().any(|is| is.starts_with(key)) && key != "interface \"in0\" name")
            .collect();
        assert!(missing.is_empty(), "{missing:?} of {keys:?}");
        assert_eq!(keys["http.tokens \"ops\""]["sha256"], "01234567…");
        assert_eq!((&keys["interface \"in0\" queues"], &keys["lanes.frames"]), (&vec![1, 2].into(), &"auto".into()));
    }

    #[test]
    fn what_says_the_same_has_the_same_keys() {
        let of = |text: &str| keys(&parse("test", text).unwrap());
        assert_eq!(of(""), of("# a remark\n[lanes]\nspin_us = 50\n[[interface]]\nname = 'in0'\nmode = 'auto'\n"));
        assert_ne!(of(""), of("[health]\nhold_down = '1s'"));
    }
}
