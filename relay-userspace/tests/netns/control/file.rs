//! The configuration file as a way to change a node: what came of an edit is in the audit, as for every other change.

use crate::rig::Rig;
use std::fs;

fn config(group: &str) -> String {
    format!(
        r#"
        [[relay]]
        name = "ch1"
        input = {{ interface = "in0", group = "{group}", port = 5000 }}
        outputs = [{{ interface = "out0", group = "239.2.1.1", port = 5001 }}]
        "#
    )
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn an_edit_of_the_file_is_audited_with_what_became_of_it() {
    let rig = Rig::new(1);
    let show = rig.start(&config("239.1.1.1"));
    let mark = show.mcr.process.lines().len();
    fs::write(show.mcr.config(), config("239.1.1.2")).unwrap();
    show.wait_for(mark, "the configuration file: reload all relays: applied, generation 2");
    let lines = show.mcr.process.lines();
    let audits = lines.iter().skip(mark).filter(|line| line.contains("the configuration file: reload"));
    assert_eq!(audits.count(), 1, "{lines:?}");
    let mark = lines.len();
    fs::write(show.mcr.config(), config("10.1.1.2")).unwrap();
    show.wait_for(mark, "the configuration file: reload all relays: refused: ");
}
