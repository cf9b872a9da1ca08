//! Wrong configuration files: the whole text of what is wrong, where, and what to do, from the real binary.

use crate::line::Folder;
use bench::relay::binary;
use std::path::Path;
use std::process::Command;

/// What mcr says of a file that it refuses.
pub(crate) fn refusal(path: &Path) -> String {
    let folder = Folder::new("refused-run");
    let output =
        Command::new(binary()).arg("run").arg("--run-dir").arg(folder.path()).arg("--config").arg(path).output();
    let output = output.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(output.stdout.is_empty(), "{:?}", output.stdout);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "a refused file makes nothing");
    text
}

const INPUT: &str = r#"interface = "in0", group = "239.1.1.1", port = 5000"#;
const OUTPUT: &str = r#"interface = "out0", group = "239.2.1.1", port = 5001"#;

/// One relay, its name in line 2, its input in line 3, its output in line 4.
fn relay(name: &str, input: &str, output: &str) -> String {
    format!("[[relay]]\nname = \"{name}\"\ninput = {{ {input} }}\noutputs = [{{ {output} }}]\n")
}

/// A file, and of what is said of it: line, key, problem, remedy.
type Case = (String, usize, &'static str, &'static str, &'static str);

/// One of every kind; relay-userspace's own tests know every text.
fn cases() -> Vec<Case> {
    let input = |from: &str, to: &str| relay("a", &INPUT.replace(from, to), OUTPUT);
    let output = |from: &str, to: &str| relay("a", INPUT, &OUTPUT.replace(from, to));
    let lanes = |line: &str| format!("[lanes]\n{line}\n");
    let one = relay("a", INPUT, OUTPUT);
    let circle = INPUT.replace("239.1.1.1", "239.1.1.9");
    vec![
        ("[lanes]\npoll = = 1\n".into(), 2, "", "is not valid TOML", "correct the syntax"),
        (lanes("pol = 'busy'"), 2, "lanes.pol", "unknown key", "did you mean \"poll\""),
        (lanes("poll = 3"), 2, "lanes.poll", "", "\"busy\", \"adaptive\", \"wait\""),
        (lanes("ring_size = 1000"), 2, "lanes.ring_size", "1000 is not a power of two", "use 512 or 1024"),
        (lanes("max_relays = 0"), 2, "lanes.max_relays", "0 is out of bounds", "use 1 to"),
        (input("port = 5000", "port = 0"), 3, "relay \"a\" input.port", "0 is not a port", "use 1 to 65535"),
        (input("group", "gruop"), 3, "relay \"a\" input.gruop", "unknown key", "did you mean \"group\""),
        (
            input("239.1.1.1", "10.1.1.1"),
            3,
            "relay \"a\" input.group",
            "not a multicast group",
            "address = \"10.1.1.1\"",
        ),
        (output("239.2.1.1", "ff3e::1"), 4, "relay \"a\" outputs[0].group", "is IPv6", "use the input's family"),
        (
            output("port = 5001", "port = 5001, ttl = 0"),
            4,
            "relay \"a\" outputs[0].ttl",
            "0 is out of bounds",
            "use 1 to 255",
        ),
        ("[[relay]]\nname = \"a\"\n".into(), 1, "relay \"a\" input", "is missing", "add input ="),
        (relay("a b", INPUT, OUTPUT), 2, "relay \"a b\" name", "cannot be a name", "use 1 to 64 letters"),
        (
            format!("{one}{}", input("239.1.1.1", "239.1.1.2")),
            6,
            "relay \"a\" name",
            "another relay of this name (line 2)",
            "another name",
        ),
        (
            format!("{one}{}", relay("b", INPUT, OUTPUT)),
            7,
            "relay \"b\" input",
            "is the input of relay \"a\" already",
            "move the outputs",
        ),
        (relay("a", &circle, &circle), 4, "relay \"a\" outputs[0]", "closes a circle: a -> a", "use another group"),
        (
            format!("[lanes]\nmax_relays = 1\n{one}{}", relay("b", &circle, OUTPUT)),
            2,
            "lanes.max_relays",
            "2 relays are configured",
            "raise it to 2",
        ),
    ]
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn each_wrong_file_is_refused_with_line_key_problem_and_remedy() {
    let folder = Folder::new("refused");
    let path = folder.file("relay.toml");
    for (text, line, key, problem, remedy) in cases() {
        std::fs::write(&path, &text).unwrap();
        let said = refusal(&path);
        let place = format!("{}:{line}: {key}", path.display());
        let right = |said: &&str| said.contains(&place) && said.contains(problem) && said.contains(remedy);
        assert!(said.lines().any(|said| right(&said)), "{place}, {problem}, {remedy} is not in\n{said}for\n{text}");
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn all_errors_of_a_file_come_at_once() {
    let folder = Folder::new("refused-all");
    let path = folder.file("relay.toml");
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.0.starts_with("[[relay]]")).take(5).collect();
    std::fs::write(&path, cases.iter().map(|case| case.0.as_str()).collect::<String>()).unwrap();
    let said = refusal(&path);
    assert_eq!(said.lines().count(), 1 + cases.len(), "one has two errors:\n{said}");
    for (_, _, key, problem, remedy) in cases {
        assert!(
            said.lines().any(|said| said.contains(key) && said.contains(problem) && said.contains(remedy)),
            "{said}"
        );
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_file_that_cannot_be_read_is_named() {
    let folder = Folder::new("refused-unreadable");
    let missing = refusal(&folder.file("missing.toml"));
    assert!(missing.contains("missing.toml: cannot be read") && missing.contains("create it"), "{missing}");
    let directory = refusal(folder.path());
    assert!(directory.contains("cannot be read") && directory.contains("name a file that can be read"), "{directory}");
    std::fs::write(folder.file("latin1.toml"), b"[lanes]\n# f\xfcr\n").unwrap();
    let latin1 = refusal(&folder.file("latin1.toml"));
    assert!(latin1.contains("latin1.toml:2: is not UTF-8 text: save the file as UTF-8"), "{latin1}");
}
