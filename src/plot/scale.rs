//! From values to places on an axis: linear, logarithmic, and by nines; and where the ticks go, at 1-2-5.

/// The least ratio between the ends of a rounded logarithmic axis, so that nearly equal values stay near.
const LOG_RATIO_MIN: f64 = 4.0;

/// The same for one that follows its values closely.
const TIGHT_RATIO_MIN: f64 = 1.5;

/// The most decades an axis spans; values further down stand at its lower end.
const DECADES_MAX: f64 = 15.0;

/// How values lie along an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Linear,
    Log,
    /// Logarithmic over 1 / (1 - p), with ticks where p is 0, one half, or made of nines.
    Nines,
}

/// One axis: its kind and the values at its ends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Scale {
    kind: Kind,
    /// The value at the beginning, always below `to`.
    pub from: f64,
    /// The value at the end.
    pub to: f64,
}

impl Scale {
    /// Linear between exactly these ends.
    pub fn linear(from: f64, to: f64) -> Scale {
        let from = if from.is_finite() { from } else { 0.0 };
        let to = if to.is_finite() && to > from { to } else { from + from.abs().max(1.0) };
        Scale { kind: Kind::Linear, from, to }
    }

    /// Linear from 0 to a round number a little above all values, so that none lies on the frame.
    pub fn from_zero(values: impl IntoIterator<Item = f64>) -> Scale {
        let max = 1.04 * values.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max);
        // A finer step than the ticks have, so that little of the plot stays empty.
        let step = round_up(max / 10.0);
        let to = if max > 0.0 { (max / step).ceil() * step } else { 1.0 };
        Scale::linear(0.0, to)
    }

    /// Logarithmic, from one 1-2-5 number to another, around all values above 0.
    pub fn log(values: impl IntoIterator<Item = f64>) -> Scale {
        let (min, max) = extent(values);
        let (mut from, mut to) = (round_down(min), round_up(max));
        while to / from < LOG_RATIO_MIN {
            (from, to) = (round_down(from * 0.99), round_up(to * 1.01));
        }
        Scale { kind: Kind::Log, from, to }
    }

    /// Logarithmic, hardly wider than its values.
    pub fn log_tight(values: impl IntoIterator<Item = f64>) -> Scale {
        let (min, max) = extent(values);
        let ratio = (max / min).powf(1.06).max(TIGHT_RATIO_MIN);
        let middle = (min * max).sqrt();
        Scale { kind: Kind::Log, from: middle / ratio.sqrt(), to: middle * ratio.sqrt() }
    }

    /// Logarithmic with 1 in the middle, wide enough for all values: the axis of ratios.
    pub fn ratios(values: impl IntoIterator<Item = f64>) -> Scale {
        let usable = values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
        let widest = usable.map(|value| value.max(1.0 / value)).fold(1.1, f64::max);
        let widest = widest.powf(1.08).min(1e6);
        Scale { kind: Kind::Log, from: 1.0 / widest, to: widest }
    }

    /// The axis of a percentile spectrum over `samples` samples. Values on it are 1 / (1 - p).
    pub fn nines(samples: u64) -> Scale {
        Scale { kind: Kind::Nines, from: 1.0, to: (samples as f64).max(10.0) }
    }

    /// Where a value lies: 0 at the beginning, 1 at the end, never outside.
    pub fn position(&self, value: f64) -> f64 {
        let place = match self.kind {
            Kind::Linear => (value - self.from) / (self.to - self.from),
            Kind::Log | Kind::Nines if value <= 0.0 => 0.0,
            Kind::Log | Kind::Nines => (value / self.from).ln() / (self.to / self.from).ln(),
        };
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }

    /// Ticks at round values, lowest first, no more than `most` (which is taken as at least 2) of them.
    pub fn ticks(&self, most: usize) -> Vec<f64> {
        let most = most.max(2);
        match self.kind {
            Kind::Linear => self.linear_ticks(most),
            Kind::Nines => self.nines_ticks(most),
            Kind::Log => self.log_ticks(most),
        }
    }

    fn linear_ticks(&self, most: usize) -> Vec<f64> {
        let mut step = round_up((self.to - self.from) / most as f64);
        loop {
            let slack = step * 1e-9;
            let first = ((self.from - slack) / step).ceil() as i64;
            let last = ((self.to + slack) / step).floor() as i64;
            if last < first {
                // No round number lies on the axis: its ends have to do.
                return vec![self.from, self.to];
            }
            if last.saturating_sub(first) < most as i64 {
                return (first..=last).map(|index| index as f64 * step).collect();
            }
            step = round_up(step * 1.01);
        }
    }

    fn log_ticks(&self, most: usize) -> Vec<f64> {
        let decades = self.from.log10().floor() as i32 - 1..=self.to.log10().ceil() as i32;
        let inside = |value: &f64| *value >= self.from * (1.0 - 1e-9) && *value <= self.to * (1.0 + 1e-9);
        let fine: Vec<f64> = decades
            .clone()
            .flat_map(|decade| [1.0, 2.0, 5.0].map(|mantissa| mantissa * 10f64.powi(decade)))
            .filter(inside)
            .collect();
        if fine.len() < 3 {
            return self.linear_ticks(most);
        }
        if fine.len() <= most {
            return fine;
        }
        let whole: Vec<f64> = decades.map(|decade| 10f64.powi(decade)).filter(inside).collect();
        if whole.len() < 2 { thinned(&fine, most) } else { thinned(&whole, most) }
    }

    fn nines_ticks(&self, most: usize) -> Vec<f64> {
        let decades = self.to.log10().floor() as i32;
        let mut ticks = vec![1.0, 2.0];
        ticks.extend((1..=decades).map(|decade| 10f64.powi(decade)));
        if ticks.len() > most {
            ticks.remove(1);
        }
        thinned(&ticks, most)
    }
}

/// Every k-th tick, such that `most` are left at most.
fn thinned(ticks: &[f64], most: usize) -> Vec<f64> {
    ticks.iter().copied().step_by(ticks.len().div_ceil(most).max(1)).collect()
}

/// The smallest and the largest of the values above 0, no further apart than [`DECADES_MAX`].
fn extent(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let usable = values.into_iter().filter(|value| value.is_finite() && *value > 0.0);
    let (min, max) = usable.fold((f64::MAX, 0.0), |(min, max), value| (value.min(min), value.max(max)));
    if max <= 0.0 {
        return (1.0, 10.0);
    }
    let max = max.clamp(1e-12, 1e24);
    (min.clamp(max / 10f64.powf(DECADES_MAX), max), max)
}

/// The next number of the form 1, 2 or 5 times a power of ten, not below `value`, which is above 0.
fn round_up(value: f64) -> f64 {
    let value = if value > 1e-300 { value } else { 1e-300 };
    let power = 10f64.powi(value.log10().floor() as i32);
    let fits = [1.0, 2.0, 5.0, 10.0].into_iter().find(|mantissa| mantissa * power >= value * (1.0 - 1e-9));
    fits.unwrap_or(20.0) * power
}

/// The same downwards.
fn round_down(value: f64) -> f64 {
    let power = 10f64.powi(value.log10().floor() as i32);
    let fits = [10.0, 5.0, 2.0, 1.0].into_iter().find(|mantissa| mantissa * power <= value * (1.0 + 1e-9));
    fits.unwrap_or(0.5) * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_are_round_and_hold_all_values() {
        let scale = Scale::log([62_140.0, 2_410_000.0]);
        assert!((scale.from - 50_000.0).abs() < 1e-6 && (scale.to - 5_000_000.0).abs() < 1e-6, "{scale:?}");
        let rates = Scale::from_zero([49_998.0, 50_001.0]);
        assert!((rates.to - 55_000.0).abs() < 6_000.0 && rates.from == 0.0, "{rates:?}");
    }

    #[test]
    fn equal_values_lie_in_the_middle_region() {
        for scale in [Scale::log([100.0; 3]), Scale::log_tight([100.0; 3])] {
            let place = scale.position(100.0);
            assert!((0.3..=0.7).contains(&place), "{scale:?}");
        }
    }

    #[test]
    fn nothing_to_show_still_makes_an_axis() {
        for scale in
            [Scale::log([]), Scale::log_tight([0.0, -1.0, f64::NAN]), Scale::from_zero([]), Scale::nines(0)]
        {
            assert!(scale.to > scale.from && !scale.ticks(6).is_empty(), "{scale:?}");
        }
        assert_eq!(Scale::log([1.0]).position(f64::NAN), 0.0);
    }

    #[test]
    fn nines_stand_at_even_distances() {
        let scale = Scale::nines(1_000_000);
        assert_eq!(scale.ticks(9), [1.0, 2.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]);
        assert!((scale.position(1_000.0) - 0.5).abs() < 1e-12);
        assert!(scale.ticks(4).len() <= 4);
    }

    #[test]
    fn ratios_have_one_in_the_middle() {
        for values in [vec![], vec![0.5, 1.2], vec![3.0], vec![f64::INFINITY, 0.0]] {
            assert!((Scale::ratios(values).position(1.0) - 0.5).abs() < 1e-9);
        }
    }

    fn any_scale() -> impl Strategy<Value = Scale> {
        let value = (-11.0f64..20.0).prop_map(|exponent| 10f64.powf(exponent));
        (0..6, value.clone(), value).prop_map(|(kind, a, b)| match kind {
            0 => Scale::linear(a.min(b), a.max(b)),
            1 => Scale::from_zero([a, b]),
            2 => Scale::log([a, b]),
            3 => Scale::log_tight([a, b]),
            4 => Scale::ratios([a, b]),
            _ => Scale::nines(a.min(1e18) as u64),
        })
    }

    proptest! {
        #[test]
        fn ticks_are_few_ascending_and_on_the_axis(scale in any_scale(), most in 2usize..12) {
            let ticks = scale.ticks(most);
            prop_assert!(!ticks.is_empty() && ticks.len() <= most, "{:?} {:?}", scale, ticks);
            prop_assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{:?} {:?}", scale, ticks);
            let slack = (scale.to - scale.from) * 1e-6;
            prop_assert!(ticks.iter().all(|t| *t >= scale.from * (1.0 - 1e-6) - slack && *t <= scale.to + slack));
        }

        #[test]
        fn positions_rise_with_values(scale in any_scale(), a in 0.0f64..1.0, b in 0.0f64..1.0) {
            let at = |share: f64| scale.from + share * (scale.to - scale.from);
            let (low, high) = (scale.position(at(a.min(b))), scale.position(at(a.max(b))));
            prop_assert!(low <= high && (0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
            prop_assert_eq!(scale.position(scale.from), 0.0);
            prop_assert!((scale.position(scale.to) - 1.0).abs() < 1e-9);
        }

        #[test]
        fn round_numbers_enclose(value in (-12.0f64..24.0).prop_map(|exponent| 10f64.powf(exponent))) {
            let (below, above) = (round_down(value), round_up(value));
            prop_assert!(below <= value * (1.0 + 1e-8) && above >= value * (1.0 - 1e-8), "{} {} {}", below, value, above);
            prop_assert!(above / below <= 2.5 + 1e-6);
        }
    }
}
