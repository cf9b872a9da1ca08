//! What is seen, in three sizes.

use super::super::state::{Happening, Look, News, State};
use super::stage::{NOW, answer, buffer, press, seen, state, told, why};
use ratatui::style::{Color, Modifier};
use std::time::Duration;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (40, 10)];

/// The screen in each size after these keys.
fn everywhere(keys: &str, then: impl Fn(&mut State)) -> String {
    let screen = |(width, height)| {
        let mut state = state(width, height);
        press(&mut state, keys);
        then(&mut state);
        format!("--- {width}x{height}\n{}", seen(&state))
    };
    SIZES.map(screen).concat()
}

#[test]
fn relays() {
    insta::assert_snapshot!(everywhere("<down><down>", |_| ()));
}

#[test]
fn lanes() {
    insta::assert_snapshot!(everywhere("2", |_| ()));
}

#[test]
fn links() {
    insta::assert_snapshot!(everywhere("3", |_| ()));
}

#[test]
fn events() {
    insta::assert_snapshot!(everywhere("4<down>", |_| ()));
}

#[test]
fn help() {
    insta::assert_snapshot!(everywhere("?", |_| ()));
}

#[test]
fn a_relay_of_which_it_is_asked_why() {
    insta::assert_snapshot!(everywhere("<enter>", |_| ()));
}

#[test]
fn a_relay_and_why() {
    let told = |state: &mut State| {
        state.take(Happening::News(News::Why("ch1".into(), Ok(Box::new(why("ch1"))))), NOW);
    };
    insta::assert_snapshot!(everywhere("<enter>", told));
}

#[test]
fn a_filter() {
    insta::assert_snapshot!(everywhere("/CH", |_| ()));
}

#[test]
fn a_filter_that_is_kept() {
    insta::assert_snapshot!(everywhere("/*hd*<enter>", |_| ()));
}

#[test]
fn sorted_by_what_comes_in() {
    insta::assert_snapshot!(everywhere("ss", |_| ()));
}

#[test]
fn paused_and_not_well() {
    let ill = |state: &mut State| {
        let mut answer = answer();
        answer.status.health.status = "failing".into();
        answer.status.health.checks[0].ok = false;
        state.take(told(answer), NOW);
        press(state, "p");
    };
    insta::assert_snapshot!(everywhere("", ill));
}

#[test]
fn no_answer() {
    let silent = |state: &mut State| {
        let why = "cannot reach mcr: there is no socket /run/mcr/mcr.sock: is mcr running?";
        state.take(Happening::News(News::Failed(why.into())), NOW + Duration::from_secs(1));
        state.take(Happening::Tick, NOW + Duration::from_millis(7300));
    };
    insta::assert_snapshot!(everywhere("", silent));
}

#[test]
fn nothing_but_ascii_where_the_terminal_knows_no_more() {
    let mut state = state(80, 24);
    state.look = Look { colours: false, unicode: false };
    press(&mut state, "s<down>");
    let seen = seen(&state);
    assert!(seen.is_ascii(), "{seen}");
    insta::assert_snapshot!(seen);
}

#[test]
fn without_colours_nothing_is_coloured_and_the_cursor_is_seen() {
    let mut state = state(80, 24);
    state.look.colours = false;
    press(&mut state, "<down>");
    for page in ["", "2", "3", "4", "1<enter>", "<esc>?"] {
        press(&mut state, page);
        let buffer = buffer(&state);
        assert!(buffer.content.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)), "{page}");
    }
    press(&mut state, "<esc>1");
    let buffer = buffer(&state);
    assert_eq!(buffer[(0, 4)].symbol(), ">");
    assert!(buffer[(30, 4)].modifier.contains(Modifier::REVERSED));
}

#[test]
fn states_have_their_colours() {
    let buffer = buffer(&state(80, 24));
    let row: String = (0..80).map(|x| buffer[(x, 4)].symbol()).collect();
    let at = u16::try_from(row.find("silent").unwrap()).unwrap();
    assert_eq!(buffer[(at, 4)].fg, Color::Red);
    assert!(buffer.content.iter().any(|cell| cell.fg == Color::Green));
}

#[test]
fn a_screen_that_is_too_small_says_so_and_none_is_too_small_to_try() {
    assert!(seen(&state(39, 24)).starts_with("too small: 40x8\n"));
    for width in [1, 20, 39, 40, 41, 52, 59, 60, 66, 79, 80, 81, 99, 130] {
        for height in [1, 2, 3, 7, 8, 9, 15, 16, 17, 60] {
            let mut state = state_once(width, height);
            for keys in ["", "2", "3", "4", "4<end>", "1<enter><end>", "<esc>?<end>"] {
                press(&mut state, keys);
                buffer(&state);
            }
        }
    }
}

/// One that was told once: it is quicker.
fn state_once(width: u16, height: u16) -> State {
    let mut state = State::new(Look::default(), (width, height), Duration::from_secs(1), NOW);
    buffer(&state);
    state.take(told(answer()), NOW);
    state
}
