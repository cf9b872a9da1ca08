//! Moments as programs and people write them.

use toml::value::{Datetime, Offset};

/// A moment as RFC 3339 in UTC, to the millisecond: `2026-11-25T16:38:35.123Z`.
#[must_use]
pub fn rfc3339(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1000, unix_ms % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{ms:03}Z", second % 60)
}

/// A moment that people wrote, in milliseconds since 1970. Nothing when it says no time or no offset, which would be a
/// different moment in each place, or lies before 1970.
#[must_use]
pub fn unix_ms_of(written: &Datetime) -> Option<u64> {
    let (date, time) = (written.date?, written.time?);
    let minutes_east = match written.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let of_day = [date.month, date.day, time.hour, time.minute, time.second.unwrap_or(0)];
    let ms = unix_ms_of_utc(date.year, of_day)? + u64::from(time.nanosecond.unwrap_or(0) / 1_000_000);
    ms.checked_add_signed(-minutes_east * 60_000)
}

/// A moment by the parts of its time in UTC: month, day, hour, minute and second; in milliseconds since 1970.
#[must_use]
pub fn unix_ms_of_utc(year: u16, [month, day, hour, minute, second]: [u8; 5]) -> Option<u64> {
    let days = days(year.into(), month.into(), day.into());
    let seconds = days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    u64::try_from(seconds * 1000).ok()
}

/// The day since 1970 of a date; the inverse of [`date`].
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = if month <= 2 { month + 9 } else { month - 3 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970: years are taken to begin in March, so that the leap day comes last and months are as
/// long as 153 days a five of them say.
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from the first of March of year 0
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

#[cfg(test)]
mod tests {
    use super::{date, rfc3339, unix_ms_of};

    #[test]
    fn known_moments() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(rfc3339(1_767_225_599_999), "2025-12-31T23:59:59.999Z");
        assert_eq!(rfc3339(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn what_people_write_is_a_moment_when_it_has_an_offset() {
        let ms = |text: &str| unix_ms_of(&text.parse().unwrap());
        for text in ["2027-01-01T00:00:00Z", "2027-01-01 01:00:00+01:00", "2026-12-31T18:30:00.0004-05:30"] {
            assert_eq!(ms(text).map(rfc3339).as_deref(), Some("2027-01-01T00:00:00.000Z"), "{text}");
        }
        for text in ["2027-01-01", "00:00:00", "2027-01-01T00:00:00", "1969-12-31T23:59:59Z"] {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = date(0);
        for days in 1..100_000 {
            let (year, month, day) = date(days);
            let next = match before {
                (y, 12, 31) => (y + 1, 1, 1),
                (y, m, d) if d >= 28 && day == 1 => (y, m + 1, 1),
                (y, m, d) => (y, m, d + 1),
            };
            assert_eq!((year, month, day), next);
            let [y, m, d] = [year, month, day].map(u64::cast_signed);
            assert_eq!(super::days(y, m, d), days.cast_signed());
            before = next;
        }
    }
}
