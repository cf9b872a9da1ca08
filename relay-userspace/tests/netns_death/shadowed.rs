//! Relays of the API that do not go with those of the configuration file: the file wins, for those alone.

use crate::control::kill_control;
use crate::refused::{done, mcr, next, relays, status, stop, wait_until_kept};
use crate::stage::{RATE, SOON, Stage};
use std::fs;

const ADD: [&str; 2] = ["relay", "add"];

fn named<'a>(found: &'a [(String, String, String)], state: &str) -> Vec<(&'a str, &'a str)> {
    let of_state = found.iter().filter(|(.., of)| of == state);
    of_state.map(|(name, origin, _)| (name.as_str(), origin.as_str())).collect()
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_relay_that_file_and_api_have_is_the_file_s_and_keeps_no_control_from_starting() {
    let stage = Stage::new(1);
    let mut relay = stage.start();
    for (name, last) in [("two", 2), ("three", 3)] {
        let (input, output) = (format!("in0/239.1.1.{last}:5000"), format!("out0/239.9.1.{last}:5001"));
        done(&relay, &[&ADD[..], &[name, "--in", &input, "--out", &output]].concat());
    }
    let traffic = stage.stream_at(RATE / 4);
    traffic.pass(RATE / 40);
    let (lanes, good) = (relay.lanes(), fs::read_to_string(relay.config()).unwrap());
    wait_until_kept(&relay);
    // Somebody makes it permanent, and control dies before it is asked to take that.
    kill_control(&mut relay);
    let both = format!(
        "{good}\n[[relay]]\nname = \"two\"\ninput = {{ interface = \"in0\", group = \"239.1.1.2\", port = 5000 }}\n\
         outputs = [{{ interface = \"out0\", group = \"239.9.1.9\", port = 5001 }}]\n"
    );
    fs::write(relay.config(), &both).unwrap();
    next(&stage, &mut relay);
    assert_eq!(relay.lanes(), lanes);
    let differs = status(&relay)["config"]["differs"]["text"].clone();
    assert_eq!(differs, "add 1 relay, take the place of the API's relay \"two\"");
    assert_eq!(named(&relays(&relay), "shadowed"), []);
    done(&relay, &["reload"]);
    let found = relays(&relay);
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(named(&found, "shadowed"), [("two", "api")]);
    assert_eq!(
        (&status(&relay)["config"]["in_force"], &status(&relay)["relays"]["shadowed"]),
        (&true.into(), &1.into())
    );
    assert!(done(&relay, &["relay", "show", "two"]).contains("239.9.1.9"), "the file's runs");
    assert!(done(&relay, &["events", "--json"]).contains("relay.shadowed"));
    // The file gives way, and the API's runs again, after a start of everything too.
    fs::write(relay.config(), &good).unwrap();
    done(&relay, &["reload"]);
    assert_eq!(named(&relays(&relay), "shadowed"), []);
    assert!(done(&relay, &["relay", "show", "two"]).contains("239.9.1.2"), "it was forgotten");
    fs::write(relay.config(), &both).unwrap();
    done(&relay, &["reload"]);
    let account = traffic.settle();
    assert_eq!(account.lost_since_the_first(), account.lost_on_links, "{account:?}");
    stop(&stage, &relay);
    relay.process.wait(SOON).unwrap();
    next(&stage, &mut relay);
    let found = relays(&relay);
    assert_eq!(named(&found, "shadowed"), [("two", "api")]);
    assert!(found.iter().any(|(name, origin, state)| name == "three" && origin == "api" && state != "shadowed"));
    // What only the API has is not the file's; what both have is given to it.
    assert!(!mcr(&relay, &["relay", "adopt", "three"]).status.success());
    done(&relay, &["relay", "adopt", "two"]);
    let origins: Vec<_> = relays(&relay).into_iter().map(|(name, origin, _)| (name, origin)).collect();
    let wanted = [("one", "file"), ("three", "api"), ("two", "file")];
    assert_eq!(origins, wanted.map(|(name, origin)| (name.to_owned(), origin.to_owned())));
    stop(&stage, &relay);
    relay.process.wait(SOON).unwrap();
}
