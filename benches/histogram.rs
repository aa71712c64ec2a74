//! Recording into, and reading from, the single-writer histogram beside what one would use instead.
//!
//! `cargo bench --bench histogram` for Criterion's report. On a noisy machine
//! `cargo bench --bench histogram -- --ratios` alternates the contestants in rounds of well under 4 ms and
//! compares their fastest rounds, which neighbours disturb least.

use criterion::{BatchSize, Criterion, Throughput};
use std::hint::black_box;
use std::time::Instant;
use windlass::metrics::{CoreMetrics, CoreView, HistogramReader, HistogramSnapshot, histogram};

/// Values recorded in one round: enough to hide the clock, few enough to stay below a scheduler's tick.
const VALUES: usize = 16_384;
const ROUNDS: usize = 400;
/// Scans in one round.
const SCANS: usize = 64;
const RANGE_BITS: u8 = 37;
const RANGE_MAX: u64 = (1 << RANGE_BITS) - 1;

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
    let mut hdr = hdrhistogram::Histogram::<u64>::new_with_bounds(1, RANGE_MAX, 2).unwrap();
    let shared = hdrhistogram::sync::SyncHistogram::from(hdr.clone());
    let mut sync = shared.recorder();
    let atomic = histogram::AtomicHistogram::new(7, RANGE_BITS).unwrap();
    let mut plain = histogram::Histogram::new(7, RANGE_BITS).unwrap();
    let n = values.len();
    vec![
        Contestant::new("windlass Recorder", n, move || {
            black_box(values).iter().for_each(|v| ours.record(*v))
        }),
        Contestant::new("hdrhistogram &mut", n, move || {
            black_box(values).iter().for_each(|v| hdr.record(*v).unwrap());
        }),
        Contestant::new("hdrhistogram Recorder", n, move || {
            // Somebody must own the other half, or recording fails.
            let _reader = &shared;
            black_box(values).iter().for_each(|v| sync.record(*v).unwrap());
        }),
        Contestant::new("histogram AtomicHistogram", n, move || {
            black_box(values).iter().for_each(|v| atomic.increment(*v).unwrap());
        }),
        Contestant::new("histogram &mut", n, move || {
            black_box(values).iter().for_each(|v| plain.increment(*v).unwrap());
        }),
    ]
}

fn filled<'a>(values: impl IntoIterator<Item = &'a u64>) -> HistogramReader {
    let (recorder, reader) = histogram();
    values.into_iter().for_each(|v| recorder.record(*v));
    reader
}

/// A core with all its histograms in use.
fn busy_core(values: &[u64]) -> CoreView {
    let metrics = CoreMetrics::new(0, windlass::time::Instant::ZERO);
    for v in values {
        metrics.connect_latency_nanos.record(*v * 10);
        metrics.turn_latency_nanos.record(*v);
        metrics.timer_lateness_nanos.record(*v / 10);
        metrics.events_per_turn.record(*v % 1_024);
    }
    metrics.view()
}

/// A contestant whose round is `SCANS` times `one`.
fn reader<'a>(name: &'static str, mut one: impl FnMut() + 'a) -> Contestant<'a> {
    Contestant::new(name, SCANS, move || (0..SCANS).for_each(|_| one()))
}

fn readers(values: &[u64]) -> Vec<Contestant<'_>> {
    let usual = filled(values);
    let widest = filled(values.iter().chain(&[RANGE_MAX]));
    let core = busy_core(values);
    let (mut total, mut widest_total, mut core_total) = (usual.snapshot(), widest.snapshot(), core.figures());
    let mut hdr_total = hdrhistogram::Histogram::<u64>::new_with_bounds(1, RANGE_MAX, 2).unwrap();
    let mut hdr = hdr_total.clone();
    let atomic = histogram::AtomicHistogram::new(7, RANGE_BITS).unwrap();
    for v in values {
        hdr.record(*v).unwrap();
        atomic.increment(*v).unwrap();
    }
    let mut atomic_total = atomic.load();
    vec![
        reader("windlass, scan and merge", move || usual.add_to(black_box(&mut total))),
        reader("windlass, with a 2^37 in it", move || widest.add_to(black_box(&mut widest_total))),
        reader("windlass, a whole core", move || core.add_to(black_box(&mut core_total))),
        reader("hdrhistogram, merge only", move || hdr_total.add(black_box(&hdr)).unwrap()),
        reader("AtomicHistogram load, merge", move || {
            atomic_total = atomic_total.wrapping_add(black_box(&atomic.load())).unwrap();
        }),
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
    let reader = filled(&values);
    c.bench_function("export/to_v2_deflate", |bencher| {
        bencher.iter_batched(
            || reader.snapshot(),
            |seen: HistogramSnapshot| seen.to_v2_deflate(),
            BatchSize::SmallInput,
        );
    });
    c.final_summary();
}
