//! Whatever names there are, a terminal is only drawn on.

use super::super::state::{Happening, News};
use super::stage::{NOW, answer, buffer, event, press, relay, state, told, why};

#[test]
fn no_name_and_no_text_moves_the_terminal() {
    const EVIL: &str = "a\u{1b}]0;x\u{7}\u{9b}31m\r\n\u{202e}\u{200b}\u{4e2d}\u{301}";
    let mut state = state(120, 40);
    let mut evil = answer();
    evil.relays.push(relay(EVIL, "running", 1.0));
    let (status, links) = (&mut evil.status, &mut evil.links);
    (status.version, status.role) = (EVIL.into(), EVIL.into());
    (status.health.status, status.health.checks[0].ok, status.health.checks[0].name) =
        (EVIL.into(), false, EVIL.into());
    (links[0].name, links[0].state, links[0].addresses[0]) = (EVIL.into(), EVIL.into(), EVIL.into());
    evil.relays[0].status.state = EVIL.into();
    state.take(told(evil), NOW);
    let mut said = event(99, "ch1");
    (said.text, said.event, said.level, said.time) = (EVIL.into(), EVIL.into(), EVIL.into(), EVIL.into());
    state.take(Happening::News(News::Events(vec![said])), NOW);
    for keys in ["", "2", "3", "4", "1/a\u{9b}", "<enter><home><enter>", "<up>", "<esc>p"] {
        press(&mut state, keys);
        let mut told_why = why(EVIL);
        told_why.steps[2].remedy = Some(EVIL.into());
        (told_why.verdict, told_why.warnings) = (EVIL.into(), vec![EVIL.into()]);
        state.take(Happening::News(News::Why(EVIL.into(), Ok(Box::new(told_why)))), NOW);
        for cell in &buffer(&state).content {
            let is_bad = |c: char| c.is_control() || matches!(c, '\u{200b}' | '\u{202e}');
            assert!(!cell.symbol().contains(is_bad), "{keys}: {:?}", cell.symbol());
        }
    }
}
