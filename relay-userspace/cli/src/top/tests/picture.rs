//! The picture in the README is what is seen. `UPDATE_DOCS=1 cargo test -p relay-userspace --lib cli::top::tests::picture`
//! writes docs/pictures/top.svg anew.

use super::stage::{buffer, state};
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::fmt::Write as _;
use std::path::Path;

/// A character's width and a row's height, and the room around all of them.
const CELL: f64 = 8.4;
const ROW: f64 = 18.0;
const EDGE: f64 = 12.0;

const STYLE: &str = "\
text { font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; white-space: pre; fill: #1f2328 }
.paper { fill: #ffffff; stroke: #d0d7de } .bar { fill: #1f2328 } .on { fill: #ffffff }
.bold { font-weight: bold } .dim { fill: #656d76 }
.green { fill: #1a7f37 } .yellow { fill: #9a6700 } .red { fill: #cf222e }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .paper { fill: #0d1117; stroke: #30363d } .bar { fill: #e6edf3 } .on { fill: #0d1117 }
.dim { fill: #8d96a0 } .green { fill: #3fb950 } .yellow { fill: #d29922 } .red { fill: #f85149 }
}";

/// The classes of a cell.
fn classes(cell: &Cell) -> String {
    let is = |modifier| cell.modifier.contains(modifier);
    let colour = match cell.fg {
        _ if is(Modifier::REVERSED) => "on",
        Color::Green => "green",
        Color::Yellow => "yellow",
        Color::Red => "red",
        _ if is(Modifier::DIM) => "dim",
        _ => "",
    };
    format!("{colour} {}", if is(Modifier::BOLD) { "bold" } else { "" }).trim().to_owned()
}

/// Runs of cells of a row that look the same: where, how, and what.
fn runs(buffer: &Buffer, y: u16) -> Vec<(u16, String, String)> {
    let mut runs: Vec<(u16, String, String)> = Vec::new();
    for x in 0..buffer.area.width {
        let cell = &buffer[(x, y)];
        let classes = classes(cell);
        match runs.last_mut() {
            Some((_, same, text)) if *same == classes => text.push_str(cell.symbol()),
            _ => runs.push((x, classes, cell.symbol().to_owned())),
        }
    }
    runs
}

fn svg(buffer: &Buffer) -> String {
    let (columns, rows) = (f64::from(buffer.area.width), f64::from(buffer.area.height));
    let (width, height) = (columns * CELL + 2.0 * EDGE, rows * ROW + 2.0 * EDGE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.1} {height:.1}\" role=\"img\" \
         aria-label=\"mcr top: relays, their rates and what is wrong\">\n<style>\n{STYLE}\n</style>\n\
         <rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"{:.1}\" height=\"{:.1}\" rx=\"6\"/>\n",
        width - 1.0,
        height - 1.0
    );
    for y in 0..buffer.area.height {
        let top = EDGE + f64::from(y) * ROW;
        for (x, classes, text) in runs(buffer, y) {
            let (left, n) = (EDGE + f64::from(x) * CELL, text.chars().count() as f64);
            if classes.contains("on") {
                let _ = writeln!(
                    svg,
                    "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{ROW}\"/>",
                    n * CELL
                );
            }
            // Words stand where they stand, whatever font there is.
            for (at, word) in words(&text) {
                let (left, n) = (left + at as f64 * CELL, word.chars().count() as f64);
                let word = word.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                let _ = writeln!(
                    svg,
                    "<text class=\"{classes}\" x=\"{left:.1}\" y=\"{:.1}\" textLength=\"{:.1}\">{word}</text>",
                    top + 13.5,
                    n * CELL
                );
            }
        }
    }
    svg + "</svg>\n"
}

/// The words of a text, and where they begin; what two spaces part are two.
fn words(text: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    let mut at = 0;
    for word in text.split("  ") {
        let trimmed = word.trim_start();
        if !trimmed.trim_end().is_empty() {
            words.push((at + word.chars().count() - trimmed.chars().count(), trimmed.trim_end().to_owned()));
        }
        at += word.chars().count() + 2;
    }
    words
}

#[test]
fn the_picture_in_the_readme_is_what_is_seen() {
    let svg = svg(&buffer(&state(100, 12)));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures/top.svg");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &svg).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == svg,
        "docs/pictures/top.svg is out of date: UPDATE_DOCS=1 cargo test -p relay-userspace --lib cli::top::tests::picture"
    );
}
