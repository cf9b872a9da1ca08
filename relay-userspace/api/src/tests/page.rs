//! The page at `/`: what its parts are, and what they may never be.

use super::stage::Stage;
use crate::page::{PARTS, Part};
use relay_control::events;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// All of it together stays as small as a picture.
const MOST_BYTES: usize = 40_000;
const NAMESPACE_OF_SVG: &str = "http://www.w3.org/2000/svg";

fn text(path: &str) -> &'static str {
    PARTS.into_iter().find(|part| part.path == path).unwrap().text
}

#[tokio::test]
async fn each_part_is_served_to_everybody_and_may_do_nothing_else() {
    let stage = Stage::new();
    for (path, kind, begin) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/page.css", "text/css; charset=utf-8", ":root"),
        ("/page.js", "text/javascript; charset=utf-8", "//"),
    ] {
        for client in [&stage.tcp, &stage.unix] {
            let answer = client.get(path).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, kind), "{path}");
            assert!(answer.body.starts_with(begin.as_bytes()), "{path}");
            let head = client.with("HEAD", path, &[], "").await;
            assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
            for answer in [&answer, &head] {
                assert_eq!(answer.header("content-security-policy"), POLICY, "{path}");
                assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
                assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
                assert_eq!(answer.header("cache-control"), "no-cache", "{path}");
                assert_eq!(answer.header("content-length"), text(path).len().to_string(), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_is_read_only_and_answers_to_no_strangers_name() {
    let stage = Stage::new();
    for method in ["POST", "PUT", "DELETE"] {
        let answer = stage.unix.ask(method, "/", "").await;
        assert_eq!((answer.problem().1.as_str(), answer.header("allow")), ("no-such-method", "GET,HEAD"), "{method}");
    }
    let strange = stage.tcp.with("GET", "/", &[("host", "evil.example")], "").await;
    assert_eq!(strange.problem().1, "other-host");
    assert_eq!(strange.header("content-security-policy"), "");
}

/// What comes from the node is made text by the browser, never markup: names cannot be trusted, events even less.
#[test]
fn the_script_makes_no_markup_of_anything() {
    let script = text("/page.js");
    for word in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "createContextualFragment",
        "DOMParser",
        "srcdoc",
        "javascript:",
        "setHTML",
        "parseHTML",
        "import(",
    ] {
        assert!(!script.contains(word), "{word}");
    }
}

/// The policy would forbid it, and say so in the browser only.
#[test]
fn nothing_is_loaded_from_elsewhere_and_nothing_stands_in_the_markup() {
    for Part { path, text, .. } in PARTS {
        let text = text.replace(NAMESPACE_OF_SVG, "");
        for word in ["http:", "https:", "//cdn", "@import", "url("] {
            assert!(!text.contains(word), "{path}: {word}");
        }
    }
    let page = text("/");
    for word in ["<style", " style=", "<form", "<base", "<iframe", " onclick=", " onload="] {
        assert!(!page.contains(word), "{word}");
    }
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("<script src=\"page.js\" defer></script>"));
}

/// A browser hears of an event only by its name.
#[test]
fn the_script_knows_every_event() {
    let (_, rest) = text("/page.js").split_once("const EVENTS = [").unwrap();
    let (list, _) = rest.split_once(']').unwrap();
    let names = list.split(',').map(|name| name.trim().trim_matches('"'));
    let known: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    let all: Vec<&str> = events::Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(known, all);
}

#[test]
fn it_is_small() {
    let bytes: usize = PARTS.iter().map(|part| part.text.len()).sum();
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
}
