//! What a user would pick instead of the wheel and the timer heap, behind one trait, and the workloads that
//! all of them run. Shared by the benches `wheel` and `timers`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use tokio::runtime::{EnterGuard, Runtime};
use tokio_util::time::{DelayQueue, delay_queue};
use windlass::collections::{DeadlineWheel, Handle, TimerHeap};
use windlass::time::Instant;

const LIVE: [u32; 3] = [10_000, 100_000, 1_000_000];
const TIMEOUT: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(10);
const STEPS_PER_SECOND: usize = 100;

/// A deadline for each of `live` keys.
pub trait Deadlines {
    const NAME: &'static str;
    fn new(live: u32) -> Self;
    fn schedule(&mut self, key: u32, at: Instant);
    fn extend(&mut self, key: u32, at: Instant);
    fn cancel(&mut self, key: u32);
    /// Takes what is due at `now` out, at most `budget` entries; true if there is more.
    fn expire(&mut self, now: Instant, budget: usize, expired: &mut Vec<u32>) -> bool;
    /// Where time is not an argument: sets the clock. Never part of a measurement.
    fn set_clock(&mut self, _now: Instant) {}
}

impl Deadlines for DeadlineWheel {
    const NAME: &'static str = "DeadlineWheel";

    fn new(_live: u32) -> Self {
        DeadlineWheel::new()
    }

    fn schedule(&mut self, key: u32, at: Instant) {
        DeadlineWheel::schedule(self, key, at);
    }

    fn extend(&mut self, key: u32, at: Instant) {
        DeadlineWheel::extend(self, key, at);
    }

    fn cancel(&mut self, key: u32) {
        DeadlineWheel::cancel(self, key);
    }

    fn expire(&mut self, now: Instant, budget: usize, expired: &mut Vec<u32>) -> bool {
        let done = self.advance(now, budget, |key| {
            expired.push(key);
            None
        });
        done.backlog
    }
}

/// The timer heap with a handle for each key.
pub struct Timers {
    heap: TimerHeap<u32>,
    handles: Vec<Option<Handle>>,
}

impl Deadlines for Timers {
    const NAME: &'static str = "TimerHeap";

    fn new(live: u32) -> Self {
        Timers { heap: TimerHeap::new(), handles: vec![None; live as usize] }
    }

    fn schedule(&mut self, key: u32, at: Instant) {
        self.handles[key as usize] = Some(self.heap.insert(at, key));
    }

    fn extend(&mut self, key: u32, at: Instant) {
        if let Some(handle) = self.handles[key as usize] {
            self.heap.reschedule(handle, at);
        }
    }

    fn cancel(&mut self, key: u32) {
        if let Some(handle) = self.handles[key as usize].take() {
            self.heap.cancel(handle);
        }
    }

    fn expire(&mut self, now: Instant, budget: usize, expired: &mut Vec<u32>) -> bool {
        for _ in 0..budget {
            match self.heap.pop_due(now) {
                Some((_, _, key)) => expired.push(key),
                None => return false,
            }
        }
        true
    }
}

/// The standard heap as it is commonly used for timers: moving or cancelling one leaves the old entry
/// behind, to be thrown away when it comes up because its generation is no longer the key's, or when two
/// thirds of the heap are such entries.
pub struct LazyHeap {
    heap: BinaryHeap<Reverse<(Instant, u32, u32)>>,
    generations: Vec<u32>,
}

impl Deadlines for LazyHeap {
    const NAME: &'static str = "BinaryHeap";

    fn new(live: u32) -> Self {
        LazyHeap { heap: BinaryHeap::new(), generations: vec![0; live as usize] }
    }

    fn schedule(&mut self, key: u32, at: Instant) {
        self.heap.push(Reverse((at, key, self.generations[key as usize])));
    }

    fn extend(&mut self, key: u32, at: Instant) {
        self.cancel(key);
        self.schedule(key, at);
        if self.heap.len() > self.generations.len() * 3 {
            let generations = &self.generations;
            self.heap.retain(|Reverse((_, key, generation))| generations[*key as usize] == *generation);
        }
    }

    fn cancel(&mut self, key: u32) {
        self.generations[key as usize] += 1;
    }

    fn expire(&mut self, now: Instant, budget: usize, expired: &mut Vec<u32>) -> bool {
        for _ in 0..budget {
            match self.heap.peek() {
                Some(Reverse((at, _, _))) if *at <= now => {}
                _ => return false,
            }
            if let Some(Reverse((_, key, generation))) = self.heap.pop()
                && self.generations[key as usize] == generation
            {
                expired.push(key);
            }
        }
        true
    }
}

/// tokio-util's queue with a key for each of ours. Wants [`enter_tokio`] around everything.
pub struct Delays {
    queue: DelayQueue<u32>,
    keys: Vec<Option<delay_queue::Key>>,
    origin: tokio::time::Instant,
}

/// A runtime whose clock stands still until it is told to move.
fn tokio_runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().expect("a runtime")
    })
}

pub fn enter_tokio() -> EnterGuard<'static> {
    tokio_runtime().enter()
}

impl Delays {
    fn to_tokio(&self, at: Instant) -> tokio::time::Instant {
        self.origin + Duration::from_nanos(at.as_nanos())
    }
}

impl Deadlines for Delays {
    const NAME: &'static str = "DelayQueue";

    fn new(live: u32) -> Self {
        let origin = tokio::time::Instant::now();
        Delays { queue: DelayQueue::new(), keys: vec![None; live as usize], origin }
    }

    fn schedule(&mut self, key: u32, at: Instant) {
        self.keys[key as usize] = Some(self.queue.insert_at(key, self.to_tokio(at)));
    }

    fn extend(&mut self, key: u32, at: Instant) {
        if let Some(known) = self.keys[key as usize] {
            self.queue.reset_at(&known, self.to_tokio(at));
        }
    }

    fn cancel(&mut self, key: u32) {
        if let Some(known) = self.keys[key as usize].take() {
            self.queue.remove(&known);
        }
    }

    fn expire(&mut self, _now: Instant, budget: usize, expired: &mut Vec<u32>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..budget {
            match self.queue.poll_expired(&mut context) {
                Poll::Ready(Some(entry)) => {
                    let key = entry.into_inner();
                    self.keys[key as usize] = None;
                    expired.push(key);
                }
                _ => return false,
            }
        }
        true
    }

    fn set_clock(&mut self, now: Instant) {
        let ahead = self.to_tokio(now).saturating_duration_since(tokio::time::Instant::now());
        tokio_runtime().block_on(tokio::time::advance(ahead));
    }
}

/// Marsaglia's xorshift64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * u64::from(bound)) >> 32) as u32
    }
}

/// Calls `work` for the next `count` keys from `turn`, round and round; returns whose turn is next.
fn in_turn(keys: &[u32], mut turn: usize, mut count: usize, mut work: impl FnMut(u32)) -> usize {
    while count > 0 {
        let end = keys.len().min(turn + count);
        for &key in &keys[turn..end] {
            work(key);
        }
        count -= end - turn;
        turn = if end == keys.len() { 0 } else { end };
    }
    turn
}

/// Seeds of two orders that have nothing to do with each other: a key's place in memory must not tell when
/// it is used.
const FILLING: u64 = 0x9E37_79B9_7F4A_7C15;
const USING: u64 = 0xD1B5_4A32_D192_ED03;

/// The keys `0..count` in random order (Fisher-Yates).
fn shuffled(count: u32, seed: u64) -> Vec<u32> {
    let mut random = Random(seed);
    let mut keys: Vec<u32> = (0..count).collect();
    for last in (1..keys.len()).rev() {
        keys.swap(last, random.below(last as u32 + 1) as usize);
    }
    keys
}

/// `live` deadlines, set in random order and spread evenly over one timeout from the origin.
fn filled<D: Deadlines>(live: u32) -> D {
    let mut deadlines = D::new(live);
    let step = TIMEOUT / live;
    for (n, key) in (1..).zip(shuffled(live, FILLING)) {
        deadlines.schedule(key, Instant::ZERO + step * n);
    }
    deadlines
}

/// Every key is pushed back in turn, in random order; a second of virtual time for all of them.
pub struct Extending<D> {
    deadlines: D,
    keys: Vec<u32>,
    turn: usize,
    at: Instant,
    step: Duration,
}

impl<D: Deadlines> Extending<D> {
    pub fn new(live: u32) -> Self {
        let step = Duration::from_secs(1) / live;
        let at = Instant::ZERO + TIMEOUT * 2;
        Extending { deadlines: filled(live), keys: shuffled(live, USING), turn: 0, at, step }
    }

    fn run(&mut self, count: usize) -> Duration {
        let start = std::time::Instant::now();
        let (keys, mut at) = (&self.keys, self.at);
        self.turn = in_turn(keys, self.turn, count, |key| {
            self.deadlines.extend(key, at);
            at += self.step;
        });
        self.at = at;
        start.elapsed()
    }

    /// Runs twice and measures the second time.
    fn run_warm(&mut self, count: usize) -> Duration {
        self.run(count);
        self.run(count)
    }
}

/// Connections as they are: 99 % of them are heard of once a second, 1 % have gone silent, expire after the
/// timeout and are replaced at once. Time goes in steps of 10 ms. Keys come at random (about 2 ns an operation
/// that every structure pays): a fixed order would keep chance clusters together for ever.
pub struct Steady<D> {
    deadlines: D,
    talking: u32,
    random: Random,
    now: Instant,
    expired: Vec<u32>,
}

impl<D: Deadlines> Steady<D> {
    /// Runs through a whole timeout first, so that everything is where it will be from then on.
    pub fn new(live: u32) -> Self {
        let mut steady = Steady {
            deadlines: filled(live),
            talking: live / 100 * 99,
            random: Random(USING),
            now: Instant::ZERO,
            expired: Vec::new(),
        };
        for _ in 0..12 * STEPS_PER_SECOND {
            steady.step();
        }
        steady
    }

    /// Sets the clock to the next step.
    pub fn tick(&mut self) {
        self.now += STEP;
        self.deadlines.set_clock(self.now);
    }

    /// Pushes back the deadlines of those heard of in this step.
    pub fn touch(&mut self) {
        let at = self.now + TIMEOUT;
        for _ in 0..self.touches_per_step() {
            self.deadlines.extend(self.random.below(self.talking), at);
        }
    }

    /// Lets time pass, without replacing those who expire; true if the budget left something over.
    pub fn expire(&mut self, budget: usize) -> bool {
        self.deadlines.expire(self.now, budget, &mut self.expired)
    }

    pub fn replace_expired(&mut self) {
        while let Some(key) = self.expired.pop() {
            self.deadlines.schedule(key, self.now + TIMEOUT);
        }
    }

    /// One step and what it cost.
    fn step(&mut self) -> Duration {
        self.tick();
        let start = std::time::Instant::now();
        self.touch();
        black_box(self.expire(usize::MAX));
        self.replace_expired();
        start.elapsed()
    }

    fn run(&mut self, steps: usize) -> Duration {
        (0..steps).map(|_| self.step()).sum()
    }

    /// Runs twice and measures the second time.
    fn run_warm(&mut self, steps: usize) -> Duration {
        self.run(steps);
        self.run(steps)
    }

    pub fn touches_per_step(&self) -> usize {
        self.talking as usize / STEPS_PER_SECOND
    }
}

/// All keys in the order they are inserted in and in that they are cancelled or inserted again in.
struct Keys {
    filling: Vec<u32>,
    using: Vec<u32>,
}

impl Keys {
    fn new(live: u32) -> Keys {
        Keys { filling: shuffled(live, FILLING), using: shuffled(live, USING) }
    }
}

/// From nothing to `live` deadlines, in random order of both keys and deadlines.
fn insert_all<D: Deadlines>(keys: &Keys) -> D {
    let mut deadlines = D::new(keys.filling.len() as u32);
    insert_into(&mut deadlines, &keys.filling);
    deadlines
}

fn insert_into<D: Deadlines>(deadlines: &mut D, keys: &[u32]) {
    let step = TIMEOUT / keys.len() as u32;
    for &key in keys {
        deadlines.schedule(key, Instant::ZERO + TIMEOUT + step * key);
    }
}

fn cancel_all<D: Deadlines>(deadlines: &mut D, keys: &[u32]) {
    for &key in keys {
        deadlines.cancel(key);
    }
}

/// Lets all of what [`insert_all`] set expire, in steps of 100 ms.
fn expire_all<D: Deadlines>(deadlines: &mut D) -> Duration {
    let (mut now, mut time, mut expired) = (Instant::ZERO, Duration::ZERO, Vec::new());
    for _ in 0..=201 {
        now += STEP * 10;
        deadlines.set_clock(now);
        let start = std::time::Instant::now();
        black_box(deadlines.expire(now, usize::MAX, &mut expired));
        time += start.elapsed();
        expired.clear();
    }
    time
}

/// The Criterion benches that every structure gets.
pub fn bench<D: Deadlines>(criterion: &mut Criterion) {
    for live in LIVE {
        let keys = Keys::new(live);
        let id = || BenchmarkId::new(D::NAME, live);

        let mut group = criterion.benchmark_group("extend");
        group.throughput(Throughput::Elements(1));
        let mut extending: Option<Extending<D>> = None;
        group.bench_function(id(), |b| {
            let extending = extending.get_or_insert_with(|| Extending::new(live));
            b.iter_custom(|count| extending.run(count as usize));
        });
        drop(extending);
        group.finish();

        let mut group = criterion.benchmark_group("steady step of 10 ms");
        let mut steady: Option<Steady<D>> = None;
        group.bench_function(id(), |b| {
            let steady = steady.get_or_insert_with(|| Steady::new(live));
            b.iter_custom(|steps| steady.run(steps as usize));
        });
        drop(steady);
        group.finish();

        let mut group = criterion.benchmark_group("all at once");
        group.throughput(Throughput::Elements(u64::from(live))).sample_size(10);
        group.bench_function(BenchmarkId::new(format!("insert/{}", D::NAME), live), |b| {
            b.iter_with_large_drop(|| insert_all::<D>(&keys));
        });
        group.bench_function(BenchmarkId::new(format!("cancel/{}", D::NAME), live), |b| {
            b.iter_batched_ref(
                || insert_all::<D>(&keys),
                |all| cancel_all(all, &keys.using),
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new(format!("expire/{}", D::NAME), live), |b| {
            b.iter_custom(|count| (0..count).map(|_| expire_all(&mut insert_all::<D>(&keys))).sum());
        });
        group.finish();
    }
}

/// Minimum and median of each of two interleaved measurements, in nanoseconds per operation.
struct Pair {
    ours: Vec<f64>,
    rival: Vec<f64>,
}

impl Pair {
    fn measure(
        rounds: usize,
        operations: usize,
        mut ours: impl FnMut() -> Duration,
        mut rival: impl FnMut() -> Duration,
    ) -> Pair {
        let per_operation = |time: Duration| time.as_nanos() as f64 / operations as f64;
        let mut pair = Pair { ours: Vec::new(), rival: Vec::new() };
        for _ in 0..rounds {
            pair.ours.push(per_operation(ours()));
            pair.rival.push(per_operation(rival()));
        }
        pair.ours.sort_by(f64::total_cmp);
        pair.rival.sort_by(f64::total_cmp);
        pair
    }

    fn print(&self, what: &str, live: u32, rival: &str) {
        let (ours, other) = (self.ours[0], self.rival[0]);
        let middle = self.ours.len() / 2;
        let (ours_median, other_median) = (self.ours[middle], self.rival[middle]);
        println!(
            "{what:<8} {live:>9} {rival:<12} {ours:>8.2} {other:>9.2} {:>7.1}x   {ours_median:>8.2} {other_median:>9.2} {:>7.1}x",
            other / ours,
            other_median / ours_median,
        );
    }
}

/// So few that they meet the caches as the rival's round left them.
const COLD_OPERATIONS: usize = 10_000;

/// Ours against a rival in short interleaved rounds, at each size. Where it says cold, each finds the caches
/// full of the other's data, as a server finds them full of its own; elsewhere an unmeasured round has filled
/// them with what is needed, as in a benchmark that runs alone.
pub fn ratios<Ours: Deadlines, Rival: Deadlines>() {
    for live in LIVE {
        let (mut a, mut b) = (Extending::<Ours>::new(live), Extending::<Rival>::new(live));
        let count = live as usize;
        let rounds = (12_000_000 / count).min(100);
        let pair = Pair::measure(rounds, count, || a.run_warm(count), || b.run_warm(count));
        pair.print("extend", live, Rival::NAME);
        let count = COLD_OPERATIONS;
        let pair = Pair::measure(300, count, || a.run(count), || b.run(count));
        pair.print("  cold", live, Rival::NAME);
        drop((a, b));

        let (mut a, mut b) = (Steady::<Ours>::new(live), Steady::<Rival>::new(live));
        let steps = STEPS_PER_SECOND;
        let operations = steps * a.touches_per_step();
        let pair = Pair::measure(rounds, operations, || a.run_warm(steps), || b.run_warm(steps));
        pair.print("steady", live, Rival::NAME);
        // 40 ms are five whole ticks of the wheel.
        let steps = 4;
        let operations = steps * a.touches_per_step();
        let pair = Pair::measure(300, operations, || a.run(steps), || b.run(steps));
        pair.print("  cold", live, Rival::NAME);
        drop((a, b));

        let keys = Keys::new(live);
        whole_life("insert", &keys, Rival::NAME, time_of_insert::<Ours>, time_of_insert::<Rival>);
        whole_life("cancel", &keys, Rival::NAME, time_of_cancel::<Ours>, time_of_cancel::<Rival>);
        whole_life("expire", &keys, Rival::NAME, time_of_expiry::<Ours>, time_of_expiry::<Rival>);
    }
}

fn whole_life(
    what: &str,
    keys: &Keys,
    rival_name: &str,
    ours: impl Fn(&Keys) -> Duration,
    rival: impl Fn(&Keys) -> Duration,
) {
    let rounds = (3_000_000 / keys.filling.len()).min(30);
    let pair = Pair::measure(rounds, keys.filling.len(), || ours(keys), || rival(keys));
    pair.print(what, keys.filling.len() as u32, rival_name);
}

fn timed<R>(work: impl FnOnce() -> R) -> (Duration, R) {
    let start = std::time::Instant::now();
    let result = work();
    (start.elapsed(), result)
}

/// Into a structure that has been as large before.
fn time_of_insert<D: Deadlines>(keys: &Keys) -> Duration {
    let mut all = insert_all::<D>(keys);
    cancel_all(&mut all, &keys.using);
    timed(|| insert_into(&mut all, &keys.using)).0
}

fn time_of_cancel<D: Deadlines>(keys: &Keys) -> Duration {
    let mut all = insert_all::<D>(keys);
    timed(|| cancel_all(&mut all, &keys.using)).0
}

fn time_of_expiry<D: Deadlines>(keys: &Keys) -> Duration {
    expire_all(&mut insert_all::<D>(keys))
}

pub fn print_heading(ours: &str) {
    println!("{ours}: ns per operation, ours and the rival's, minima and their ratio, medians and theirs");
}
