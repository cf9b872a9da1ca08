//! Plots are XML, have no figure that is none, and nothing in them overlaps or is cut.

use roxmltree::{Document, Node};

use super::svg::{Font, INK};
use super::*;
use crate::measure::results::ScenarioResult;
use crate::measure::{fixture, golden};

fn all() -> Vec<(String, String)> {
    [plots(&fixture::results()), plots(&fixture::awkward())].concat()
}

#[test]
fn a_small_plot_is_as_it_was() {
    let contestants = vec![fixture::mcr(880e3), fixture::mmsg(277e3), fixture::ceiling("xsk-drop", "", 2_410e3)];
    let first = fixture::results().scenarios.remove(0);
    golden::assert_as_it_was("plot.svg", &bars::draw(&ScenarioResult { contestants, ..first }).unwrap());
}

#[test]
fn each_comparison_has_its_plot() {
    let files: Vec<_> = plots(&fixture::results()).into_iter().map(|(file, _)| file).collect();
    let expected = [
        "fan-out.svg",
        "relays.svg",
        "rates-1-to-1.svg",
        "latency-1-to-1.svg",
        "rates-1-to-4.svg",
        "latency-1-to-4.svg",
        "rates-1-to-16.svg",
        "latency-1-to-16.svg",
        "rates-relays-50.svg",
        "latency-relays-50.svg",
        "rates-relays-200.svg",
        "latency-relays-200.svg",
        "rates-ipv6.svg",
        "latency-ipv6.svg",
    ];
    assert_eq!(files, expected);
}

#[test]
fn a_name_of_a_scenario_is_no_path() {
    assert_eq!(rates_file("../a b"), "rates----a-b.svg");
}

#[test]
fn plots_are_xml_without_what_is_no_number() {
    for (file, svg) in all() {
        let document = Document::parse(&svg).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(document.root_element().tag_name().name(), "svg");
        for attribute in document.descendants().flat_map(|node| node.attributes()) {
            let value = attribute.value();
            assert!(!value.contains("NaN") && !value.contains("inf"), "{file}: {}=\"{value}\"", attribute.name());
        }
    }
}

#[test]
fn names_are_escaped() {
    let name = "<script>&\"quoted\"|piped|";
    let (_, svg) = all().into_iter().find(|(file, _)| file.starts_with("rates----1-to")).unwrap();
    assert!(svg.contains("&lt;script&gt;&amp;&quot;quoted&quot;|piped|") && !svg.contains("<script"));
    let document = Document::parse(&svg).unwrap();
    assert!(document.descendants().any(|node| node.text() == Some(name)));
}

/// Left, top, right, bottom.
type Rectangle = (f64, f64, f64, f64);

fn rectangle(text: &Node<'_, '_>) -> Rectangle {
    let number = |name: &str| -> f64 { text.attribute(name).unwrap().parse().unwrap() };
    let size = number("font-size");
    let font = Font { size, colour: INK, is_bold: text.has_attribute("font-weight") };
    let width = font.width(text.text().unwrap_or_default());
    let left = match text.attribute("text-anchor") {
        None => number("x"),
        Some("middle") => number("x") - width / 2.0,
        Some(_) => number("x") - width,
    };
    (left, number("y") - size * 0.75, left + width, number("y") + size * 0.22)
}

#[test]
fn no_text_is_cut_or_lies_on_another() {
    for (file, svg) in all() {
        let document = Document::parse(&svg).unwrap();
        let size = |name: &str| -> f64 { document.root_element().attribute(name).unwrap().parse().unwrap() };
        let texts: Vec<_> = document.descendants().filter(|node| node.has_tag_name("text")).collect();
        for (at, text) in texts.iter().enumerate() {
            let (left, top, right, bottom) = rectangle(text);
            let is_inside = left >= 0.0 && top >= 0.0 && right <= size("width") && bottom <= size("height");
            assert!(is_inside, "{file}: {:?} is cut", text.text());
            for other in &texts[..at] {
                let (l, t, r, b) = rectangle(other);
                let is_apart = r <= left || right <= l || b <= top || bottom <= t;
                assert!(is_apart, "{file}: {:?} lies on {:?}", text.text(), other.text());
            }
        }
    }
}
