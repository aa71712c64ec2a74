//! How links are written on the command line.

use std::time::Duration;
use windlass::load::units::parse_duration;
use windlass::sim::Link;

/// The lowest rate of a link that makes sense, and the highest.
const BITS_PER_S_MIN: f64 = 1e3;
const BITS_PER_S_MAX: f64 = 1e12;

/// Latencies from one to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spread {
    pub min: Duration,
    pub max: Duration,
}

/// A time above 0.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err(format!("'{text}' is no time at all: write 1ms, 5s or 2m")) } else { Ok(time) }
}

/// A time, perhaps 0.
pub fn parse_jitter(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// `10ms` or `10ms..200ms`.
pub fn parse_spread(text: &str) -> Result<Spread, String> {
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    let part = |part: &str| {
        let told = parse_duration(part).map_err(|error| error.to_string());
        told.map_err(|why| if min == max { why } else { format!("{why}; or a range, such as 10ms..200ms") })
    };
    let spread = Spread { min: part(min)?, max: part(max)? };
    if spread.min > spread.max {
        return Err(format!("'{text}' ends before it begins: write the shorter latency first"));
    }
    Ok(spread)
}

/// A share in percent: `2%`, or 0.
pub fn parse_loss(text: &str) -> Result<f64, String> {
    let refused =
        || format!("'{text}' is no share of packets: write a percentage from 0% to 100%, such as 2% or 0.1%");
    let (number, is_percent) = text.strip_suffix('%').map_or((text, false), |number| (number, true));
    let percent = decimal(number.trim()).filter(|percent| *percent <= 100.0).ok_or_else(refused)?;
    if !is_percent && percent != 0.0 {
        return Err(format!("'{text}' could mean anything: write {text}% if percent is meant"));
    }
    Ok(percent / 100.0)
}

/// A rate in bits: `1mbit`, `1.5gbit`, `64kbit/s`.
pub fn parse_bits(text: &str) -> Result<u64, String> {
    let refused =
        || format!("'{text}' is no rate of a link: write bits per second, such as 500kbit, 100mbit or 1gbit");
    let lower = text.trim().to_ascii_lowercase();
    let rate = lower.strip_suffix("/s").unwrap_or(&lower);
    let units = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9), ("bit", 1.0)];
    let found = units.into_iter().find_map(|(name, unit)| Some((rate.strip_suffix(name)?, unit)));
    let (number, unit) = found.ok_or_else(refused)?;
    let bits = decimal(number.trim()).ok_or_else(refused)? * unit;
    if !(BITS_PER_S_MIN..=BITS_PER_S_MAX).contains(&bits) {
        return Err(format!("'{text}' is no rate that links have: write something from 1kbit to 1000gbit"));
    }
    Ok(bits as u64)
}

/// Rounds per second.
pub fn parse_rounds(text: &str) -> Result<f64, String> {
    let rate = decimal(text.strip_suffix("/s").unwrap_or(text)).filter(|rate| *rate > 0.0);
    rate.ok_or_else(|| format!("'{text}' is no rate: write rounds of messages per second, such as 10 or 0.5"))
}

/// A preset by its name, with `-` or `_` between words.
pub fn parse_preset(text: &str) -> Result<(String, Link), String> {
    let wanted = text.to_ascii_lowercase().replace('-', "_");
    let found = Link::presets().into_iter().find(|(name, _)| *name == wanted);
    found.map(|(name, link)| (name.replace('_', "-"), link)).ok_or_else(|| {
        let names: Vec<_> = Link::presets().iter().map(|(name, _)| name.replace('_', "-")).collect();
        format!("'{text}' is no preset: choose one of {}", names.join(", "))
    })
}

/// Digits with at most one point: Rust's own reading takes `inf` and `1e9` as well.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_read_as_people_write_them() {
        let ms = Duration::from_millis;
        assert_eq!(parse_spread("10ms..200ms"), Ok(Spread { min: ms(10), max: ms(200) }));
        assert_eq!(parse_spread("5ms"), Ok(Spread { min: ms(5), max: ms(5) }));
        assert_eq!((parse_loss("2%"), parse_loss("0"), parse_loss("0.1 %")), (Ok(0.02), Ok(0.0), Ok(0.001)));
        let rates = ["1mbit", "1Gbit/s", "64kbit", "1500bit", "2.5mbit"].map(parse_bits);
        assert_eq!(rates, [1_000_000, 1_000_000_000, 64_000, 1_500, 2_500_000].map(Ok));
        assert_eq!(
            parse_preset("bad_wifi").map(|(name, _)| name),
            parse_preset("Bad-WiFi").map(|(name, _)| name)
        );
    }

    #[test]
    fn what_makes_no_sense_gets_a_sentence() {
        for text in ["", "x", "200ms..10ms", "10..20", "-1ms", "1ms..", "1e3ms"] {
            assert!(parse_spread(text).unwrap_err().len() > 20, "{text}");
        }
        for text in ["", "x", "-1%", "101%", "2", "nan%", "%"] {
            assert!(parse_loss(text).unwrap_err().len() > 20, "{text}");
        }
        for text in ["", "1", "mbit", "-1mbit", "0bit", "1e3mbit", "9999999gbit", "1mb"] {
            assert!(parse_bits(text).unwrap_err().len() > 20, "{text}");
        }
        assert!(parse_preset("moon").unwrap_err().contains("satellite"));
        assert!(parse_time("0").unwrap_err().contains("no time"));
    }
}
