//! Numbers as people read them.

/// Packets a second: `0`, `0.4`, `83.2k`.
pub(super) fn rate(pps: f64) -> String {
    match pps {
        p if p <= 0.0 => "0".to_owned(),
        p if p < 9.95 => format!("{p:.1}"),
        p if p < 99_999.5 => format!("{p:.0}"),
        p if p < 999_950.0 => format!("{:.1}k", p / 1e3),
        p => format!("{:.2}M", p / 1e6),
    }
}

/// Megabits a second.
pub(super) fn megabits(bps: f64) -> String {
    match bps / 1e6 {
        m if m <= 0.0 => "0".to_owned(),
        m if m < 99.95 => format!("{m:.1}"),
        m => format!("{m:.0}"),
    }
}

/// How long ago, or for how long: `0.2s`, `17s`, `3m`, `5h`, `12d`.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 9.95 => format!("{:.1}s", s.max(0.0)),
        s if s < 120.0 => format!("{s:.0}s"),
        s if s < 7200.0 => format!("{:.0}m", (s / 60.0).floor()),
        s if s < 172_800.0 => format!("{:.0}h", (s / 3600.0).floor()),
        s => format!("{:.0}d", (s / 86_400.0).floor()),
    }
}

/// Bytes: `512 B`, `1.5 kB`, `20.1 GB`.
pub(super) fn bytes(n: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
    let mut value = n as f64;
    if value < 1000.0 {
        return format!("{n} B");
    }
    for unit in ["kB", "MB", "GB", "TB"] {
        value /= 1000.0;
        if value < 999.95 {
            return format!("{value:.1} {unit}");
        }
    }
    format!("{:.1} PB", value / 1000.0)
}

/// A number and its noun.
pub(super) fn counted(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_never_wrong_by_more_than_they_show() {
        let rates = [0.0, 0.04, 0.4, 9.96, 99_999.0, 99_999.6, 999_949.0, 999_951.0, 14_880_952.0];
        assert_eq!(rates.map(rate), ["0", "0.0", "0.4", "10", "99999", "100.0k", "999.9k", "1.00M", "14.88M"]);
        assert_eq!([0.0, 13_140_000.0, 99_960_000.0, 9.8e9].map(megabits), ["0", "13.1", "100", "9800"]);
        let spans = [-1.0, 0.04, 9.96, 119.4, 120.0, 7199.0, 7200.0, 172_799.0, 172_800.0];
        assert_eq!(spans.map(span), ["0.0s", "0.0s", "10s", "119s", "2m", "119m", "2h", "47h", "2d"]);
        let sizes = [0, 999, 1000, 999_949, 999_951, 20_100_000_000, u64::MAX];
        assert_eq!(sizes.map(bytes), ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "20.1 GB", "18446.7 PB"]);
    }
}
