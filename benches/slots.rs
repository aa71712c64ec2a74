//! Slots beside the tables a user would pick instead, and `PerConn` beside a `HashMap` keyed by connection:
//! `cargo bench --bench slots`.
//!
//! Keys are visited in a random order that is the same in every run: in a server it is the network that
//! chooses whose turn it is.

mod handles;

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use slab::Slab;
use slotmap::{DefaultKey, SlotMap};
use windlass::PerConn;
use windlass::collections::{Handle, Slots};

const LIVE: [usize; 2] = [1_000, 100_000];

/// How many keys one measurement visits: the smaller table, once.
const VISITS: usize = 1_000;

/// About what a small connection's state takes.
type State = [u64; 4];

/// A table that gives out keys.
trait Table {
    const NAME: &'static str;
    type Key: Copy;
    fn new() -> Self;
    fn insert(&mut self, state: State) -> Self::Key;
    fn get(&self, key: Self::Key) -> Option<&State>;
    fn remove(&mut self, key: Self::Key) -> Option<State>;
}

macro_rules! table {
    ($table:ty, $name:literal, $key:ty, $remove:ident) => {
        impl Table for $table {
            const NAME: &'static str = $name;
            type Key = $key;

            fn new() -> Self {
                <$table>::new()
            }

            fn insert(&mut self, state: State) -> $key {
                <$table>::insert(self, state)
            }

            fn get(&self, key: $key) -> Option<&State> {
                <$table>::get(self, key)
            }

            fn remove(&mut self, key: $key) -> Option<State> {
                <$table>::$remove(self, key).into()
            }
        }
    };
}

table!(Slots<State>, "Slots", Handle, remove);
table!(SlotMap<DefaultKey, State>, "slotmap", DefaultKey, remove);
// Has no generations: a stale key reads whatever lives there now.
table!(Slab<State>, "slab", usize, try_remove);

/// The first [`VISITS`] of `keys` after a shuffle.
fn visited<K: Copy>(keys: &[K]) -> Vec<K> {
    let mut keys = keys.to_vec();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..keys.len()).rev() {
        // Knuth's linear congruential generator; its upper half is random enough to shuffle by.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        keys.swap(last, (seed >> 33) as usize % (last + 1));
    }
    keys.truncate(VISITS);
    keys
}

fn full<T: Table>(live: usize) -> (T, Vec<T::Key>) {
    let mut table = T::new();
    let keys = (0..live as u64).map(|n| table.insert([n; 4])).collect();
    (table, keys)
}

fn get_all<T: Table>(table: &T, keys: &[T::Key]) -> u64 {
    keys.iter().filter_map(|key| table.get(black_box(*key))).map(|state| state[0]).sum()
}

fn table<T: Table>(criterion: &mut Criterion, live: usize) {
    let id = || BenchmarkId::new(T::NAME, live);
    let (mut table, keys) = full::<T>(live);
    let visited = visited(&keys);
    let mut group = criterion.benchmark_group("get");
    group.throughput(Throughput::Elements(VISITS as u64));
    group.bench_function(id(), |b| b.iter(|| get_all(&table, &visited)));
    group.finish();

    let mut group = criterion.benchmark_group("remove, insert");
    group.throughput(Throughput::Elements(VISITS as u64));
    let mut live_keys = visited.clone();
    group.bench_function(id(), |b| {
        b.iter(|| {
            for key in &mut live_keys {
                black_box(table.remove(*key));
                *key = table.insert(black_box([1; 4]));
            }
        })
    });
    group.finish();

    let mut group = criterion.benchmark_group("get stale");
    group.throughput(Throughput::Elements(VISITS as u64));
    group.bench_function(id(), |b| b.iter(|| get_all(&table, &visited)));
    group.finish();

    let mut group = criterion.benchmark_group("fill an empty table");
    group.throughput(Throughput::Elements(live as u64));
    group.sample_size(20);
    group.bench_function(id(), |b| b.iter_with_large_drop(|| full::<T>(live)));
    group.finish();
}

fn tables(criterion: &mut Criterion) {
    for live in LIVE {
        table::<Slots<State>>(criterion, live);
        table::<SlotMap<DefaultKey, State>>(criterion, live);
        table::<Slab<State>>(criterion, live);
    }
}

fn per_connection(criterion: &mut Criterion) {
    for live in LIVE {
        let conns = handles::conns_without_sockets(live);
        let visited = visited(&conns);
        let mut dense = PerConn::new();
        let mut map = HashMap::new();
        for (n, conn) in conns.iter().enumerate() {
            dense.insert(*conn, [n as u64; 4]);
            map.insert(*conn, [n as u64; 4]);
        }
        let mut group = criterion.benchmark_group("state of a connection, get");
        group.throughput(Throughput::Elements(VISITS as u64));
        group.bench_function(BenchmarkId::new("PerConn", live), |b| {
            b.iter(|| visited.iter().filter_map(|c| dense.get(black_box(*c))).map(|s| s[0]).sum::<u64>())
        });
        group.bench_function(BenchmarkId::new("HashMap", live), |b| {
            b.iter(|| visited.iter().filter_map(|c| map.get(black_box(c))).map(|s| s[0]).sum::<u64>())
        });
        group.finish();

        let mut group = criterion.benchmark_group("state of a connection, remove and insert");
        group.throughput(Throughput::Elements(VISITS as u64));
        group.bench_function(BenchmarkId::new("PerConn", live), |b| {
            b.iter(|| {
                for conn in &visited {
                    black_box(dense.remove(*conn));
                    dense.insert(*conn, black_box([1; 4]));
                }
            })
        });
        group.bench_function(BenchmarkId::new("HashMap", live), |b| {
            b.iter(|| {
                for conn in &visited {
                    black_box(map.remove(conn));
                    map.insert(*conn, black_box([1; 4]));
                }
            })
        });
        group.finish();
    }
}

criterion_group!(benches, tables, per_connection);
criterion_main!(benches);
