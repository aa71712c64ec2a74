//! Chance with a seed: the one source of randomness that requests and arrivals draw from, and message sizes.

use crate::error::Error;
use std::fmt;
use std::str::FromStr;

/// A seeded source of randomness (wyrand). The same seed draws the same.
#[derive(Clone, Debug)]
pub struct Draw(fastrand::Rng);

impl Draw {
    /// A source that draws what this seed always draws.
    #[must_use]
    pub fn seeded(seed: u64) -> Draw {
        Draw(fastrand::Rng::with_seed(seed))
    }

    /// A source of its own for the `number`th of several that share a seed.
    #[must_use]
    pub fn branch(seed: u64, number: u64) -> Draw {
        // The golden ratio's bits set neighbouring numbers far apart before the generator mixes them.
        let mut mixer = Draw::seeded(seed ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Draw::seeded(mixer.0.u64(..))
    }

    /// A whole number from 0 to `bound` - 1, all equally likely.
    ///
    /// # Panics
    /// If `bound` is 0.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.u64(..bound)
    }

    /// A number from 0 (included) to 1 (excluded), all equally likely.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        self.0.f64()
    }

    /// The distance to the next event of a Poisson process with one event per unit: exponential with mean 1.
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        // 1 - u is never 0, so the logarithm is finite.
        -(1.0 - self.0.f64()).ln()
    }
}

/// The largest message a benchmark sends, in bytes. Larger ones measure the kernel's copying, not a server.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// How long messages are, in bytes.
///
/// From text: `64` is always 64, `64..1024` is anything from 64 to 1,024 with equal chance, `64:9,4096:1` is 64
/// nine times out of ten and else 4,096.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// Always the same.
    Fixed(usize),
    /// Anything between the two, both included, with equal chance.
    Uniform(usize, usize),
    /// Sizes and their weights.
    Weighted(Vec<(usize, u32)>),
}

impl Sizes {
    /// Draws a size.
    #[inline]
    pub fn draw(&self, draw: &mut Draw) -> usize {
        match self {
            Sizes::Fixed(bytes) => *bytes,
            Sizes::Uniform(low, high) => low + draw.below((high - low + 1) as u64) as usize,
            Sizes::Weighted(sizes) => {
                let total: u64 = sizes.iter().map(|(_, weight)| u64::from(*weight)).sum();
                let mut left = draw.below(total);
                for (bytes, weight) in sizes {
                    match left.checked_sub(u64::from(*weight)) {
                        Some(rest) => left = rest,
                        None => return *bytes,
                    }
                }
                unreachable!("what was drawn is below the sum of the weights")
            }
        }
    }

    /// The largest that can be drawn.
    #[must_use]
    pub fn largest(&self) -> usize {
        match self {
            Sizes::Fixed(bytes) => *bytes,
            Sizes::Uniform(_, high) => *high,
            Sizes::Weighted(sizes) => sizes.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0),
        }
    }

    /// Checks that something can be drawn and that nothing is empty or absurd.
    ///
    /// # Errors
    /// [`Error::Config`] with a sentence.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |sentence: String| Err(Error::Config(sentence));
        let smallest = match self {
            Sizes::Fixed(bytes) => *bytes,
            Sizes::Uniform(low, high) if low > high => {
                return refuse(format!("size {self}: the range is empty, write the smaller number first"));
            }
            Sizes::Uniform(low, _) => *low,
            Sizes::Weighted(sizes) => {
                if sizes.iter().all(|(_, weight)| *weight == 0) {
                    return refuse(format!("size {self}: at least one size needs a weight above 0"));
                }
                sizes.iter().map(|(bytes, _)| *bytes).min().unwrap_or(0)
            }
        };
        if smallest == 0 {
            return refuse(format!("size {self}: a message has at least 1 byte"));
        }
        if self.largest() > MESSAGE_BYTES_MAX {
            return refuse(format!("size {self}: a message has at most {MESSAGE_BYTES_MAX} bytes"));
        }
        Ok(())
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sizes::Fixed(bytes) => write!(f, "{bytes}"),
            Sizes::Uniform(low, high) => write!(f, "{low}..{high}"),
            Sizes::Weighted(sizes) => {
                for (place, (bytes, weight)) in sizes.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    write!(f, "{comma}{bytes}:{weight}")?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for Sizes {
    type Err = Error;

    fn from_str(text: &str) -> Result<Sizes, Error> {
        let number = |part: &str| {
            parse_bytes(part).ok_or_else(|| {
                Error::Config(format!(
                    "size '{text}': '{part}' is no number of bytes; write 64, 4k, 64..1024 or 64:9,4096:1"
                ))
            })
        };
        let sizes = if let Some((low, high)) = text.split_once("..") {
            Sizes::Uniform(number(low)?, number(high)?)
        } else if text.contains(':') {
            let weighted = text.split(',').map(|part| {
                let (bytes, weight) = part.split_once(':').unwrap_or((part, "1"));
                let weight = weight.trim().parse().map_err(|_| {
                    Error::Config(format!("size '{text}': '{weight}' is no weight; write a whole number"))
                })?;
                Ok((number(bytes)?, weight))
            });
            Sizes::Weighted(weighted.collect::<Result<_, Error>>()?)
        } else {
            Sizes::Fixed(number(text)?)
        };
        sizes.validate()?;
        Ok(sizes)
    }
}

/// `64`, `4k` (4,096), `1m`: sizes come in powers of two.
fn parse_bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_as_they_print() {
        for text in ["64", "64..1024", "64:9,4096:1"] {
            let sizes: Sizes = text.parse().unwrap();
            assert_eq!(sizes.to_string(), text);
        }
        assert_eq!("4k".parse::<Sizes>().unwrap(), Sizes::Fixed(4096));
    }

    #[test]
    fn absurd_sizes_are_refused_with_a_sentence() {
        for text in ["", "0", "x", "-1", "9..3", "64:x", "64:0", "99999m", "99999999999999999999", "1..", "é"]
        {
            let refusal = text.parse::<Sizes>().unwrap_err().to_string();
            assert!(refusal.starts_with("size "), "{text}: {refusal}");
        }
    }

    #[test]
    fn drawn_sizes_follow_their_weights() {
        let mut draw = Draw::seeded(1);
        let sizes: Sizes = "10:3,20:0,30:1".parse().unwrap();
        let drawn: Vec<usize> = (0..40_000).map(|_| sizes.draw(&mut draw)).collect();
        let tens = drawn.iter().filter(|bytes| **bytes == 10).count();
        assert!(drawn.iter().all(|bytes| [10, 30].contains(bytes)));
        assert!((29_500..30_500).contains(&tens), "{tens} of 40,000 instead of about 30,000");
        let uniform: Sizes = "3..5".parse().unwrap();
        let mut seen = [0; 6];
        (0..3_000).for_each(|_| seen[uniform.draw(&mut draw)] += 1);
        assert!(seen[3] > 900 && seen[4] > 900 && seen[5] > 900);
    }

    #[test]
    fn a_seed_repeats_and_its_branches_differ() {
        let first: Vec<u64> = (0..4).map(|branch| Draw::branch(7, branch).below(1 << 60)).collect();
        let again: Vec<u64> = (0..4).map(|branch| Draw::branch(7, branch).below(1 << 60)).collect();
        assert_eq!(first, again);
        assert!(first.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn exponential_distances_have_mean_one() {
        let mut draw = Draw::seeded(3);
        let mean = (0..100_000).map(|_| draw.exponential()).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
    }
}
