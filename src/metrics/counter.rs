//! Counters and gauges: one 64-bit cell each, written by one thread, readable from all.

use std::marker::PhantomData;
use std::ops::Index;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Adds to a cell that only this thread writes: an ordinary addition in memory, no locked instruction.
///
/// Relaxed is enough, since nothing is concluded from one cell about another.
#[inline]
pub(super) fn add(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}

/// A number that only rises; begins at zero.
///
/// One thread adds, any thread reads. Adding from two threads is safe but loses counts; the registry
/// prevents that by handing its writing half to one owner, who cannot share it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; wraps after 2^64.
    #[inline]
    pub fn add(&self, n: u64) {
        add(&self.0, n);
    }

    /// The count as far as this thread sees it; successive calls never see less.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that rises and falls, how many there are now; begins at zero.
///
/// The same rule as for [`Counter`]: one thread writes, any thread reads.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces the value.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        add(&self.0, n);
    }

    /// Takes `n` away; stops at zero.
    #[inline]
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).saturating_sub(n), Relaxed);
    }

    /// The value as far as this thread sees it.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A closed set of kinds that something is counted by, such as [`Cause`](crate::error::Cause).
pub trait Label: Copy + 'static {
    /// Every kind, ordered by [`Label::index`].
    const ALL: &'static [Self];

    /// The place of this kind in [`Label::ALL`].
    fn index(self) -> usize;

    /// A short lower-case name.
    fn name(self) -> &'static str;
}

/// One `T` for each of the `N` kinds of `K`, indexed by kind: `closed[Cause::Reset].add(1)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct By<K, T, const N: usize> {
    each: [T; N],
    kinds: PhantomData<fn(K)>,
}

impl<K: Label, T: Default, const N: usize> Default for By<K, T, N> {
    fn default() -> Self {
        By { each: std::array::from_fn(|_| T::default()), kinds: PhantomData }
    }
}

impl<K: Label, T, const N: usize> Index<K> for By<K, T, N> {
    type Output = T;

    #[inline]
    fn index(&self, kind: K) -> &T {
        &self.each[kind.index()]
    }
}

impl<K: Label, const N: usize> By<K, Counter, N> {
    /// The counts as plain numbers.
    #[must_use]
    pub fn get(&self) -> By<K, u64, N> {
        By { each: std::array::from_fn(|i| self.each[i].get()), kinds: PhantomData }
    }
}

impl<K: Label, const N: usize> By<K, u64, N> {
    /// All kinds together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.each.iter().sum()
    }

    /// The kinds that were counted at all, in the order of [`Label::ALL`].
    pub fn nonzero(&self) -> impl Iterator<Item = (K, u64)> + '_ {
        K::ALL.iter().zip(&self.each).filter(|(_, n)| **n > 0).map(|(kind, n)| (*kind, *n))
    }

    pub(super) fn zip_with(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        By { each: std::array::from_fn(|i| f(self.each[i], other.each[i])), kinds: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Cause;

    #[test]
    fn a_gauge_stops_at_zero() {
        let gauge = Gauge::default();
        gauge.set(5);
        gauge.add(2);
        gauge.sub(9);
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn tallies_keep_kinds_apart() {
        let closed: By<Cause, Counter, { Cause::ALL.len() }> = By::default();
        closed[Cause::Reset].add(2);
        closed[Cause::System].add(1);
        let seen = closed.get();
        assert_eq!(seen.total(), 3);
        assert_eq!(seen.nonzero().collect::<Vec<_>>(), [(Cause::Reset, 2), (Cause::System, 1)]);
        assert_eq!(seen[Cause::Closed], 0);
    }
}
