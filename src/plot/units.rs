//! Figures as a page tells them: those of the terminal with spaces at which lines do not break, and some more.

use crate::units::{human_count, human_duration, human_rate};

/// A narrow space at which lines do not break: groups thousands, stands before units.
const THIN: char = '\u{202f}';

/// Digits that a measured value is told with. Buckets are 1/128 wide, so a fourth would be invented.
const DIGITS: i32 = 3;

/// What is told of a value that is no number.
const NONE: &str = "–";

/// A time in nanoseconds: `62.1 µs`.
pub(crate) fn time(ns: f64) -> String {
    if ns.is_finite() { unbroken(&human_duration(ns.round() as u64)) } else { NONE.to_owned() }
}

/// A time, or a dash where there is none.
pub(crate) fn time_or_dash(ns: Option<u64>) -> String {
    ns.map_or_else(|| NONE.to_owned(), |ns| time(ns as f64))
}

/// A number of bytes in binary units.
pub(crate) fn bytes(bytes: f64) -> String {
    let sizes =
        [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)].map(|(name, bits)| (name, f64::from(1u32 << bits)));
    let (name, size) = sizes.into_iter().find(|(_, size)| bytes.abs() >= *size).unwrap_or(("B", 1.0));
    format!("{}{THIN}{name}", number(bytes / size))
}

/// A share of a whole with three digits, as pages compare what was measured: `61 %`, `0.02 %`.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{}{THIN}%", number(fraction * 100.0))
}

/// A whole number with its thousands grouped.
pub(crate) fn count(value: u64) -> String {
    unbroken(&human_count(value))
}

/// A rate per second.
pub(crate) fn rate(per_s: f64) -> String {
    if per_s.is_finite() { unbroken(&human_rate(per_s)) } else { NONE.to_owned() }
}

/// A rate in bits per second: `100 Mbit/s`. The pages of measurements have none.
#[cfg(any(test, feature = "scenario"))]
pub(crate) fn bit_rate(bits_per_s: f64) -> String {
    if bits_per_s.is_finite() { unbroken(&crate::units::human_bit_rate(bits_per_s)) } else { NONE.to_owned() }
}

/// A plain number: whole and grouped from 100 on, with three digits below.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    if value.abs() >= 99.95 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(value.abs().round() as u64));
    }
    trimmed(format!("{value:.*}", decimals(value)))
}

/// A ratio: `0.94×`.
pub(crate) fn ratio(value: f64) -> String {
    format!("{value:.2}×")
}

/// The usual name of a percentile: `p99.9` for 0.999.
pub(crate) fn percentile_name(p: f64) -> String {
    format!("p{}", trimmed(format!("{:.6}", p * 100.0)))
}

/// The share that a percentile is, for the ticks of a spectrum: `99.9 %`.
pub(crate) fn nines(one_in: f64) -> String {
    format!("{}{THIN}%", trimmed(format!("{:.8}", 100.0 * (1.0 - 1.0 / one_in))))
}

/// Day and time in UTC: `2026-11-21 11:17 UTC`.
///
/// The calendar is that of Howard Hinnant's `civil_from_days`, whose years begin in March so that the odd day
/// comes last.
pub(crate) fn utc(unix_ms: u64) -> String {
    let minutes = unix_ms / 60_000;
    let days = minutes / 1440 + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60 % 24, minutes % 60)
}

/// With its spaces made thin and unbreakable.
fn unbroken(told: &str) -> String {
    told.replace(' ', &THIN.to_string())
}

/// The value with no more than three digits that count.
fn significant(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let power = 10f64.powi(DIGITS - 1 - value.abs().log10().floor() as i32);
    if power.is_finite() && power > 0.0 { (value * power).round() / power } else { value }
}

/// Decimals that leave three digits in all, for values below 1,000.
fn decimals(value: f64) -> usize {
    let value = significant(value).abs();
    if value == 0.0 {
        return 0;
    }
    (DIGITS - 1 - value.log10().floor() as i32).clamp(0, 9) as usize
}

/// Without zeros at the end that say nothing.
fn trimmed(written: String) -> String {
    match written.contains('.') {
        true => written.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: String) -> String {
        text.replace(THIN, " ")
    }

    #[test]
    fn times_pick_their_unit() {
        let cases = [
            (0.0, "0 ns"),
            (7.0, "7 ns"),
            (999.0, "999 ns"),
            (1_000.0, "1 µs"),
            (62_140.0, "62.1 µs"),
            (999_960.0, "1 ms"),
            (2_410_000.0, "2.41 ms"),
            (910e6, "910 ms"),
            (1.5e9, "1.5 s"),
            (137e9, "2 min 17 s"),
            (f64::NAN, "–"),
        ];
        for (ns, told) in cases {
            assert_eq!(plain(time(ns)), told);
        }
    }

    #[test]
    fn numbers_are_grouped_and_short() {
        let cases = [
            (0.0, "0"),
            (0.25, "0.25"),
            (99.94, "99.9"),
            (99.96, "100"),
            (1_234.4, "1 234"),
            (49_998.4, "49 998"),
            (-1_000_000.0, "-1 000 000"),
        ];
        for (value, told) in cases {
            assert_eq!(plain(number(value)), told);
        }
        assert_eq!(plain(count(1_499_970)), "1 499 970");
        assert_eq!(plain(rate(50_000.0)), "50 000/s");
        assert_eq!((plain(bit_rate(1e8)), bit_rate(f64::NAN)), ("100 Mbit/s".to_owned(), NONE.to_owned()));
        assert_eq!(plain(percent(0.000_2)), "0.02 %");
        assert_eq!(plain(bytes(1536.0)), "1.5 KiB");
    }

    #[test]
    fn percentiles_have_their_usual_names() {
        for (p, name) in [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"), (0.99999, "p99.999")] {
            assert_eq!(percentile_name(p), name);
        }
        for (one_in, name) in [(1.0, "0 %"), (2.0, "50 %"), (10.0, "90 %"), (100_000.0, "99.999 %")] {
            assert_eq!(plain(nines(one_in)), name);
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00 UTC"),
            (1_709_251_199_000, "2024-02-29 23:59 UTC"),
            (1_709_251_200_000, "2024-03-01 00:00 UTC"),
            (4_102_444_800_000, "2100-01-01 00:00 UTC"),
        ];
        for (ms, told) in cases {
            assert_eq!(utc(ms), told);
        }
    }
}
