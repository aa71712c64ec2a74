//! What a histogram held at one moment, or recorded in one interval: plain numbers to ask, add and subtract.

use super::histogram::{VALUE_MAX, high_of, index_of, low_of};

/// Fewer samples than this beyond a percentile say little about it.
const SAMPLES_BEYOND_MIN: f64 = 10.0;

/// The contents of a histogram. Made by [`HistogramReader::snapshot`](super::HistogramReader::snapshot).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HistogramSnapshot {
    /// By bucket, up to the last one that was looked at; those after it are zero.
    counts: Vec<u64>,
    count: u64,
    max: u64,
    clamped: u64,
    value_max: u64,
}

/// Values from `low` to `high`, both included, and how many of them were recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bucket {
    /// The lowest value counted here.
    pub low: u64,
    /// The highest value counted here.
    pub high: u64,
    /// How many were recorded.
    pub count: u64,
}

impl HistogramSnapshot {
    /// A histogram with these buckets, each told by any value of it and its count, and this largest value: what
    /// [`buckets`](Self::buckets) and [`max`](Self::max) gave, read back from wherever it was stored.
    #[must_use]
    pub fn from_buckets(buckets: impl IntoIterator<Item = (u64, u64)>, max: u64) -> HistogramSnapshot {
        let value_max = VALUE_MAX.max(high_of(index_of(max)));
        let mut made = HistogramSnapshot { max, value_max, ..HistogramSnapshot::default() };
        for (value, count) in buckets {
            let index = index_of(value.min(value_max));
            if made.counts.len() <= index {
                made.counts.resize(index + 1, 0);
            }
            made.counts[index] = made.counts[index].saturating_add(count);
            made.count = made.count.saturating_add(count);
        }
        made
    }

    pub(super) fn add_counts(&mut self, counts: impl ExactSizeIterator<Item = u64>) {
        if self.counts.len() < counts.len() {
            self.counts.resize(counts.len(), 0);
        }
        let mut added = 0;
        for (mine, theirs) in self.counts.iter_mut().zip(counts) {
            *mine = mine.wrapping_add(theirs);
            added = theirs.wrapping_add(added);
        }
        self.count = self.count.wrapping_add(added);
    }

    /// Like [`add_counts`](Self::add_counts) for few buckets, told by number in any order; those above `highest` count
    /// as not yet recorded.
    pub(super) fn add_first(&mut self, highest: usize, counts: impl Iterator<Item = (usize, u64)>) {
        for (index, count) in counts.filter(|(index, _)| *index <= highest) {
            if self.counts.len() <= highest {
                self.counts.resize(highest + 1, 0);
            }
            self.counts[index] = self.counts[index].wrapping_add(count);
            self.count = self.count.wrapping_add(count);
        }
    }

    /// Takes over what is not a bucket. `max` comes from another cell than the buckets, so it may be a record
    /// ahead of them or behind.
    pub(super) fn add_rest(&mut self, max: u64, clamped: u64, value_max: u64) {
        self.max = self.max.max(max);
        self.clamped += clamped;
        self.value_max = self.value_max.max(value_max);
    }

    /// How many values were recorded: the sum of all buckets.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many of them were larger than the histogram's range and counted as its largest value.
    #[must_use]
    pub const fn clamped(&self) -> u64 {
        self.clamped
    }

    /// The largest value that the histogram tells apart.
    #[must_use]
    pub const fn value_max(&self) -> u64 {
        self.value_max
    }

    /// Lower edge of the lowest bucket in use: at most 1/128 below the smallest value recorded.
    #[must_use]
    pub fn min(&self) -> Option<u64> {
        self.buckets().next().map(|bucket| bucket.low)
    }

    /// The largest value recorded.
    ///
    /// Exact, except after [`since`](Self::since) for an interval that set no new record: then the upper edge of
    /// its highest bucket, at most 1/128 too high. A value recorded during the scan can be missing.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        let highest = self.counts.iter().rposition(|count| *count > 0)?;
        Some(self.max.clamp(low_of(highest), high_of(highest)))
    }

    /// The sum of everything recorded, each value taken as the middle of its bucket: at most 1/256 off, and exact
    /// for values below 256.
    #[must_use]
    pub fn sum(&self) -> u128 {
        let twice =
            |bucket: Bucket| (u128::from(bucket.low) + u128::from(bucket.high)) * u128::from(bucket.count);
        self.buckets().map(twice).sum::<u128>() / 2
    }

    /// The arithmetic mean, with the error of [`sum`](Self::sum).
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum() as f64 / self.count as f64)
    }

    /// The value that a share of `p` of all records do not exceed: `percentile(0.99)` is the 99th percentile.
    ///
    /// The upper edge of the bucket in question, so at most 1/128 too high and never too low. `None` if nothing
    /// was recorded; a `p` outside 0 to 1 is taken as the nearer of the two. See
    /// [`is_supported`](Self::is_supported) for whether there are samples enough to mean it.
    #[must_use]
    pub fn percentile(&self, p: f64) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        // `p` and the product are each rounded by up to half an epsilon. Without taking that back, the 7th
        // percentile of 100 values would come out as rank 8.
        let rank = (p.clamp(0.0, 1.0) * self.count as f64 * (1.0 - 2.0 * f64::EPSILON)).ceil();
        let rank = (rank as u64).clamp(1, self.count);
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                let max = self.max.max(low_of(index));
                return Some(high_of(index).min(max));
            }
        }
        self.max()
    }

    /// Whether there are samples enough for the percentile: at least ten beyond it, that is 10 / (1 - `p`) in
    /// all.
    #[must_use]
    pub fn is_supported(&self, p: f64) -> bool {
        // The same rounding as in `percentile`: 1 - 0.999 is a hair less than a thousandth.
        self.count as f64 * (1.0 - p) >= SAMPLES_BEYOND_MIN * (1.0 - 1e-9)
    }

    /// Adds what `other` recorded, as if one histogram had recorded both.
    pub fn merge(&mut self, other: &HistogramSnapshot) {
        self.add_counts(other.counts.iter().copied());
        self.add_rest(other.max, other.clamped, other.value_max);
    }

    /// What was recorded after `earlier`, which must be a snapshot of the same histogram or the same merged
    /// ones.
    ///
    /// Buckets never fall, so the difference is a valid histogram; it is off by at most what was recorded while
    /// the two scans ran.
    #[must_use]
    pub fn since(&self, earlier: &HistogramSnapshot) -> HistogramSnapshot {
        let mut counts = self.counts.clone();
        for (mine, theirs) in counts.iter_mut().zip(&earlier.counts) {
            *mine = mine.saturating_sub(*theirs);
        }
        let highest = counts.iter().rposition(|count| *count > 0);
        counts.truncate(highest.map_or(0, |highest| highest + 1));
        // If the interval set the record, the record lies in its highest bucket, and this is exact.
        let max = highest.map_or(0, |highest| high_of(highest).min(self.max));
        HistogramSnapshot {
            count: counts.iter().sum(),
            counts,
            max,
            clamped: self.clamped.saturating_sub(earlier.clamped),
            value_max: self.value_max,
        }
    }

    /// The buckets that counted anything, lowest first.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(index, count)| Bucket {
            low: low_of(index),
            high: high_of(index),
            count: *count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::index_of;
    use super::super::{histogram, histogram_up_to};
    use super::*;
    use proptest::prelude::*;

    fn recorded(values: impl IntoIterator<Item = u64>) -> HistogramSnapshot {
        let (recorder, reader) = histogram();
        values.into_iter().for_each(|value| recorder.record(value));
        reader.snapshot()
    }

    fn latencies(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u64>> {
        let latency = (27u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift);
        prop::collection::vec(latency, len)
    }

    #[test]
    fn an_empty_histogram_has_no_figures() {
        let empty = HistogramSnapshot::default();
        assert!(empty.is_empty() && !empty.is_supported(0.5));
        assert_eq!((empty.min(), empty.max(), empty.mean(), empty.percentile(0.5)), (None, None, None, None));
        assert_eq!(empty.buckets().count(), 0);
    }

    #[test]
    fn percentiles_of_round_counts_pick_the_textbook_rank() {
        let (recorder, reader) = histogram_up_to(255);
        for value in 1..=200 {
            recorder.record_n(value, 5);
        }
        let seen = reader.snapshot();
        assert_eq!(seen.count(), 1_000);
        for (p, expected) in [(0.0, 1), (0.005, 1), (0.5, 100), (0.99, 198), (0.999, 200), (1.0, 200)] {
            assert_eq!(seen.percentile(p), Some(expected), "p = {p}");
        }
        assert!(seen.is_supported(0.99) && !seen.is_supported(0.999));
    }

    #[test]
    fn ranks_do_not_slip_by_rounding() {
        // 0.07 * 100 is 7.000000000000001.
        assert_eq!(recorded(1..=100).percentile(0.07), Some(7));
    }

    #[test]
    fn a_maximum_a_record_ahead_or_behind_is_brought_back_to_the_buckets() {
        for (max, told) in [(255, 3), (0, 3), (3, 3)] {
            let mut seen = HistogramSnapshot::default();
            seen.add_counts([0, 5, 0, 1, 0].into_iter());
            seen.add_rest(max, 0, 255);
            assert_eq!((seen.max(), seen.percentile(1.0)), (Some(told), Some(told)));
        }
    }

    #[test]
    fn a_sum_larger_than_a_cell_does_not_wrap() {
        let (recorder, reader) = histogram();
        let (value, times) = (100_000_000_000, 20_000_000_000);
        recorder.record_n(value, times);
        let (sum, exact) = (reader.snapshot().sum(), u128::from(value) * u128::from(times));
        assert!(exact > 50 << 64 && sum.abs_diff(exact) * 256 <= exact);
    }

    #[test]
    fn the_maximum_of_an_interval_is_exact_when_it_set_a_record() {
        let (recorder, reader) = histogram();
        recorder.record(1_000_000);
        let first = reader.snapshot();
        recorder.record(999);
        let second = reader.snapshot();
        recorder.record(1_234_567);
        assert_eq!(second.since(&first).max(), Some(high_of(index_of(999))));
        assert_eq!(reader.snapshot().since(&second).max(), Some(1_234_567));
        assert_eq!(second.since(&second).max(), None);
    }

    proptest! {
        #[test]
        fn figures_agree_with_a_sorted_list(mut values in latencies(1..400), p in 0.0f64..=1.0) {
            let seen = recorded(values.iter().copied());
            values.sort_unstable();
            let rank = ((p * values.len() as f64 - 1e-9).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1];
            let told = seen.percentile(p).unwrap();
            prop_assert!(told >= exact && (told - exact) * 128 <= exact, "{} for {}", told, exact);
            prop_assert_eq!(seen.max(), values.last().copied());
            let min = seen.min().unwrap();
            prop_assert!(min <= values[0] && (values[0] - min) * 128 <= values[0]);
            let sum = values.iter().map(|v| u128::from(*v)).sum::<u128>();
            prop_assert!(seen.sum().abs_diff(sum) * 256 <= sum, "{} for {}", seen.sum(), sum);
            prop_assert_eq!(seen.count(), values.len() as u64);
        }

        #[test]
        fn buckets_read_back_are_the_same_histogram(values in latencies(0..100)) {
            let seen = recorded(values);
            let buckets: Vec<_> = seen.buckets().map(|bucket| (bucket.low, bucket.count)).collect();
            let back = HistogramSnapshot::from_buckets(buckets, seen.max().unwrap_or(0));
            prop_assert!(back.buckets().eq(seen.buckets()));
            prop_assert_eq!((back.count(), back.max(), back.percentile(0.9)), (seen.count(), seen.max(), seen.percentile(0.9)));
        }

        #[test]
        fn merging_is_recording_both_in_any_order(a in latencies(0..100), b in latencies(0..100)) {
            let both = recorded(a.iter().chain(&b).copied());
            let (a, b) = (recorded(a), recorded(b));
            let (mut ab, mut ba) = (a.clone(), b.clone());
            ab.merge(&b);
            ba.merge(&a);
            prop_assert_eq!(&ab, &both);
            prop_assert_eq!(&ba, &both);
        }

        #[test]
        fn an_interval_is_what_was_recorded_in_it(before in latencies(0..100), within in latencies(0..100)) {
            let (recorder, reader) = histogram();
            before.iter().for_each(|value| recorder.record(*value));
            let earlier = reader.snapshot();
            within.iter().for_each(|value| recorder.record(*value));
            let interval = reader.snapshot().since(&earlier);
            let expected = recorded(within);
            prop_assert!(interval.buckets().eq(expected.buckets()));
            prop_assert_eq!((interval.count(), interval.sum()), (expected.count(), expected.sum()));
            if let (Some(told), Some(exact)) = (interval.max(), expected.max()) {
                prop_assert!(told >= exact && (told - exact) * 128 <= exact);
            }
            let mut whole = earlier.clone();
            whole.merge(&interval);
            prop_assert!(whole.buckets().eq(reader.snapshot().buckets()));
        }
    }
}
