//! Spare memory of one core in three sizes, so that a busy connection's buffer costs a pop and not a malloc.

use super::Chunk;
use super::leaks::{Leak, Ledger};
use crate::limits::{POOL_FREE_LARGE_BYTES_MAX, POOL_FREE_MEDIUM_BYTES_MAX, POOL_FREE_SMALL_BYTES_MAX};
use std::fmt;

/// Capacity of a small chunk: one page, enough for the tail of a refused write of small messages.
pub const SMALL_CHUNK_BYTES: usize = 4 * 1024;
/// Capacity of a medium chunk.
pub const MEDIUM_CHUNK_BYTES: usize = 64 * 1024;
/// Capacity of a large chunk. Whoever needs more in one piece gets it from the allocator each time.
pub const LARGE_CHUNK_BYTES: usize = 1024 * 1024;

/// The three capacities in ascending order, as in [`PoolStats::classes`].
pub const CLASS_BYTES: [usize; 3] = [SMALL_CHUNK_BYTES, MEDIUM_CHUNK_BYTES, LARGE_CHUNK_BYTES];

/// How many spare chunks of each class are held.
const FREE_MAX: [usize; 3] = [
    POOL_FREE_SMALL_BYTES_MAX / SMALL_CHUNK_BYTES,
    POOL_FREE_MEDIUM_BYTES_MAX / MEDIUM_CHUNK_BYTES,
    POOL_FREE_LARGE_BYTES_MAX / LARGE_CHUNK_BYTES,
];

/// A core's store of [`Chunk`]s in three sizes.
///
/// What was put back last is taken first, because it is likeliest to be in the cache. The pool belongs to one
/// thread at a time: it may be moved to another but not shared, and needs no lock. It grows with demand;
/// what it holds in reserve is bounded by `POOL_FREE_*_BYTES_MAX` in [`limits`](crate::limits), and
/// [`Pool::trim`] gives back what went unused.
pub struct Pool {
    classes: [Class; 3],
    oversize: OversizeStats,
    bytes_taken: usize,
    ledger: Ledger,
}

struct Class {
    free: Vec<Box<[u8]>>,
    /// The shortest that `free` has been since the last trim: so many at its bottom were not needed.
    free_low: usize,
    taken_now: usize,
    taken_max: usize,
    allocated_total: u64,
    reused_total: u64,
}

/// What one size class has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClassStats {
    /// Chunks that are out.
    pub taken_now: usize,
    /// The most chunks that were ever out at one time.
    pub taken_max: usize,
    /// Spare chunks held for reuse.
    pub free_now: usize,
    /// How often a take had to ask the allocator.
    pub allocated_total: u64,
    /// How often a take was served from the spare chunks.
    pub reused_total: u64,
}

/// What was asked for above the largest class; never held for reuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OversizeStats {
    /// Chunks that are out.
    pub taken_now: usize,
    /// Their capacity together, in bytes.
    pub bytes_taken_now: usize,
    /// How many there have been.
    pub allocated_total: u64,
}

/// A reading of [`Pool::stats`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolStats {
    /// The classes, in the order of [`CLASS_BYTES`].
    pub classes: [ClassStats; 3],
    /// What was larger than all of them.
    pub oversize: OversizeStats,
    /// Capacity of all chunks that are out, oversize ones included, in bytes.
    pub bytes_taken_now: usize,
    /// Capacity of all spare chunks, in bytes.
    pub bytes_free_now: usize,
}

/// The index of the smallest class that holds `bytes`, which for a chunk's own capacity is its class.
#[inline]
const fn class_of(bytes: usize) -> Option<usize> {
    if bytes <= SMALL_CHUNK_BYTES {
        Some(0)
    } else if bytes <= MEDIUM_CHUNK_BYTES {
        Some(1)
    } else if bytes <= LARGE_CHUNK_BYTES {
        Some(2)
    } else {
        None
    }
}

fn allocate(bytes: usize) -> Box<[u8]> {
    vec![0; bytes].into_boxed_slice()
}

impl Class {
    const EMPTY: Class = Class {
        free: Vec::new(),
        free_low: 0,
        taken_now: 0,
        taken_max: 0,
        allocated_total: 0,
        reused_total: 0,
    };

    #[inline]
    fn take(&mut self, bytes: usize) -> Box<[u8]> {
        self.taken_now += 1;
        self.taken_max = self.taken_max.max(self.taken_now);
        match self.free.pop() {
            Some(data) => {
                self.free_low = self.free_low.min(self.free.len());
                self.reused_total += 1;
                data
            }
            None => {
                self.allocated_total += 1;
                allocate(bytes)
            }
        }
    }

    #[inline]
    fn put(&mut self, data: Box<[u8]>, free_max: usize) {
        self.taken_now = self.taken_now.saturating_sub(1);
        if self.free.len() < free_max {
            self.free.push(data);
        }
    }

    fn trim(&mut self) {
        self.free.drain(..self.free_low);
        self.free_low = self.free.len();
        if self.free.is_empty() && self.taken_now == 0 {
            self.free = Vec::new();
        }
    }

    fn stats(&self) -> ClassStats {
        ClassStats {
            taken_now: self.taken_now,
            taken_max: self.taken_max,
            free_now: self.free.len(),
            allocated_total: self.allocated_total,
            reused_total: self.reused_total,
        }
    }
}

impl Pool {
    /// An empty pool; allocates nothing until the first [`Pool::take`].
    #[must_use]
    pub const fn new() -> Pool {
        Pool {
            classes: [Class::EMPTY; 3],
            oversize: OversizeStats { taken_now: 0, bytes_taken_now: 0, allocated_total: 0 },
            bytes_taken: 0,
            ledger: Ledger::new(),
        }
    }

    /// An empty chunk of the smallest class whose capacity is at least `bytes_min`. Above
    /// [`LARGE_CHUNK_BYTES`] it is made to measure, is counted as oversize, and will be freed when put back.
    ///
    /// # Panics
    /// When `bytes_min` is above `u32::MAX`, or the allocator cannot serve it.
    #[inline]
    #[must_use = "a chunk that is dropped instead of put back counts as taken for ever"]
    #[track_caller]
    pub fn take(&mut self, bytes_min: usize) -> Chunk {
        let data = match class_of(bytes_min) {
            Some(class) => self.classes[class].take(CLASS_BYTES[class]),
            None => self.take_oversize(bytes_min),
        };
        self.bytes_taken += data.len();
        let ticket = self.ledger.issue(data.len());
        Chunk::new(data, ticket)
    }

    #[cold]
    fn take_oversize(&mut self, bytes: usize) -> Box<[u8]> {
        assert!(
            u32::try_from(bytes).is_ok(),
            "a chunk of {bytes} bytes is more than its cursors can address"
        );
        self.oversize.taken_now += 1;
        self.oversize.bytes_taken_now += bytes;
        self.oversize.allocated_total += 1;
        allocate(bytes)
    }

    /// Takes a chunk back, whatever it still holds. It must be one of this pool's own.
    ///
    /// # Panics
    /// In debug builds, when another pool gave the chunk out. Release builds take it in, and the statistics
    /// of both pools are off by it from then on.
    #[inline]
    pub fn put(&mut self, chunk: Chunk) {
        let (data, ticket) = chunk.into_parts();
        self.ledger.redeem(ticket, data.len());
        self.bytes_taken = self.bytes_taken.saturating_sub(data.len());
        match class_of(data.len()) {
            Some(class) => self.classes[class].put(data, FREE_MAX[class]),
            None => {
                self.oversize.taken_now = self.oversize.taken_now.saturating_sub(1);
                self.oversize.bytes_taken_now = self.oversize.bytes_taken_now.saturating_sub(data.len());
            }
        }
    }

    /// Frees the spare chunks that nobody has needed since the previous trim. Call it about once a second:
    /// a steady load then keeps exactly the reserve it uses, and what a spike left behind is gone by the
    /// second trim after it.
    pub fn trim(&mut self) {
        self.classes.iter_mut().for_each(Class::trim);
    }

    /// Capacity of all chunks that are out, in bytes: what a bound on buffered memory has to look at.
    #[inline]
    #[must_use]
    pub const fn bytes_taken(&self) -> usize {
        self.bytes_taken
    }

    /// Counts by class, and bytes taken and spare. Cheap: some thirty words are copied.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let classes = self.classes.each_ref().map(Class::stats);
        let bytes_free_now =
            classes.iter().zip(CLASS_BYTES).map(|(class, bytes)| class.free_now * bytes).sum();
        PoolStats { classes, oversize: self.oversize, bytes_taken_now: self.bytes_taken, bytes_free_now }
    }

    /// Debug builds: the chunks that are out, grouped by who took them, in order of file and line. A chunk
    /// dropped without [`Pool::put`] stays in the list for good. Release builds do not keep track, and the
    /// list is empty; there [`PoolStats`] still tells that something leaks, though not who.
    #[must_use]
    pub fn leaks(&self) -> Vec<Leak> {
        self.ledger.leaks()
    }
}

impl Default for Pool {
    fn default() -> Self {
        Pool::new()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thorough::thorough;
    use proptest::prelude::*;

    #[test]
    fn a_spike_goes_back_within_two_trims() {
        let mut pool = Pool::new();
        let regular = pool.take(100);
        let spike: Vec<Chunk> =
            CLASS_BYTES.iter().flat_map(|&bytes| [bytes; 10]).map(|bytes| pool.take(bytes)).collect();
        spike.into_iter().for_each(|chunk| pool.put(chunk));
        pool.put(regular);
        assert_eq!(pool.stats().bytes_free_now, 10 * CLASS_BYTES.iter().sum::<usize>() + SMALL_CHUNK_BYTES);

        pool.trim();
        for _ in 0..1000 {
            let regular = pool.take(100);
            pool.put(regular);
        }
        pool.trim();
        assert_eq!(pool.stats().bytes_free_now, SMALL_CHUNK_BYTES, "only what the regular load needs stays");

        pool.trim();
        assert_eq!(pool.stats().bytes_free_now, 0, "an idle pool keeps nothing");
        assert!(pool.classes.iter().all(|class| class.free.capacity() == 0));
    }

    #[test]
    fn the_chunk_put_back_last_is_taken_first() {
        let mut pool = Pool::new();
        let (mut first, mut second) = (pool.take(1), pool.take(1));
        first.append(b"1");
        second.append(b"2");
        pool.put(first);
        pool.put(second);
        let (mut warm, mut cool) = (pool.take(1), pool.take(1));
        assert!(warm.is_empty() && cool.is_empty(), "a reused chunk holds nothing");
        assert_eq!((warm.spare_mut()[0], cool.spare_mut()[0]), (b'2', b'1'));
        pool.put(cool);
        pool.put(warm);

        pool.trim();
        let warm = pool.take(1);
        pool.put(warm);
        pool.trim();
        assert_eq!(pool.stats().classes[0].free_now, 1);
        let mut warm = pool.take(1);
        assert_eq!(warm.spare_mut()[0], b'2', "a trim frees the coldest");
        pool.put(warm);
    }

    #[test]
    fn the_reserve_of_each_class_is_bounded() {
        let bounds = [POOL_FREE_SMALL_BYTES_MAX, POOL_FREE_MEDIUM_BYTES_MAX, POOL_FREE_LARGE_BYTES_MAX];
        let mut pool = Pool::new();
        for (bytes, bound) in CLASS_BYTES.into_iter().zip(bounds) {
            let before = pool.stats().bytes_free_now;
            let flood: Vec<Chunk> = (0..bound / bytes + 3).map(|_| pool.take(bytes)).collect();
            flood.into_iter().for_each(|chunk| pool.put(chunk));
            assert_eq!(pool.stats().bytes_free_now - before, bound);
        }
        assert_eq!(pool.bytes_taken(), 0);
    }

    #[test]
    fn a_pool_and_its_chunks_may_move_to_another_thread() {
        let mut pool = Pool::new();
        let mut chunk = pool.take(1);
        let (mut pool, chunk) = std::thread::spawn(move || {
            chunk.append(b"from there");
            (pool, chunk)
        })
        .join()
        .expect("the thread only appends");
        assert_eq!(chunk.filled(), b"from there");
        pool.put(chunk);
        assert_eq!((pool.bytes_taken(), pool.leaks().len()), (0, 0));
    }

    #[test]
    fn a_chunk_is_of_the_smallest_class_that_holds_it() {
        let mut pool = Pool::new();
        let sizes =
            [(0, 4096), (4096, 4096), (4097, 65536), (65537, 1 << 20), ((1 << 20) + 1, (1 << 20) + 1)];
        for (asked, capacity) in sizes {
            let chunk = pool.take(asked);
            assert_eq!(chunk.capacity(), capacity);
            assert_eq!(pool.bytes_taken(), capacity);
            pool.put(chunk);
        }
        let stats = pool.stats();
        assert_eq!(stats.oversize, OversizeStats { taken_now: 0, bytes_taken_now: 0, allocated_total: 1 });
        assert_eq!(stats.bytes_free_now, CLASS_BYTES.iter().sum::<usize>(), "the oversize one was freed");
        assert_eq!(stats.classes[0].allocated_total + stats.classes[0].reused_total, 2);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Take { bytes_min: usize, times: usize },
        Put { pick: usize, times: usize },
        Trim,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let bytes = prop_oneof![0..5000usize, 4000..70_000usize, Just(1 << 20), Just((1 << 20) + 5)];
        let op = prop_oneof![
            4 => (bytes, 1..24usize).prop_map(|(bytes_min, times)| Op::Take { bytes_min, times }),
            4 => (any::<usize>(), 1..40usize).prop_map(|(pick, times)| Op::Put { pick, times }),
            1 => Just(Op::Trim),
        ];
        prop::collection::vec(op, 0..60)
    }

    /// The same pool as mere numbers, written the slow and obvious way.
    #[derive(Default)]
    struct Model {
        stats: PoolStats,
        /// Per class, how long the free list was at every moment since the last trim.
        free_history: [Vec<usize>; 3],
    }

    impl Model {
        fn take(&mut self, bytes_min: usize) -> usize {
            let Some(class) = CLASS_BYTES.iter().position(|&bytes| bytes >= bytes_min) else {
                self.stats.oversize.taken_now += 1;
                self.stats.oversize.bytes_taken_now += bytes_min;
                self.stats.oversize.allocated_total += 1;
                return bytes_min;
            };
            let stats = &mut self.stats.classes[class];
            stats.taken_now += 1;
            stats.taken_max = stats.taken_max.max(stats.taken_now);
            if stats.free_now > 0 {
                stats.free_now -= 1;
                stats.reused_total += 1;
            } else {
                stats.allocated_total += 1;
            }
            self.free_history[class].push(stats.free_now);
            CLASS_BYTES[class]
        }

        fn put(&mut self, capacity: usize) {
            let Some(class) = CLASS_BYTES.iter().position(|&bytes| bytes == capacity) else {
                self.stats.oversize.taken_now -= 1;
                self.stats.oversize.bytes_taken_now -= capacity;
                return;
            };
            let bytes_max =
                [POOL_FREE_SMALL_BYTES_MAX, POOL_FREE_MEDIUM_BYTES_MAX, POOL_FREE_LARGE_BYTES_MAX][class];
            let stats = &mut self.stats.classes[class];
            stats.taken_now -= 1;
            if (stats.free_now + 1) * capacity <= bytes_max {
                stats.free_now += 1;
            }
        }

        fn trim(&mut self) {
            for (stats, history) in self.stats.classes.iter_mut().zip(&mut self.free_history) {
                stats.free_now -= history.iter().copied().min().unwrap_or(0).min(stats.free_now);
                *history = vec![stats.free_now];
            }
        }

        fn stats(&self) -> PoolStats {
            let sum = |count: fn(&ClassStats) -> usize| -> usize {
                self.stats.classes.iter().zip(CLASS_BYTES).map(|(class, bytes)| count(class) * bytes).sum()
            };
            PoolStats {
                bytes_taken_now: sum(|class| class.taken_now) + self.stats.oversize.bytes_taken_now,
                bytes_free_now: sum(|class| class.free_now),
                ..self.stats
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(thorough(256, 12)))]

        #[test]
        fn counts_like_a_list_of_numbers(ops in ops()) {
            let (mut pool, mut model) = (Pool::new(), Model::default());
            model.free_history.iter_mut().for_each(|history| history.push(0));
            let mut held: Vec<Chunk> = Vec::new();
            for op in ops {
                match op {
                    Op::Take { bytes_min, times } => for _ in 0..times {
                        held.push(pool.take(bytes_min));
                        prop_assert_eq!(held.last().unwrap().capacity(), model.take(bytes_min));
                    },
                    Op::Put { pick, times } => for _ in 0..times.min(held.len()) {
                        let chunk = held.swap_remove(pick % held.len());
                        model.put(chunk.capacity());
                        pool.put(chunk);
                    },
                    Op::Trim => {
                        pool.trim();
                        model.trim();
                    }
                }
                prop_assert_eq!(pool.stats(), model.stats());
            }
            held.into_iter().for_each(|chunk| pool.put(chunk));
            prop_assert_eq!(pool.bytes_taken(), 0);
            prop_assert!(pool.leaks().is_empty());
        }
    }
}
