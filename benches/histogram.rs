//! Recording into, and reading from, the single-writer histogram beside what one would use instead.
//!
//! `cargo bench --bench histogram` for Criterion's report. On a noisy machine
//! `cargo bench --bench histogram -- --ratios` alternates the contestants in rounds of well under 4 ms and
//! compares their fastest rounds, which neighbours disturb least.

use criterion::{BatchSize, Criterion, Throughput};
use std::hint::black_box;
use std::time::Instant;
use windlass::metrics::{HistogramSnapshot, Recorder, histogram};

/// Values recorded in one round: enough to hide the clock, few enough to stay below a scheduler's tick.
const VALUES: usize = 16_384;
const ROUNDS: usize = 400;
const RANGE_BITS: u8 = 37;

/// Latencies as servers have them: about 30 µs, log-normal, one in a hundred a hundred times as long.
fn latencies() -> Vec<u64> {
    let mut state = 0x5eed_u64;
    let mut unit = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let latency = |_| {
        let normal = (0..12).map(|_| unit()).sum::<f64>() - 6.0;
        let tail = if unit() < 0.01 { 100.0 } else { 1.0 };
        (30_000.0 * (0.6 * normal).exp() * tail) as u64
    };
    (0..VALUES).map(latency).collect()
}

struct Contestant<'a> {
    name: &'static str,
    /// How many operations one call performs.
    operations: usize,
    round: Box<dyn FnMut() + 'a>,
}

impl<'a> Contestant<'a> {
    fn new(name: &'static str, operations: usize, round: impl FnMut() + 'a) -> Contestant<'a> {
        Contestant { name, operations, round: Box::new(round) }
    }
}

fn recorders(values: &[u64]) -> Vec<Contestant<'_>> {
    let (ours, _reader) = histogram();
    let mut hdr = hdrhistogram::Histogram::<u64>::new_with_bounds(1, (1 << RANGE_BITS) - 1, 2).unwrap();
    let shared = hdrhistogram::sync::SyncHistogram::from(hdr.clone());
    let mut sync = shared.recorder();
    let atomic = histogram::AtomicHistogram::new(7, RANGE_BITS).unwrap();
    let mut plain = histogram::Histogram::new(7, RANGE_BITS).unwrap();
    let n = values.len();
    vec![
        Contestant::new("windlass Recorder", n, move || {
            values.iter().for_each(|v| ours.record(black_box(*v)))
        }),
        Contestant::new("hdrhistogram &mut", n, move || {
            values.iter().for_each(|v| hdr.record(black_box(*v)).unwrap());
        }),
        Contestant::new("hdrhistogram Recorder", n, move || {
            // Somebody must own the other half, or recording fails.
            let _reader = &shared;
            values.iter().for_each(|v| sync.record(black_box(*v)).unwrap());
        }),
        Contestant::new("histogram AtomicHistogram", n, move || {
            values.iter().for_each(|v| atomic.increment(black_box(*v)).unwrap());
        }),
        Contestant::new("histogram &mut", n, move || {
            values.iter().for_each(|v| plain.increment(black_box(*v)).unwrap());
        }),
    ]
}

fn filled(values: &[u64]) -> (Recorder, windlass::metrics::HistogramReader) {
    let (recorder, reader) = histogram();
    values.iter().for_each(|v| recorder.record(*v));
    (recorder, reader)
}

fn readers(values: &[u64]) -> Vec<Contestant<'_>> {
    let (recorder, reader) = filled(values);
    let (widest, widest_reader) = filled(values);
    widest.record((1 << RANGE_BITS) - 1);
    let (mut total, mut widest_total) = (widest_reader.snapshot(), widest_reader.snapshot());
    let mut hdr_total = hdrhistogram::Histogram::<u64>::new_with_bounds(1, (1 << RANGE_BITS) - 1, 2).unwrap();
    let mut hdr = hdr_total.clone();
    let atomic = histogram::AtomicHistogram::new(7, RANGE_BITS).unwrap();
    for v in values {
        hdr.record(*v).unwrap();
        atomic.increment(*v).unwrap();
    }
    let mut atomic_total = atomic.load();
    const SCANS: usize = 64;
    let scans = |mut one: Box<dyn FnMut()>| move || (0..SCANS).for_each(|_| one());
    vec![
        Contestant::new(
            "windlass, scan and merge",
            SCANS,
            scans(Box::new(move || {
                let _writer = &recorder;
                reader.add_to(black_box(&mut total));
            })),
        ),
        Contestant::new(
            "windlass, 2^37 recorded too",
            SCANS,
            scans(Box::new(move || {
                let _writer = &widest;
                widest_reader.add_to(black_box(&mut widest_total));
            })),
        ),
        Contestant::new(
            "hdrhistogram, merge only",
            SCANS,
            scans(Box::new(move || {
                hdr_total.add(black_box(&hdr)).unwrap();
            })),
        ),
        Contestant::new(
            "AtomicHistogram load, merge",
            SCANS,
            scans(Box::new(move || {
                atomic_total = atomic_total.wrapping_add(black_box(&atomic.load())).unwrap();
            })),
        ),
    ]
}

/// Prints the fastest round of each, and its ratio to the first.
fn ratios(title: &str, mut contestants: Vec<Contestant<'_>>) {
    let mut fastest = vec![f64::INFINITY; contestants.len()];
    let mut longest_round = 0.0f64;
    for _ in 0..ROUNDS {
        for (contestant, best) in contestants.iter_mut().zip(&mut fastest) {
            let begun = Instant::now();
            (contestant.round)();
            let nanos = begun.elapsed().as_nanos() as f64;
            longest_round = longest_round.max(nanos);
            *best = best.min(nanos / contestant.operations as f64);
        }
    }
    println!("{title}: fastest of {ROUNDS} interleaved rounds (longest round {:.2} ms)", longest_round / 1e6);
    for (contestant, best) in contestants.iter().zip(&fastest) {
        println!("  {:<28}{best:>10.2} ns   windlass/this {:>6.3}", contestant.name, fastest[0] / best);
    }
}

fn criterion(c: &mut Criterion, title: &str, contestants: Vec<Contestant<'_>>) {
    let mut group = c.benchmark_group(title);
    for mut contestant in contestants {
        group.throughput(Throughput::Elements(contestant.operations as u64));
        group.bench_function(contestant.name, |bencher| bencher.iter(&mut contestant.round));
    }
    group.finish();
}

fn main() {
    let values = latencies();
    if std::env::args().any(|argument| argument == "--ratios") {
        ratios("record", recorders(&values));
        ratios("read", readers(&values));
        return;
    }
    let mut c = Criterion::default().configure_from_args();
    criterion(&mut c, "record", recorders(&values));
    criterion(&mut c, "read", readers(&values));
    let (_recorder, reader) = filled(&values);
    c.bench_function("percentiles and export/to_v2_deflate", |bencher| {
        bencher.iter_batched(
            || reader.snapshot(),
            |seen: HistogramSnapshot| seen.to_v2_deflate(),
            BatchSize::SmallInput,
        );
    });
    c.final_summary();
}
