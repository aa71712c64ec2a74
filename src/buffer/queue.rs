//! The outbound queue of a connection: what the kernel would not take yet, in order.

use super::pool::{CLASS_BYTES, SMALL_CHUNK_BYTES};
use super::{Chunk, Pool};
use crate::limits::OUT_QUEUE_PARTS_KEPT_MAX;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;

/// Below this length, in bytes, [`OutQueue::append_shared`] always copies. Copying so little is cheaper than a
/// slice of its own in every vectored write, and it bounds the list: a part in it takes at most a sixteenth of
/// what it carries.
pub const SHARED_BYTES_MIN: usize = 512;

/// Bytes that wait for the socket: pooled chunks and shared [`Bytes`], in the order they were appended.
///
/// An empty queue holds no chunk and no shared bytes, at most a list for [`OUT_QUEUE_PARTS_KEPT_MAX`] parts.
/// It sets no bound of its own on what it holds: whoever appends asks [`OutQueue::len`] first, against a
/// [`Watermarks`](super::Watermarks).
///
/// Chunks belong to the pool that is passed in, always the same one. Empty the queue with
/// [`OutQueue::clear`] before dropping it; otherwise its chunks count as leaked by whoever appended.
#[derive(Default)]
pub struct OutQueue {
    /// No part is empty, except that the last may be a chunk which [`OutQueue::spare`] put there.
    parts: VecDeque<Part>,
    len: usize,
    /// Those of `len` that lie in shared parts.
    shared: usize,
}

enum Part {
    Pooled(Chunk),
    Shared(Bytes),
}

impl Part {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Part::Pooled(chunk) => chunk.filled(),
            Part::Shared(bytes) => bytes,
        }
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        match self {
            Part::Pooled(chunk) => chunk.consume(n),
            Part::Shared(bytes) => bytes.advance(n),
        }
    }

    #[inline]
    fn release(self, pool: &mut Pool) {
        if let Part::Pooled(chunk) = self {
            pool.put(chunk);
        }
    }
}

/// The size of the next chunk of a run of chunks that is to hold `bytes` in all: the largest class that is at
/// most twice that, so that a long backlog is few chunks and a short one does not sit in a huge one.
#[inline]
fn chunk_bytes_for(bytes: usize) -> usize {
    CLASS_BYTES.into_iter().rev().find(|&class| class / 2 <= bytes).unwrap_or(SMALL_CHUNK_BYTES)
}

impl OutQueue {
    /// An empty queue; allocates nothing.
    #[must_use]
    pub const fn new() -> OutQueue {
        OutQueue { parts: VecDeque::new(), len: 0, shared: 0 }
    }

    /// How many bytes wait.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Those of the waiting bytes that lie in shared buffers, which the pool does not count.
    #[inline]
    #[must_use]
    pub const fn shared_bytes(&self) -> usize {
        self.shared
    }

    /// Whether nothing waits.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies `bytes` to the end.
    #[inline]
    #[track_caller]
    pub fn append(&mut self, pool: &mut Pool, bytes: &[u8]) {
        match self.parts.back_mut() {
            Some(Part::Pooled(tail)) if tail.spare_len() >= bytes.len() => {
                tail.append(bytes);
                self.len += bytes.len();
            }
            _ => self.store(pool, bytes, bytes.len()),
        }
    }

    /// Copies `parts` to the end, one after the other, but for the first `skip` bytes of them all: those went
    /// out already.
    ///
    /// # Panics
    /// When `parts` are shorter than `skip` together.
    #[track_caller]
    pub fn append_parts(&mut self, pool: &mut Pool, parts: &[&[u8]], skip: usize) {
        let offered: usize = parts.iter().map(|part| part.len()).sum();
        assert!(skip <= offered, "{skip} bytes sent of {offered}");
        let (mut to_skip, mut to_come) = (skip, offered - skip);
        for part in parts {
            let skipped = to_skip.min(part.len());
            to_skip -= skipped;
            self.store(pool, &part[skipped..], to_come);
            to_come -= part.len() - skipped;
        }
    }

    /// Copies `bytes`, the first of `to_come` in all, into the last chunk and then into new ones.
    #[track_caller]
    fn store(&mut self, pool: &mut Pool, mut bytes: &[u8], mut to_come: usize) {
        self.len += bytes.len();
        if let Some(Part::Pooled(tail)) = self.parts.back_mut() {
            let copied = tail.append(bytes);
            bytes = &bytes[copied..];
            to_come -= copied;
        }
        if bytes.is_empty() {
            return;
        }
        let chunk_bytes = chunk_bytes_for(self.tail_run() + to_come);
        while !bytes.is_empty() {
            let mut chunk = pool.take(chunk_bytes);
            let copied = chunk.append(bytes);
            bytes = &bytes[copied..];
            self.parts.push_back(Part::Pooled(chunk));
        }
    }

    /// How many bytes the chunks behind the last shared part hold. Shared bytes say nothing about how large a
    /// chunk will pay: between them there may be only headers.
    fn tail_run(&self) -> usize {
        let chunks = self.parts.iter().rev().map_while(|part| match part {
            Part::Pooled(chunk) => Some(chunk.len()),
            Part::Shared(_) => None,
        });
        chunks.sum()
    }

    /// How much fits behind the last byte without a new chunk.
    #[inline]
    fn tail_spare(&self) -> usize {
        match self.parts.back() {
            Some(Part::Pooled(tail)) => tail.spare_len(),
            _ => 0,
        }
    }

    /// Appends `bytes` without copying them, unless they are fewer than [`SHARED_BYTES_MIN`], or fewer than
    /// [`SMALL_CHUNK_BYTES`](super::SMALL_CHUNK_BYTES) and there is room in the last chunk, which would else
    /// go to waste.
    ///
    /// They stay alive until they are sent, together with all of the allocation they are a slice of.
    #[track_caller]
    pub fn append_shared(&mut self, pool: &mut Pool, bytes: Bytes) {
        let fits = bytes.len() < SMALL_CHUNK_BYTES && bytes.len() <= self.tail_spare();
        if bytes.len() < SHARED_BYTES_MIN || fits {
            self.append(pool, &bytes);
        } else {
            self.release_empty_tail(pool);
            self.len += bytes.len();
            self.shared += bytes.len();
            self.parts.push_back(Part::Shared(bytes));
        }
    }

    /// Room for `bytes_max` bytes in one piece at the end, to encode into. Follow it with
    /// [`OutQueue::commit`].
    ///
    /// The room holds whatever an earlier user left there, perhaps another connection's bytes: commit what
    /// you wrote and no more. Above [`LARGE_CHUNK_BYTES`](super::LARGE_CHUNK_BYTES) each call may allocate.
    ///
    /// # Panics
    /// When `bytes_max` is close to `u32::MAX` or above.
    #[inline]
    #[track_caller]
    pub fn spare(&mut self, pool: &mut Pool, bytes_max: usize) -> &mut [u8] {
        if self.tail_spare() < bytes_max {
            self.make_room(pool, bytes_max);
        }
        match self.parts.back_mut() {
            Some(Part::Pooled(tail)) => &mut tail.spare_mut()[..bytes_max],
            _ if bytes_max == 0 => &mut [],
            _ => unreachable!("the last part has just been found or made to be a chunk"),
        }
    }

    /// Appends a chunk with room for `bytes_max`. A last chunk that is mostly empty is copied into it and
    /// given back: otherwise many small messages, each encoded with generous room, would take a chunk each.
    #[track_caller]
    fn make_room(&mut self, pool: &mut Pool, bytes_max: usize) {
        let chunk_bytes = chunk_bytes_for(self.tail_run() + bytes_max);
        let sparse =
            matches!(self.parts.back(), Some(Part::Pooled(tail)) if tail.len() <= tail.capacity() / 4);
        let moved = if sparse { self.parts.pop_back() } else { None };
        let moved_len = moved.as_ref().map_or(0, |part| part.bytes().len());
        let mut chunk = pool.take(chunk_bytes.max(moved_len + bytes_max));
        if let Some(moved) = moved {
            chunk.append(moved.bytes());
            moved.release(pool);
        }
        self.parts.push_back(Part::Pooled(chunk));
    }

    /// Appends the first `n` bytes of the room that [`OutQueue::spare`] gave, and no others if `n` is 0.
    /// There must be no other call on the queue between the two.
    ///
    /// # Panics
    /// When there is less room than `n` at the end of the queue.
    pub fn commit(&mut self, pool: &mut Pool, n: usize) {
        match self.parts.back_mut() {
            Some(Part::Pooled(tail)) => tail.advance(n),
            _ => assert!(n == 0, "committed {n} bytes without room for any"),
        }
        self.len += n;
        self.release_empty_tail(pool);
    }

    /// Gives the last chunk back if nothing was written into it.
    fn release_empty_tail(&mut self, pool: &mut Pool) {
        if self.parts.back().is_some_and(|tail| tail.bytes().is_empty())
            && let Some(tail) = self.parts.pop_back()
        {
            tail.release(pool);
        }
    }

    /// The oldest bytes, as many as lie in one piece; empty only if the queue is.
    #[inline]
    #[must_use]
    pub fn front(&self) -> &[u8] {
        self.parts.front().map_or(&[], Part::bytes)
    }

    /// Fills `into` with the oldest bytes, for a vectored write, and says how many slices that took. It stops
    /// when `into` is used up, so judge a short write by the sum of those slices, not by the queue's length.
    #[inline]
    pub fn gather<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let waiting = self.parts.iter().map(Part::bytes).filter(|bytes| !bytes.is_empty());
        let pairs = into.iter_mut().zip(waiting);
        pairs.map(|(slice, bytes)| *slice = IoSlice::new(bytes)).count()
    }

    /// Forgets the `n` oldest bytes, which were sent. Chunks that this empties go back to the pool.
    ///
    /// # Panics
    /// When fewer than `n` bytes wait.
    pub fn consume(&mut self, pool: &mut Pool, n: usize) {
        assert!(n <= self.len, "consumed {n} bytes of {}", self.len);
        self.len -= n;
        let mut left = n;
        while let Some(front) = self.parts.front_mut() {
            let held = front.bytes().len();
            if matches!(front, Part::Shared(_)) {
                self.shared -= held.min(left);
            }
            if left < held {
                front.consume(left);
                return;
            }
            left -= held;
            if let Some(sent) = self.parts.pop_front() {
                sent.release(pool);
            }
        }
        self.bound_list();
    }

    /// Forgets everything; all chunks go back to the pool.
    pub fn clear(&mut self, pool: &mut Pool) {
        self.parts.drain(..).for_each(|part| part.release(pool));
        (self.len, self.shared) = (0, 0);
        self.bound_list();
    }

    /// Takes everything out as one vector; all chunks go back to the pool. For a connection that changes
    /// hands with its bytes unsent.
    #[must_use]
    pub fn take_all(&mut self, pool: &mut Pool) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len);
        self.parts.iter().for_each(|part| all.extend_from_slice(part.bytes()));
        self.clear(pool);
        all
    }

    /// Lets go of the list of an empty queue if it had become long.
    fn bound_list(&mut self) {
        if self.parts.capacity() > OUT_QUEUE_PARTS_KEPT_MAX {
            self.parts = VecDeque::new();
        }
    }
}

impl fmt::Debug for OutQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutQueue").field("len", &self.len).field("parts", &self.parts.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LARGE_CHUNK_BYTES, MEDIUM_CHUNK_BYTES};
    use super::*;
    use crate::thorough::thorough;
    use proptest::prelude::*;

    fn chunks_taken(pool: &Pool) -> [usize; 3] {
        pool.stats().classes.map(|class| class.taken_now)
    }

    /// Bytes that differ from place to place with a period no chunk size is a multiple of.
    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn a_part_of_the_list_takes_four_words_unless_tickets_ride_along() {
        let words = size_of::<Part>() / size_of::<usize>();
        assert!(words == 4 || cfg!(debug_assertions), "{words} words");
    }

    #[test]
    fn chunk_size_follows_the_backlog() {
        let mut pool = Pool::new();
        let mut queue = OutQueue::new();
        for (len, expected) in [(1024, [1, 0, 0]), (200 * 1024, [0, 4, 0]), (700 * 1024, [0, 0, 1])] {
            queue.append(&mut pool, &pattern(len));
            assert_eq!(chunks_taken(&pool), expected, "{len} bytes at once");
            queue.clear(&mut pool);
        }
        queue.append_parts(&mut pool, &[&pattern(4096)[..]; 50], 0);
        assert_eq!(chunks_taken(&pool), [0, 4, 0], "200 KiB at once in many slices");
        queue.clear(&mut pool);
        for kept in 1..=200 {
            queue.append(&mut pool, &pattern(1024));
            let held = pool.bytes_taken();
            assert!(held <= 3 * kept * 1024 + SMALL_CHUNK_BYTES, "{held} bytes of chunks for {kept} KiB");
        }
        assert_eq!(chunks_taken(&pool), [8, 3, 0], "200 KiB in small pieces");
        queue.clear(&mut pool);
    }

    #[test]
    fn headers_between_shared_bodies_take_no_more_memory_than_the_bodies() {
        let mut pool = Pool::new();
        let mut queue = OutQueue::new();
        for body_len in [SHARED_BYTES_MIN, 3000, SMALL_CHUNK_BYTES, 100_000] {
            let body = Bytes::from(pattern(body_len));
            while queue.len() < 800_000 {
                queue.append(&mut pool, b"a header of some thirty bytes");
                queue.append_shared(&mut pool, body.clone());
            }
            assert!(
                pool.bytes_taken() <= 3 * queue.len(),
                "{} with bodies of {body_len}",
                pool.bytes_taken()
            );
            queue.clear(&mut pool);
        }
    }

    #[test]
    fn small_messages_with_generous_room_share_chunks() {
        let mut pool = Pool::new();
        let mut queue = OutQueue::new();
        for room in [4096, 16 * 1024, 60 * 1024, 300 * 1024] {
            for _ in 0..20_000 {
                queue.spare(&mut pool, room)[..10].copy_from_slice(b"0123456789");
                queue.commit(&mut pool, 10);
            }
            let bound = 4 * queue.len() + LARGE_CHUNK_BYTES;
            assert!(pool.bytes_taken() <= bound, "{} with room for {room}", pool.bytes_taken());
            queue.consume(&mut pool, 199_990);
            assert_eq!(queue.front(), b"0123456789");
            queue.clear(&mut pool);
        }
    }

    #[test]
    fn an_empty_queue_holds_no_chunk_and_only_a_short_list() {
        let mut pool = Pool::new();
        let mut queue = OutQueue::new();
        assert_eq!(queue.spare(&mut pool, 100).len(), 100);
        queue.commit(&mut pool, 0);
        assert_eq!(pool.bytes_taken(), 0, "nothing was written");

        let _abandoned = queue.spare(&mut pool, 100);
        assert!(queue.is_empty() && queue.front().is_empty());
        assert_eq!(queue.gather(&mut [IoSlice::new(&[])]), 0);
        queue.append_shared(&mut pool, Bytes::from(pattern(5000)));
        assert_eq!(pool.bytes_taken(), 0, "room that was never committed goes back as well");

        for _ in 0..1000 {
            queue.append_shared(&mut pool, Bytes::from_static(&[1; SHARED_BYTES_MIN]));
        }
        let _abandoned = queue.spare(&mut pool, MEDIUM_CHUNK_BYTES);
        queue.consume(&mut pool, queue.len());
        assert_eq!(pool.bytes_taken(), 0);
        assert!(queue.parts.capacity() <= OUT_QUEUE_PARTS_KEPT_MAX);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Append { len: usize },
        AppendParts { lens: Vec<usize>, skip_permille: usize },
        AppendShared { len: usize },
        Encode { bytes_max: usize, written_permille: usize },
        Send { slices: usize, taken_permille: usize },
        Clear,
        TakeAll,
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let len = || prop_oneof![6 => 0..2000usize, 3 => 0..20_000usize, 1 => 0..150_000usize];
        let permille = || prop_oneof![Just(0usize), Just(1000), 0..=1000usize];
        let op = prop_oneof![
            6 => len().prop_map(|len| Op::Append { len }),
            3 => (prop::collection::vec(len(), 0..5), permille())
                .prop_map(|(lens, skip_permille)| Op::AppendParts { lens, skip_permille }),
            4 => len().prop_map(|len| Op::AppendShared { len }),
            4 => (len(), permille())
                .prop_map(|(bytes_max, written_permille)| Op::Encode { bytes_max, written_permille }),
            8 => (0..6usize, permille())
                .prop_map(|(slices, taken_permille)| Op::Send { slices, taken_permille }),
            1 => Just(Op::Clear),
            1 => Just(Op::TakeAll),
        ];
        prop::collection::vec(op, 0..80)
    }

    /// The queue under test beside a plain queue of bytes, and a source of bytes that never repeats soon.
    #[derive(Default)]
    struct Pair {
        pool: Pool,
        queue: OutQueue,
        model: VecDeque<u8>,
        made: usize,
    }

    impl Pair {
        fn make(&mut self, len: usize) -> Vec<u8> {
            let from = self.made;
            self.made += len;
            (from..from + len).map(|i| (i % 251) as u8).collect()
        }

        fn apply(&mut self, op: Op) {
            match op {
                Op::Append { len } => {
                    let bytes = self.make(len);
                    self.queue.append(&mut self.pool, &bytes);
                    self.model.extend(&bytes);
                }
                Op::AppendParts { lens, skip_permille } => {
                    let parts: Vec<Vec<u8>> = lens.iter().map(|&len| self.make(len)).collect();
                    let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                    let skip = lens.iter().sum::<usize>() * skip_permille / 1000;
                    self.queue.append_parts(&mut self.pool, &slices, skip);
                    self.model.extend(&parts.concat()[skip..]);
                }
                Op::AppendShared { len } => {
                    let bytes = self.make(len);
                    self.model.extend(&bytes);
                    self.queue.append_shared(&mut self.pool, Bytes::from(bytes));
                }
                Op::Encode { bytes_max, written_permille } => {
                    let bytes = self.make(bytes_max * written_permille / 1000);
                    let room = self.queue.spare(&mut self.pool, bytes_max);
                    assert_eq!(room.len(), bytes_max);
                    room[..bytes.len()].copy_from_slice(&bytes);
                    self.queue.commit(&mut self.pool, bytes.len());
                    self.model.extend(&bytes);
                }
                Op::Send { slices, taken_permille } => self.send(slices, taken_permille),
                Op::Clear => {
                    self.queue.clear(&mut self.pool);
                    self.model.clear();
                }
                Op::TakeAll => {
                    let all = self.queue.take_all(&mut self.pool);
                    assert!(self.model.make_contiguous() == all);
                    self.model.clear();
                }
            }
        }

        /// Offers up to `slices` slices to a kernel that takes a part of them.
        fn send(&mut self, slices: usize, taken_permille: usize) {
            let mut offer = [IoSlice::new(&[]); 8];
            let filled = self.queue.gather(&mut offer[..slices]);
            let offered: Vec<u8> = offer[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            assert!(offer[..filled].iter().all(|slice| !slice.is_empty()));
            assert!(filled == slices || offered.len() == self.queue.len(), "stopped before the end");
            if filled > 0 {
                assert_eq!(&*offer[0], self.queue.front());
            }
            let taken = offered.len() * taken_permille / 1000;
            self.queue.consume(&mut self.pool, taken);
            assert_eq!(self.model.drain(..taken).collect::<Vec<u8>>(), offered[..taken]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(thorough(256, 12)))]

        #[test]
        fn every_byte_leaves_in_the_order_it_came(ops in ops()) {
            let mut pair = Pair::default();
            for op in ops {
                pair.apply(op);
                prop_assert_eq!(pair.queue.len(), pair.model.len());
                prop_assert_eq!(pair.queue.is_empty(), pair.model.is_empty());
                prop_assert!(!pair.queue.is_empty() || pair.pool.bytes_taken() == 0, "an empty queue has chunks");
                let mut rest = &*pair.model.make_contiguous();
                for part in &pair.queue.parts {
                    rest = rest.strip_prefix(part.bytes()).expect("the queue's bytes are the model's");
                }
                prop_assert!(rest.is_empty());
            }
            pair.queue.clear(&mut pair.pool);
            prop_assert_eq!(pair.pool.bytes_taken(), 0);
            prop_assert!(pair.pool.leaks().is_empty());
        }
    }
}
