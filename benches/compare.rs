//! How often a comparison of two runs is right: runs of a server that works for 100 µs per message against each other
//! (they should not differ) and against runs of one that works for 110 µs (they should).
//!
//! `cargo bench --bench compare --features load -- [--runs N] [--secs S] [--rate R]`

use std::time::{Duration, Instant};
use windlass::load::record::Verdict;
use windlass::load::{self, CROWDED_FRACTION, Echo, Pace, Plan, Run, Sizes};
use windlass::{Cores, Event, Io, Listen};

/// Round trips of a reference measurement.
const REFERENCE_SAMPLES: usize = 2_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<f64>().ok()
    };
    let runs = value("--runs").unwrap_or(4.0) as usize;
    let secs = Duration::from_secs_f64(value("--secs").unwrap_or(1.0));
    let open = Pace::constant(value("--rate").unwrap_or(2_000.0));
    for (name, pace, connections) in [("open loop", open, 16), ("closed loop", Pace::Closed, 1)] {
        println!("{name}, {runs} runs each, {secs:?}");
        let (mut plain, mut slowed) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            plain.push(measure(Duration::from_micros(100), pace, connections, secs));
            slowed.push(measure(Duration::from_micros(110), pace, connections, secs));
        }
        plain.iter().for_each(|run| show("100 µs", run));
        slowed.iter().for_each(|run| show("110 µs", run));
        let all: Vec<(&Run, &Run)> = every_pair(&plain).chain(every_pair(&slowed)).collect();
        tell("one build", &all);
        let all: Vec<(&Run, &Run)> = plain.iter().flat_map(|a| slowed.iter().map(move |b| (a, b))).collect();
        tell("one 10 % slower", &all);
    }
}

fn every_pair(runs: &[Run]) -> impl Iterator<Item = (&Run, &Run)> {
    runs.iter().enumerate().flat_map(|(place, a)| runs[place + 1..].iter().map(move |b| (a, b)))
}

/// A run against a server of its own that works for `work` per message.
fn measure(work: Duration, pace: Pace, connections: usize, duration: Duration) -> Run {
    let server = Cores::new(1).listen(Listen::tcp("127.0.0.1:0")).start(move |_core| {
        move |io: &mut Io, event: Event<'_>| {
            if let Event::Data { conn, bytes } = event {
                let began = Instant::now();
                while began.elapsed() < work {
                    std::hint::spin_loop();
                }
                let _ = io.send(conn, bytes);
            }
        }
    });
    let server = server.expect("a server starts");
    let mut plan = Plan::new(server.addresses()[0].clone());
    (plan.pace, plan.connections) = (pace, connections);
    (plan.warm_up, plan.duration) = (Duration::from_millis(300), duration);
    plan.interval = Some(duration / 20);
    let mut references = Vec::from_iter(load::reference_round_trip_ns(REFERENCE_SAMPLES));
    let mut run = load::run(&plan, Echo::new(Sizes::Fixed(64))).expect("a run");
    references.extend(load::reference_round_trip_ns(REFERENCE_SAMPLES));
    run.host.reference_round_trip_ns = references;
    server.shutdown(Duration::ZERO);
    server.join().expect("the server ends");
    run
}

fn show(label: &str, run: &Run) {
    let micros = |p| run.response.percentile_ns(p).map_or(f64::NAN, |ns| ns as f64 / 1e3);
    println!(
        "  {label}  p50 {:>8.1}  p90 {:>8.1}  p99 {:>8.1} µs  {:>6.0}/s  waited {:>4.1} %  reference {:?} ns  {:?}",
        micros(0.5),
        micros(0.9),
        micros(0.99),
        run.totals.answered_per_s,
        run.host.processor_wait_fraction.unwrap_or(f64::NAN) * 100.0,
        run.host.reference_round_trip_ns,
        run.generator.verdict,
    );
}

/// Compares the pairs and prints how often each verdict came, over all of them and over those whose runs were left
/// alone by other programs.
fn tell(label: &str, pairs: &[(&Run, &Run)]) {
    let left_alone = |run: &Run| {
        run.host.processor_wait_fraction.is_none_or(|waited| waited <= CROWDED_FRACTION)
            && run.generator.verdict != Verdict::Untrustworthy
    };
    let quiet: Vec<(&Run, &Run)> =
        pairs.iter().copied().filter(|(before, after)| left_alone(before) && left_alone(after)).collect();
    for (which, pairs) in [("all", pairs), ("left alone", &quiet)] {
        let mut came = [0; 3];
        for (before, after) in pairs {
            match load::compare(before, after) {
                Ok(comparison) => came[comparison.verdict as usize] += 1,
                Err(sentence) => println!("  {sentence}"),
            }
        }
        let [better, worse, cannot_tell] = came;
        println!(
            "  {label:<32}{which:<12}{:>5} pairs: better {better}, worse {worse}, cannot tell {cannot_tell}",
            pairs.len()
        );
    }
}
