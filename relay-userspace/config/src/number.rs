//! Ports, TTLs and all that is counted.

use super::error::Fault;
use super::value::{Kind, Value};
use std::ops::RangeInclusive;

/// A whole number within bounds.
pub(super) fn within(value: &Value, bounds: RangeInclusive<u32>) -> Result<u32, Fault> {
    let (low, high) = (bounds.start(), bounds.end());
    let Kind::Integer(number) = value.kind else {
        let remedy = format!("write a whole number from {low} to {high}, without quotes");
        return Err(Fault::new(format!("is {}, not a whole number", value.kind_name()), remedy));
    };
    match u32::try_from(number) {
        Ok(number) if bounds.contains(&number) => Ok(number),
        _ => Err(Fault::new(format!("{number} is out of bounds"), format!("use {low} to {high}"))),
    }
}

/// A number within bounds, or a word that stands for none.
pub(super) fn within_or(value: &Value, bounds: RangeInclusive<u32>, word: &str) -> Result<Option<u32>, Fault> {
    match &value.kind {
        Kind::Text(text) if text == word => Ok(None),
        Kind::Integer(_) => within(value, bounds).map(Some),
        _ => {
            let problem = format!("is {}", describe(value));
            let remedy = format!("use {} to {}, or \"{word}\"", bounds.start(), bounds.end());
            Err(Fault::new(problem, remedy))
        }
    }
}

/// A number that is a power of two.
pub(super) fn power_of_two(value: &Value, bounds: RangeInclusive<u32>) -> Result<u32, Fault> {
    let number = within(value, bounds)?;
    if number.is_power_of_two() {
        return Ok(number);
    }
    let (below, above) = (number.next_power_of_two() / 2, number.next_power_of_two());
    Err(Fault::new(format!("{number} is not a power of two"), format!("use {below} or {above}")))
}

/// A text in its quotes, or else what kind of value it is.
pub(super) fn describe(value: &Value) -> String {
    match &value.kind {
        Kind::Text(text) => format!("\"{text}\""),
        _ => value.kind_name().to_owned(),
    }
}
