//! How long: a number and its unit.

use super::error::Fault;
use super::number::describe;
use super::value::{Kind, Value};
use std::time::Duration;

/// The shortest and the longest time that can be said, in milliseconds.
const SHORTEST_MS: u32 = 10;
const LONGEST_MS: u32 = 3_600_000;
/// The shortest and the longest trial, in milliseconds.
const SHORTEST_TRIAL_MS: u32 = 1000;
const LONGEST_TRIAL_MS: u32 = 24 * LONGEST_MS;
const UNITS: [(&str, u32); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];

/// How long a stream may be silent, in milliseconds; `None` for ever.
pub(super) fn silence_after(value: &Value) -> Result<Option<u32>, Fault> {
    time_or_off(value)
}

/// How long a node is held down after a fault, in milliseconds; 0 for not at all.
pub(super) fn hold_down(value: &Value) -> Result<u32, Fault> {
    Ok(time_or_off(value)?.unwrap_or(0))
}

fn time_or_off(value: &Value) -> Result<Option<u32>, Fault> {
    const REMEDY: &str = "use \"10ms\" to \"1h\" (ms, s, m or h), or \"off\"";
    match &value.kind {
        Kind::Text(word) if word == "off" => Ok(None),
        Kind::Text(text) => match milliseconds(text) {
            Some(ms @ SHORTEST_MS..=LONGEST_MS) => Ok(Some(ms)),
            Some(_) => Err(Fault::new(format!("{text} is out of bounds"), REMEDY)),
            None => Err(Fault::new(format!("\"{text}\" is no duration"), REMEDY)),
        },
        Kind::Integer(number) => Err(Fault::new(format!("{number} has no unit"), REMEDY)),
        _ => Err(Fault::new(format!("is {}", describe(value)), REMEDY)),
    }
}

/// How long a configuration may be on trial, in milliseconds.
///
/// # Errors
/// What is wrong and what to write.
pub fn trial_length(text: &str) -> Result<u64, String> {
    match milliseconds(text) {
        Some(ms @ SHORTEST_TRIAL_MS..=LONGEST_TRIAL_MS) => Ok(ms.into()),
        Some(_) => Err(format!("{text} is out of bounds: write 1s to 24h, as in 5m")),
        None => Err(format!("\"{text}\" is no duration: write a number and s, m or h, as in 5m")),
    }
}

/// A whole number and a unit. What is too long to be counted is the longest there is.
fn milliseconds(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let number = if number.is_empty() { None } else { Some(number.parse::<u32>().unwrap_or(u32::MAX)) };
    number.map(|number| number.saturating_mul(factor))
}

/// A duration: a number and its unit.
///
/// # Errors
/// What is wrong and what to write.
pub fn duration(text: &str) -> Result<Duration, String> {
    const REMEDY: &str = "write a number and ms, s, m or h, as in 500ms";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => return Err(format!("{text} has no unit: {REMEDY}")),
        _ => return Err(format!("\"{text}\" is no duration: {REMEDY}")),
    };
    let number: u64 = number.parse().map_err(|_| format!("\"{text}\" is no duration: {REMEDY}"))?;
    match number.checked_mul(factor) {
        Some(0) => Err("must be longer than nothing".to_owned()),
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => Err(format!("{text} is too long")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_has_bounds() {
        assert_eq!(["1s", "5m", "24h"].map(trial_length), [Ok(1000), Ok(300_000), Ok(86_400_000)]);
        for wrong in ["999ms", "25h", "5", "off", "5 m", "-1s"] {
            assert!(trial_length(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_duration_is_a_number_and_its_unit() {
        let silence = |text: &str| silence_after(&Value { line: None, kind: Kind::Text(text.to_owned()) }).ok();
        let right = ["10ms", "500ms", "1s", "90s", "2m", "1h", "3600000ms", "off"].map(silence);
        let expected = [10, 500, 1000, 90_000, 120_000, 3_600_000, 3_600_000].map(Some);
        assert_eq!(right[..7], expected.map(Some));
        assert_eq!(right[7], Some(None));
        let wrong = ["9ms", "0s", "61m", "2h", "99999999999999999999s", "", "s", "1", "1.5s", "-1s", "1 s", "1S", "1d"];
        assert_eq!(wrong.map(silence), [None; 13]);
    }
}
