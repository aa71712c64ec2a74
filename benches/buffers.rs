//! The buffer pool beside the allocator, and the outbound queue beside the two queues of bytes one would
//! otherwise write: `cargo bench --bench buffers`.

use bytes::{Bytes, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::collections::VecDeque;
use std::hint::black_box;
use std::io::IoSlice;
use windlass::buffer::{CLASS_BYTES, Chunk, OutQueue, Pool};
use windlass::limits::{POOL_FREE_LARGE_BYTES_MAX, POOL_FREE_MEDIUM_BYTES_MAX, POOL_FREE_SMALL_BYTES_MAX};

/// How many buffers are out at a time in the second pair of measurements.
const HELD: usize = 32;

/// One buffer taken, marked in its first byte and given back; then [`HELD`] of them taken and given back,
/// which an allocator cannot serve from the one block it has just been given.
fn take_and_put(criterion: &mut Criterion) {
    for bytes in CLASS_BYTES {
        let mut group = criterion.benchmark_group(format!("one buffer/{}KiB", bytes / 1024));
        let mut pool = Pool::new();
        group.bench_function("pool", |b| {
            b.iter(|| {
                let mut chunk = pool.take(black_box(bytes));
                chunk.append(b"x");
                pool.put(black_box(chunk));
            })
        });
        group.bench_function("Vec", |b| {
            b.iter(|| {
                let mut vec = Vec::with_capacity(black_box(bytes));
                vec.push(b'x');
                drop(black_box(vec));
            })
        });
        group.bench_function("BytesMut", |b| {
            b.iter(|| {
                let mut buf = BytesMut::with_capacity(black_box(bytes));
                buf.extend_from_slice(b"x");
                drop(black_box(buf));
            })
        });
        group.finish();
        many_buffers(criterion, bytes);
    }
}

fn many_buffers(criterion: &mut Criterion, bytes: usize) {
    let held = if bytes > 64 * 1024 { HELD / 4 } else { HELD };
    let mut group = criterion.benchmark_group(format!("{held} buffers/{}KiB", bytes / 1024));
    group.throughput(Throughput::Elements(held as u64));
    let mut pool = Pool::new();
    let mut chunks: Vec<Chunk> = Vec::with_capacity(held);
    group.bench_function("pool", |b| {
        b.iter(|| {
            chunks.extend((0..held).map(|_| {
                let mut chunk = pool.take(black_box(bytes));
                chunk.append(b"x");
                chunk
            }));
            chunks.drain(..).for_each(|chunk| pool.put(chunk));
        })
    });
    let mut vecs: Vec<Vec<u8>> = Vec::with_capacity(held);
    group.bench_function("Vec", |b| {
        b.iter(|| {
            vecs.extend((0..held).map(|_| {
                let mut vec = Vec::with_capacity(black_box(bytes));
                vec.push(b'x');
                vec
            }));
            vecs.clear();
        })
    });
    let mut bufs: Vec<BytesMut> = Vec::with_capacity(held);
    group.bench_function("BytesMut", |b| {
        b.iter(|| {
            bufs.extend((0..held).map(|_| {
                let mut buf = BytesMut::with_capacity(black_box(bytes));
                buf.extend_from_slice(b"x");
                buf
            }));
            bufs.clear();
        })
    });
    group.finish();
}

/// What a connection needs of its outbound queue, however it is made.
trait Queue {
    fn append(&mut self, bytes: &[u8]);
    /// Offers what waits to a kernel that takes up to `taken_max` bytes; says how many it took.
    fn send(&mut self, taken_max: usize) -> usize;
}

struct Ours(OutQueue, Pool);

impl Queue for Ours {
    fn append(&mut self, bytes: &[u8]) {
        self.0.append(&mut self.1, bytes);
    }

    fn send(&mut self, taken_max: usize) -> usize {
        let mut offer = [IoSlice::new(&[]); 16];
        let filled = self.0.gather(&mut offer);
        let taken = black_box(&offer[..filled]).iter().map(|s| s.len()).sum::<usize>().min(taken_max);
        self.0.consume(&mut self.1, taken);
        taken
    }
}

impl Queue for VecDeque<u8> {
    fn append(&mut self, bytes: &[u8]) {
        self.extend(bytes);
    }

    fn send(&mut self, taken_max: usize) -> usize {
        let (front, back) = self.as_slices();
        black_box([IoSlice::new(front), IoSlice::new(back)]);
        let taken = self.len().min(taken_max);
        self.drain(..taken);
        taken
    }
}

impl Queue for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn send(&mut self, taken_max: usize) -> usize {
        black_box(IoSlice::new(self));
        let taken = self.len().min(taken_max);
        self.drain(..taken);
        taken
    }
}

/// Fills to `fill` bytes by `piece`, then drains by up to `taken_max`.
fn fill_and_drain(queue: &mut impl Queue, piece: &[u8], fill: usize, taken_max: usize) {
    for _ in 0..fill / piece.len() {
        queue.append(black_box(piece));
    }
    while queue.send(taken_max) > 0 {}
}

/// One piece in, as much out, with a backlog of `fill` bytes standing before it.
fn pass_through(queue: &mut impl Queue, piece: &[u8]) {
    queue.append(black_box(piece));
    queue.send(piece.len());
}

fn queues(criterion: &mut Criterion) {
    for (name, piece, fill, taken_max) in [
        ("fill and drain/16KiB by 1KiB", 1024, 16 * 1024, 5000),
        ("fill and drain/200KiB by 1KiB", 1024, 200 * 1024, 50_000),
        ("fill and drain/200KiB at once", 200 * 1024, 200 * 1024, 50_000),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(fill as u64));
        let piece = vec![7; piece];
        let mut ours = Ours(OutQueue::new(), Pool::new());
        group.bench_function("OutQueue", |b| b.iter(|| fill_and_drain(&mut ours, &piece, fill, taken_max)));
        let mut deque = VecDeque::new();
        group.bench_function("VecDeque", |b| b.iter(|| fill_and_drain(&mut deque, &piece, fill, taken_max)));
        group.bench_function("VecDeque, freed when empty", |b| {
            b.iter(|| fill_and_drain(&mut VecDeque::new(), &piece, fill, taken_max))
        });
        let mut vec = Vec::new();
        group.bench_function("Vec", |b| b.iter(|| fill_and_drain(&mut vec, &piece, fill, taken_max)));
        group.finish();
    }
    let mut group = criterion.benchmark_group("4KiB through a backlog of 256KiB");
    group.throughput(Throughput::Bytes(4096));
    let (piece, backlog) = (vec![7; 4096], vec![8; 256 * 1024]);
    let mut ours = Ours(OutQueue::new(), Pool::new());
    ours.append(&backlog);
    group.bench_function("OutQueue", |b| b.iter(|| pass_through(&mut ours, &piece)));
    let mut deque = VecDeque::from(backlog.clone());
    group.bench_function("VecDeque", |b| b.iter(|| pass_through(&mut deque, &piece)));
    let mut vec = backlog;
    group.bench_function("Vec", |b| b.iter(|| pass_through(&mut vec, &piece)));
    group.finish();
}

/// A message of 16 KiB to a thousand connections that cannot take it now: kept by reference, or copied.
fn broadcast(criterion: &mut Criterion) {
    const CONNECTIONS: usize = 1000;
    let mut group = criterion.benchmark_group("16KiB to 1000 backlogged connections");
    group.throughput(Throughput::Elements(CONNECTIONS as u64));
    let message = Bytes::from(vec![7; 16 * 1024]);
    let mut pool = Pool::new();
    let mut ours: Vec<OutQueue> = (0..CONNECTIONS).map(|_| OutQueue::new()).collect();
    group.bench_function("OutQueue", |b| {
        b.iter(|| {
            ours.iter_mut().for_each(|queue| queue.append_shared(&mut pool, message.clone()));
            ours.iter_mut().for_each(|queue| queue.consume(&mut pool, message.len()));
        })
    });
    let mut deques: Vec<VecDeque<u8>> = (0..CONNECTIONS).map(|_| VecDeque::new()).collect();
    group.bench_function("VecDeque", |b| {
        b.iter(|| {
            deques.iter_mut().for_each(|queue| queue.extend(&message));
            deques.iter_mut().for_each(|queue| drop(queue.drain(..message.len())));
        })
    });
    group.finish();
}

/// The longest that a trim can take: every free list full of touched memory, all of it unneeded.
fn trim(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("trim of all that a pool may hold");
    group.sample_size(10);
    group.bench_function("28 MiB", |b| b.iter_batched_ref(full_pool, Pool::trim, BatchSize::PerIteration));
    group.finish();
}

fn full_pool() -> Pool {
    let bounds = [POOL_FREE_SMALL_BYTES_MAX, POOL_FREE_MEDIUM_BYTES_MAX, POOL_FREE_LARGE_BYTES_MAX];
    let mut pool = Pool::new();
    let mut taken: Vec<Chunk> = Vec::new();
    for (bytes, bound) in CLASS_BYTES.into_iter().zip(bounds) {
        taken.extend((0..bound / bytes).map(|_| pool.take(bytes)));
    }
    taken.iter_mut().for_each(|chunk| chunk.spare_mut().fill(1));
    taken.into_iter().for_each(|chunk| pool.put(chunk));
    pool.trim();
    pool
}

criterion_group!(benches, take_and_put, queues, broadcast, trim);
criterion_main!(benches);
