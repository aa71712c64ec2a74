//! The deadline wheel beside what a user would pick instead.
//!
//! `cargo bench --bench wheel` runs Criterion. `cargo bench --bench wheel -- --ratios` interleaves the wheel
//! and each rival in short rounds and prints ratios, which hold on a noisy machine too; then the longest
//! advances at a million live deadlines beside a loop of the same length that does nothing.

mod rivals;

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use rivals::{Deadlines, Delays, LazyHeap, Steady, Timers};
use windlass::collections::DeadlineWheel;

const LIVE: u32 = 1_000_000;
const STEPS: usize = 1000;
const ROUNDS: usize = 7;

/// How long each advance of one round took, sorted.
struct Pauses(Vec<Duration>);

impl Pauses {
    fn new(mut pauses: Vec<Duration>) -> Pauses {
        pauses.sort();
        Pauses(pauses)
    }

    fn quantile(&self, share: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }

    /// Medians over the rounds of each round's median, 99.9th percentile and longest.
    fn print(rounds: &[Pauses], what: &str) {
        let [median, high, longest] = [0.5, 0.999, 1.0].map(|share| {
            let mut of_rounds: Vec<Duration> = rounds.iter().map(|round| round.quantile(share)).collect();
            of_rounds.sort();
            of_rounds[of_rounds.len() / 2].as_nanos() as f64 / 1000.0
        });
        println!("{what:<44} {median:>9.1} {high:>9.1} {longest:>9.1}");
    }
}

fn spin(iterations: u64) -> Duration {
    let start = std::time::Instant::now();
    for n in 0..iterations {
        black_box(n);
    }
    start.elapsed()
}

/// Iterations of [`spin`] that take about as long as `pause`.
fn iterations_of(pause: Duration) -> u64 {
    const TRIAL: u64 = 100_000;
    let fastest = (0..20).map(|_| spin(TRIAL)).min().expect("twenty trials");
    (pause.as_nanos() * u128::from(TRIAL) / fastest.as_nanos()) as u64
}

/// A thousand steps of the steady mix; each advance within `budget` is a pause of its own.
fn advances<D: Deadlines>(steady: &mut Steady<D>, budget: usize) -> Pauses {
    let mut pauses = Vec::new();
    for _ in 0..STEPS {
        steady.tick();
        steady.touch();
        loop {
            let start = std::time::Instant::now();
            let more = steady.expire(budget);
            pauses.push(start.elapsed());
            if !more {
                break;
            }
        }
        steady.replace_expired();
    }
    Pauses::new(pauses)
}

fn print_longest_advance<D: Deadlines>(budget: usize, what: &str) {
    let mut steady = Steady::<D>::new(LIVE);
    let (mut rounds, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let round = advances(&mut steady, budget);
        let iterations = iterations_of(round.quantile(0.5));
        floors.push(Pauses::new((0..round.0.len()).map(|_| spin(iterations)).collect()));
        rounds.push(round);
    }
    Pauses::print(&rounds, &format!("{}, {what}", D::NAME));
    Pauses::print(&floors, "    noise floor: an empty loop of its median");
}

fn print_ratios() {
    rivals::print_heading("DeadlineWheel");
    rivals::ratios::<DeadlineWheel, Delays>();
    rivals::ratios::<DeadlineWheel, LazyHeap>();
    println!("\none advance at {LIVE} live, steady mix, us: median, 99.9 %, longest of {STEPS} steps");
    print_longest_advance::<DeadlineWheel>(usize::MAX, "no budget");
    print_longest_advance::<DeadlineWheel>(256, "256 entries");
    print_longest_advance::<Delays>(usize::MAX, "no budget");
    print_longest_advance::<LazyHeap>(usize::MAX, "no budget");
}

fn main() {
    let _runtime = rivals::enter_tokio();
    if std::env::args().any(|argument| argument == "--ratios") {
        print_ratios();
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    rivals::bench::<DeadlineWheel>(&mut criterion);
    rivals::bench::<Timers>(&mut criterion);
    rivals::bench::<Delays>(&mut criterion);
    rivals::bench::<LazyHeap>(&mut criterion);
    criterion.final_summary();
}
