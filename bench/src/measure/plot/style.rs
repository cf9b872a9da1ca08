//! Who looks how: one look for each contestant in all plots, to be told apart by colour, mark and dash.

use super::svg::{Pen, Svg};
use crate::measure::results::{Kind, Results};

/// MCR as it comes.
pub(super) const MCR: &str = "#0072b2";
/// MCR in another way.
const VARIANTS: [&str; 3] = ["#56b4e9", "#332288", "#88ccee"];
/// Of Okabe and Ito: to be told apart by colour-blind people too.
const PEERS: [&str; 5] = ["#d55e00", "#e69f00", "#009e73", "#cc79a7", "#7a5c2e"];
const CEILINGS: [&str; 3] = ["#555555", "#8a8a8a", "#b0b0b0"];

/// How a contestant is drawn.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub pen: Pen,
    mark: Mark,
    is_hollow: bool,
}

#[derive(Clone, Copy)]
enum Mark {
    Circle,
    Square,
    Triangle,
    Diamond,
}

const MARKS: [Mark; 4] = [Mark::Circle, Mark::Square, Mark::Triangle, Mark::Diamond];

/// The looks of all contestants of a run.
pub(super) struct Styles {
    names: Vec<(String, Kind)>,
}

impl Styles {
    pub(super) fn of(results: &Results) -> Self {
        let mut names: Vec<(String, Kind)> = Vec::new();
        for contestant in results.scenarios.iter().flat_map(|scenario| &scenario.contestants) {
            if !names.iter().any(|(name, _)| *name == contestant.name) {
                names.push((contestant.name.clone(), contestant.kind));
            }
        }
        Self { names }
    }

    pub(super) fn get(&self, name: &str) -> Style {
        let known = self.names.iter().find(|(known, _)| known == name);
        let kind = known.map_or(Kind::Peer, |(_, kind)| *kind);
        let of_kind = self.names.iter().filter(|(_, other)| *other == kind);
        let at = of_kind.take_while(|(known, _)| known != name).count();
        let (colour, width, dash) = match (kind, at) {
            (Kind::Mcr, 0) => (MCR, 3.0, None),
            (Kind::Mcr, at) => (VARIANTS[(at - 1) % VARIANTS.len()], 2.0, None),
            (Kind::Peer, at) => {
                // A second round through the colours is dashed.
                (PEERS[at % PEERS.len()], 2.0, (at >= PEERS.len()).then_some("7 3"))
            }
            (Kind::Ceiling, at) => (CEILINGS[at % CEILINGS.len()], 1.5, Some("3 3")),
        };
        let mark = MARKS[at % MARKS.len()];
        Style { pen: Pen { colour, width, dash }, mark, is_hollow: kind == Kind::Ceiling }
    }
}

impl Style {
    pub(super) fn mark(self, svg: &mut Svg, (x, y): (f64, f64)) {
        let pen = Pen { colour: self.pen.colour, width: 1.5, dash: None };
        let fill = if self.is_hollow { "white" } else { self.pen.colour };
        match self.mark {
            Mark::Circle => svg.circle((x, y), 3.5, fill, pen),
            Mark::Square => svg.bar((x - 3.2, y - 3.2), (6.4, 6.4), fill, Some(pen)),
            Mark::Triangle => svg.area(&[(x, y - 4.2), (x + 4.0, y + 3.2), (x - 4.0, y + 3.2)], fill, pen),
            Mark::Diamond => svg.area(&[(x, y - 4.6), (x + 4.6, y), (x, y + 4.6), (x - 4.6, y)], fill, pen),
        }
    }
}
