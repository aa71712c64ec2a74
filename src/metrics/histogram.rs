//! The single-writer histogram: one thread records at the cost of an ordinary addition, any thread reads.
//!
//! # Why readers never reset
//!
//! Recording is a load, an addition and a store. If a reader swapped a bucket for zero between the writer's load
//! and its store, the store would bring the old count back, and what the reader took would count twice; if the
//! reader loaded and then stored zero, a record between the two would be lost. Only a locked instruction in the
//! writer would cure that, at four times the price. So buckets only ever rise, each by its one writer. Then
//! every load is a true count of some moment, two loads by one reader never fall, and the difference of two
//! scans is exact for each bucket: what was recorded between the two moments that bucket was looked at.
//!
//! For the same reason the total is the sum of the buckets scanned, never a counter of its own: it always agrees
//! with the buckets it is divided by.
//!
//! # Why no sum is kept
//!
//! A running sum is one more addition, but each waits for the one before it to come back from the store buffer:
//! 1.7 ns a record with it, 1.1 without. The buckets know the sum to 1/256, always agree with the count, and
//! cannot wrap.
//!
//! # Why a scan may stop at the maximum
//!
//! The largest value recorded is kept in a cell that only rises too. A reader loads it first and looks no
//! further than that value's bucket. A record whose bucket it could have seen, but whose maximum it could not
//! yet, simply counts as not yet recorded; the next scan looks at least as far.
//!
//! # How it grows
//!
//! The first values are counted in a small table ([`FirstValues`]). With the first one that the table has no room for,
//! the writer makes all buckets, copies the counts into them and only then shows them to readers; the table stays as
//! it is. So a reader finds either the table, as it was at some moment, or buckets with at least as much in them.

use super::counter::add;
use super::first_values::FirstValues;
use super::snapshot::HistogramSnapshot;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// Each octave is cut into 2^7 = 128 buckets, so no bucket is wider than 1/128 of its values. That is the layout
/// of HdrHistogram at two significant digits, which needs 2 * 10^2 <= 256 values at unit resolution.
const SUB_BUCKET_BITS: u32 = 7;
const SUB_BUCKETS: usize = 1 << SUB_BUCKET_BITS;

/// The largest value that [`histogram`] tells apart: 2^37 - 1, which is 137 s in nanoseconds.
pub(super) const VALUE_MAX: u64 = (1 << 37) - 1;

/// The bucket that counts `value`.
#[inline]
pub(super) const fn index_of(value: u64) -> usize {
    let shift = (value | SUB_BUCKETS as u64).ilog2() - SUB_BUCKET_BITS;
    ((shift as usize) << SUB_BUCKET_BITS) + (value >> shift) as usize
}

/// The lowest value that the bucket counts.
pub(super) const fn low_of(index: usize) -> u64 {
    let shift = (index >> SUB_BUCKET_BITS).saturating_sub(1);
    ((index - (shift << SUB_BUCKET_BITS)) as u64) << shift
}

/// The highest value that the bucket counts.
pub(super) const fn high_of(index: usize) -> u64 {
    let shift = (index >> SUB_BUCKET_BITS).saturating_sub(1);
    low_of(index) + ((1 << shift) - 1)
}

/// What the two halves share. Every cell has one writer, the [`Recorder`], and only rises.
#[derive(Debug)]
struct Shared {
    /// Made when the first values have become too many; from then on everything is counted here.
    buckets: OnceLock<Box<[AtomicU64]>>,
    max: AtomicU64,
    clamped: AtomicU64,
    value_max: u64,
    first: FirstValues,
}

/// The writing half of a [`histogram`]. It can move to another thread but not be shared or cloned: there is one
/// writer, which is what makes recording cheap.
///
/// ```compile_fail
/// let (recorder, _reader) = windlass::metrics::histogram();
/// std::thread::scope(|scope| {
///     scope.spawn(|| recorder.record(1)); // `Recorder` cannot be shared between threads
/// });
/// ```
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    single_writer: PhantomData<Cell<()>>,
}

/// The reading half of a [`histogram`]: clone it, send it, read as often as you like.
#[derive(Clone, Debug)]
pub struct HistogramReader {
    shared: Arc<Shared>,
}

/// A histogram of 0 to 2^37 - 1 (137 s in nanoseconds) with an error of at most 1/128.
///
/// Takes 256 bytes while what is recorded falls into 32 different buckets at most, and 31 KiB more from then on. That is
/// the one time that recording allocates.
#[must_use]
pub fn histogram() -> (Recorder, HistogramReader) {
    histogram_up_to(VALUE_MAX)
}

/// Like [`histogram`] for values from 0 to `value_max`: in the end 2 KiB up to 255, and 1 KiB more for each doubling.
///
/// A larger value counts as the largest, and is counted by [`HistogramSnapshot::clamped`].
#[must_use]
pub fn histogram_up_to(value_max: u64) -> (Recorder, HistogramReader) {
    let shared = Arc::new(Shared {
        buckets: OnceLock::new(),
        max: AtomicU64::new(0),
        clamped: AtomicU64::new(0),
        value_max: high_of(index_of(value_max)),
        first: FirstValues::new(),
    });
    (Recorder { shared: Arc::clone(&shared), single_writer: PhantomData }, HistogramReader { shared })
}

impl Recorder {
    /// Counts `value` once.
    #[inline]
    pub fn record(&self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts `value` `n` times.
    #[inline]
    pub fn record_n(&self, value: u64, n: u64) {
        let shared = &*self.shared;
        // One bounds check answers three questions: are there buckets yet, is it in range, is the access safe.
        match shared.buckets.get().and_then(|buckets| buckets.get(index_of(value))) {
            Some(bucket) => {
                add(bucket, n);
                shared.raise_max(value);
            }
            None => self.record_early_or_clamped(value, n),
        }
    }

    #[cold]
    fn record_early_or_clamped(&self, value: u64, n: u64) {
        let shared = &*self.shared;
        if value > shared.value_max {
            add(&shared.clamped, n);
        }
        let value = value.min(shared.value_max);
        if shared.buckets.get().is_none() {
            if shared.first.count(index_of(value), n) {
                return shared.raise_max(value);
            }
            shared.make_buckets();
        }
        self.record_n(value, n);
    }
}

impl Shared {
    #[inline]
    fn raise_max(&self, value: u64) {
        if value > self.max.load(Relaxed) {
            self.max.store(value, Relaxed);
        }
    }

    /// Makes the buckets, with what was counted so far in them, before any reader can see them.
    fn make_buckets(&self) {
        self.buckets.get_or_init(|| {
            let buckets: Box<[AtomicU64]> =
                (0..=index_of(self.value_max)).map(|_| AtomicU64::new(0)).collect();
            for (index, count) in self.first.counts() {
                buckets[index].store(count, Relaxed);
            }
            buckets
        });
    }
}

impl HistogramReader {
    /// What was recorded so far.
    ///
    /// Records made during the scan may or may not be in it; nothing else is uncertain. Successive snapshots of
    /// one thread never count less in any bucket.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut seen = HistogramSnapshot::default();
        self.add_to(&mut seen);
        seen
    }

    /// Adds what was recorded so far to `into`: a scan and a merge in one pass, without a copy between.
    pub fn add_to(&self, into: &mut HistogramSnapshot) {
        let shared = &*self.shared;
        let max = shared.max.load(Relaxed);
        let highest = index_of(max);
        match shared.buckets.get() {
            Some(buckets) => into.add_counts(buckets[..=highest].iter().map(|bucket| bucket.load(Relaxed))),
            None => into.add_first(highest, shared.first.counts()),
        }
        into.add_rest(max, shared.clamped.load(Relaxed), shared.value_max);
    }
}

#[cfg(test)]
mod tests {
    use super::super::first_values::CELLS;
    use super::*;
    use proptest::prelude::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::{Acquire, Release};

    /// Values spread evenly over the octaves, as latencies are.
    fn any_value() -> impl Strategy<Value = u64> {
        (0u32..64, any::<u64>()).prop_map(|(shift, bits)| bits >> shift)
    }

    #[test]
    fn bucket_bounds_are_those_of_hdrhistogram_with_two_digits() {
        let theirs = hdrhistogram::Histogram::<u64>::new_with_bounds(1, u64::MAX / 2, 2).unwrap();
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        for probe in 0..2_000_000u32 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let value = random >> (1 + probe % 63);
            let index = index_of(value);
            assert_eq!(low_of(index), theirs.lowest_equivalent(value), "value {value}");
            assert_eq!(high_of(index), theirs.highest_equivalent(value), "value {value}");
        }
    }

    #[test]
    fn buckets_cover_every_value_without_gap_or_overlap() {
        let last = index_of(u64::MAX);
        assert_eq!((low_of(0), high_of(last)), (0, u64::MAX));
        for index in 0..last {
            assert_eq!(high_of(index) + 1, low_of(index + 1));
            assert_eq!(index_of(low_of(index)), index);
            assert_eq!(index_of(high_of(index)), index);
        }
        assert_eq!((index_of(VALUE_MAX) + 1) * 8, 31_744);
    }

    #[test]
    fn buckets_are_made_when_the_first_values_have_become_too_many() {
        let (recorder, reader) = histogram_up_to(65_536);
        assert!(reader.snapshot().is_empty());
        for _ in 0..1_000 {
            (0..CELLS as u64).for_each(|value| recorder.record(value * value));
        }
        assert!(reader.shared.buckets.get().is_none(), "these are few different values");
        let few = reader.snapshot();
        assert_eq!((few.count(), few.max(), few.buckets().count()), (32_000, Some(961), CELLS));
        (0..100).for_each(|value| recorder.record(value));
        assert_eq!(reader.shared.buckets.get().map(|buckets| buckets.len()), Some(1_281));
        let interval = reader.snapshot().since(&few);
        assert_eq!((interval.count(), interval.min(), interval.max()), (100, Some(0), Some(99)));
        assert!(interval.buckets().all(|bucket| bucket.count == 1));
    }

    #[test]
    fn a_count_too_large_for_the_first_values_is_kept() {
        let (recorder, reader) = histogram();
        recorder.record_n(7, 5);
        recorder.record_n(7, 1 << 50);
        assert_eq!(reader.snapshot().count(), (1 << 50) + 5);
    }

    #[test]
    fn values_out_of_range_count_as_the_largest_and_are_told() {
        let (recorder, reader) = histogram_up_to(1_000);
        recorder.record_n(u64::MAX, 3);
        recorder.record(1_000);
        let seen = reader.snapshot();
        assert_eq!((seen.count(), seen.clamped()), (4, 3));
        assert_eq!(seen.max(), Some(high_of(index_of(1_000))));
    }

    #[test]
    fn a_reader_beside_the_writer_never_sees_the_total_fall_and_ends_at_all_of_it() {
        const RECORDS: u64 = 400_000;
        let (recorder, reader) = histogram();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let done = &done;
            scope.spawn(move || {
                for i in 0..RECORDS {
                    recorder.record(i * i % 10_000_019);
                }
                done.store(true, Release);
            });
            let mut last = HistogramSnapshot::default();
            loop {
                let finished = done.load(Acquire);
                let seen = reader.snapshot();
                assert!(seen.count() >= last.count());
                let interval = seen.since(&last);
                assert_eq!(interval.count(), seen.count() - last.count());
                assert!(seen.max() >= last.max());
                last = seen;
                if finished {
                    break;
                }
            }
            assert_eq!(last.count(), RECORDS);
        });
    }

    /// Histograms that grow while they are read: no scan finds less than the one before, in any bucket.
    #[test]
    fn a_reader_beside_a_histogram_that_grows_loses_nothing() {
        const HISTOGRAMS: usize = 2_000;
        const RECORDS: u64 = 200;
        let (recorders, readers): (Vec<_>, Vec<_>) = (0..HISTOGRAMS).map(|_| histogram()).unzip();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for recorder in recorders {
                    (0..RECORDS).for_each(|i| recorder.record(i * 31 % 100 * 1_000));
                }
            });
            for reader in &readers {
                let mut last = reader.snapshot();
                while last.count() < RECORDS {
                    let seen = reader.snapshot();
                    let risen: u64 = seen.since(&last).buckets().map(|bucket| bucket.count).sum();
                    assert_eq!(seen.count(), last.count() + risen, "a bucket fell");
                    last = seen;
                }
                assert_eq!((last.count(), last.max()), (RECORDS, Some(99_000)));
            }
        });
    }

    proptest! {
        #[test]
        fn every_value_lies_in_its_bucket_and_no_bucket_is_wider_than_a_128th(value in any_value()) {
            let index = index_of(value);
            let (low, high) = (low_of(index), high_of(index));
            prop_assert!(low <= value && value <= high);
            prop_assert!((high - low).saturating_mul(128) <= low);
        }
    }
}
