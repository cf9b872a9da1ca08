//! Names beside the ends of lines, in place of a legend.

use super::axis::apart;
use super::style::Style;
use super::svg::{Anchor, LABEL, MARGIN, Pen, STRONG, Svg, WIDTH};
use crate::measure::results::Kind;

/// Between two names.
const GAP: f64 = 18.0;
/// From the end of the plot to the marks before the names: room for the lines that lead there.
const LEAD: f64 = 26.0;
/// From the middle of a mark to its name.
const MARK: f64 = 11.0;
/// From the last mark of a line to the edge of the plot, where it goes on to the edge.
const NEAR: f64 = 40.0;
/// Longer names are cut.
const LONGEST: f64 = 240.0;

/// A name and where its line ends.
pub(super) struct Name<'a> {
    pub name: &'a str,
    pub kind: Kind,
    pub style: Style,
    pub end: (f64, f64),
}

/// What names take on the right side, the margin with them.
pub(super) fn room<'a>(names: impl Iterator<Item = &'a str>) -> f64 {
    let widest = names.map(|name| STRONG.width(name)).fold(0.0, f64::max);
    LEAD + MARK + widest.min(LONGEST) + MARGIN
}

/// How high a plot must be for so many names.
pub(super) fn height(n_names: usize) -> f64 {
    GAP * n_names as f64
}

/// Draws them right of a plot that ends at `right`.
pub(super) fn draw(svg: &mut Svg, names: &[Name<'_>], right: f64, (top, bottom): (f64, f64)) {
    let wanted: Vec<_> = names.iter().map(|name| name.end.1).collect();
    let x = right + LEAD;
    for (name, y) in names.iter().zip(apart(&wanted, GAP, (top, bottom))) {
        let Name { name, kind, style, end } = name;
        let lead = Pen::thin(style.pen.colour);
        // To the edge of the plot, then to its name. A long way there must not look like a figure.
        if end.0 < right {
            let dash = (right - end.0 > NEAR).then_some("1 4");
            svg.line(*end, (right, end.1), Pen { dash, ..lead });
        }
        svg.line((end.0.max(right), end.1), (x, y), lead);
        style.mark(svg, (x, y));
        let font = if *kind == Kind::Mcr { STRONG } else { LABEL };
        let text = font.fitted(name, WIDTH - MARGIN - x - MARK);
        svg.text((x + MARK, y + 4.5), Anchor::Start, font, &text);
    }
}
