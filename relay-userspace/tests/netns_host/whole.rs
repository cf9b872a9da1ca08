//! What `mcr export` writes of one node makes another node the same by `mcr import`, or changes nothing of it.

use crate::line::{Folder, Line, ONE};
use bench::Relay;
use std::fs;
use std::process::{Command, Output};

const HEALTH: &str = "# Ours: it's the first.\n[health]\nhold_down = \"7s\"\n";

fn run(mcr: &Relay, arguments: &[&str]) -> Output {
    let mut command = Command::new(bench::relay::binary());
    command.env("MCR_SOCKET", mcr.folder().join("mcr.sock")).args(arguments).output().unwrap()
}

fn done(mcr: &Relay, arguments: &[&str]) -> String {
    let output = run(mcr, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(mcr: &Relay, arguments: &[&str]) -> String {
    let output = run(mcr, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A node with a relay of its file and two of its API.
fn furnished(line: &Line) -> Relay {
    let mcr = line.start(&format!("{HEALTH}{ONE}"));
    let two = ["relay", "add", "two", "--in", "in0/239.1.1.2:5000", "--out", "out0/239.2.1.2:5001,ttl=7"];
    done(&mcr, &[&two[..], &["--label", "group=news", "--description", "two's \"best\""]].concat());
    done(&mcr, &["relay", "add", "gone", "--in", "gone0/239.1.1.3:5000", "--out", "out0/239.2.1.3:5001", "--muted"]);
    mcr
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_export_makes_an_empty_node_the_same() {
    let (here, there, folder) = (Line::new(), Line::new(), Folder::new("whole"));
    let (first, second) = (furnished(&here), there.start(""));
    let file = folder.file("node.toml").display().to_string();
    let exported = done(&first, &["export"]);
    fs::write(&file, &exported).unwrap();

    let empty = done(&second, &["export"]);
    let told = done(&second, &["import", &file, "--dry-run"]);
    for line in
        ["+ relay one  ", "+ relay two  ", "+ relay gone  ", "~ health.hold_down  ", "dry run: nothing was changed"]
    {
        assert!(told.lines().any(|told| told.starts_with(line)), "{line}: {told}");
    }
    assert_eq!(done(&second, &["export"]), empty);
    assert_eq!(fs::read_to_string(second.config()).unwrap(), "");

    let told = done(&second, &["import", &file]);
    assert!(told.ends_with("is in force on every lane\n"), "{told}");
    assert_eq!(done(&second, &["export"]), exported);
    assert_eq!(fs::read_to_string(second.config()).unwrap(), fs::read_to_string(first.config()).unwrap());
    done(&second, &["diff", "--quiet"]);
    let relays = |mcr: &Relay| done(mcr, &["relay", "ls", "--labels"]);
    assert_eq!(relays(&second), relays(&first));
    // Both files have it: control is ended, and the next one has the same.
    done(&second, &["restart"]);
    assert_eq!(done(&second, &["export"]), exported);
    // JSON is the same document.
    let json = done(&first, &["export", "--json"]);
    fs::write(&file, &json).unwrap();
    assert!(done(&second, &["import", &file]).contains("nothing to change"));
    assert_eq!(done(&second, &["export", "--json"]), json);
    first.stop().unwrap();
    second.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_is_wrong_anywhere_changes_nothing() {
    let (line, folder) = (Line::new(), Folder::new("half"));
    let mcr = furnished(&line);
    let (before, file) = (done(&mcr, &["export"]), fs::read_to_string(mcr.config()).unwrap());
    let import = |document: &str| {
        let path = folder.file("node.toml");
        fs::write(&path, document).unwrap();
        refused(&mcr, &["import", path.to_str().unwrap()])
    };
    let at = |text: &str, part: &str| 1 + text.lines().position(|line| line.contains(part)).unwrap();

    // One error in the file's text and one in a relay of the API: both are told where they stand.
    let wrong = before.replace("port = 5001 }", "port = 0 }").replace("ttl = 7", "ttl = 700");
    let said = import(&wrong);
    for part in ["port = 0 }", "ttl = 700"] {
        assert!(said.contains(&format!("node.toml:{}: relay ", at(&wrong, part))), "{part}: {said}");
    }
    // Right by itself, and not for lanes that run.
    let said = import(&before.replace("# Ours", "[lanes]\nring_size = 512\n# Ours"));
    assert!(said.contains("lanes.ring_size is 512 in the file"), "{said}");
    // A folder that cannot be written to.
    let folder_of = mcr.folder();
    let in_the_way = folder_of.join("relay.toml.import");
    fs::create_dir(&in_the_way).unwrap();
    let said = import(&before.replace("7s", "8s"));
    assert!(said.contains("nothing was changed"), "{said}");
    fs::remove_dir(&in_the_way).unwrap();

    assert_eq!(done(&mcr, &["export"]), before);
    assert_eq!(fs::read_to_string(mcr.config()).unwrap(), file);
    let left: Vec<_> = fs::read_dir(folder_of).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_str().unwrap().ends_with(".import")), "{left:?}");
    // What is shadowed is not in force, and is left out.
    let two = ONE.replace("one", "two").replace("239.1.1.1", "239.1.1.2").replace("239.2.1.1", "239.2.1.9");
    fs::write(mcr.config(), format!("{file}{two}")).unwrap();
    done(&mcr, &["reload"]);
    let output = run(&mcr, &["export"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("left out: relay two"), "{told}");
    mcr.stop().unwrap();
}
