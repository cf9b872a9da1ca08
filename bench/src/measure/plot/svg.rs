//! A picture in SVG, written as text.

use std::fmt::Write;

/// Wide enough for a name of 25 characters, five percentiles three times over, and labels.
pub(super) const WIDTH: f64 = 920.0;
/// Left and right of everything.
pub(super) const MARGIN: f64 = 20.0;
/// Title and subtitle end above this.
pub(super) const TOP: f64 = 84.0;

pub(super) const INK: &str = "#1f2328";
pub(super) const FAINT_INK: &str = "#59636e";
pub(super) const GRID: &str = "#e4e7eb";
const BORDER: &str = "#d0d7de";

const FONTS: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

/// Where a text stands with regard to its place.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(super) struct Font {
    pub size: f64,
    pub colour: &'static str,
    pub is_bold: bool,
}

const TITLE: Font = Font { size: 17.0, colour: INK, is_bold: true };
const SUBTITLE: Font = Font { size: 13.0, colour: FAINT_INK, is_bold: false };
pub(super) const LABEL: Font = Font { size: 13.0, colour: INK, is_bold: false };
pub(super) const STRONG: Font = Font { is_bold: true, ..LABEL };
pub(super) const NOTE: Font = Font { size: 12.0, colour: FAINT_INK, is_bold: false };

impl Font {
    /// How wide a text is at most, as far as that can be said without the font: by a wide one, DejaVu Sans.
    pub(super) fn width(self, text: &str) -> f64 {
        let wide = |c: char| match c {
            'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '\'' | ' ' | 'I' => 0.34,
            'f' | 't' | 'r' | '-' | '/' | '(' | ')' | '·' => 0.42,
            'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 1.0,
            '0'..='9' | 'a'..='z' => 0.635,
            _ => 0.84,
        };
        let bold = if self.is_bold { 1.1 } else { 1.0 };
        text.chars().map(wide).sum::<f64>() * self.size * bold
    }

    /// The text, or as much of its beginning as fits.
    pub(super) fn fitted(self, text: &str, width: f64) -> String {
        let mut text = text.to_owned();
        if self.width(&text) <= width {
            return text;
        }
        while !text.is_empty() && self.width(&text) + self.size > width {
            text.pop();
        }
        format!("{}…", text.trim_end())
    }
}

/// How a line looks.
#[derive(Clone, Copy)]
pub(super) struct Pen {
    pub colour: &'static str,
    pub width: f64,
    pub dash: Option<&'static str>,
}

impl Pen {
    pub(super) const fn thin(colour: &'static str) -> Self {
        Self { colour, width: 1.0, dash: None }
    }

    fn attributes(self) -> String {
        let dash = self.dash.map(|dash| format!(r#" stroke-dasharray="{dash}""#)).unwrap_or_default();
        format!(r#"stroke="{}" stroke-width="{}"{dash}"#, self.colour, self.width)
    }
}

/// A picture. Places are counted from the left and from above.
pub(super) struct Svg {
    height: f64,
    title: String,
    body: String,
}

impl Svg {
    /// With its title, and what has to be known to read it.
    pub(super) fn new(height: f64, title: &str, lines: [&str; 2]) -> Self {
        let mut svg = Self { height, title: title.to_owned(), body: String::new() };
        let room = WIDTH - 2.0 * MARGIN;
        svg.text((MARGIN, 30.0), Anchor::Start, TITLE, &TITLE.fitted(title, room));
        for (line, y) in lines.into_iter().zip([50.0, 67.0]) {
            svg.text((MARGIN, y), Anchor::Start, SUBTITLE, &SUBTITLE.fitted(line, room));
        }
        svg
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, font: Font, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => r#" text-anchor="middle""#,
            Anchor::End => r#" text-anchor="end""#,
        };
        let weight = if font.is_bold { r#" font-weight="600""# } else { "" };
        let Font { size, colour, .. } = font;
        let place = format!(r#"x="{}" y="{}""#, place(x), place(y));
        self.push(&format!(
            r#"<text {place} font-size="{size}" fill="{colour}"{weight}{anchor}>{}</text>"#,
            escaped(text)
        ));
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), pen: Pen) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(place);
        self.push(&format!(r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" {}/>"#, pen.attributes()));
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], pen: Pen) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{},{}", place(*x), place(*y))).collect();
        let points = points.join(" ");
        let line = pen.attributes();
        self.push(&format!(r#"<polyline points="{points}" fill="none" stroke-linejoin="round" {line}/>"#));
    }

    pub(super) fn area(&mut self, points: &[(f64, f64)], fill: &str, pen: Pen) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{},{}", place(*x), place(*y))).collect();
        self.push(&format!(r#"<polygon points="{}" fill="{fill}" {}/>"#, points.join(" "), pen.attributes()));
    }

    pub(super) fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: &str, pen: Pen) {
        let [x, y] = [x, y].map(place);
        self.push(&format!(r#"<circle cx="{x}" cy="{y}" r="{radius}" fill="{fill}" {}/>"#, pen.attributes()));
    }

    /// From its upper left corner.
    pub(super) fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), fill: &str, pen: Option<Pen>) {
        let [x, y, width, height] = [x, y, width, height].map(place);
        let line = pen.map(|pen| format!(" {}", pen.attributes())).unwrap_or_default();
        self.push(&format!(r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"{line}/>"#));
    }

    /// What makes a fill; to be named as `url(#ID)`.
    pub(super) fn hatch(&mut self, id: &str, colour: &str) {
        self.push(&format!(
            r#"<pattern id="{id}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="white"/><rect width="2" height="6" fill="{colour}"/></pattern>"#
        ));
    }

    /// The file.
    pub(super) fn finish(self) -> String {
        let Self { height, title, body } = self;
        let mut file = String::new();
        let size = format!(r#"viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}""#);
        // Writing into a string cannot fail.
        let _ = writeln!(file, r#"<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{FONTS}">"#);
        let _ = writeln!(file, "<title>{}</title>", escaped(&title));
        // A page may be dark: the picture brings its own paper.
        let [width, tall] = [WIDTH - 1.0, height - 1.0];
        let paper = format!(r#"width="{width}" height="{tall}" rx="6" fill="white" stroke="{BORDER}""#);
        let _ = writeln!(file, r#"<rect x="0.5" y="0.5" {paper}/>"#);
        file + &body + "</svg>\n"
    }

    fn push(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }
}

/// A tenth of a pixel is more than enough.
fn place(place: f64) -> String {
    debug_assert!(place.is_finite(), "whoever draws leaves out what is no number");
    let text = format!("{place:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

fn escaped(text: &str) -> String {
    let is_allowed = |c: &char| !c.is_control();
    let text: String = text.chars().filter(is_allowed).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
