//! What the played API does with several relays at once.

use crate::play::{Body, State, json_body, problem};
use hyper::{Method, Response};
use relay_common::plan::Relay;
use relay_common::selector::Selector;
use relay_config::parse_relay;
use serde_json::{Value, json};

impl State {
    pub(crate) fn several(&mut self, method: &Method, query: &str, body: &Value, dry: bool) -> Response<Body> {
        self.chosen(query, |state, names| {
            let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
            match method.as_str() {
                "GET" => {
                    let relays: Vec<Value> = names.iter().map(|name| state.shown(name)).collect();
                    json_body(200, &json!({ "tag": format!("set-{}", state.generation), "relays": relays }))
                }
                "PATCH" => {
                    for name in if dry { &[] } else { names } {
                        state.relays.get_mut(name).unwrap().1.extend(body.as_object().unwrap().clone());
                    }
                    state.applied(dry, &[], &borrowed, &[])
                }
                _ => {
                    if !dry {
                        state.relays.retain(|name, _| !names.contains(name));
                    }
                    state.applied(dry, &[], &[], &borrowed)
                }
            }
        })
    }

    /// Goes on with the relays that an address chooses.
    fn chosen(&mut self, query: &str, then: impl FnOnce(&mut Self, &[String]) -> Response<Body>) -> Response<Body> {
        let of = |key: &str| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{key}=")));
            value.map(|text| {
                text.replace("%2A", "*").replace("%2C", ",").replace("%3D", "=").replace("%21", "!").replace("%3F", "?")
            })
        };
        let list = |text: Option<String>| text.into_iter().collect::<Vec<_>>();
        let selector = Selector::parse(&list(of("name")), &list(of("selector"))).unwrap();
        let relays = self.relays.values().map(|(_, relay)| parse_relay(&relay.clone().into()).unwrap().remove(0));
        let relays: Vec<Relay> = relays.collect();
        match selector.choose(relays.iter().map(Relay::known_by)) {
            Ok(names) => then(self, &names.into_iter().map(str::to_owned).collect::<Vec<_>>()),
            Err(none) => problem(404, &format!("{none}: see mcr relay ls --labels"), &[]),
        }
    }
}
