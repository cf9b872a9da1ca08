//! The terminal is given back also where nothing goes as it should.

use super::super::terminal::Screen;
use bench::Terminal;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
/// Says to this test that it is the one in the terminal.
const INSIDE: &str = "MCR_TEST_INSIDE";

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    if std::env::var_os(INSIDE).is_some() {
        let _screen = Screen::take().unwrap();
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        panic!("the roof is on fire");
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = concat!(module_path!(), "::a_panic_gives_the_terminal_back_before_it_is_told");
    let name = name.split_once("::").unwrap().1;
    command.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").env("TERM", "xterm").env("RUST_BACKTRACE", "0");
    let mut terminal = Terminal::start(&command, 80, 24).unwrap();
    terminal.wait_until("a screen of its own", SOON, |_| terminal.is_covered()).unwrap();
    // The terminal is raw by then, so it makes nothing else of a line's end.
    terminal.press("\n").unwrap();
    terminal.wait_for("the roof is on fire", SOON).unwrap();
    assert_eq!(terminal.wait(SOON).unwrap().code(), Some(101));
    assert!(terminal.is_as_before().unwrap(), "{}", terminal.seen());
}
