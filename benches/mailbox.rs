//! Mail to a reactor beside what one would build instead: `cargo bench --bench mailbox`.
//!
//! Threads send a million small messages in all to one reader that sleeps in epoll whenever nothing is there. The
//! rivals are the standard library's and crossbeam's channels with a mio waker that is rung for every message, and
//! tokio's channel with its runtime on the reader's thread. Times depend on the machine's mood; the count of
//! wake-ups (every `write` of the process: nothing else here writes) does so much less.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use windlass::{Config, Event, Idle, Io, Owner, Reactor};

const THREADS: [u64; 2] = [1, 4];
/// What each mailbox holds; tokio's and the standard library's wait in other ways when full, so all of them try
/// again.
const CAPACITY: usize = 4096;
/// Messages of the runs that count wake-ups.
const COUNTED: u64 = 1_000_000;

/// Runs `threads` copies of `send`, each for its share of `messages`, beside `read` on this thread, and says how
/// long it took until `read` had all of them.
fn race<S: Fn(u64) -> bool + Clone + Send>(
    threads: u64,
    messages: u64,
    send: S,
    read: impl FnOnce(),
) -> Duration {
    std::thread::scope(|scope| {
        let start = Instant::now();
        for thread in 0..threads {
            let send = send.clone();
            let share = messages / threads + u64::from(thread < messages % threads);
            scope.spawn(move || {
                for message in 0..share {
                    while !send(message) {
                        std::thread::yield_now();
                    }
                }
            });
        }
        drop(send);
        read();
        start.elapsed()
    })
}

fn windlass(idle: Idle, threads: u64, messages: u64) -> Duration {
    let mut config = Config::default();
    config.idle = idle;
    let mut reactor = Reactor::new(config).expect("a reactor");
    let (sender, mut inbox) = reactor.io().mailbox(CAPACITY, Owner::APP).expect("a mailbox");
    let mut read = 0;
    let mut reader = |io: &mut Io, event: Event<'_>| {
        if let Event::Mail { .. } = event {
            while let Some(message) = inbox.recv() {
                black_box(message);
                read += 1;
            }
        }
        if read == messages {
            io.stop();
        }
    };
    race(
        threads,
        messages,
        move |m| sender.try_send(m).is_ok(),
        || reactor.run(&mut reader).expect("it runs"),
    )
}

fn blocking(threads: u64, messages: u64) -> Duration {
    windlass(Idle::Block, threads, messages)
}

fn spinning(threads: u64, messages: u64) -> Duration {
    windlass(Idle::Spin, threads, messages)
}

/// Sleeps in a poller until it is woken, then takes all there is.
fn naive(messages: u64, poll: &mut mio::Poll, mut take: impl FnMut() -> Option<u64>) {
    let mut events = mio::Events::with_capacity(16);
    let mut read = 0;
    while read < messages {
        poll.poll(&mut events, None).expect("the poller works");
        while let Some(message) = take() {
            black_box(message);
            read += 1;
        }
    }
}

fn poller() -> (mio::Poll, Arc<mio::Waker>) {
    let poll = mio::Poll::new().expect("a poller");
    let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker");
    (poll, waker.into())
}

fn std_naive(threads: u64, messages: u64) -> Duration {
    let (mut poll, waker) = poller();
    let (sender, receiver) = std::sync::mpsc::sync_channel(CAPACITY);
    // The waker must outlive the threads: one that is dropped takes the wake-up with it that nobody has seen yet.
    let bell = Arc::clone(&waker);
    let send = move |m| sender.try_send(m).is_ok() && bell.wake().is_ok();
    race(threads, messages, send, || naive(messages, &mut poll, || receiver.try_recv().ok()))
}

fn crossbeam_naive(threads: u64, messages: u64) -> Duration {
    let (mut poll, waker) = poller();
    let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
    // The waker must outlive the threads: one that is dropped takes the wake-up with it that nobody has seen yet.
    let bell = Arc::clone(&waker);
    let send = move |m| sender.try_send(m).is_ok() && bell.wake().is_ok();
    race(threads, messages, send, || naive(messages, &mut poll, || receiver.try_recv().ok()))
}

fn tokio(threads: u64, messages: u64) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let (sender, mut receiver) = tokio::sync::mpsc::channel(CAPACITY);
    let read = async move {
        for _ in 0..messages {
            black_box(receiver.recv().await);
        }
    };
    race(threads, messages, move |m| sender.try_send(m).is_ok(), || runtime.block_on(read))
}

type Runs = fn(u64, u64) -> Duration;

const ALL: [(&str, Runs); 5] = [
    ("windlass, blocking", blocking),
    ("windlass, spinning", spinning),
    ("std mpsc, a wake-up each", std_naive),
    ("crossbeam, a wake-up each", crossbeam_naive),
    ("tokio", tokio),
];

fn throughput(criterion: &mut Criterion) {
    for threads in THREADS {
        let mut group = criterion.benchmark_group(format!("mail from {threads} threads"));
        group.throughput(Throughput::Elements(1)).sample_size(10);
        for (name, run) in ALL {
            group.bench_function(BenchmarkId::from_parameter(name), |b| {
                b.iter_custom(|messages| run(threads, messages))
            });
        }
        group.finish();
    }
}

/// `write` calls of this process so far, as the kernel counts them.
fn writes() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("syscw: ")?.parse().ok())
}

fn wake_ups(_criterion: &mut Criterion) {
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    println!("\nwake-ups per 1,000 messages, of {COUNTED} in all");
    for (name, run) in ALL {
        let of = |threads| {
            let before = writes()?;
            run(threads, COUNTED);
            Some((writes()? - before) as f64 * 1000.0 / COUNTED as f64)
        };
        match (of(THREADS[0]), of(THREADS[1])) {
            (Some(one), Some(four)) => println!("{name:28} {one:10.2} from 1 thread {four:10.2} from 4"),
            _ => println!("{name:28} the kernel does not say: no /proc/self/io"),
        }
    }
}

criterion_group!(benches, throughput, wake_ups);
criterion_main!(benches);
