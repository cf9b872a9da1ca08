//! The page at `/` in a real browser: what it shows of a node at work, by keys alone, on a phone, and after a restart.

use super::browser::{Browser, DOWN, ENTER, ESCAPE, TAB, UP};
use super::desk::Desk;
use crate::rig::{NOTED, Rig, Show};
use bench::Tmpfs;
use bench::source::{Load, Source, Stream};
use bench::sys::traced::Traced;
use nix::sys::signal::Signal;
use std::fs;
use std::time::Duration;

const HERE: &str = "http://127.0.0.1:9280/";
const AT_MOST: Duration = Duration::from_secs(180);
/// The page looks once a second; it is let be late on a busy machine.
const SEEN: Duration = Duration::from_secs(20);
/// What a name of a relay must not be able to do.
const MARKUP: &str = "<img src=x onerror=document.title=1>";
const CONFIG: &str = r#"
[health]
hold_down = "off"
[http]
listen = "127.0.0.1:9280"
[[relay]]
name = "film-1"
input = { interface = "in0", group = "239.1.1.1", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.1", port = 5001 }]
[[relay]]
name = "news-hd"
input = { interface = "in0", group = "239.1.1.2", port = 5000, sources = ["10.1.0.1"] }
outputs = [
  { interface = "out0", group = "239.2.1.2", port = 5001, ttl = 16, dscp = 34 },
  { interface = "out1", group = "239.2.1.2", port = 5001 },
  { interface = "out9", group = "239.2.1.2", port = 5001 },
]
[[relay]]
name = "radio"
input = { interface = "in0", group = "239.1.1.3", port = 5000 }
outputs = [{ interface = "out1", group = "239.2.1.3", port = 5001 }]
[[relay]]
name = "sport-1"
input = { interface = "in0", group = "239.1.1.4", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.4", port = 5001 }]
[[relay]]
name = "sport-2"
muted = true
input = { interface = "in0", group = "239.1.1.5", port = 5000 }
outputs = [{ interface = "out0", group = "239.2.1.5", port = 5001 }]
[[relay]]
name = "spare"
input = { interface = "in0", group = "239.1.1.6", port = 5000 }
outputs = [{ interface = "out1", group = "239.2.1.6", port = 5001 }]
"#;

/// A cell of a relay's row, by its place.
fn cell(relay: &str, place: usize) -> String {
    let rows = "[...document.querySelectorAll('#relays tbody tr')]";
    format!("{rows}.find(row => row.cells[0].textContent === '{relay}').cells[{place}]")
}

fn load(rig: &Rig, groups: &[u32], rate: u64) -> Load {
    let stream = |n: &u32| Stream::new(*n, rig.headers(&format!("239.1.1.{n}:5000")), 1316);
    Load::new(groups.iter().map(stream).collect()).rate(rate).duration(AT_MOST)
}

/// All but "spare", each pair at a rate of its own.
fn sources(rig: &Rig, show: &Show<'_>) -> Vec<Source> {
    let pairs = [(&[1, 4][..], 950), (&[2][..], 1850), (&[3, 5][..], 120)];
    pairs.map(|(groups, rate)| show.source(load(rig, groups, rate))).into()
}

fn visit<'a>(rig: &'a Rig, show: &Show<'_>) -> Browser<'a> {
    let browser = Browser::start(&rig.relay, show.mcr.folder());
    browser.open(HERE);
    browser.wait_until("document.querySelectorAll('#relays tbody tr').length === 6", SEEN);
    browser
}

/// Nothing was said on the console, nothing refused by the policy, and nothing asked for but of the node.
#[track_caller]
fn assert_clean(browser: &Browser<'_>) {
    assert_eq!(browser.console(), [""; 0]);
    let requests = browser.requests();
    assert!(
        requests.iter().any(|address| address.starts_with("http://127.0.0.1:9280/api/v1/events?last=")),
        "{requests:?}"
    );
    let strange: Vec<_> = requests.iter().filter(|at| !at.starts_with(HERE) && !at.starts_with("data:")).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn rates_are_shown_as_they_are_and_as_they_change() {
    let rig = Rig::new(2);
    let show = rig.start(CONFIG);
    let browser = visit(&rig, &show);
    assert_eq!(browser.text("#health"), "well");
    assert!(browser.text("#ready").contains("not ready, partial: pending"));
    let number = |relay: &str, place: usize| format!("Number({}.textContent.replaceAll(',', ''))", cell(relay, place));
    assert_eq!(browser.run(&format!("return {}", number("news-hd", 2))), 0);
    let playing = sources(&rig, &show);
    // The node's rates are over some seconds; then they are what is sent, twice that where there are two outputs.
    let near = |relay: &str, place: usize, rate: f64| {
        browser.wait_until(&format!("Math.abs({} - {rate}) < {rate} / 10", number(relay, place)), SEEN);
    };
    near("news-hd", 2, 1850.0);
    near("news-hd", 3, 1850.0 * 1344.0 * 8.0 / 1e6);
    near("news-hd", 5, 3700.0);
    near("film-1", 2, 950.0);
    let traced =
        format!("({}.querySelector('.line').getAttribute('d').match(/L/g) ?? []).length > 5", cell("radio", 4));
    browser.wait_until(&traced, SEEN);
    let said = |relay: &str| browser.run(&format!("return {}.innerText", cell(relay, 1)));
    assert_eq!((said("radio"), said("sport-2")), ("running".into(), "muted".into()));
    playing.into_iter().for_each(|source| drop(source.stop().unwrap()));
    browser.wait_until(&format!("{} === 0", number("news-hd", 2)), SEEN);
    browser.wait_until(&format!("{}.innerText === 'silent'", cell("news-hd", 1)), SEEN);
    assert_clean(&browser);
    drop(browser);
    show.mcr.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_relay_is_found_opened_and_closed_by_keys_alone() {
    let rig = Rig::new(2);
    let show = rig.start(CONFIG);
    let playing = sources(&rig, &show);
    let browser = visit(&rig, &show);
    let is = |condition: &str| browser.wait_until(condition, SEEN);
    let shown = "[...document.querySelectorAll('#relays tbody a')].map(link => link.textContent).join()";
    browser.press(&["/"]);
    is("document.activeElement.id === 'filter'");
    browser.press(&["s", "p", "o", "r", "t"]);
    is(&format!("{shown} === 'sport-1,sport-2'"));
    browser.press(&[DOWN, DOWN, DOWN, UP]);
    is("document.activeElement.textContent === 'sport-1'");
    browser.press(&[TAB]);
    is("document.activeElement.textContent === 'sport-2'");
    browser.press(&[UP, ENTER]);
    is("!document.getElementById('detail').hidden && document.activeElement.id === 'detail-title'");
    assert_eq!(browser.text("#detail-title"), "sport-1");
    browser.press(&[TAB, ENTER]);
    is("document.getElementById('way').textContent.includes('flows')");
    is("document.querySelectorAll('#latency tbody tr').length > 0");
    assert!(browser.text("#input").contains("in0/239.1.1.4:5000"));
    assert!(browser.text("#outputs").contains("out0/239.2.1.4:5001"));
    // By other people's address, too, and back as browsers go back.
    browser.press(&[ESCAPE]);
    is("document.getElementById('detail').hidden && document.activeElement.textContent === 'sport-1'");
    browser.press(&["/", ESCAPE, "n", "e", "w", ENTER]);
    is("document.getElementById('detail-title').textContent === 'news-hd'");
    is("document.getElementById('pending').innerText.includes('out9')");
    is("location.hash === '#relay/news-hd'");
    browser.run("history.back()");
    is("document.getElementById('detail').hidden");
    assert_clean(&browser);
    drop((browser, playing));
    show.mcr.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_is_wrong_is_told_at_once_and_only_ever_text() {
    let rig = Rig::new(2);
    let show = rig.start(CONFIG);
    let browser = visit(&rig, &show);
    let is = |condition: &str| browser.wait_until(condition, SEEN);
    let says = |id: &str, words: &str| is(&format!("document.getElementById('{id}').innerText.includes('{words}')"));
    // As a debugger holds it: one that hangs by itself would be ended.
    let held = Traced::hold(show.mcr.lanes()[0]).unwrap();
    says("health", "fault: lanes");
    says("failing", "lane 0 has not come round for");
    says("lanes", "does not come round");
    says("told", "The node: fault: lanes");
    // Control tells on a look of its own, a little after the page has seen it.
    says("events", "lane.stalled");
    drop(held);
    is("document.getElementById('health').innerText === 'well'");
    says("events", "lane.resumed");

    let wrong = CONFIG.replace("\"spare\"", &format!("\"{MARKUP}\""));
    fs::write(show.mcr.config(), wrong).unwrap();
    says("failing", MARKUP);
    says("events", MARKUP);
    fs::write(show.mcr.config(), CONFIG).unwrap();
    is("document.getElementById('health').innerText === 'well'");
    // A link to a relay that never was is text, too.
    browser.run(&format!("location.hash = '#relay/' + encodeURIComponent('{MARKUP}')"));
    says("detail-title", MARKUP);
    says("detail", "There is no such relay now.");
    assert_eq!(browser.run("return document.images.length"), 0);
    assert_eq!(browser.run("return document.title.endsWith('127.0.0.1:9280 · MCR')"), true);
    assert_clean(&browser);
    drop(browser);
    show.mcr.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn a_node_that_comes_again_is_met_without_a_reload() {
    let rig = Rig::new(2);
    let mut show = rig.start(CONFIG);
    let playing = sources(&rig, &show);
    let browser = visit(&rig, &show);
    let is = |condition: &str| browser.wait_until(condition, SEEN);
    let silent = "!document.getElementById('silence').hidden";
    assert_clean(&browser);
    browser.run("window.same = true");
    let pid = show.mcr.process.pid();
    show.mcr.process.signal(Signal::SIGKILL).unwrap();
    show.mcr.process.wait(NOTED).unwrap();
    is(silent);
    let said = browser.text("#silence");
    assert!(said.starts_with("no answer since ") && said.contains(" s: "), "{said}");
    assert_eq!(browser.text("#health"), "no answer");
    // What was there is still there to be read and found.
    browser.press(&["/", "r", "a", "d"]);
    is("document.querySelectorAll('#relays tbody tr').length === 1");
    browser.press(&[ESCAPE]);
    browser.picture("silent");
    show.mcr.process = show.mcr.another(&bench::relay::binary(), &rig.relay).unwrap();
    show.mcr.wait_until_ready().unwrap();
    is(&format!("!({silent})"));
    is(&format!("!document.getElementById('facts').innerText.includes('{pid}')"));
    is("document.getElementById('health').innerText === 'well'");
    is("document.getElementById('events').innerText.includes('node.taken_over')");
    is(&format!("Number({}.textContent.replaceAll(',', '')) > 1000", cell("news-hd", 2)));
    assert_eq!(browser.run("return window.same"), true);
    // The browser itself says of each look that nobody answered; nothing else is said.
    let strange: Vec<_> = browser.console().into_iter().filter(|line| !line.contains("net::ERR_")).collect();
    assert!(strange.is_empty(), "{strange:?}");
    drop((browser, playing));
    show.mcr.stop().unwrap();
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_is_in_force_and_not_on_disk_is_shown() {
    let (rig, disk) = (Rig::new(2), Tmpfs::new().unwrap());
    let state = format!("[state]\nfile = \"{}\"\n", disk.path().join("relays.toml").display());
    let show = rig.start(&(state + CONFIG));
    let desk = Desk::of(&show.mcr);
    let browser = visit(&rig, &show);
    let says = |words: &str| {
        browser.wait_until(&format!("document.getElementById('facts').innerText.includes('{words}')"), SEEN);
    };
    says("has what is in force");
    desk.done(&["relay", "add", "made", "--in", "in0/239.1.1.7:5000", "--out", "out0/239.2.1.7:5001"]);
    disk.fill().unwrap();
    desk.done(&["relay", "mute", "made", "--volatile"]);
    says("relays.toml has NOT what is in force since");
    says("No space left on device");
    drop(browser);
    show.mcr.stop().unwrap();
}

/// The pictures are for whoever looks; what a machine can tell is that nothing sticks out.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn it_fits_a_phone_and_the_dark() {
    let rig = Rig::new(2);
    let show = rig.start(CONFIG);
    let playing = sources(&rig, &show);
    let browser = visit(&rig, &show);
    let fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    let ground = "return getComputedStyle(document.documentElement).backgroundColor";
    let full = format!("{}.querySelector('.line').getAttribute('d').length > 200", cell("film-1", 4));
    browser.wait_until(&full, SEEN * 3);
    let sizes = [(1280, 900, false, "wide"), (390, 844, true, "phone"), (320, 640, true, "small")];
    for (width, height, is_phone, size) in sizes {
        browser.resize(width, height, is_phone);
        let mut grounds = Vec::new();
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            grounds.push(browser.run(ground));
            browser.wait_until(fits, SEEN);
            browser.picture(&format!("{size}-{scheme}"));
            browser.run("location.hash = '#relay/news-hd'");
            browser.wait_until("document.querySelectorAll('#latency tbody tr').length > 0", SEEN);
            browser.wait_until(fits, SEEN);
            browser.picture(&format!("{size}-{scheme}-detail"));
            browser.press(&[ESCAPE]);
        }
        assert_ne!(grounds[0], grounds[1], "{size}");
    }
    assert_clean(&browser);
    drop((browser, playing));
    show.mcr.stop().unwrap();
}
