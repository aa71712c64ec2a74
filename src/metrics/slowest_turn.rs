//! The longest turn of a core and what it served: several cells that readers see together or not at all.

use crate::time::Instant;
#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, fence};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, fence};

/// How often a reader tries before it gives up for this time. The writer is inside for a few nanoseconds, and
/// rarely.
const READS_MAX: u32 = 100;

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

/// The longest turn so far, in cells that readers see whole or not at all: a sequence lock, of which only the
/// reader ever repeats anything. H. Boehm, "Can seqlocks get along with programming language memory models?"
/// (MSPC 2012) has the fences.
#[derive(Debug, Default)]
pub struct SlowestTurnCell {
    /// Odd while a write is under way; zero before the first.
    sequence: AtomicU64,
    nanos: AtomicU64,
    at: AtomicU64,
    work: [AtomicU64; 6],
}

impl SlowestTurnCell {
    /// Notes a turn if it was the longest so far: one comparison if not.
    #[inline]
    pub fn offer(&self, at: Instant, nanos: u64, work: TurnWork) {
        if nanos > self.nanos.load(Relaxed) {
            self.replace(at, nanos, work);
        }
    }

    #[cold]
    fn replace(&self, at: Instant, nanos: u64, work: TurnWork) {
        let sequence = self.sequence.load(Relaxed);
        self.sequence.store(sequence + 1, Relaxed);
        fence(Release);
        self.nanos.store(nanos, Relaxed);
        self.at.store(at.as_nanos(), Relaxed);
        let TurnWork { accepts, events, bytes, timers, deadlines, mail } = work;
        for (cell, value) in self.work.iter().zip([accepts, events, bytes, timers, deadlines, mail]) {
            cell.store(value, Relaxed);
        }
        self.sequence.store(sequence + 2, Release);
    }

    /// The longest turn so far, of the core with that number. `None` if there was none yet, or, which is rare,
    /// if the writer was stopped in the midst of noting one.
    #[must_use]
    pub fn get(&self, core: usize) -> Option<SlowestTurn> {
        for _ in 0..READS_MAX {
            let before = self.sequence.load(Acquire);
            if before == 0 {
                return None;
            }
            if let Some(turn) = self.read_if_still(before, core) {
                return Some(turn);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// The cells, if no write was under way at `before` and none has begun since.
    fn read_if_still(&self, before: u64, core: usize) -> Option<SlowestTurn> {
        let nanos = self.nanos.load(Relaxed);
        let at = Instant::from_nanos(self.at.load(Relaxed));
        let [accepts, events, bytes, timers, deadlines, mail] =
            std::array::from_fn(|i| self.work[i].load(Relaxed));
        fence(Acquire);
        let whole = before.is_multiple_of(2) && self.sequence.load(Relaxed) == before;
        let work = TurnWork { accepts, events, bytes, timers, deadlines, mail };
        whole.then_some(SlowestTurn { core, at, nanos, work })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    /// `RUSTFLAGS="--cfg loom" cargo test --release --lib slowest_turn`. Any one of the three fences and orderings
    /// taken away makes it fail.
    #[cfg(loom)]
    #[test]
    fn no_order_of_loads_and_stores_tears_it() {
        use std::sync::atomic::AtomicU32 as Plain;
        static WHOLE: Plain = Plain::new(0);
        loom::model(|| {
            let cell = loom::sync::Arc::new(SlowestTurnCell::default());
            let seen = loom::sync::Arc::clone(&cell);
            let reader = loom::thread::spawn(move || {
                let before = seen.sequence.load(Acquire);
                if before == 0 {
                    return;
                }
                if let Some(SlowestTurn { at, nanos, work, .. }) = seen.read_if_still(before, 0) {
                    assert_eq!((at, nanos, work), turn(nanos));
                    WHOLE.fetch_add(1, Relaxed);
                }
            });
            for (at, nanos, work) in (1..=2).map(turn) {
                cell.offer(at, nanos, work);
            }
            reader.join().unwrap();
        });
        assert!(WHOLE.load(Relaxed) > 1, "the model never read anything whole");
    }
}
