//! Relays of the API beside those of the configuration file. Where they do not go together the file wins, for those
//! relays alone.

use super::cross::{Channel, Owners, channel, circle_fault, input_fault};
use super::error::{ConfigError, Fault};
use relay_common::circles::circles;
use relay_common::plan::{Plan, Relay};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Which of these relays do not go with a plan, by their names, and why: each alone, or because of those before it.
#[must_use]
pub fn clashes<'a>(plan: &Plan, more: impl IntoIterator<Item = &'a Relay>) -> BTreeMap<String, ConfigError> {
    let more: Vec<&Relay> = more.into_iter().collect();
    let mut all = Beside::of(plan, &more);
    more.iter().for_each(|relay| all.add(relay));
    // The plan has no circle by itself, so one leads by an output of these.
    if sent_to_somebody(&all.relays, plan.relays.len()) {
        all.break_circles(plan.relays.len());
    }
    all.clashes
}

/// Whether any relay hears what those from `first` on send, as far as destination and port tell.
fn sent_to_somebody(relays: &[&Relay], first: usize) -> bool {
    let outputs = relays[first..].iter().filter(|relay| relay.enabled).flat_map(|relay| &relay.outputs);
    let sent: HashSet<_> = outputs.map(|output| (output.destination, output.port)).collect();
    !sent.is_empty()
        && relays.iter().any(|relay| relay.enabled && sent.contains(&(relay.input.destination, relay.input.port)))
}

/// A plan that grows, relay by relay.
struct Beside<'a> {
    plan: &'a Plan,
    relays: Vec<&'a Relay>,
    names: HashSet<&'a str>,
    owners: HashMap<Channel<'a>, Owners>,
    n_outputs: usize,
    clashes: BTreeMap<String, ConfigError>,
}

impl<'a> Beside<'a> {
    /// The plan, as far as any of `more` can meet it: mostly they are few, and it is large.
    fn of(plan: &'a Plan, more: &[&'a Relay]) -> Self {
        let mut all = Self {
            plan,
            relays: Vec::new(),
            names: HashSet::new(),
            owners: HashMap::new(),
            n_outputs: 0,
            clashes: BTreeMap::new(),
        };
        let names: HashSet<&str> = more.iter().map(|relay| relay.name.as_str()).collect();
        let channels: HashSet<Channel<'_>> = more.iter().map(|relay| channel(&relay.input)).collect();
        for relay in &plan.relays {
            if channels.contains(&channel(&relay.input)) {
                all.own_input(relay);
            }
            if names.contains(relay.name.as_str()) {
                all.names.insert(&relay.name);
            }
            all.n_outputs += relay.outputs.len();
            all.relays.push(relay);
        }
        all
    }

    fn take(&mut self, relay: &'a Relay) {
        self.own_input(relay);
        self.names.insert(&relay.name);
        self.n_outputs += relay.outputs.len();
        self.relays.push(relay);
    }

    fn own_input(&mut self, relay: &'a Relay) {
        if relay.enabled {
            self.owners.entry(channel(&relay.input)).or_default().add(self.relays.len(), &relay.input.sources);
        }
    }

    fn add(&mut self, relay: &'a Relay) {
        match self.fault(relay) {
            None => self.take(relay),
            Some((part, fault)) => self.leave_out(relay, part, fault),
        }
    }

    fn leave_out(&mut self, relay: &Relay, part: &str, fault: Fault) {
        let error = fault.at(format!("relay \"{}\" {part}", relay.name));
        self.clashes.insert(relay.name.clone(), error);
    }

    fn fault(&self, relay: &Relay) -> Option<(&'static str, Fault)> {
        if self.names.contains(relay.name.as_str()) {
            let remedy = format!("mcr relay adopt {} forgets the API's", relay.name);
            return Some(("name", Fault::new("the configuration file has a relay of this name", remedy)));
        }
        if relay.enabled
            && let Some(owners) = self.owners.get(&channel(&relay.input))
            && let Some((owner, source)) = owners.meets(&relay.input.sources)
        {
            return Some(("input", input_fault(&relay.input, source, &self.relays[owner].name, "")));
        }
        let lanes = &self.plan.lanes;
        if self.relays.len() >= lanes.max_relays as usize {
            let problem = format!("there is room for {} relays, and as many run", lanes.max_relays);
            return Some(("name", Fault::new(problem, "raise lanes.max_relays, end mcr (mcr stop) and start it")));
        }
        if self.n_outputs + relay.outputs.len() > lanes.max_outputs as usize {
            let problem = format!("there is room for {} outputs, and {} run", lanes.max_outputs, self.n_outputs);
            return Some(("outputs", Fault::new(problem, "raise lanes.max_outputs, end mcr (mcr stop) and start it")));
        }
        None
    }

    /// Takes relays out until no circle is left; those of the plan, which come first, stay.
    fn break_circles(&mut self, n_of_plan: usize) {
        loop {
            let plan: Vec<Relay> = self.relays.iter().map(|relay| (*relay).clone()).collect();
            let mut left_out: BTreeMap<usize, (usize, Fault)> = BTreeMap::new();
            for circle in circles(&plan) {
                if circle.iter().any(|(relay, _)| left_out.contains_key(relay)) {
                    continue;
                }
                if let Some(&(last, output)) = circle.iter().max().filter(|(relay, _)| *relay >= n_of_plan) {
                    let names = circle.iter().map(|(relay, _)| plan[*relay].name.as_str());
                    left_out.insert(last, (output, circle_fault(names)));
                }
            }
            if left_out.is_empty() {
                return;
            }
            for (at, (output, fault)) in left_out.into_iter().rev() {
                let relay = self.relays.remove(at);
                self.leave_out(relay, &format!("outputs[{output}]"), fault);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::clashes;
    use crate::{check, parse};
    use relay_common::plan::{Plan, Relay};

    fn relays(text: &str) -> Vec<Relay> {
        parse("test", text).unwrap().plan.relays
    }

    fn relay(name: &str, from: &str, to: &str) -> String {
        let end = |at: &str| {
            let (interface, last) = at.split_once('/').unwrap();
            format!("{{ interface = \"{interface}\", group = \"239.1.1.{last}\", port = 5000 }}")
        };
        format!("[[relay]]\nname = \"{name}\"\ninput = {}\noutputs = [{}]\n", end(from), end(to))
    }

    /// The relays that are left out, with what is wrong; the others make a plan that is right.
    fn left_out(file: &str, of_api: &str) -> Vec<(String, String)> {
        let (plan, more) = (parse("test", file).unwrap().plan, relays(of_api));
        let clashes = clashes(&plan, &more);
        let fit = more.into_iter().filter(|relay| !clashes.contains_key(&relay.name));
        let all = Plan { relays: plan.relays.iter().cloned().chain(fit).collect(), ..plan };
        check(&all).unwrap();
        clashes.into_iter().map(|(name, error)| (name, error.to_string())).collect()
    }

    #[test]
    fn what_goes_together_is_left_alone() {
        assert_eq!(left_out(&relay("a", "in/1", "out/1"), &relay("b", "in/2", "out/2")), []);
    }

    #[test]
    fn only_what_clashes_is_left_out() {
        let file = relay("same", "in/1", "out/1") + &relay("file", "in/2", "out/2");
        let of_api =
            [relay("other", "in/2", "out/3"), relay("same", "in/4", "out/4"), relay("third", "in/5", "out/5")].concat();
        let found = left_out(&file, &of_api);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["other", "same"]);
        assert!(
            found[0].1.contains("relay \"other\" input: 239.1.1.2 port 5000 is the input of relay \"file\""),
            "{found:?}"
        );
        assert!(
            found[1]
                .1
                .contains("relay \"same\" name: the configuration file has a relay of this name: mcr relay adopt same"),
            "{found:?}"
        );
    }

    #[test]
    fn a_disabled_relay_has_no_input_that_could_clash() {
        let off = |text: String| text.replace("[[relay]]\n", "[[relay]]\nenabled = false\n");
        assert_eq!(left_out(&relay("a", "in/1", "out/1"), &off(relay("b", "in/1", "out/2"))), []);
        assert_eq!(left_out(&off(relay("a", "in/1", "out/1")), &relay("b", "in/1", "out/2")), []);
    }

    #[test]
    fn circles_are_broken_and_what_is_in_none_stays() {
        let file = relay("a", "x/1", "y/2");
        // b closes a circle with the file's; c and d make one of their own; e is in none.
        let of_api =
            [relay("b", "y/2", "x/1"), relay("c", "y/3", "x/4"), relay("d", "x/4", "y/3"), relay("e", "y/9", "x/9")]
                .concat();
        // Relays of one file may not make a circle: each is read by itself.
        let (plan, more): (Plan, Vec<Relay>) =
            (parse("test", &file).unwrap().plan, of_api.split_inclusive("}]\n").flat_map(relays).collect());
        let found = clashes(&plan, &more);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["b", "d"]);
        assert!(found["b"].to_string().contains("closes a circle: a -> b -> a"), "{found:?}");
    }

    #[test]
    fn those_that_there_is_no_room_for_are_the_last() {
        let lanes = "[lanes]\nmax_relays = 2\n";
        let of_api = [relay("b", "in/2", "out/2"), relay("c", "in/3", "out/3"), relay("d", "in/4", "out/4")].concat();
        let found = left_out(&format!("{lanes}{}", relay("a", "in/1", "out/1")), &of_api);
        assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["c", "d"]);
        assert!(found[0].1.contains("there is room for 2 relays"), "{found:?}");
    }

    /// An operator moves everything into the file.
    #[test]
    fn thousands_of_clashes_are_found_at_once() {
        let text: String =
            (0..4000).map(|n| relay(&format!("r{n}"), &format!("in{}/{}", n / 250, n % 250 + 1), "out/1")).collect();
        let plan = parse("test", &format!("[lanes]\nmax_relays = 8000\nmax_outputs = 8000\n{text}")).unwrap().plan;
        let more = plan.relays.clone();
        assert_eq!(clashes(&plan, &more).len(), 4000);
    }
}
