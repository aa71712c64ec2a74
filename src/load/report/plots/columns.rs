//! Intervals merged into no more columns than a plot can show.

use crate::load::record::{Distribution, Interval};

/// The most columns of a plot over time: three to four pixels each on a wide screen.
pub(super) const COLUMNS_MAX: usize = 240;

/// The intervals as columns of a plot: adjacent ones merged where there are too many.
#[derive(Debug)]
pub(super) struct Columns {
    /// The merged intervals.
    pub merged: Vec<Interval>,
    /// How many intervals each column but the last holds.
    pub per_column: usize,
    /// Seconds in the unit of the axis.
    pub unit_s: f64,
    /// The name of that unit.
    pub unit: &'static str,
}

/// Merges intervals.
pub(super) fn columns(intervals: &[Interval]) -> Columns {
    let usable: Vec<_> = intervals.iter().filter(|i| i.start_s.is_finite() && i.length_s > 0.0).collect();
    let per_column = usable.len().div_ceil(COLUMNS_MAX).max(1);
    let merged: Vec<Interval> = usable.chunks(per_column).map(merge).collect();
    let end_s = merged.last().map_or(0.0, |last| last.start_s + last.length_s);
    let (unit_s, unit) = match end_s {
        end_s if end_s >= 3.0 * 86_400.0 => (86_400.0, "days"),
        end_s if end_s >= 3.0 * 3600.0 => (3600.0, "h"),
        end_s if end_s >= 600.0 => (60.0, "min"),
        _ => (1.0, "s"),
    };
    Columns { merged, per_column, unit_s, unit }
}

fn merge(intervals: &[&Interval]) -> Interval {
    let Some((first, rest)) = intervals.split_first() else { return Interval::default() };
    let mut merged = (*first).clone();
    let mut end_s = first.start_s + first.length_s;
    for interval in rest {
        merged.asked += interval.asked;
        merged.sent += interval.sent;
        merged.answered += interval.answered;
        merged.failed += interval.failed;
        merged.response.histogram.merge(&interval.response.histogram);
        merged.send_lag_p99_ns = merged.send_lag_p99_ns.max(interval.send_lag_p99_ns);
        merged.busy_fraction = merged.busy_fraction.max(interval.busy_fraction);
        merged.connections = interval.connections;
        end_s = interval.start_s + interval.length_s;
    }
    merged.length_s = end_s - merged.start_s;
    merged
}

impl Columns {
    /// Where each column begins and ends on the axis.
    pub fn edges(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let edges = |i: &Interval| (i.start_s / self.unit_s, (i.start_s + i.length_s) / self.unit_s);
        self.merged.iter().map(edges)
    }

    /// A value of each column, at the column's middle.
    pub fn points<'a>(
        &'a self,
        value: impl Fn(&Interval) -> Option<f64> + 'a,
    ) -> impl Iterator<Item = (f64, Option<f64>)> + 'a {
        self.edges().zip(&self.merged).map(move |((from, to), i)| (f64::midpoint(from, to), value(i)))
    }

    /// The axis of elapsed time.
    pub fn axis(&self) -> crate::plot::chart::Axis {
        use crate::plot::{chart, scale};
        let from = self.edges().next().map_or(0.0, |(from, _)| from.min(0.0));
        let to = self.edges().last().map_or(1.0, |(_, to)| to);
        let title = format!("elapsed time, {}", self.unit);
        chart::Axis::new(title, scale::Scale::linear(from, to), chart::Unit::Number)
    }

    /// When a column was: `12–13 s`.
    pub fn when(&self, index: usize) -> String {
        let number = crate::plot::units::number;
        let edges = self.edges().nth(index).unwrap_or_default();
        format!("{}–{} {}", number(edges.0), number(edges.1), self.unit)
    }

    /// A sentence about the merging, if there was any.
    pub fn note(&self) -> Option<String> {
        (self.per_column > 1).then(|| format!("Each column merges {} intervals of the run.", self.per_column))
    }
}

/// The largest response time, if there was any response.
pub(super) fn max_ns(distribution: &Distribution) -> Option<f64> {
    distribution.histogram.max().map(|max| max as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::HistogramSnapshot;
    use crate::thorough::thorough;
    use proptest::prelude::*;

    fn interval(index: usize, value: u64) -> Interval {
        Interval {
            start_s: index as f64 * 0.1,
            length_s: 0.1,
            asked: 3.0,
            sent: 3,
            answered: 2,
            failed: 1,
            response: HistogramSnapshot::from_buckets([(value, 3)], value).into(),
            ..Interval::default()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(thorough(256, 8)))]

        #[test]
        fn merging_keeps_every_count_and_the_whole_time(values in prop::collection::vec(1u64..1_000_000, 1..1_500)) {
            let intervals: Vec<_> = values.iter().enumerate().map(|(i, value)| interval(i, *value)).collect();
            let made = columns(&intervals);
            prop_assert!(made.merged.len() <= COLUMNS_MAX);
            let total = |f: fn(&Interval) -> u64| made.merged.iter().map(f).sum::<u64>();
            let len = values.len() as u64;
            prop_assert_eq!((total(|i| i.sent), total(|i| i.failed)), (3 * len, len));
            prop_assert_eq!(total(|i| i.response.histogram.count()), 3 * len);
            let longest = made.merged.iter().filter_map(|i| i.response.histogram.max()).max();
            prop_assert_eq!(longest, values.iter().max().copied());
            let time: f64 = made.merged.iter().map(|i| i.length_s).sum();
            prop_assert!((time - 0.1 * len as f64).abs() < 1e-6);
        }
    }

    #[test]
    fn intervals_without_length_are_left_out() {
        let broken =
            [Interval::default(), Interval { start_s: f64::NAN, length_s: 1.0, ..Interval::default() }];
        assert!(columns(&broken).merged.is_empty());
        assert_eq!(columns(&[]).per_column, 1);
    }
}
