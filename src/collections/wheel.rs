//! The deadline wheel: keeps the one deadline of each of millions of connections, nearly all of which are
//! pushed back again and again and never come.
//!
//! It is the flat hashed wheel of Varghese and Lauck (scheme 6 of "Hashed and Hierarchical Timing Wheels",
//! 1987) with two changes. Deadlines are *lazy*: pushing one back only writes a field, and the entry moves
//! when the slot it still hangs in comes up. And the wheel does not step from tick to tick: each slot knows
//! the earliest tick that hangs in it, a summary over 64 groups of slots knows the earliest of all, so an
//! advance goes straight from one occupied slot to the next, however far the clock jumped.
//!
//! As long as only low indexes are used there are no slots at all: looking through so few entries costs what looking
//! through the summary would.

use std::fmt;

use crate::time::Instant;

/// Length of a tick, and so the most by which rounding alone can make a deadline late.
const TICK_NANOS: u64 = 8_000_000;
/// Slots of the wheel; a power of two. One round takes 32.768 s.
const SLOT_COUNT: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 12;
/// Slots summed up by one entry of the summary: the square root of their number, so that renewing a group
/// and then the whole summary are equally cheap (64 comparisons each).
const GROUP_LEN: usize = 64;
/// Without an index as high as this, all entries are looked through instead of slots. As many as a group has slots.
const FEW: usize = GROUP_LEN;
/// Lists in each slot. With millions live every step along a list waits for memory; going along four at a
/// time waits for four at once.
const LANES: usize = 4;
/// Ends a list of entries.
const NIL: u32 = u32::MAX;
/// What the summary says where nothing hangs. Beyond any real tick.
const NO_TICK: u64 = u64::MAX;

/// Lazily extended deadlines for entries that the caller numbers densely, such as the slots of a connection
/// table.
///
/// - Never early, and at most 16 ms late if advanced whenever [`DeadlineWheel::next_deadline`] says so.
/// - Extending writes one field; scheduling and cancelling are O(1).
/// - A clock that jumps by years costs one visit per entry that came up, not one per tick; a clock that
///   goes backwards does no harm.
/// - Deadlines beyond the 32.768 s of one round share slots with nearer ones but wake nobody.
/// - 16 bytes for each index up to the highest one used, and 82 kB for tables with the first index of 64 or more.
///   Nothing is allocated but for a new highest index, and nothing is given back.
///
/// Entries that come up together are visited in no particular order.
///
/// ```
/// use std::time::Duration;
/// use windlass::{collections::DeadlineWheel, time::Instant};
///
/// let mut wheel = DeadlineWheel::new();
/// wheel.schedule(7, Instant::from_millis(100));
/// wheel.extend(7, Instant::from_millis(250));
///
/// let early = wheel.advance(Instant::from_millis(249), usize::MAX, |_| None);
/// assert_eq!(early.expired, 0);
///
/// let mut gone = Vec::new();
/// let wake = wheel.next_deadline().expect("one is left");
/// let late = wheel.advance(wake + Duration::from_millis(8), usize::MAX, |index| {
///     gone.push(index);
///     None
/// });
/// assert_eq!((late.expired, gone), (1, vec![7]));
/// ```
pub struct DeadlineWheel {
    /// By index; as long as `links`.
    whens: Vec<When>,
    links: Vec<Links>,
    /// Made with the first index that is not among the [`FEW`].
    tables: Option<Box<Tables>>,
    /// A tick not later than that of any entry that is not pending.
    earliest: u64,
    /// The lists that were taken out of their slot to be visited. What a budget left over waits here.
    pending: Heads,
    /// The lane to visit next.
    lane: usize,
    len: usize,
}

/// What one [`DeadlineWheel::advance`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use = "a backlog has to be worked off before the reactor sleeps"]
pub struct Advance {
    /// Entries that expired: `due` answered `None`.
    pub expired: usize,
    /// Entries looked at, whatever became of them; what the budget counts.
    pub visited: usize,
    /// The budget ran out with entries left to visit; [`DeadlineWheel::next_deadline`] is at once.
    pub backlog: bool,
}

/// The tick where an entry hangs in the upper 42 bits (584 years take 41.1), and in the lower 22 by how many
/// ticks it has since been pushed back: up to 9.3 hours.
///
/// Packed, and apart from the links, because extending touches nothing else: at 8 bytes an entry a hundred
/// thousand of them lie in a core's second-level cache, which at 24 they do not.
#[derive(Clone, Copy)]
struct When(u64);

const VACANT: When = When(u64::MAX);

impl When {
    const PUSHED_BITS: u32 = 22;
    const PUSHED_MAX: u64 = (1 << When::PUSHED_BITS) - 1;

    #[inline]
    const fn exactly(tick: u64) -> When {
        When(tick << When::PUSHED_BITS)
    }

    /// Where the entry hangs; for a vacant one a tick beyond any real one.
    #[inline]
    const fn hangs_at(self) -> u64 {
        self.0 >> When::PUSHED_BITS
    }

    /// The tick of the deadline.
    #[inline]
    const fn due_at(self) -> u64 {
        self.hangs_at() + (self.0 & When::PUSHED_MAX)
    }

    #[inline]
    const fn is_scheduled(self) -> bool {
        self.0 != VACANT.0
    }

    /// The same place with another deadline; `None` if that comes before the place or too long after, or
    /// if there is no place.
    #[inline]
    const fn pushed_to(self, tick: u64) -> Option<When> {
        let by = tick.wrapping_sub(self.hangs_at());
        if by <= When::PUSHED_MAX { Some(When(self.0 & !When::PUSHED_MAX | by)) } else { None }
    }
}

/// Neighbours in a list of a slot.
#[derive(Clone, Copy)]
struct Links {
    next: u32,
    prev: u32,
}

/// The first entry of each lane; the lane of an entry is its index modulo their number.
type Heads = [u32; LANES];

const NO_HEADS: Heads = [NIL; LANES];

#[inline]
const fn lane_of(index: u32) -> usize {
    index as usize % LANES
}

/// The entries whose tick, modulo the number of slots, is this slot's number.
#[derive(Clone, Copy)]
struct Slot {
    heads: Heads,
    /// Not later than the round (tick divided by the number of slots) of any entry in the lists.
    round: u32,
}

/// The round makes a tick beyond that of [`Instant::FAR_FUTURE`], so the summary needs no special case.
const EMPTY_SLOT: Slot = Slot { heads: NO_HEADS, round: u32::MAX };

struct Tables {
    slots: [Slot; SLOT_COUNT],
    /// For each group of slots a tick not later than any that hangs there.
    groups: [u64; SLOT_COUNT / GROUP_LEN],
}

/// The first tick that is not before `at`: rounding up is what makes it never early.
#[inline]
const fn tick_of(at: Instant) -> u64 {
    at.as_nanos().div_ceil(TICK_NANOS)
}

/// When a tick comes; [`Instant::FAR_FUTURE`] for the one that never does.
#[inline]
const fn instant_of(tick: u64) -> Instant {
    Instant::from_nanos(tick.saturating_mul(TICK_NANOS))
}

#[inline]
const fn slot_of(tick: u64) -> usize {
    tick as usize % SLOT_COUNT
}

impl Tables {
    fn new() -> Box<Tables> {
        Box::new(Tables { slots: [EMPTY_SLOT; SLOT_COUNT], groups: [NO_TICK; SLOT_COUNT / GROUP_LEN] })
    }

    /// Makes `index` the head of its list and returns the one before.
    #[inline]
    fn push(&mut self, index: u32, tick: u64) -> u32 {
        let slot = slot_of(tick);
        // 2^32 rounds are 4,400 years; an `Instant` reaches 584.
        let round = (tick >> SLOT_BITS) as u32;
        let group = &mut self.groups[slot / GROUP_LEN];
        *group = tick.min(*group);
        let slot = &mut self.slots[slot];
        slot.round = round.min(slot.round);
        std::mem::replace(&mut slot.heads[lane_of(index)], index)
    }

    /// Empties the slot of `tick` and renews the summary; returns the slot's lists and the earliest tick that is left.
    fn take(&mut self, tick: u64) -> (Heads, u64) {
        let slot = slot_of(tick);
        let heads = std::mem::replace(&mut self.slots[slot], EMPTY_SLOT).heads;
        let group = slot / GROUP_LEN;
        let first = group * GROUP_LEN;
        let ticks = (first..).zip(&self.slots[first..first + GROUP_LEN]);
        self.groups[group] = ticks
            .map(|(number, slot)| u64::from(slot.round) << SLOT_BITS | number as u64)
            .fold(NO_TICK, u64::min);
        (heads, self.groups.iter().copied().fold(NO_TICK, u64::min))
    }
}

impl DeadlineWheel {
    /// An empty wheel; allocates nothing.
    #[must_use]
    pub const fn new() -> DeadlineWheel {
        DeadlineWheel {
            whens: Vec::new(),
            links: Vec::new(),
            tables: None,
            earliest: NO_TICK,
            pending: NO_HEADS,
            lane: 0,
            len: 0,
        }
    }

    /// Sets the deadline of `index`, whether it had one or not, and hangs it exactly there.
    ///
    /// An entry scheduled at [`Instant::FAR_FUTURE`] never expires but can be cancelled and extended.
    ///
    /// # Panics
    /// When `index` is `u32::MAX`.
    pub fn schedule(&mut self, index: u32, at: Instant) {
        assert!(index != NIL, "the index u32::MAX is reserved");
        let place = index as usize;
        if place >= self.whens.len() {
            self.grow(place + 1);
        }
        if self.whens[place].is_scheduled() {
            self.unlink(index);
        } else {
            self.len += 1;
        }
        self.link(index, tick_of(at));
    }

    /// Sets the deadline of `index`; costs one write unless the new deadline comes before the place where
    /// the entry still hangs, which pushing back by a constant timeout never does. Schedules an entry that
    /// had no deadline.
    ///
    /// # Panics
    /// When `index` is `u32::MAX`.
    #[inline]
    pub fn extend(&mut self, index: u32, at: Instant) {
        if let Some(when) = self.whens.get_mut(index as usize)
            && let Some(pushed) = when.pushed_to(tick_of(at))
        {
            *when = pushed;
            return;
        }
        self.schedule(index, at);
    }

    /// Forgets the deadline of `index`; returns whether it had one.
    pub fn cancel(&mut self, index: u32) -> bool {
        match self.whens.get(index as usize) {
            Some(when) if when.is_scheduled() => {
                self.unlink(index);
                self.whens[index as usize] = VACANT;
                self.len -= 1;
                true
            }
            _ => false,
        }
    }

    /// The deadline that was last set for `index`, rounded up to a multiple of 8 ms: when it will expire.
    #[inline]
    #[must_use]
    pub fn deadline(&self, index: u32) -> Option<Instant> {
        let when = self.whens.get(index as usize)?;
        when.is_scheduled().then(|| instant_of(when.due_at()))
    }

    /// Visits the entries that came up by `now`, at most `budget` of them; the rest stays as backlog.
    ///
    /// An entry whose deadline has been pushed back moves there quietly. For the others `due` is called:
    /// with `None` the entry is gone, with `Some(later)` it stays, with that deadline. So a caller that
    /// keeps a deadline of its own beside the entry need not even call [`DeadlineWheel::extend`]. An answer
    /// that is not later than `now` counts as the next tick, so that an advance always ends.
    ///
    /// While `due` runs its entry is already out of the wheel; should it panic, that entry stays out and
    /// everything else remains as it was.
    pub fn advance(
        &mut self,
        now: Instant,
        budget: usize,
        mut due: impl FnMut(u32) -> Option<Instant>,
    ) -> Advance {
        let now_tick = now.as_nanos() / TICK_NANOS;
        let mut done = Advance::default();
        while self.has_pending(now_tick) {
            if done.visited == budget {
                done.backlog = true;
                break;
            }
            done.visited += 1;
            if !self.visit_pending(now_tick, &mut due) {
                done.expired += 1;
            }
        }
        done
    }

    /// When [`DeadlineWheel::advance`] should be called next; `None` if nothing is scheduled.
    ///
    /// Not later than 8 ms after the earliest deadline. It may be earlier: a cancelled or extended entry can
    /// cost one visit in vain, where it used to hang. While there is a backlog it is [`Instant::ZERO`], that
    /// is, at once. O(1): advancing keeps it up to date.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.len == 0 {
            return None;
        }
        if self.pending != NO_HEADS {
            return Some(Instant::ZERO);
        }
        Some(instant_of(self.earliest))
    }

    /// How many entries have a deadline.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no entry has a deadline.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of heap that the wheel holds.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let tables = if self.tables.is_some() { size_of::<Tables>() } else { 0 };
        self.whens.capacity() * size_of::<When>() + self.links.capacity() * size_of::<Links>() + tables
    }

    /// Makes room for the indexes below `len`.
    #[cold]
    fn grow(&mut self, len: usize) {
        self.whens.resize(len, VACANT);
        self.links.resize(len, Links { next: NIL, prev: NIL });
        if len > FEW && self.tables.is_none() {
            self.make_tables();
        }
    }

    /// Hangs all entries into slots, pending ones too: their tick has come, so the next advance finds them there.
    fn make_tables(&mut self) {
        self.tables = Some(Tables::new());
        self.pending = NO_HEADS;
        for index in 0..self.whens.len() {
            let when = self.whens[index];
            if when.is_scheduled() {
                self.link(index as u32, when.hangs_at());
                self.whens[index] = when;
            }
        }
    }

    /// Hangs an entry that is in no list.
    #[inline]
    fn link(&mut self, index: u32, tick: u64) {
        self.earliest = tick.min(self.earliest);
        let next = self.tables.as_mut().map_or(NIL, |tables| tables.push(index, tick));
        if next != NIL {
            self.links[next as usize].prev = index;
        }
        self.links[index as usize] = Links { next, prev: NIL };
        self.whens[index as usize] = When::exactly(tick);
    }

    /// Takes an entry out of its list, leaving its own fields as they are. The summary keeps the tick that
    /// the entry had: too early at worst, and renewed when that tick comes.
    fn unlink(&mut self, index: u32) {
        let Links { next, prev } = self.links[index as usize];
        if next != NIL {
            self.links[next as usize].prev = prev;
        }
        if prev != NIL {
            self.links[prev as usize].next = next;
        } else if self.pending[lane_of(index)] == index {
            self.pending[lane_of(index)] = next;
        } else if let Some(tables) = &mut self.tables {
            let slot = &mut tables.slots[slot_of(self.whens[index as usize].hangs_at())];
            slot.heads[lane_of(index)] = next;
            if slot.heads == NO_HEADS {
                *slot = EMPTY_SLOT;
            }
        }
    }

    /// Whether an entry is left to visit; takes the next slot that came up when the last one is done.
    #[inline]
    fn has_pending(&mut self, now_tick: u64) -> bool {
        while self.pending == NO_HEADS {
            if self.earliest > now_tick {
                return false;
            }
            match &mut self.tables {
                Some(tables) => (self.pending, self.earliest) = tables.take(self.earliest),
                None => self.take_of_few(),
            }
        }
        true
    }

    /// Without tables: makes the entries of the earliest tick pending, and finds the next earliest.
    fn take_of_few(&mut self) {
        let tick = std::mem::replace(&mut self.earliest, NO_TICK);
        for (index, when) in (0_u32..).zip(&self.whens) {
            if when.hangs_at() != tick {
                self.earliest = self.earliest.min(when.hangs_at());
                continue;
            }
            let next = std::mem::replace(&mut self.pending[lane_of(index)], index);
            self.links[index as usize] = Links { next, prev: NIL };
            if next != NIL {
                self.links[next as usize].prev = index;
            }
        }
    }

    /// Visits the first pending entry of the next lane that has one; returns whether it stays in the wheel.
    /// To be called only while something is pending.
    #[inline]
    fn visit_pending(&mut self, now_tick: u64, due: &mut impl FnMut(u32) -> Option<Instant>) -> bool {
        while self.pending[self.lane] == NIL {
            self.lane = (self.lane + 1) % LANES;
        }
        let index = self.pending[self.lane];
        let next = self.links[index as usize].next;
        self.pending[self.lane] = next;
        self.lane = (self.lane + 1) % LANES;
        if next != NIL {
            self.links[next as usize].prev = NIL;
        }
        let due_at = self.whens[index as usize].due_at();
        if due_at > now_tick {
            self.link(index, due_at);
            return true;
        }
        self.whens[index as usize] = VACANT;
        self.len -= 1;
        let Some(later) = due(index) else { return false };
        self.len += 1;
        self.link(index, tick_of(later).max(now_tick + 1));
        true
    }
}

impl Default for DeadlineWheel {
    fn default() -> Self {
        DeadlineWheel::new()
    }
}

impl fmt::Debug for DeadlineWheel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineWheel")
            .field("len", &self.len)
            .field("next_deadline", &self.next_deadline())
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

    const TICK: Duration = Duration::from_nanos(TICK_NANOS);
    const SECOND: Duration = Duration::from_secs(1);
    const YEAR: Duration = Duration::from_secs(31_557_600);
    /// What the wheel promises for a reactor that comes when it is told to.
    const LATE_MAX: Duration = Duration::from_millis(16);

    fn expire_all(wheel: &mut DeadlineWheel, now: Instant) -> Advance {
        wheel.advance(now, usize::MAX, |_| None)
    }

    #[test]
    fn nothing_is_allocated_before_the_first_schedule_nor_but_for_a_new_highest_index() {
        let mut wheel = DeadlineWheel::new();
        assert!(!wheel.cancel(5));
        assert_eq!((wheel.deadline(5), wheel.next_deadline(), wheel.heap_bytes()), (None, None, 0));
        assert_eq!(expire_all(&mut wheel, Instant::FAR_FUTURE), Advance::default());

        for (indexes, expected) in [(FEW as u32, 1_024..1_025), (1_000, 16_000 + 82_000..16_000 + 84_000)] {
            wheel.schedule(indexes - 1, Instant::ZERO);
            let bytes = wheel.heap_bytes();
            assert!(expected.contains(&bytes), "{bytes} bytes");
            for round in 0..100 {
                for index in 0..indexes {
                    wheel.schedule(index, Instant::from_millis(round * u64::from(index)));
                }
                let done = expire_all(&mut wheel, Instant::from_millis(round * 500));
                assert!(done.expired > 0);
            }
            assert_eq!(wheel.heap_bytes(), bytes);
            let _ = expire_all(&mut wheel, Instant::from_millis(1_000_000));
        }
    }

    #[test]
    fn entries_in_the_backlog_stay_when_a_high_index_ends_the_time_of_few() {
        let mut wheel = DeadlineWheel::new();
        for index in 0..20 {
            wheel.schedule(index, Instant::from_millis(8 * u64::from(index % 3)));
        }
        wheel.extend(5, Instant::from_millis(800));
        wheel.cancel(6);
        let now = Instant::from_millis(100);
        assert!(wheel.advance(now, 4, |_| None).backlog);
        wheel.schedule(FEW as u32, Instant::from_millis(400));
        assert!(wheel.next_deadline().is_some_and(|next| next <= now));
        let left: Vec<u32> = (0..=FEW as u32).filter(|&index| wheel.deadline(index).is_some()).collect();
        assert_eq!((left.len(), wheel.len()), (16, 16));
        let mut gone = Vec::new();
        for (now, expired) in [(100, 14), (400, 1), (799, 0), (800, 1)] {
            let done = wheel.advance(Instant::from_millis(now), usize::MAX, |index| {
                gone.push(index);
                None
            });
            assert_eq!(done.expired, expired, "at {now} ms");
        }
        assert_eq!(gone[14..], [FEW as u32, 5]);
        gone.sort_unstable();
        assert_eq!(gone, left);
    }

    #[test]
    fn far_future_never_comes_but_can_be_cancelled_and_extended() {
        let mut wheel = DeadlineWheel::new();
        wheel.schedule(1, Instant::FAR_FUTURE);
        wheel.schedule(2, Instant::ZERO);
        wheel.extend(2, Instant::FAR_FUTURE);
        assert_eq!(expire_all(&mut wheel, Instant::FAR_FUTURE).expired, 0);
        assert_eq!(wheel.deadline(1), Some(Instant::FAR_FUTURE));
        wheel.extend(1, Instant::from_millis(3));
        assert_eq!(wheel.next_deadline(), Some(Instant::from_millis(8)));
        assert_eq!(expire_all(&mut wheel, Instant::from_millis(8)).expired, 1);
        assert!(wheel.cancel(2));
        assert!(!wheel.cancel(2));
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn a_deadline_at_the_origin_or_in_the_past_is_due_at_once() {
        let mut wheel = DeadlineWheel::new();
        wheel.schedule(0, Instant::ZERO);
        assert_eq!(expire_all(&mut wheel, Instant::ZERO).expired, 1);
        let _ = expire_all(&mut wheel, Instant::ZERO + YEAR);
        wheel.schedule(0, Instant::from_millis(17));
        assert!(wheel.next_deadline() <= Some(Instant::ZERO + YEAR));
        assert_eq!(expire_all(&mut wheel, Instant::ZERO + YEAR).expired, 1);
    }

    #[test]
    fn a_clock_jump_costs_the_live_entries_not_the_ticks() {
        const LIVE: usize = 10_000;
        let mut wheel = DeadlineWheel::new();
        for index in 0..LIVE as u32 {
            wheel.schedule(index, Instant::ZERO + Duration::from_millis(37) * index);
        }
        let done = expire_all(&mut wheel, Instant::ZERO + YEAR * 500);
        assert_eq!(done, Advance { expired: LIVE, visited: LIVE, backlog: false });

        for index in 0..LIVE as u32 {
            wheel.schedule(index, Instant::ZERO + YEAR * 501 + Duration::from_millis(37) * index);
        }
        assert_eq!(expire_all(&mut wheel, Instant::ZERO).visited, 0, "back to the origin");
        assert_eq!(expire_all(&mut wheel, Instant::ZERO + YEAR * 500).visited, 0, "and forth again");
        assert_eq!(expire_all(&mut wheel, Instant::ZERO + YEAR * 502).expired, LIVE);
    }

    #[test]
    fn far_deadlines_do_not_wake_every_tick() {
        const LIVE: u32 = 10_000;
        let mut wheel = DeadlineWheel::new();
        let deadline = |index: u32| Instant::ZERO + SECOND * 300 + Duration::from_micros(20) * index;
        for index in 0..LIVE {
            wheel.schedule(index, deadline(index));
        }
        let (mut wakes, mut visited, mut expired) = (0, 0, 0);
        while let Some(now) = wheel.next_deadline() {
            let done = wheel.advance(now, usize::MAX, |index| {
                assert!(deadline(index) <= now && now <= deadline(index) + TICK);
                None
            });
            wakes += 1;
            visited += done.visited;
            expired += done.expired;
        }
        assert_eq!((expired, visited), (LIVE as usize, LIVE as usize));
        assert!(wakes <= 26, "{wakes} wake-ups for deadlines spread over 200 ms");
    }

    #[test]
    fn entries_of_later_rounds_are_passed_over_when_a_near_one_shares_their_slot() {
        let round = TICK * SLOT_COUNT as u32;
        let mut wheel = DeadlineWheel::new();
        let first = FEW as u32;
        for n in 0..10 {
            wheel.schedule(first + n, Instant::ZERO + TICK + round * n);
        }
        for n in 0..10 {
            let now = Instant::ZERO + TICK + round * n;
            assert_eq!(wheel.next_deadline(), Some(now));
            let done = wheel.advance(now, usize::MAX, |index| {
                assert_eq!(index, first + n);
                None
            });
            assert_eq!(done, Advance { expired: 1, visited: 10 - n as usize, backlog: false });
        }
    }

    #[test]
    fn backlog_is_carried_and_next_deadline_is_now() {
        let mut wheel = DeadlineWheel::new();
        for index in 0..100 {
            wheel.schedule(index, Instant::from_millis(u64::from(index / 30) * 8));
        }
        let now = Instant::from_millis(1000);
        let mut gone = Vec::new();
        for turn in 1..=9 {
            let done = wheel.advance(now, 10, |index| {
                gone.push(index);
                None
            });
            assert_eq!(done, Advance { expired: 10, visited: 10, backlog: true });
            assert_eq!((wheel.len(), gone.len()), (100 - 10 * turn, 10 * turn));
            assert!(wheel.next_deadline().is_some_and(|next| next <= now));
        }
        let none = wheel.advance(now, 0, |_| unreachable!("the budget is zero"));
        assert_eq!(none, Advance { expired: 0, visited: 0, backlog: true });
        assert_eq!(wheel.advance(now, 10, |_| None), Advance { expired: 10, visited: 10, backlog: false });
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn entries_in_the_backlog_can_be_cancelled_extended_and_scheduled() {
        let mut wheel = DeadlineWheel::new();
        for index in 0..8 {
            wheel.schedule(index * LANES as u32, Instant::from_millis(8));
        }
        let now = Instant::from_millis(100);
        let mut left: Vec<u32> = (0..8).map(|index| index * LANES as u32).collect();
        let done = wheel.advance(now, 2, |index| {
            left.retain(|&other| other != index);
            None
        });
        assert!(done.backlog);
        // All are in one lane, whose list is a stack: cancel its head, one from the middle, and another.
        assert!(wheel.cancel(left[5]) && wheel.cancel(left[2]) && wheel.cancel(left[0]));
        wheel.extend(left[1], Instant::from_millis(500));
        wheel.schedule(left[3], Instant::from_millis(400));
        let mut gone = Vec::new();
        for now in [100, 399, 400, 500] {
            let _ = wheel.advance(Instant::from_millis(now), 9, |index| {
                gone.push((now, index));
                None
            });
        }
        assert_eq!(gone, [(100, left[4]), (400, left[3])]);
        assert_eq!(wheel.next_deadline(), Some(Instant::from_millis(504)), "500 is rounded up");
    }

    #[test]
    fn an_answer_that_is_already_past_ends_the_advance() {
        let mut wheel = DeadlineWheel::new();
        wheel.schedule(0, Instant::from_millis(8));
        let now = Instant::from_millis(50);
        let mut asked = 0;
        let done = wheel.advance(now, usize::MAX, |_| {
            asked += 1;
            Some(Instant::ZERO)
        });
        assert_eq!((asked, done), (1, Advance { expired: 0, visited: 1, backlog: false }));
        assert_eq!(wheel.next_deadline(), Some(Instant::from_millis(56)));
        assert_eq!(expire_all(&mut wheel, Instant::from_millis(56)).expired, 1);
    }

    #[test]
    fn a_panic_in_due_loses_only_the_entry_it_was_called_for() {
        let mut wheel = DeadlineWheel::new();
        for index in 0..5 {
            wheel.schedule(index, Instant::from_millis(8));
        }
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = wheel.advance(Instant::from_millis(8), usize::MAX, |_| panic!("in a handler"));
        }));
        assert!(caught.is_err());
        assert_eq!(wheel.len(), 4);
        assert_eq!(expire_all(&mut wheel, Instant::from_millis(8)).expired, 4);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Schedule(u32, Duration),
        Extend(u32, Duration),
        /// The caller's own deadline moves and the wheel is not told.
        Keep(u32, Duration),
        Cancel(u32),
        Advance(Duration, usize),
        JumpBack(Duration),
        /// Go where the wheel says, so many times.
        Follow(u8),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let index = || 0u32..60;
        let delay = || {
            let nanos = prop_oneof![
                4 => 0u64..100_000_000,
                3 => 0u64..40_000_000_000,
                2 => (0u64..50).prop_map(|n| n * TICK_NANOS * SLOT_COUNT as u64 / 4),
                1 => Just(0),
                1 => any::<u64>(),
            ];
            nanos.prop_map(Duration::from_nanos)
        };
        let step = prop_oneof![
            8 => (0u64..30_000_000).prop_map(Duration::from_nanos),
            3 => (0u64..60_000).prop_map(Duration::from_millis),
            1 => (0u64..4_000_000_000).prop_map(Duration::from_secs),
        ];
        let budget = prop_oneof![3 => Just(usize::MAX), 2 => 0usize..12];
        let op = prop_oneof![
            4 => (index(), delay()).prop_map(|(index, delay)| Op::Schedule(index, delay)),
            4 => (index(), delay()).prop_map(|(index, delay)| Op::Extend(index, delay)),
            2 => (index(), delay()).prop_map(|(index, delay)| Op::Keep(index, delay)),
            2 => index().prop_map(Op::Cancel),
            5 => (step, budget).prop_map(|(step, budget)| Op::Advance(step, budget)),
            1 => (0u64..4_000_000_000).prop_map(|secs| Op::JumpBack(Duration::from_secs(secs))),
            2 => (1u8..20).prop_map(Op::Follow),
        ];
        prop::collection::vec(op, 0..250)
    }

    /// Just before, at and after the points where a 32-bit count of nanoseconds, ticks or milliseconds, or
    /// a round of the wheel, would wrap; the origin; years; the end of time.
    fn start() -> impl Strategy<Value = Instant> {
        let wrap = prop_oneof![
            Just(0),
            Just(TICK_NANOS * SLOT_COUNT as u64),
            Just(1 << 32),
            Just((1 << 32) * 1_000_000),
            Just((1 << 32) * TICK_NANOS / 2),
            Just(u64::MAX),
            any::<u64>(),
        ];
        (wrap, 0u64..100_000_000).prop_map(|(wrap, off)| Instant::from_nanos(wrap.saturating_sub(off)))
    }

    /// What the lowest index is: all are among the few, only some, or none.
    fn from() -> impl Strategy<Value = u32> {
        prop_oneof![Just(0), 1..FEW as u32, Just(1_000)]
    }

    /// The wheel beside a map of the deadlines that the caller believes in.
    #[derive(Default)]
    struct Model {
        from: u32,
        wheel: DeadlineWheel,
        deadlines: BTreeMap<u32, Instant>,
    }

    impl Model {
        fn apply(&mut self, op: &Op, now: &mut Instant) {
            let from = self.from;
            match *op {
                Op::Schedule(index, delay) => {
                    let index = from + index;
                    self.wheel.schedule(index, *now + delay);
                    self.deadlines.insert(index, *now + delay);
                }
                Op::Extend(index, delay) => {
                    let index = from + index;
                    self.wheel.extend(index, *now + delay);
                    self.deadlines.insert(index, *now + delay);
                }
                Op::Keep(index, delay) => {
                    if let Some(deadline) = self.deadlines.get_mut(&(from + index)) {
                        *deadline = (*deadline).max(*now + delay);
                    }
                }
                Op::Cancel(index) => {
                    let index = from + index;
                    assert_eq!(self.wheel.cancel(index), self.deadlines.remove(&index).is_some());
                }
                Op::Advance(step, budget) => {
                    *now += step;
                    self.advance(*now, budget);
                }
                Op::JumpBack(step) => *now = *now - step,
                Op::Follow(times) => {
                    for _ in 0..times {
                        let Some(next) = self.wheel.next_deadline() else { break };
                        *now = next.max(*now);
                        self.advance(*now, usize::MAX);
                    }
                }
            }
            self.check(*now);
        }

        fn advance(&mut self, now: Instant, budget: usize) {
            let (deadlines, mut expired, mut asked) = (&mut self.deadlines, 0, 0);
            let done = self.wheel.advance(now, budget, |index| {
                asked += 1;
                let deadline = *deadlines.get(&index).expect("came twice, or after its cancellation");
                if deadline > now {
                    return Some(deadline);
                }
                deadlines.remove(&index);
                expired += 1;
                None
            });
            assert_eq!(done.expired, expired);
            assert!(asked <= done.visited && done.visited <= budget);
            if done.backlog {
                assert_eq!(done.visited, budget);
                assert!(self.wheel.next_deadline().is_some_and(|next| next <= now));
            } else {
                let on_time = |&deadline: &Instant| now.since(deadline) < LATE_MAX;
                assert!(self.deadlines.values().all(on_time), "late at {now:?}");
            }
        }

        fn check(&self, now: Instant) {
            assert_eq!(self.wheel.len(), self.deadlines.len());
            for (&index, &deadline) in &self.deadlines {
                assert!(self.wheel.deadline(index).is_some_and(|known| known <= deadline + TICK));
            }
            match (self.wheel.next_deadline(), self.deadlines.values().min()) {
                (None, None) => {}
                (Some(next), Some(&earliest)) => {
                    assert!(next <= earliest + LATE_MAX, "sleeps too long at {now:?}")
                }
                (next, earliest) => panic!("the wheel says {next:?}, the model {earliest:?}"),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(thorough(256, 24)))]

        /// Never early, not late, nothing lost, nothing twice, and the reactor is woken in time: against a
        /// plain map, in virtual time, wherever the clock starts and however it jumps.
        #[test]
        fn behaves_like_a_map_of_deadlines(ops in ops(), start in start(), from in from()) {
            let mut now = start;
            let mut model = Model { from, ..Model::default() };
            for op in &ops {
                model.apply(op, &mut now);
            }
        }
    }
}
