//! A program that a person names by its command line.

use anyhow::{Result, bail, ensure};

use super::{Running, foreign};
use crate::measure::scenario::Scenario;
use crate::measure::stage::{INPUT_LINK, Stage};

/// What a template may hold, each in braces.
const PLACES: [&str; 8] =
    ["in_if", "in_address", "in_group", "in_port", "out_if", "out_address", "out_group", "out_port"];

/// A command line with places to be filled in. The shell splits it, so that quotes mean what they mean there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(String);

impl Template {
    /// Refuses places that nothing is known of.
    pub(super) fn new(text: &str) -> Result<Self> {
        ensure!(!text.is_empty(), "it has no command");
        let template = Self(text.to_owned());
        template.fill(&PLACES.map(|place| (place, String::new())))?;
        Ok(template)
    }

    fn fill(&self, values: &[(&str, String)]) -> Result<String> {
        let (mut filled, mut rest) = (String::new(), self.0.as_str());
        while let Some((before, behind)) = rest.split_once('{') {
            filled += before;
            let word = behind.split_once('}').filter(|(word, _)| is_word(word));
            // Other braces are the shell's or the program's own.
            let Some((word, after)) = word else {
                filled.push('{');
                rest = behind;
                continue;
            };
            let Some((_, value)) = values.iter().find(|(place, _)| *place == word) else {
                bail!("{{{word}}} stands for nothing; there are {{{}}}", PLACES.join("}, {"));
            };
            filled += value;
            rest = after;
        }
        Ok(filled + rest)
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
}

pub(super) fn start(name: &str, template: &Template, stage: &Stage, scenario: &Scenario) -> Result<Running> {
    let (input, output) = (scenario.input(0), scenario.output(0, 0).destination);
    let (in_port, out_port) = (&stage.input.1, &stage.outputs[0].0);
    let values = [
        INPUT_LINK.to_owned(),
        in_port.addresses[0].to_string(),
        input.ip().to_string(),
        input.port().to_string(),
        out_port.name.clone(),
        out_port.addresses[0].to_string(),
        output.ip().to_string(),
        output.port().to_string(),
    ];
    let values: Vec<(&str, String)> = PLACES.into_iter().zip(values).collect();
    let mut command = foreign::pinned(stage, "sh");
    // Without `exec` the shell would be between us and a program that is to end.
    command.args(["-c", &format!("exec {}", template.fill(&values)?)]);
    foreign::start(name, command, stage, scenario)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_in_and_other_braces_left_alone() {
        let template = Template::new("relay '{in_group}':{in_port} ${HOME} {} {{out_if} {").unwrap();
        let values = PLACES.map(|place| (place, place.to_uppercase()));
        assert_eq!(template.fill(&values).unwrap(), "relay 'IN_GROUP':IN_PORT ${HOME} {} {OUT_IF {");
    }

    #[test]
    fn an_unknown_place_is_answered_with_those_that_are_known() {
        let error = Template::new("relay {in_group} {group}").unwrap_err().to_string();
        assert!(error.contains("{group} stands for nothing"), "{error}");
        assert!(PLACES.iter().all(|place| error.contains(&format!("{{{place}}}"))), "{error}");
    }
}
