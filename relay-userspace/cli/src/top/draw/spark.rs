//! A minute in a few characters: the higher, the more came in. An empty place is a time that nobody knows of.

use super::super::state::Look;

const UNICODE: [char; 9] = ['_', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 9] = ['_', '.', ',', '-', ':', '=', '+', '*', '#'];

/// The parts of a minute, each as a character.
pub(super) fn line(parts: &[Option<f64>], look: Look) -> String {
    let steps = if look.unicode { UNICODE } else { ASCII };
    let most = parts.iter().flatten().copied().fold(0.0, f64::max);
    let step = |rate: f64| match rate {
        r if r <= 0.0 => 0,
        // What is there is seen, and the most of it is the full height.
        r => (1..8_u8).find(|step| r * 8.0 <= most * f64::from(*step)).unwrap_or(8),
    };
    parts.iter().map(|part| part.map_or(' ', |rate| steps[usize::from(step(rate))])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_told_from_little_and_from_unknown() {
        let parts = [None, Some(0.0), Some(0.1), Some(50.0), Some(100.0)];
        let look = |unicode| Look { colours: false, unicode };
        assert_eq!(line(&parts, look(true)), " _▁▄█");
        assert_eq!(line(&parts, look(false)), " _.:#");
        assert_eq!(line(&[Some(0.0); 2], look(true)), "__");
        assert_eq!(line(&[Some(7.0); 2], look(true)), "██");
    }
}
