//! Which run of a history departs from the runs before it by more than their spread explains.
//!
//! The rule is that of Hampel's identifier (F. R. Hampel, "The influence curve and its role in robust estimation",
//! Journal of the American Statistical Association 69, 1974): distance from the median, measured in median absolute
//! deviations (MAD), because neither moves when one of the earlier runs was an outlier itself. Few runs estimate
//! their spread badly, so the bound in MADs depends on how many there are: it is the one that one of fifty runs
//! exceeds by chance if nothing changed and the noise is normal. Times and rates are compared by their logarithms,
//! since their noise is a factor.

/// Runs before a run that are looked at.
pub(super) const BEFORE_MAX: usize = 10;

/// Runs that it takes to speak of a spread.
pub(super) const BEFORE_MIN: usize = 3;

/// Smaller changes of a time or a rate are never flagged: machines drift that much between days.
pub(super) const RATIO_MIN: f64 = 1.05;

/// Smaller changes of a share are never flagged.
pub(super) const SHARE_MIN: f64 = 0.001;

/// MADs that one of fifty unchanged runs exceeds after 3, 4, ... 10 runs before it. From 150,000 draws of normal
/// numbers for each; a test draws again.
const MADS_MAX: [f64; BEFORE_MAX - BEFORE_MIN + 1] = [83.5, 16.4, 14.4, 9.1, 8.9, 6.95, 6.84, 6.05];

/// How a figure varies by nature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Nature {
    /// By factors: times, rates.
    Factor,
    /// By differences: a share, which is often 0.
    Share,
}

/// Where the next value would lie if nothing changed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Expected {
    /// The median of the values before.
    pub median: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// What the last values before a run, in order, let expect of it; `None` if there are too few.
pub(super) fn expected(before: &[f64], nature: Nature) -> Option<Expected> {
    let last = &before[before.len().saturating_sub(BEFORE_MAX)..];
    let bound = MADS_MAX.get(last.len().checked_sub(BEFORE_MIN)?)?;
    let values: Vec<f64> = match nature {
        Nature::Factor => last.iter().map(|value| value.max(f64::MIN_POSITIVE).ln()).collect(),
        Nature::Share => last.to_vec(),
    };
    let median = median(values.clone());
    let mad = self::median(values.iter().map(|value| (value - median).abs()).collect());
    let floor = if nature == Nature::Factor { RATIO_MIN.ln() } else { SHARE_MIN };
    let reach = (bound * mad).max(floor);
    let (low, high) = (median - reach, median + reach);
    Some(match nature {
        Nature::Factor => Expected { median: median.exp(), low: low.exp(), high: high.exp() },
        Nature::Share => Expected { median, low: low.max(0.0), high: high.min(1.0) },
    })
}

impl Expected {
    /// Whether a value lies outside of the bounds.
    pub fn is_departed(&self, value: f64) -> bool {
        value < self.low || value > self.high
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A normal number, by the method of Box and Muller.
    fn normal(random: &mut fastrand::Rng) -> f64 {
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * random.f64()).cos()
    }

    #[test]
    fn one_of_fifty_unchanged_runs_is_flagged() {
        let mut random = fastrand::Rng::with_seed(7);
        let draws = crate::thorough::thorough(20_000, 5_000);
        for before in BEFORE_MIN..=BEFORE_MAX {
            let mut flagged = 0;
            for _ in 0..draws {
                // Noise of 30 %, so that the floor does not matter.
                let values: Vec<_> = (0..=before).map(|_| (0.3 * normal(&mut random)).exp()).collect();
                let (now, earlier) = values.split_last().unwrap();
                flagged += usize::from(expected(earlier, Nature::Factor).unwrap().is_departed(*now));
            }
            let share = flagged as f64 / draws as f64;
            assert!((0.012..=0.028).contains(&share), "{share} after {before} runs, seed 7");
        }
    }

    #[test]
    fn small_changes_are_never_flagged_and_large_ones_are() {
        let same = [100.0; 5];
        let told = expected(&same, Nature::Factor).unwrap();
        assert!(!told.is_departed(104.9) && told.is_departed(105.1) && told.is_departed(94.0));
        let never = expected(&[0.0; 5], Nature::Share).unwrap();
        assert!(!never.is_departed(0.000_9) && never.is_departed(0.01));
    }

    #[test]
    fn one_outlier_before_hides_no_change() {
        let told = expected(&[100.0, 101.0, 99.0, 100.0, 5_000.0, 100.5], Nature::Factor).unwrap();
        assert!(told.is_departed(115.0) && !told.is_departed(102.0));
    }

    #[test]
    fn two_runs_say_nothing() {
        assert_eq!(expected(&[1.0, 1.0], Nature::Factor), None);
        assert_eq!(expected(&[], Nature::Share), None);
    }

    proptest! {
        #[test]
        fn the_median_is_always_expected(values in prop::collection::vec(1e-3f64..1e12, 3..30)) {
            let told = expected(&values, Nature::Factor).unwrap();
            prop_assert!(told.low < told.median && told.median < told.high && !told.is_departed(told.median));
        }
    }
}
