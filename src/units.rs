//! Times, rates and counts as people write and read them: `1.5s`, `50k`, `212 µs`, `49 998`.

use crate::error::Error;
use std::time::Duration;

const NS_PER_S: u64 = 1_000_000_000;

/// Units of time by their names, in nanoseconds. Both code points that look like a small mu are taken.
const UNITS: [(&str, f64); 9] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("min", 60e9),
    ("h", 3600e9),
];

/// Reads a time: a number, whole or with a decimal point, and a unit of `ns`, `us` (or `µs`), `ms`, `s`, `m` (or
/// `min`), `h`. A space between them is fine; a number without a unit is not, except 0.
///
/// ```
/// use std::time::Duration;
/// use windlass::load::units::parse_duration;
///
/// assert_eq!(parse_duration("250us").unwrap(), Duration::from_micros(250));
/// assert_eq!(parse_duration("1.5s").unwrap(), Duration::from_millis(1500));
/// assert!(parse_duration("30").unwrap_err().to_string().contains("30s"));
/// ```
///
/// # Errors
/// [`Error::Config`] with a sentence that says what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    let text = text.trim();
    let (number, unit) = split_number(text);
    if unit.is_empty() {
        if decimal(number) == Some(0.0) {
            return Ok(Duration::ZERO);
        }
        if decimal(number).is_some() {
            return refuse(format!("'{text}' has no unit: write {text}s, {text}ms or {text}us"));
        }
    }
    let unit_ns = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ns)| *ns);
    let (Some(number), Some(unit_ns)) = (decimal(number), unit_ns) else {
        return refuse(format!(
            "'{text}' is no time: write a number and a unit, such as 250us, 1ms, 1.5s, 30s or 2m"
        ));
    };
    // Multiplied before it is rounded: 1.1 us is 1,100 ns, although 1.1 has no exact double.
    let ns = (number * unit_ns).round();
    if ns >= u64::MAX as f64 {
        return refuse(format!("'{text}' is longer than this program can count"));
    }
    Ok(Duration::from_nanos(ns as u64))
}

/// Reads a rate per second: a number, whole or with a decimal point, and perhaps `k` for thousands or `m` for
/// millions; a `/s` behind it is fine.
///
/// ```
/// assert_eq!(windlass::load::units::parse_rate("50k").unwrap(), 50_000.0);
/// ```
///
/// # Errors
/// [`Error::Config`] with a sentence that says what to write instead. Whether the rate makes sense is for
/// [`Plan::validate`](crate::load::Plan::validate) to say.
pub fn parse_rate(text: &str) -> Result<f64, Error> {
    let text = text.trim();
    let (number, suffix) = split_number(text.strip_suffix("/s").unwrap_or(text));
    let factor = match suffix {
        "" => Some(1.0),
        "k" | "K" => Some(1e3),
        "m" | "M" => Some(1e6),
        _ => None,
    };
    match (decimal(number), factor) {
        (Some(number), Some(factor)) => Ok(number * factor),
        _ => refuse(format!("'{text}' is no rate: write requests per second, such as 500, 50k or 1.5m")),
    }
}

/// The leading part that looks like a number, and what follows it.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// Digits with at most one point and underscores among them: stricter than Rust's own, which takes `inf` and `1e9`.
pub(crate) fn decimal(text: &str) -> Option<f64> {
    let digits = text.replace('_', "");
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    digits.parse().ok().filter(|_| plain)
}

fn refuse<T>(sentence: String) -> Result<T, Error> {
    Err(Error::Config(sentence))
}

/// A time for people: at most three digits that count, and the unit that needs the fewest zeros; whole minutes
/// and more in two units.
///
/// ```
/// use windlass::load::units::human_duration;
///
/// assert_eq!(human_duration(211_912), "212 µs");
/// assert_eq!(human_duration(2_410_000), "2.41 ms");
/// assert_eq!(human_duration(150_000_000_000), "2 min 30 s");
/// ```
#[must_use]
pub fn human_duration(ns: u64) -> String {
    let ns = three_digits(ns);
    let (unit_ns, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..NS_PER_S => (1_000_000, "ms"),
        _ if ns < 120 * NS_PER_S => (NS_PER_S, "s"),
        _ => return long_duration(ns / NS_PER_S),
    };
    // After rounding to three digits, whatever lies below a hundredth of the unit is zero.
    let hundredths = (ns % unit_ns) * 100 / unit_ns;
    let fraction = format!(".{hundredths:02}");
    format!("{}{} {unit}", ns / unit_ns, fraction.trim_end_matches('0').trim_end_matches('.'))
}

/// Rounds to three digits that count.
fn three_digits(ns: u64) -> u64 {
    let step = 10u64.pow(ns.checked_ilog10().unwrap_or(0).saturating_sub(2));
    ns.saturating_add(step / 2) / step * step
}

/// Two minutes and more, told in the largest unit and the next.
fn long_duration(seconds: u64) -> String {
    let (large, large_name, small, small_name) = match seconds {
        0..3_600 => (seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => (seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => (seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    };
    match small {
        0 => format!("{large} {large_name}"),
        _ => format!("{large} {large_name} {small} {small_name}"),
    }
}

/// A count for people: digits in groups of three with a space between, `49 998`.
#[must_use]
pub fn human_count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// A size for people, in units of a thousand as networks count: `64 B`, `1.5 MB`, `100 MB`.
///
/// ```
/// use windlass::load::units::human_size;
///
/// assert_eq!(human_size(64), "64 B");
/// assert_eq!(human_size(100_000_000), "100 MB");
/// ```
#[must_use]
pub fn human_size(bytes: u64) -> String {
    let bytes = three_digits(bytes);
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let Some((unit, name)) = units.into_iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    let fraction = format!(".{:02}", bytes % unit * 100 / unit);
    format!("{}{} {name}", bytes / unit, fraction.trim_end_matches('0').trim_end_matches('.'))
}

/// A rate for people: `49 998/s`, and with decimals below 100, `12.5/s`.
#[must_use]
pub fn human_rate(per_s: f64) -> String {
    if per_s >= 99.95 {
        return format!("{}/s", human_count(per_s.round() as u64));
    }
    // Three digits that count as far as a thousandth, the slowest pace there is.
    let decimals = if per_s >= 9.995 { 1 } else { 3 };
    let number = format!("{per_s:.decimals$}");
    format!("{}/s", number.trim_end_matches('0').trim_end_matches('.'))
}

/// Units of a rate in bits per second, largest first.
const BIT_RATES: [(f64, &str); 4] = [(1e9, "Gbit/s"), (1e6, "Mbit/s"), (1e3, "kbit/s"), (1.0, "bit/s")];

/// The largest unit in which a rate in bits per second is at least 1, and how many bits per second it is.
pub(crate) fn bit_rate_unit(bits_per_s: f64) -> (f64, &'static str) {
    let unit = BIT_RATES.into_iter().find(|(by, _)| bits_per_s >= *by);
    unit.unwrap_or(BIT_RATES[BIT_RATES.len() - 1])
}

/// A rate in bits per second for people, with three digits that count: `100 Mbit/s`.
///
/// ```
/// use windlass::load::units::human_bit_rate;
///
/// assert_eq!(human_bit_rate(2_500_000.0), "2.5 Mbit/s");
/// ```
#[must_use]
pub fn human_bit_rate(bits_per_s: f64) -> String {
    let (by, name) = bit_rate_unit(bits_per_s);
    let value = bits_per_s / by;
    let decimals = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let number = format!("{value:.decimals$}");
    let number = if decimals > 0 { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number} {name}")
}

/// A share for people, in percent: `0.1 %`.
#[must_use]
pub fn human_percent(fraction: f64) -> String {
    let percent = fraction * 100.0;
    if percent > 0.0 && percent < 0.0001 {
        return "< 0.0001 %".into();
    }
    let decimals = if percent >= 10.0 { 1 } else { 4 };
    let number = format!("{percent:.decimals$}");
    format!("{} %", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_in_every_unit() {
        for (text, ns) in [
            ("0", 0),
            ("0s", 0),
            ("7ns", 7),
            ("250us", 250_000),
            ("250µs", 250_000),
            ("250μs", 250_000),
            ("1.1us", 1_100),
            ("1ms", 1_000_000),
            ("1.5s", 1_500_000_000),
            (" 30 s ", 30_000_000_000),
            ("2m", 120_000_000_000),
            ("2min", 120_000_000_000),
            ("1h", 3_600_000_000_000),
        ] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_nanos(ns), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused_with_advice() {
        for text in
            ["", "s", "-1s", "1e3s", "inf s", "nans", "1.2.3s", "5 parsecs", "99999999h", ".s", "1 s s"]
        {
            let sentence = parse_duration(text).unwrap_err().to_string();
            assert!(sentence.starts_with(&format!("'{text}'")), "{text}: {sentence}");
        }
        let sentence = parse_duration("30").unwrap_err().to_string();
        assert_eq!(sentence, "'30' has no unit: write 30s, 30ms or 30us");
    }

    #[test]
    fn rates_take_thousands_and_millions() {
        for (text, per_s) in [
            ("500", 500.0),
            ("50k", 50_000.0),
            ("1.5m", 1.5e6),
            ("0.25", 0.25),
            ("10_000/s", 10_000.0),
            ("2K", 2e3),
        ] {
            assert_eq!(parse_rate(text).unwrap(), per_s, "{text}");
        }
        for text in ["", "k", "-5", "inf", "nan", "1e9", "50x", "50 km"] {
            let sentence = parse_rate(text).unwrap_err().to_string();
            assert!(sentence.contains("such as 500, 50k"), "{text}: {sentence}");
        }
    }

    #[test]
    fn times_print_three_digits_in_the_unit_that_fits() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1 µs"),
            (62_000, "62 µs"),
            (211_912, "212 µs"),
            (999_499, "999 µs"),
            (999_500, "1 ms"),
            (2_414_999, "2.41 ms"),
            (1_020_000, "1.02 ms"),
            (1_500_000, "1.5 ms"),
            (910_000_000, "910 ms"),
            (12_345_000_000, "12.3 s"),
            (119_400_000_000, "119 s"),
            (119_900_000_000, "2 min"),
            (150_000_000_000, "2 min 30 s"),
            (3_900_000_000_000, "1 h 5 min"),
            (90_000_000_000_000, "1 d 1 h"),
        ] {
            assert_eq!(human_duration(ns), text, "{ns} ns");
        }
        assert!(human_duration(u64::MAX).ends_with(" h"));
    }

    #[test]
    fn counts_rates_and_shares_print_as_in_the_report() {
        let counts = [0, 7, 999, 1_000, 49_998, 1_499_970].map(human_count);
        assert_eq!(counts, ["0", "7", "999", "1 000", "49 998", "1 499 970"]);
        let rates = [0.001, 0.5, 12.5, 99.96, 49_998.4].map(human_rate);
        assert_eq!(rates, ["0.001/s", "0.5/s", "12.5/s", "100/s", "49 998/s"]);
        let bits = [0.0, 999.0, 1_500.0, 12_345_678.0, 99_960_000.0, 1e9, 2.5e12].map(human_bit_rate);
        let told =
            ["0 bit/s", "999 bit/s", "1.5 kbit/s", "12.3 Mbit/s", "100 Mbit/s", "1 Gbit/s", "2500 Gbit/s"];
        assert_eq!(bits, told);
        let shares = [0.0, 0.001, 0.000_000_1, 0.123_4, 1.0].map(human_percent);
        assert_eq!(shares, ["0 %", "0.1 %", "< 0.0001 %", "12.3 %", "100 %"]);
    }

    proptest! {
        #[test]
        fn what_was_printed_is_close_to_what_it_was(ns in 1u64..119_000_000_000) {
            let back = parse_duration(&human_duration(ns)).unwrap().as_nanos() as f64;
            prop_assert!((back / ns as f64 - 1.0).abs() <= 0.005, "{} for {}", back, ns);
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,12}") {
            let _ = (parse_duration(&text), parse_rate(&text));
        }
    }
}
