//! What a checked file looks like, for people and for programs.

use super::{Options, Seen, run};
use relay_control::link::hint::Hint;
use std::path::PathBuf;

/// A file that is gone when the test is over.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mcr-check-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    /// Checks the file on a node without links; the output calls the file FILE.
    fn check(&self, options: Options) -> (bool, String) {
        let mut out = Vec::new();
        let good = run(&self.0, |_| Seen::default(), options, &mut out).unwrap();
        (good, String::from_utf8(out).unwrap().replace(&self.0.display().to_string(), "FILE"))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const ONE: &str = "[[relay]]
name = 'a'
input = { interface = 'e0', group = '239.1.1.1', port = 5000 }
outputs = [{ interface = 'e1', group = '239.2.1.1', port = 5000 }]
";

#[test]
fn pending_is_a_warning_unless_strict() {
    let file = File::new("pending", ONE);
    let (good, text) = file.check(Options::default());
    assert!(good);
    insta::assert_snapshot!(text, @r#"
    FILE: warning: relay "a" input: interface "e0" does not exist: create it, or correct its name
    FILE: warning: relay "a" outputs[0]: interface "e1" does not exist: create it, or correct its name
    FILE: 1 relay, 1 output: good, 2 pending

    SLOT  RELAY  INPUT                        OUTPUT             SENT AS
    0     a      e0 239.1.1.1:5000 (pending)  e1 239.2.1.1:5000  pending: link_missing
    "#);
    let (good, text) = file.check(Options { strict: true, ..Options::default() });
    assert!(!good);
    assert!(text.contains("FILE: error: relay \"a\" input: interface \"e0\" does not exist"), "{text}");
    assert!(text.contains("FILE: 1 relay, 1 output: refused"), "{text}");
}

#[test]
fn what_is_probably_not_meant_is_a_warning_even_if_strict() {
    let two = format!("{ONE}{}", ONE.replace("'a'", "'b'").replace("239.1.1.1", "239.1.1.2"));
    let (good, text) = File::new("twice", &two).check(Options::default());
    assert!(good);
    let of_a =
        "FILE: warning: relay \"a\": outputs[0] and relay \"b\" both send to e1/239.2.1.1:5000 from the same address";
    assert!(
        text.contains(of_a) && text.contains("FILE: warning: relay \"b\": outputs[0] and relay \"a\" both"),
        "{text}"
    );
    let (_, json) = File::new("twice", &two).check(Options { strict: true, json: true, ..Options::default() });
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["errors"].as_array().unwrap().len(), json["warnings"]["b"].as_array().unwrap().len()), (0, 1));
}

#[test]
fn what_run_would_refuse_is_an_error_and_what_it_would_go_without_a_warning_unless_strict() {
    let file = File::new("machine", "");
    let said = |seen: &Seen, strict, json| {
        let mut said = Vec::new();
        let options = Options { strict, json, ..Options::default() };
        let good = run(&file.0, |_| seen.clone(), options, &mut said).unwrap();
        (good, String::from_utf8(said).unwrap().replace(&file.0.display().to_string(), "FILE"))
    };
    let lacks = Seen { lacks: vec!["http.listen: it is taken".to_owned()], ..Seen::default() };
    let (good, text) = said(&lacks, false, false);
    assert!(good && text.contains("FILE: warning: http.listen: it is taken\n"), "{text}");
    let (good, text) = said(&lacks, true, false);
    assert!(!good && text.contains("FILE: error: http.listen: it is taken\n"), "{text}");
    let refused = Seen { refusals: vec!["there is no core 99".to_owned()], ..Seen::default() };
    let (good, text) = said(&refused, false, false);
    assert!(!good && text.contains("FILE: error: mcr run would not start here: there is no core 99\n"), "{text}");
    let (good, json) = said(&refused, false, true);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((good, &json["good"], &json["refusals"][0]), (false, &false.into(), &"there is no core 99".into()));
}

#[test]
fn offline_only_the_file_is_looked_at() {
    let file = File::new("offline", ONE);
    let mut out = Vec::new();
    let options = Options { strict: true, offline: true, ..Options::default() };
    assert!(run(&file.0, |_| panic!("it looks at the machine"), options, &mut out).unwrap());
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with(": 1 relay, 1 output: good, as far as the file tells\n"), "{text}");
}

#[test]
fn an_empty_file_is_good() {
    let file = File::new("empty", "");
    assert_eq!(
        file.check(Options { strict: true, ..Options::default() }),
        (true, "FILE: 0 relays, 0 outputs: good\n".into())
    );
}

#[test]
fn errors_are_told_with_their_lines() {
    let file = File::new("wrong", "[lanes]\npoll = 'lazy'\n");
    let text = "FILE:2: lanes.poll: \"lazy\" is not known here: use one of \"busy\", \"adaptive\", \"wait\"\n";
    assert_eq!(file.check(Options::default()), (false, text.into()));
}

#[test]
fn json_says_the_same() {
    let json = |name, text| {
        let (good, text) = File::new(name, text).check(Options { json: true, ..Options::default() });
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["good"], good);
        value
    };
    let value = json("json", ONE);
    assert_eq!((&value["relays"], &value["outputs"]), (&1.into(), &1.into()));
    assert_eq!(value["pending"][1]["part"], "outputs[0]");
    assert_eq!(value["pending"][1]["reason"], "link_missing");
    let value = json("json-wrong", "[lanes]\npoll = 'lazy'\n");
    assert_eq!((&value["errors"][0]["line"], &value["errors"][0]["key"]), (&2.into(), &"lanes.poll".into()));
}

#[test]
fn a_user_of_lanes_that_others_share_is_a_warning_even_if_strict() {
    let seen = Seen { lanes: Some("lanes run as nobody".to_owned()), ..Seen::default() };
    let file = File::new("lanes", "");
    let said = |json| {
        let mut said = Vec::new();
        assert!(
            run(&file.0, |_| seen.clone(), Options { strict: true, json, ..Options::default() }, &mut said).unwrap()
        );
        String::from_utf8(said).unwrap()
    };
    let text = said(false);
    assert!(text.contains(": warning: lanes run as nobody\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&said(true)).unwrap();
    assert_eq!(json["lanes"], "lanes run as nobody");
}

#[test]
fn a_fault_of_the_kernel_is_a_warning_even_if_strict() {
    let hint = Hint { name: "kernel-fault", text: "Linux 6.17.2 has CVE-1".into(), remedy: "update it".into() };
    let seen = Seen { kernel: vec![("e0".to_owned(), hint)], ..Seen::default() };
    let file = File::new("kernel", "");
    let (mut text, mut json) = (Vec::new(), Vec::new());
    assert!(run(&file.0, |_| seen.clone(), Options { strict: true, ..Options::default() }, &mut text).unwrap());
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(": warning: e0: Linux 6.17.2 has CVE-1; remedy: update it\n"), "{text}");
    run(&file.0, |_| seen, Options { json: true, ..Options::default() }, &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["kernel"][0]["link"], &json["kernel"][0]["remedy"]), (&"e0".into(), &"update it".into()));
}
