//! What was recorded is read, judged and written again.

use super::*;

const FILE: &str = r#"# How to read this.

# And more.
rustc = "1.95.0 (59807616e 2026-04-14)"
host = "x86_64-unknown-linux-gnu"

[[case]]
name = "forward 1 to 1, stamp"
instructions = 745.3
reason = "first recorded"

[[case]]
name = "parse v4"
instructions = 145.0
reason = "a \"reason\""
"#;

fn parsed(text: &str) -> Record {
    Record::parse(text).unwrap()
}

fn refused(text: &str) -> String {
    format!("{:#}", Record::parse(text).and_then(|record| record.complete()).unwrap_err())
}

#[test]
fn the_file_is_read_and_written_as_it_was() {
    let record = parsed(FILE);
    let compiler = Compiler { rustc: "1.95.0 (59807616e 2026-04-14)".into(), host: "x86_64-unknown-linux-gnu".into() };
    assert_eq!(record.compiler, compiler);
    let case = Case { name: "parse v4".into(), instructions: 145.0, reason: "a \"reason\"".into() };
    assert_eq!(record.cases[1], case);
    assert!(record.complete().is_ok());
    assert_eq!(parsed(&record.text()), record);
    assert!(record.text().starts_with("# How to read this.\n\n# And more.\nrustc = \"1.95.0"));
    assert!(record.text().contains("\n[[case]]\nname = \"forward 1 to 1, stamp\"\ninstructions = 745.3\n"));
}

#[test]
fn the_compiler_is_what_rustc_says() {
    let about = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
    assert_eq!(Compiler::parse(about), parsed(FILE).compiler);
    assert_ne!(Compiler::parse(&about.replace("1.95.0", "1.96.0")), parsed(FILE).compiler);
}

#[test]
fn a_case_without_a_reason_is_refused_by_name() {
    assert!(refused(&FILE.replace("first recorded", " ")).contains("forward 1 to 1, stamp"));
    assert!(refused(&FILE.replace("reason = \"first recorded\"\n", "")).contains("forward 1 to 1, stamp"));
}

#[test]
fn a_case_without_a_number_is_yet_to_be_recorded() {
    let text = FILE.replace("instructions = 745.3\n", "");
    assert!(refused(&text).contains("no number yet (cargo xtask test instructions --record): forward 1 to 1, stamp"));
    assert_eq!(parsed(&text).cases[0].judge(1.0), Verdict::Grew);
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert!(refused(&FILE.replace("145.0", "\"many\"")).contains("must be a number"));
    assert!(refused(&FILE.replace("name = \"parse v4\"", "name = \"forward 1 to 1, stamp\"")).contains("twice"));
    assert!(refused(&FILE.replace("reason = \"first", "reson = \"first")).contains("reson"));
    assert!(refused(&FILE.replace("host = ", "hast = ")).contains("no key host"));
}

#[test]
fn two_per_cent_are_let_pass() {
    let case = Case { name: "a".into(), instructions: 1000.0, reason: "b".into() };
    let verdicts = [979.9, 980.1, 1000.0, 1019.9, 1020.1].map(|counted| case.judge(counted));
    assert_eq!(verdicts, [Verdict::Shrank, Verdict::Same, Verdict::Same, Verdict::Same, Verdict::Grew]);
    assert!(Verdict::Grew.is_failure() && !Verdict::Shrank.is_failure() && Verdict::Shrank.is_change());
    assert!(Verdict::Shrank.line(&case, 500.0).contains("record it"));
}

#[test]
fn every_number_of_the_file_is_explained() {
    let workspace = crate::workspace::Workspace::find().unwrap();
    let text = std::fs::read_to_string(workspace.root().join(super::super::RECORD)).unwrap();
    let record = parsed(&text);
    record.complete().unwrap();
    // Recording changes only what has changed.
    assert_eq!(record.text(), text);
}
