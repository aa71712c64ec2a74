//! Histograms as HdrHistogram's tools read them: V2 deflate, interval logs (`.hlog`), percentile text (`.hgrm`).
//!
//! The buckets have the same bounds as HdrHistogram's at two digits, so nothing is rounded on the way out.
//! Always compressed: some readers refuse plain V2 (HdrHistogram_py#27).

use super::HistogramSnapshot;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag};
use hdrhistogram::serialization::{Serializer, V2DeflateSerializeError, V2DeflateSerializer};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

/// HdrHistogram's tools write this many lines for each halving of the distance to 100 %.
const HGRM_TICKS_PER_HALF_DISTANCE: u32 = 5;

impl HistogramSnapshot {
    /// The histogram in HdrHistogram's V2 encoding, deflated. Base64 of it is what interval logs hold and what
    /// the readers in other languages decode.
    #[must_use]
    pub fn to_v2_deflate(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.to_hdr(), &mut bytes)
            .expect("a Vec takes everything, and no count is above what the format holds");
        bytes
    }

    /// The percentile distribution as text, which HdrHistogram's plotter draws.
    ///
    /// Values are divided by `units_per_line_value`: 1e6 turns nanoseconds into milliseconds.
    #[must_use]
    pub fn to_hgrm(&self, units_per_line_value: f64) -> String {
        let hdr = self.to_hdr();
        let mut text = format!(
            "{:>12} {:>14} {:>10} {:>14}\n\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        );
        let max = self.max().unwrap_or(0);
        let mut so_far = 0;
        for step in hdr.iter_quantiles(HGRM_TICKS_PER_HALF_DISTANCE) {
            so_far += step.count_since_last_iteration();
            let value = hdr.highest_equivalent(step.value_iterated_to()).min(max) as f64;
            let (value, p) = (value / units_per_line_value, step.quantile_iterated_to());
            let _ = write!(text, "{value:12.3} {p:14.12} {so_far:10}");
            if p < 1.0 {
                let _ = write!(text, " {:14.2}", 1.0 / (1.0 - p));
            }
            text.push('\n');
        }
        let (mean, deviation) = (hdr.mean() / units_per_line_value, hdr.stdev() / units_per_line_value);
        let max = max as f64 / units_per_line_value;
        let octaves = (hdr.high() >> 8).checked_ilog2().map_or(1, |octave| octave + 2);
        let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
        let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {:12}]", self.count());
        let _ = writeln!(text, "#[Buckets = {octaves:12}, SubBuckets     = {:12}]", 256);
        text
    }

    fn to_hdr(&self) -> hdrhistogram::Histogram<u64> {
        let mut hdr = hdrhistogram::Histogram::new_with_bounds(1, self.value_max().max(2), 2)
            .expect("1 to at least 2 with two digits is a range that hdrhistogram takes");
        for bucket in self.buckets() {
            // The top of its bucket, or the maximum where that is lower, is what hdrhistogram then calls max.
            let value = bucket.high.min(self.max().unwrap_or(bucket.high));
            // The format's counts are signed.
            let count = bucket.count.min(i64::MAX as u64);
            hdr.record_n(value, count).expect("the value is within the range given above");
        }
        hdr
    }
}

/// Writes an interval log (`.hlog`): a header, then one line for each interval and tag.
///
/// HdrHistogram's log processor and the readers for Java, Python, JavaScript and Rust open it.
#[derive(Debug)]
pub struct HistogramLog<W> {
    out: W,
}

impl<W: Write> HistogramLog<W> {
    /// Writes the header: `comment` (may be empty), then `started`, which later intervals count from.
    ///
    /// # Errors
    /// What `out` answers to a write.
    pub fn begin(mut out: W, comment: &str, started: SystemTime) -> io::Result<HistogramLog<W>> {
        let mut header = IntervalLogWriterBuilder::new();
        if !comment.is_empty() {
            header.add_comment(comment);
        }
        header.add_comment("[Histogram log format version 1.3]");
        header.with_start_time(started).with_base_time(started);
        header.begin_log_with(&mut out, &mut V2DeflateSerializer::new())?;
        let legend = r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#;
        writeln!(out, "{legend}")?;
        Ok(HistogramLog { out })
    }

    /// Writes one interval: `histogram` was recorded during `length`, beginning `start` after the log's start.
    /// `tag` tells histograms of one interval apart; empty means none.
    ///
    /// # Errors
    /// What the writer answers; `InvalidInput` if `tag` contains a comma, a space or a line break.
    pub fn write(
        &mut self,
        tag: &str,
        start: Duration,
        length: Duration,
        histogram: &HistogramSnapshot,
    ) -> io::Result<()> {
        let tag_checked = match tag {
            "" => None,
            _ => Some(Tag::new(tag).ok_or_else(|| {
                let sentence = format!("tag '{tag}': no commas, spaces or line breaks");
                io::Error::new(io::ErrorKind::InvalidInput, sentence)
            })?),
        };
        let mut serializer = V2DeflateSerializer::new();
        IntervalLogWriterBuilder::new()
            .begin_log_with(&mut self.out, &mut serializer)?
            .write_histogram(&histogram.to_hdr(), start, length, tag_checked)
            .map_err(io_error)
    }

    /// The writer, not flushed.
    pub fn into_inner(self) -> W {
        self.out
    }
}

fn io_error(error: IntervalLogWriterError<V2DeflateSerializeError>) -> io::Error {
    match error {
        IntervalLogWriterError::IoError(error) => error,
        IntervalLogWriterError::SerializeError(error) => io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{histogram, histogram_up_to};
    use super::*;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    use std::time::UNIX_EPOCH;

    fn thousand() -> HistogramSnapshot {
        let (recorder, reader) = histogram();
        (1..=1_000).for_each(|i| recorder.record(i * 1_000));
        reader.snapshot()
    }

    #[test]
    fn v2_deflate_comes_back_with_the_same_counts() {
        let (recorder, reader) = histogram_up_to(65_536);
        for value in [0, 1, 255, 256, 257, 65_536, 1_000_000] {
            recorder.record_n(value, value + 1);
        }
        let (widest, widest_reader) = histogram_up_to(u64::MAX);
        [0, 1 << 40, u64::MAX].into_iter().for_each(|value| widest.record(value));
        let snapshots =
            [thousand(), reader.snapshot(), widest_reader.snapshot(), HistogramSnapshot::default()];
        for ours in snapshots {
            let bytes = ours.to_v2_deflate();
            let theirs: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            assert_eq!(theirs.len(), ours.count());
            for bucket in ours.buckets() {
                assert_eq!(theirs.count_at(bucket.low), bucket.count);
            }
            assert_eq!(theirs.iter_recorded().count(), ours.buckets().count());
        }
    }

    #[test]
    fn an_interval_log_reads_back_by_tag_and_time() {
        let started = UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
        let mut log = HistogramLog::begin(Vec::new(), "two cores", started).unwrap();
        log.write("turn", Duration::ZERO, Duration::from_secs(1), &thousand()).unwrap();
        log.write("", Duration::from_secs(1), Duration::from_millis(500), &HistogramSnapshot::default())
            .unwrap();
        let refused = log.write("a,b", Duration::ZERO, Duration::ZERO, &thousand()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        let text = log.into_inner();
        let entries: Vec<_> = IntervalLogIterator::new(&text).map(Result::unwrap).collect();
        let since_1970 = Duration::from_millis(1_700_000_000_250);
        assert_eq!(entries[..2], [LogEntry::StartTime(since_1970), LogEntry::BaseTime(since_1970)]);
        let LogEntry::Interval(first) = &entries[2] else { panic!("no interval: {entries:?}") };
        assert_eq!(first.tag().map(|tag| tag.as_str()), Some("turn"));
        assert_eq!((first.start_timestamp(), first.duration()), (Duration::ZERO, Duration::from_secs(1)));
        let LogEntry::Interval(second) = &entries[3] else { panic!("no interval: {entries:?}") };
        assert_eq!((second.tag(), second.start_timestamp()), (None, Duration::from_secs(1)));
        assert_eq!(entries.len(), 4);
    }

    #[test]
    fn percentile_text_has_the_columns_that_plotters_expect() {
        let text = thousand().to_hgrm(1e6);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
        assert_eq!(lines[2], "       0.001 0.000000000000          1           1.00");
        let last = lines.iter().rfind(|line| !line.starts_with('#')).unwrap();
        assert_eq!(*last, "       1.000 1.000000000000       1000");
        assert!(lines.contains(&"#[Max     =        1.000, Total count    =         1000]"));
    }
}
