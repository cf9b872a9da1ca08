//! All that is in force, as one document.

use crate::desk::Desk;
use crate::view::Origin;
use relay_config as config;
use relay_config::model::{Export, ExportedFile};
use relay_config::relay_to_json;
use serde_json::{Map, Value};

/// The text of the configuration file and the relays that came through the API, as they are in force.
///
/// # Errors
/// When nobody knows the text of what is in force.
pub fn export(desk: &Desk) -> Result<Export, String> {
    let view = desk.view();
    let in_force = view.config.in_force();
    // A control that took lanes over from under a file that is refused knows what runs, and not how that was written.
    let is_known = config::parse("", &in_force.text).is_ok_and(|said| said.plan.relays == in_force.plan.relays);
    if !is_known {
        let path = view.config.path.display();
        return Err(format!("nobody knows the text of what is in force: mend {path} and take it by mcr reload"));
    }
    let of_api = view.plan.relays.iter().filter(|relay| view.origins.get(&relay.name) == Some(Origin::Api));
    let definition = |value| if let Value::Object(definition) = value { definition } else { Map::new() };
    let mut relays: Vec<_> = of_api.map(|relay| definition(relay_to_json(relay))).map(origin_of_api).collect();
    relays.sort_by(|one, other| one["name"].as_str().cmp(&other["name"].as_str()));
    Ok(Export {
        file: ExportedFile { text: in_force.text.to_string() },
        relays,
        shadowed: view.shadowed.iter().map(|(relay, _)| relay.name.clone()).collect(),
    })
}

fn origin_of_api(mut definition: Map<String, Value>) -> Map<String, Value> {
    definition.insert("origin".to_owned(), Origin::Api.name().into());
    definition
}

#[cfg(test)]
mod tests {
    use super::export;
    use crate::observe::fixtures::Node;
    use relay_config::{Configuration, parse};
    use std::sync::Arc;

    #[test]
    fn what_is_in_force_is_shown_unless_nobody_knows_how_it_was_written() {
        let mut node = Node::new(&["two", "one"]);
        let text = "# ours\n";
        node.view.config.read = Some(Arc::new(parse("", text).unwrap()));
        let shown = export(&node.desk()).unwrap();
        assert_eq!(shown.file.text, text);
        let names: Vec<_> =
            shown.relays.iter().map(|relay| (relay["name"].as_str(), relay["origin"].as_str())).collect();
        assert_eq!(names, [(Some("one"), Some("api")), (Some("two"), Some("api"))]);

        let mut node = Node::new(&[]);
        let ran = parse("", "[[relay]]\nname='a'\ninput={interface='i',group='239.1.1.1',port=5}\noutputs=[{interface='o',group='239.1.1.2',port=5}]").unwrap();
        node.view.config.read = Some(Arc::new(Configuration { text: "".into(), ..ran }));
        let why = export(&node.desk()).unwrap_err();
        assert!(why.contains("mcr reload"), "{why}");
    }
}
