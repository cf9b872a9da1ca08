//! What works and is probably not meant.

use super::stream;
use relay_common::meetings::{Meeting, meetings, meetings_of};
use relay_common::plan::Relay;
use std::collections::BTreeMap;

/// The warnings of each relay that has any, by its name.
#[must_use]
pub fn warnings(relays: &[Relay]) -> BTreeMap<&str, Vec<String>> {
    let mut warnings: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for met in meetings(relays) {
        warnings.entry(relays[met.relay].name.as_str()).or_default().push(text(relays, met));
    }
    warnings
}

/// Those of one relay.
#[must_use]
pub fn warnings_of(relays: &[Relay], name: &str) -> Vec<String> {
    let Some(relay) = relays.iter().position(|relay| relay.name == name) else { return Vec::new() };
    meetings_of(relays, relay).into_iter().map(|met| text(relays, met)).collect()
}

fn text(relays: &[Relay], met: Meeting) -> String {
    format!(
        "outputs[{}] and relay \"{}\" both send to {} from the same address, and who receives that gets the two mixed: \
         mute or disable one of the relays, or give one another group, port or source",
        met.output,
        relays[met.other].name,
        stream::output(&relays[met.relay].outputs[met.output]),
    )
}

#[cfg(test)]
mod tests {
    use super::{warnings, warnings_of};
    use relay_config::parse;

    #[test]
    fn each_of_two_is_told_of_the_other() {
        let relay = |name: &str, group: &str| {
            format!(
                "[[relay]]\nname = \"{name}\"\ninput = {{ interface = \"in0\", group = \"{group}\", port = 5000 }}\n\
                 outputs = [{{ interface = \"out0\", vlan = 7, group = \"239.2.1.1\", port = 5001 }}]\n"
            )
        };
        let text = relay("one", "239.1.1.1") + &relay("two", "239.1.1.2");
        let plan = parse("test", &text).unwrap().plan;
        let warnings = warnings(&plan.relays);
        let [of_one, of_two] = ["one", "two"].map(|name| warnings[name].join("\n"));
        assert!(of_one.contains("outputs[0] and relay \"two\" both send to out0.7/239.2.1.1:5001"), "{of_one}");
        assert!(of_two.contains("relay \"one\""), "{of_two}");
        assert_eq!(warnings_of(&plan.relays, "two"), warnings["two"]);
        assert!(warnings_of(&plan.relays, "three").is_empty());
    }
}
