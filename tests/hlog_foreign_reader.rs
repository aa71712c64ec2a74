//! An interval log of ours, opened by somebody else's reader: the Python package `hdrhistogram`.
//!
//! Skipped, and said so, where that package is not installed, except in CI (environment variable `CI`).

use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};
use windlass::metrics::{HistogramLog, HistogramSnapshot, histogram, histogram_up_to};

/// Prints, for each interval: tag, start and end in milliseconds, total count, and each bucket in use.
const READER: &str = r#"
import sys
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

reader = HistogramLogReader(sys.argv[1], HdrHistogram(1, 2**37 - 1, 2))
while True:
    h = reader.get_next_interval_histogram()
    if h is None:
        break
    print("interval", h.get_tag(), round(h.get_start_time_stamp()), round(h.get_end_time_stamp()), h.get_total_count())
    for item in h.get_recorded_iterator():
        print(item.value_iterated_to, item.count_added_in_this_iter_step)
    print("p99", h.get_value_at_percentile(99.0))
"#;

fn python_can_read() -> bool {
    let found = Command::new("python3").args(["-c", "import hdrh.log"]).output();
    let there = found.is_ok_and(|output| output.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "CI needs the Python package hdrhistogram");
    there
}

fn expected(tag: &str, from_ms: u64, to_ms: u64, histogram: &HistogramSnapshot) -> String {
    let mut text = format!("interval {tag} {from_ms} {to_ms} {}\n", histogram.count());
    for bucket in histogram.buckets() {
        text += &format!("{} {}\n", bucket.high, bucket.count);
    }
    text
}

#[test]
fn python_reads_the_same_tags_times_and_counts() {
    if !python_can_read() {
        println!("skipped: no Python package hdrhistogram here");
        return;
    }
    let (latency, latency_reader) = histogram();
    let (events, events_reader) = histogram_up_to(65_536);
    for i in 1..=50_000u64 {
        latency.record(i * i % 10_000_019);
        events.record(i % 700);
    }
    latency.record_n(u64::MAX, 3);
    let first = latency_reader.snapshot();
    latency.record_n(1_000_000, 20_000);
    let second = latency_reader.snapshot().since(&first);
    let events = events_reader.snapshot();

    let started = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let second_long = Duration::from_secs(1);
    let mut log = HistogramLog::begin(Vec::new(), "from windlass's tests", started).unwrap();
    log.write("latency", Duration::ZERO, second_long, &first).unwrap();
    log.write("events", Duration::ZERO, second_long, &events).unwrap();
    log.write("latency", second_long, Duration::from_millis(500), &second).unwrap();
    let path = std::env::temp_dir().join(format!("windlass-{}.hlog", std::process::id()));
    std::fs::write(&path, log.into_inner()).unwrap();

    let output = Command::new("python3").args(["-c", READER]).arg(&path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let told = String::from_utf8(output.stdout).unwrap();
    let mut expected_text = String::new();
    for (tag, from_ms, to_ms, histogram) in [
        ("latency", 1_700_000_000_000, 1_700_000_001_000, &first),
        ("events", 1_700_000_000_000, 1_700_000_001_000, &events),
        ("latency", 1_700_000_001_000, 1_700_000_001_500, &second),
    ] {
        expected_text += &expected(tag, from_ms, to_ms, histogram);
        expected_text += &format!("p99 {}\n", histogram.percentile(0.99).unwrap());
    }
    assert_eq!(told, expected_text);
}
