//! Scales, and the places on them that people like to read.

/// From values to places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    /// The lowest and the highest value.
    values: (f64, f64),
    /// Where these are.
    places: (f64, f64),
    is_logarithmic: bool,
}

impl Scale {
    /// From 0 to this, which must be more.
    pub(super) const fn linear(high: f64, places: (f64, f64)) -> Self {
        Self { values: (0.0, high), places, is_logarithmic: false }
    }

    /// Each factor takes the same room. Both values are more than 0.
    pub(super) const fn logarithmic(values: (f64, f64), places: (f64, f64)) -> Self {
        Self { values, places, is_logarithmic: true }
    }

    /// Where a value is; one outside is at the end.
    pub(super) fn at(self, value: f64) -> f64 {
        let (low, high) = self.values;
        let value = value.clamp(low, high);
        let share = match self.is_logarithmic {
            true if low == high => 0.5,
            true => (value / low).ln() / (high / low).ln(),
            false => (value - low) / (high - low),
        };
        self.places.0 + share * (self.places.1 - self.places.0)
    }
}

/// Ticks from 0 to the first beyond `most`: steps of 1, 2 or 5 times a power of ten, at most `n_steps` and a bit.
pub(super) fn linear_ticks(most: f64, n_steps: f64) -> Vec<f64> {
    let most = if most > 0.0 && most.is_finite() { most } else { 1.0 };
    let raw = most / n_steps;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|it| it * power).into_iter().find(|step| *step >= raw * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let mut ticks = vec![0.0];
    let mut n = 0.0;
    while n * step < most * 0.999 {
        n += 1.0;
        ticks.push(n * step);
    }
    ticks
}

/// A range around values and the ticks in it: each power of ten, and where these are few, twice and five times it.
pub(super) fn logarithmic_ticks(values: impl Iterator<Item = f64> + Clone) -> Option<((f64, f64), Vec<f64>)> {
    let values = values.filter(|value| value.is_finite() && *value > 0.0);
    let (lowest, highest) = (values.clone().reduce(f64::min)?, values.reduce(f64::max)?);
    let (low, high) = (lowest / 1.3, highest * 1.3);
    let mut power = 10_f64.powf(low.log10().floor());
    let between: &[f64] = if high / low > 3000.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let mut ticks = Vec::new();
    while power <= high {
        ticks.extend(between.iter().map(|it| it * power).filter(|tick| (low..=high).contains(tick)));
        power *= 10.0;
    }
    Some(((low, high), ticks))
}

/// Moves labels apart so that each two have this between them, none leaves the room, and each stays near its place.
/// What is returned is in the order of what was given.
pub(super) fn apart(wanted: &[f64], gap: f64, (top, bottom): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    // Labels that touch become one block, which stands in the middle of what its labels want.
    let mut blocks: Vec<(f64, Vec<usize>)> = Vec::new();
    let half = |block: &Vec<usize>| gap * (block.len() as f64 - 1.0) / 2.0;
    for at in order {
        let mut block = vec![at];
        let mut middle = wanted[at].clamp(top, bottom);
        while let Some((above, members)) = blocks.pop() {
            if above + half(&members) + gap <= middle - half(&block) {
                blocks.push((above, members));
                break;
            }
            block = [members, block].concat();
            let mean = block.iter().map(|at| wanted[*at]).sum::<f64>() / block.len() as f64;
            middle = mean.min(bottom - half(&block)).max(top + half(&block));
        }
        middle = middle.min(bottom - half(&block)).max(top + half(&block));
        blocks.push((middle, block));
    }
    let mut places = vec![0.0; wanted.len()];
    for (middle, block) in &blocks {
        let mut place = middle - half(block);
        for at in block {
            places[*at] = place;
            place += gap;
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_beyond_the_most() {
        assert_eq!(linear_ticks(880.0, 5.0), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(linear_ticks(1000.0, 5.0), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(linear_ticks(21.0, 5.0), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]);
        assert_eq!(linear_ticks(0.0, 5.0).first(), Some(&0.0));
        assert_eq!(linear_ticks(f64::NAN, 5.0).len(), 6);
    }

    #[test]
    fn a_logarithmic_axis_has_a_tick_for_each_power_of_ten() {
        let (_, ticks) = logarithmic_ticks([900.0, 2e7].into_iter()).unwrap();
        assert_eq!(ticks, [1e3, 1e4, 1e5, 1e6, 1e7]);
        let (range, ticks) = logarithmic_ticks([20.0, 90.0, 0.0, f64::NAN].into_iter()).unwrap();
        assert_eq!(ticks, [20.0, 50.0, 100.0]);
        assert!(range.0 < 20.0 && range.1 > 90.0);
        assert!(logarithmic_ticks([0.0].into_iter()).is_none());
    }

    #[test]
    fn scales_meet_both_ends_and_stay_between_them() {
        let linear = Scale::linear(10.0, (100.0, 0.0));
        assert_eq!([0.0, 5.0, 10.0, 99.0].map(|value| linear.at(value)), [100.0, 50.0, 0.0, 0.0]);
        let logarithmic = Scale::logarithmic((1.0, 100.0), (0.0, 10.0));
        assert_eq!([1.0, 10.0, 100.0, 0.0].map(|value| logarithmic.at(value)), [0.0, 5.0, 10.0, 0.0]);
    }

    #[test]
    fn labels_keep_their_distance_and_their_order() {
        let wanted = [50.0, 51.0, 52.0, 90.0, 5.0, 99.0, 98.0, 0.0];
        let places = apart(&wanted, 10.0, (0.0, 100.0));
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
        for pair in order.windows(2) {
            assert!(places[pair[1]] - places[pair[0]] >= 9.999, "{places:?}");
        }
        assert!(places.iter().all(|place| (-0.001..=100.001).contains(place)), "{places:?}");
        assert_eq!(apart(&[30.0, 60.0], 10.0, (0.0, 100.0)), [30.0, 60.0]);
    }
}
