//! Exact timers: a heap from which any timer can be taken out at once.

use std::fmt;

use super::Handle;
use crate::time::Instant;

/// Children of each node. Four make the tree half as deep as two, and lie in two cache lines.
const ARITY: usize = 4;
/// Ends the list of free places.
const NIL: u32 = u32::MAX;
/// Marks a place whose generations are used up. Never a position in the heap: see [`TimerHeap::insert`].
const RETIRED: u32 = u32::MAX - 1;
/// Storage for so many timers is never given back.
const PLACES_KEPT: usize = 64;
/// A place that had more tenants than this is not given back: what replaces it would have to start at its
/// generation, and every new place shall still have two billion tenants before it.
const GENERATION_FREED_MAX: u32 = u32::MAX / 2;

/// Timers ordered by deadline, those with equal deadlines by insertion.
///
/// A 4-ary heap in which every timer knows its position: inserting, cancelling, moving and popping are
/// O(log n), and a cancelled timer is gone at once instead of lying around until its time. When fewer than a
/// quarter of the places are in use, storage after a spike is given back, by and by: an amount of work
/// proportional to the storage is done once in as many removals. Storage shrinks down to the highest place
/// in use (low ones are used first again), and to nothing worth mentioning when the heap is empty.
///
/// ```
/// use windlass::{collections::TimerHeap, time::Instant};
///
/// let mut timers = TimerHeap::new();
/// let retry = timers.insert(Instant::from_millis(20), "retry");
/// timers.insert(Instant::from_millis(10), "flush");
/// assert_eq!(timers.cancel(retry), Some("retry"));
/// assert_eq!(timers.next_at(), Some(Instant::from_millis(10)));
///
/// let (_, at, what) = timers.pop_due(Instant::from_millis(15)).expect("one is due");
/// assert_eq!((at, what), (Instant::from_millis(10), "flush"));
/// assert!(timers.is_empty());
/// ```
pub struct TimerHeap<T> {
    /// The heap proper.
    nodes: Vec<Node>,
    /// Where each timer is in the heap, and what it carries.
    places: Vec<Place<T>>,
    /// First of the list of free places.
    free: u32,
    /// How often a timer was inserted or moved: what decides between equal deadlines.
    order: u64,
    /// What a new place starts with: not below any generation that a place given back had.
    first_generation: u32,
    /// Removals since storage was last looked at.
    removals: usize,
}

#[derive(Clone, Copy)]
struct Node {
    at: Instant,
    order: u64,
    place: u32,
}

struct Place<T> {
    generation: u32,
    /// Position in the heap; in a free place the next one in the list, or [`RETIRED`].
    link: u32,
    value: Option<T>,
}

impl Node {
    /// Both halves in one number: compared without a branch.
    #[inline]
    fn key(&self) -> u128 {
        u128::from(self.at.as_nanos()) << 64 | u128::from(self.order)
    }
}

impl<T> Place<T> {
    fn may_be_given_back(&self) -> bool {
        self.value.is_none() && self.generation <= GENERATION_FREED_MAX
    }
}

impl<T> TimerHeap<T> {
    /// An empty heap; allocates nothing.
    #[must_use]
    pub const fn new() -> TimerHeap<T> {
        TimerHeap {
            nodes: Vec::new(),
            places: Vec::new(),
            free: NIL,
            order: 0,
            first_generation: 0,
            removals: 0,
        }
    }

    /// Sets a timer for `at` that carries `value`.
    ///
    /// # Panics
    /// When four billion timers are live.
    pub fn insert(&mut self, at: Instant, value: T) -> Handle {
        let place = self.take_place(value);
        let node = Node { at, order: self.next_order(), place };
        self.nodes.push(node);
        self.sift_up(self.nodes.len() - 1, node);
        Handle::new(place, self.places[place as usize].generation)
    }

    /// Takes a timer out; `None` if it has fired or was cancelled before.
    pub fn cancel(&mut self, timer: Handle) -> Option<T> {
        let position = self.position(timer)?;
        self.remove_node(position);
        Some(self.free_place(timer.index()))
    }

    /// Moves a timer to `at`, behind those that are already there; false if it is gone.
    pub fn reschedule(&mut self, timer: Handle, at: Instant) -> bool {
        let Some(position) = self.position(timer) else { return false };
        let node = Node { at, order: self.next_order(), place: timer.index() };
        self.settle(position, node);
        true
    }

    /// The earliest deadline.
    #[inline]
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        self.nodes.first().map(|node| node.at)
    }

    /// Takes the earliest timer out if its time has come by `now`: its handle, its deadline and its value.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Handle, Instant, T)> {
        let Node { at, place, .. } = *self.nodes.first().filter(|node| node.at <= now)?;
        let timer = Handle::new(place, self.places[place as usize].generation);
        self.remove_node(0);
        Some((timer, at, self.free_place(place)))
    }

    /// How many timers are set.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no timer is set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Bytes of heap that the timers hold, not counting what the values themselves own.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.places.capacity() * size_of::<Place<T>>()
    }

    fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    fn position(&self, timer: Handle) -> Option<usize> {
        let place = self.places.get(timer.index() as usize)?;
        (place.generation == timer.generation() && place.value.is_some()).then_some(place.link as usize)
    }

    #[inline]
    fn put(&mut self, position: usize, node: Node) {
        self.nodes[position] = node;
        self.places[node.place as usize].link = position as u32;
    }

    /// Puts `node` at `position` or nearer to the root.
    fn sift_up(&mut self, mut position: usize, node: Node) {
        while position > 0 {
            let parent = (position - 1) / ARITY;
            if self.nodes[parent].key() <= node.key() {
                break;
            }
            self.put(position, self.nodes[parent]);
            position = parent;
        }
        self.put(position, node);
    }

    /// Puts `node` at `position` or further from the root.
    fn sift_down(&mut self, mut position: usize, node: Node) {
        loop {
            match self.least_child(position) {
                Some(child) if self.nodes[child].key() < node.key() => {
                    self.put(position, self.nodes[child]);
                    position = child;
                }
                _ => break,
            }
        }
        self.put(position, node);
    }

    /// The child of `position` whose time comes first. Which one that is cannot be predicted, so a whole family
    /// is compared without branching, as in a knock-out tournament.
    #[inline]
    fn least_child(&self, position: usize) -> Option<usize> {
        let first = position * ARITY + 1;
        let Some(family) = self.nodes.get(first..first + ARITY) else {
            return (first..self.nodes.len()).min_by_key(|&child| self.nodes[child].key());
        };
        let [a, b, c, d] = [0, 1, 2, 3].map(|child: usize| family[child].key());
        let (left, left_key) = if b < a { (1, b) } else { (0, a) };
        let (right, right_key) = if d < c { (3, d) } else { (2, c) };
        Some(first + if right_key < left_key { right } else { left })
    }

    /// Puts `node` where it belongs, in place of what is at `position`.
    fn settle(&mut self, position: usize, node: Node) {
        if position > 0 && node.key() < self.nodes[(position - 1) / ARITY].key() {
            self.sift_up(position, node);
        } else {
            self.sift_down(position, node);
        }
    }

    fn remove_node(&mut self, position: usize) {
        if let Some(last) = self.nodes.pop()
            && position < self.nodes.len()
        {
            self.settle(position, last);
        }
    }

    fn take_place(&mut self, value: T) -> u32 {
        if let Some(place) = self.places.get_mut(self.free as usize) {
            let index = self.free;
            self.free = place.link;
            place.value = Some(value);
            return index;
        }
        assert!(self.places.len() < RETIRED as usize, "four billion timers are live");
        let generation = self.first_generation;
        self.places.push(Place { generation, link: NIL, value: Some(value) });
        (self.places.len() - 1) as u32
    }

    /// Empties the place of a timer that is no longer in the heap.
    fn free_place(&mut self, index: u32) -> T {
        let place = &mut self.places[index as usize];
        let value = place.value.take().expect("a timer in the heap has a value");
        match place.generation.checked_add(1) {
            Some(next) => {
                place.generation = next;
                place.link = self.free;
                self.free = index;
            }
            None => place.link = RETIRED,
        }
        self.removals += 1;
        if self.nodes.is_empty() || self.removals > self.places.len() / 4 {
            self.give_back_storage();
        }
        value
    }

    /// Drops the free places at the end and the room they had. Costs as much as there are places, so it is
    /// called once in a quarter as many removals, and whenever the heap is empty (there it drops nearly all).
    fn give_back_storage(&mut self) {
        let worth_it = self.places.len() > PLACES_KEPT && self.nodes.len() < self.places.len() / 4;
        self.removals = 0;
        if !worth_it {
            return;
        }
        self.nodes.shrink_to((self.nodes.len() * 2).max(PLACES_KEPT));
        if !self.places.last().is_some_and(Place::may_be_given_back) {
            return;
        }
        while self.places.len() > PLACES_KEPT
            && let Some(last) = self.places.pop_if(|place| place.may_be_given_back())
        {
            self.first_generation = self.first_generation.max(last.generation);
        }
        self.free = NIL;
        for (index, place) in self.places.iter_mut().enumerate().rev() {
            if place.value.is_none() && place.link != RETIRED {
                place.link = self.free;
                self.free = index as u32;
            }
        }
        self.places.shrink_to_fit();
    }
}

impl<T> Default for TimerHeap<T> {
    fn default() -> Self {
        TimerHeap::new()
    }
}

impl<T> fmt::Debug for TimerHeap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerHeap")
            .field("len", &self.len())
            .field("next_at", &self.next_at())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thorough::thorough;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_million_timers_cancelled_leave_nothing_behind() {
        let mut timers = TimerHeap::new();
        let handles: Vec<Handle> =
            (0..thorough(1_000_000, 100_000)).map(|n| timers.insert(at(n * 7919 % 1_000_003), n)).collect();
        assert!(timers.heap_bytes() > 40 * handles.len());
        for (n, &handle) in (0..).zip(&handles) {
            assert_eq!(timers.cancel(handle), Some(n));
        }
        assert!(timers.is_empty());
        assert_eq!(timers.next_at(), None);
        assert!(timers.heap_bytes() <= 4096, "{} bytes left", timers.heap_bytes());
        assert!(handles.iter().all(|&handle| timers.cancel(handle).is_none()));

        for n in 0..1000 {
            timers.insert(at(n), n);
        }
        assert!(handles.iter().all(|&handle| timers.cancel(handle).is_none()), "a handle came back to life");
        assert_eq!(timers.len(), 1000);
    }

    #[test]
    fn a_survivor_of_a_spike_holds_only_the_places_below_it() {
        let mut timers = TimerHeap::new();
        let handles: Vec<Handle> = (0..100_000).map(|n| timers.insert(at(n), n)).collect();
        let full = timers.heap_bytes();
        for handle in handles.iter().filter(|handle| handle.index() != 20_000) {
            timers.cancel(*handle);
        }
        for _ in 0..25_000 {
            let handle = timers.insert(at(1), 0);
            timers.cancel(handle);
        }
        assert!(timers.heap_bytes() < full / 3, "{} of {full} bytes left", timers.heap_bytes());
        assert_eq!(timers.pop_due(Instant::FAR_FUTURE), Some((handles[20_000], at(20_000), 20_000)));
        assert!(timers.heap_bytes() <= 4096, "{} bytes left", timers.heap_bytes());
    }

    #[test]
    fn a_place_whose_generations_are_used_up_is_retired_and_a_worn_one_is_kept() {
        let mut timers = TimerHeap::new();
        let first = timers.insert(at(1), "first");
        timers.cancel(first);
        timers.places[0].generation = u32::MAX;
        let last = timers.insert(at(1), "last tenant");
        assert_eq!((last.index(), last.generation()), (0, u32::MAX));
        assert_eq!(timers.cancel(last), Some("last tenant"));
        assert_eq!(timers.cancel(last), None);
        assert_eq!(timers.insert(at(1), "elsewhere").index(), 1, "a used-up place was given out again");

        let spike: Vec<Handle> = (0..1000).map(|_| timers.insert(at(2), "spike")).collect();
        timers.places[500].generation = GENERATION_FREED_MAX + 1;
        while timers.pop_due(at(2)).is_some() {}
        assert_eq!(spike.iter().filter(|&&handle| timers.cancel(handle).is_some()).count(), 0);
        assert_eq!(timers.places.len(), 501);
        assert!(timers.first_generation <= GENERATION_FREED_MAX);
    }

    #[test]
    fn equal_deadlines_pop_in_the_order_they_were_set() {
        let mut timers = TimerHeap::new();
        let handles: Vec<Handle> = (0..100).map(|n| timers.insert(at(5), n)).collect();
        assert!(timers.reschedule(handles[3], at(5)), "moving goes to the back");
        let order: Vec<u32> = std::iter::from_fn(|| timers.pop_due(at(5))).map(|(_, _, n)| n).collect();
        let expected: Vec<u32> = (0..100).filter(|&n| n != 3).chain([3]).collect();
        assert_eq!(order, expected);
        assert!(!timers.reschedule(handles[3], at(6)));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Insert(u64),
        Cancel(usize),
        Reschedule(usize, u64),
        Pop(u64),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        // Few distinct delays, so that equal deadlines are common.
        let delay = || (0u64..40).prop_map(|n| n * n);
        let op = prop_oneof![
            4 => delay().prop_map(Op::Insert),
            2 => any::<usize>().prop_map(Op::Cancel),
            2 => (any::<usize>(), delay()).prop_map(|(pick, delay)| Op::Reschedule(pick, delay)),
            1 => (0u64..200).prop_map(Op::Pop),
        ];
        prop::collection::vec(op, 0..600)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(thorough(256, 24)))]

        /// Against a sorted map from (deadline, order of setting): same timers, same order, nothing twice.
        #[test]
        fn behaves_like_a_sorted_map(ops in ops(), years in 0u32..500) {
            let mut now = Instant::ZERO + SECOND * 31_557_600 * years;
            let mut timers = TimerHeap::new();
            let mut model: BTreeMap<(Instant, usize), Handle> = BTreeMap::new();
            let mut all: Vec<Handle> = Vec::new();
            for (order, op) in ops.into_iter().enumerate() {
                let key_of = |model: &BTreeMap<(Instant, usize), Handle>, handle| {
                    model.iter().find(|(_, other)| **other == handle).map(|(key, _)| *key)
                };
                match op {
                    Op::Insert(delay) => {
                        let at = now + Duration::from_millis(delay);
                        let handle = timers.insert(at, order);
                        prop_assert!(!all.contains(&handle), "{:?} was given out twice", handle);
                        all.push(handle);
                        model.insert((at, order), handle);
                    }
                    Op::Cancel(pick) if !all.is_empty() => {
                        let handle = all[pick % all.len()];
                        let key = key_of(&model, handle);
                        prop_assert_eq!(timers.cancel(handle).is_some(), key.is_some());
                        key.and_then(|key| model.remove(&key));
                    }
                    Op::Reschedule(pick, delay) if !all.is_empty() => {
                        let (handle, at) = (all[pick % all.len()], now + Duration::from_millis(delay));
                        let key = key_of(&model, handle);
                        prop_assert_eq!(timers.reschedule(handle, at), key.is_some());
                        if let Some(key) = key {
                            model.remove(&key);
                            model.insert((at, order), handle);
                        }
                    }
                    Op::Cancel(_) | Op::Reschedule(..) => {}
                    Op::Pop(step) => {
                        now += Duration::from_millis(step);
                        while let Some((handle, at, _)) = timers.pop_due(now) {
                            let ((expected, _), whose) = model.pop_first().expect("one too many popped");
                            prop_assert_eq!((handle, at), (whose, expected));
                            prop_assert!(at <= now);
                        }
                        prop_assert!(model.keys().next().is_none_or(|(at, _)| *at > now));
                    }
                }
                prop_assert_eq!(timers.len(), model.len());
                prop_assert_eq!(timers.next_at(), model.keys().next().map(|(at, _)| *at));
            }
        }
    }
}
