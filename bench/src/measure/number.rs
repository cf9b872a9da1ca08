//! Figures as people read them. What is no number is a dash.

/// What stands where nothing was measured.
pub(crate) const ABSENT: &str = "–";

/// How many digits of a figure mean something.
#[derive(Clone, Copy)]
enum Digits {
    /// `12.3`: of rates, which repeat well.
    Three,
    /// `27`, `2.7`: of latencies, which do not.
    Two,
}

const TIMES: [(&str, f64); 4] = [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)];

/// `1.23 Mpps`.
pub(crate) fn packets(per_second: f64) -> String {
    scaled(per_second, Digits::Three, &[("pps", 1.0), ("kpps", 1e3), ("Mpps", 1e6), ("Gpps", 1e9)])
}

/// `12.3 Gbit/s`.
pub(crate) fn bits(per_second: f64) -> String {
    let units = [("bit/s", 1.0), ("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9), ("Tbit/s", 1e12)];
    scaled(per_second, Digits::Three, &units)
}

/// `1.04 µs`, of a time that repeats well.
pub(crate) fn core_time(ns: f64) -> String {
    scaled(ns, Digits::Three, &TIMES)
}

/// `27 µs`.
pub(crate) fn nanoseconds(ns: f64) -> String {
    scaled(ns, Digits::Two, &TIMES)
}

/// `31 MiB`.
pub(crate) fn kibibytes(kib: f64) -> String {
    scaled(kib, Digits::Two, &[("KiB", 1.0), ("MiB", 1024.0), ("GiB", 1024.0 * 1024.0)])
}

/// `3.2×`, `0.35×`.
pub(crate) fn times(ratio: f64) -> String {
    match ratio {
        _ if !ratio.is_finite() => ABSENT.to_owned(),
        _ if ratio < 0.995 => format!("{ratio:.2}×"),
        _ if ratio < 9.95 => format!("{ratio:.1}×"),
        _ => format!("{ratio:.0}×"),
    }
}

/// `+3.1 %`, of a share.
pub(crate) fn change(share: f64) -> String {
    if !share.is_finite() {
        return ABSENT.to_owned();
    }
    let text = format!("{:+.1} %", share * 100.0);
    if text == "-0.0 %" { "+0.0 %".to_owned() } else { text.replace('-', "−") }
}

/// `880 000`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `3 h 12 min`, `4 min 5 s`.
pub(crate) fn seconds(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, s) => format!("{min} min {s} s"),
        (h, min, _) => format!("{h} h {min} min"),
    }
}

/// `1.5 Mpps` where [`packets`] says `1.50 Mpps`: for the ticks of an axis.
pub(crate) fn short(text: &str) -> String {
    match text.split_once(' ') {
        Some(("0", _)) => "0".to_owned(),
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text.to_owned(),
    }
}

/// In the unit in which it has at most three digits before the point. The smallest unit comes first.
fn scaled(value: f64, digits: Digits, units: &[(&str, f64)]) -> String {
    if !value.is_finite() {
        return ABSENT.to_owned();
    }
    // What rounds to 1000 belongs into the next unit.
    let fits = |unit: &&(&str, f64)| value.abs() / unit.1 < 999.5;
    let Some((name, unit)) = units.iter().find(fits).or_else(|| units.last()) else { return ABSENT.to_owned() };
    let value = value / unit;
    let decimals = match digits {
        _ if value == 0.0 => 0,
        Digits::Three if value.abs() < 9.995 => 2,
        Digits::Three if value.abs() < 99.95 => 1,
        Digits::Two if value.abs() < 9.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_digits() {
        let texts = [0.0, 950.0, 9_994.0, 9_996.0, 880_000.0, 999_499.0, 999_600.0, 1_234_000.0].map(packets);
        let expected = ["0 pps", "950 pps", "9.99 kpps", "10.0 kpps", "880 kpps", "999 kpps", "1.00 Mpps", "1.23 Mpps"];
        assert_eq!(texts, expected);
        assert_eq!([9.56e9, 12_340_000_000.0, 2e15].map(bits), ["9.56 Gbit/s", "12.3 Gbit/s", "2000 Tbit/s"]);
    }

    #[test]
    fn times_and_sizes_have_two_digits() {
        assert_eq!([310.0, 1_249.0, 27_100.0, 1_250_000.0].map(nanoseconds), ["310 ns", "1.2 µs", "27 µs", "1.2 ms"]);
        assert_eq!([310.0, 1_045.0].map(core_time), ["310 ns", "1.04 µs"]);
        assert_eq!([940.0, 31_744.0, 1_153_434.0].map(kibibytes), ["940 KiB", "31 MiB", "1.1 GiB"]);
    }

    #[test]
    fn what_is_no_number_is_a_dash() {
        for text in [f64::NAN, f64::INFINITY].map(|it| [packets(it), nanoseconds(it), times(it), change(it)]).concat() {
            assert_eq!(text, ABSENT);
        }
    }

    #[test]
    fn ratios_changes_counts_and_durations() {
        assert_eq!([0.346, 0.996, 3.18, 21.4].map(times), ["0.35×", "1.0×", "3.2×", "21×"]);
        assert_eq!([0.031, -0.2, -0.0001, 0.0].map(change), ["+3.1 %", "−20.0 %", "+0.0 %", "+0.0 %"]);
        assert_eq!([7, 880, 1_000, 12_345_678].map(count), ["7", "880", "1 000", "12 345 678"]);
        assert_eq!([9, 245, 11_520].map(seconds), ["9 s", "4 min 5 s", "3 h 12 min"]);
        assert_eq!(["1.50 Mpps", "1.00 Mpps", "200 kpps", "0 pps"].map(short), ["1.5 Mpps", "1 Mpps", "200 kpps", "0"]);
    }
}
