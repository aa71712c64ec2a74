//! The longest turn of a core and what it served: several cells that readers see together or not at all.

use crate::time::Instant;
#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, fence};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, fence};

/// How often a reader tries before it gives up for this time. The writer is inside for a few nanoseconds, and
/// rarely.
const READS_MAX: u32 = if cfg!(loom) { 1 } else { 100 };

/// What a turn served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TurnWork {
    /// Connections accepted.
    pub accepts: u64,
    /// Events handed to the handler, of whatever kind.
    pub events: u64,
    /// Bytes read and written.
    pub bytes: u64,
    /// Timers fired.
    pub timers: u64,
    /// Deadlines that came.
    pub deadlines: u64,
    /// Mailboxes reported.
    pub mail: u64,
}

/// The longest turn of a core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlowestTurn {
    /// The core.
    pub core: usize,
    /// When the turn began.
    pub at: Instant,
    /// How long it worked, in nanoseconds.
    pub nanos: u64,
    /// What it served.
    pub work: TurnWork,
}

/// The slower of two.
pub(super) fn slower(a: Option<SlowestTurn>, b: Option<SlowestTurn>) -> Option<SlowestTurn> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.nanos > a.nanos { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The longest turn so far. One thread offers turns, any thread reads.
#[derive(Debug, Default)]
pub struct SlowestTurnCell(Words<8>);

impl SlowestTurnCell {
    /// Notes a turn if it was the longest so far: one comparison if not.
    #[inline]
    pub fn offer(&self, at: Instant, nanos: u64, work: TurnWork) {
        if nanos > self.0.words[0].load(Relaxed) {
            let TurnWork { accepts, events, bytes, timers, deadlines, mail } = work;
            self.0.write([nanos, at.as_nanos(), accepts, events, bytes, timers, deadlines, mail]);
        }
    }

    /// The longest turn so far, of the core with that number. `None` if there was none yet, or, which is rare,
    /// if the writer was stopped in the midst of noting one.
    #[must_use]
    pub fn get(&self, core: usize) -> Option<SlowestTurn> {
        let [nanos, at, accepts, events, bytes, timers, deadlines, mail] = self.0.read()?;
        let work = TurnWork { accepts, events, bytes, timers, deadlines, mail };
        Some(SlowestTurn { core, at: Instant::from_nanos(at), nanos, work })
    }
}

/// Words that readers see all together: a sequence lock with one writer, who never waits. H. Boehm, "Can seqlocks
/// get along with programming language memory models?" (MSPC 2012) has the fences.
#[derive(Debug)]
struct Words<const N: usize> {
    /// Odd while a write is under way; zero before the first.
    sequence: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> Default for Words<N> {
    fn default() -> Self {
        Words { sequence: AtomicU64::new(0), words: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl<const N: usize> Words<N> {
    #[cold]
    fn write(&self, values: [u64; N]) {
        let sequence = self.sequence.load(Relaxed);
        self.sequence.store(sequence + 1, Relaxed);
        fence(Release);
        for (word, value) in self.words.iter().zip(values) {
            word.store(value, Relaxed);
        }
        self.sequence.store(sequence + 2, Release);
    }

    fn read(&self) -> Option<[u64; N]> {
        for _ in 0..READS_MAX {
            let before = self.sequence.load(Acquire);
            if before == 0 {
                return None;
            }
            let values = std::array::from_fn(|i| self.words[i].load(Relaxed));
            fence(Acquire);
            if before.is_multiple_of(2) && self.sequence.load(Relaxed) == before {
                return Some(values);
            }
            std::hint::spin_loop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(loom))]
    fn turn(n: u64) -> (Instant, u64, TurnWork) {
        let work = TurnWork { accepts: n, events: n, bytes: n, timers: n, deadlines: n, mail: n };
        (Instant::from_nanos(n), n, work)
    }

    #[cfg(not(loom))]
    #[test]
    fn it_is_never_seen_torn() {
        const TURNS: u64 = 100_000;
        let cell = SlowestTurnCell::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (at, nanos, work) in (1..=TURNS).map(turn) {
                    cell.offer(at, nanos, work);
                }
            });
            let mut last = 0;
            while last < TURNS {
                if let Some(SlowestTurn { at, nanos, work, .. }) = cell.get(0) {
                    assert_eq!((at, nanos, work), turn(nanos));
                    assert!(nanos >= last);
                    last = nanos;
                }
            }
        });
    }

    /// Every order of two writes and a read that the memory model allows:
    /// `RUSTFLAGS="--cfg loom" cargo test --release --lib loom`. It fails without either fence, and with a
    /// relaxed last store.
    #[cfg(loom)]
    #[test]
    fn loom_no_order_of_loads_and_stores_tears_it() {
        use std::sync::atomic::AtomicU32;
        static WHOLE: AtomicU32 = AtomicU32::new(0);
        loom::model(|| {
            let cell = loom::sync::Arc::new(Words::<2>::default());
            let seen = loom::sync::Arc::clone(&cell);
            let reader = loom::thread::spawn(move || {
                if let Some([a, b]) = seen.read() {
                    assert_eq!(a, b);
                    WHOLE.fetch_add(1, Relaxed);
                }
            });
            cell.write([1, 1]);
            cell.write([2, 2]);
            reader.join().unwrap();
        });
        assert!(WHOLE.load(Relaxed) > 1, "the model never read anything whole");
    }
}
