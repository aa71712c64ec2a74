//! One direction between two hosts, live: what happens to a segment that is sent into it, and the faults it has now.

use super::link::Link;
use crate::time::{Instant, nanos_of};
use fastrand::Rng;
use std::time::Duration;

const NANOS_PER_SECOND_OF_BITS: u64 = 8 * 1_000_000_000;

/// What became of something that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives then.
    Arrives(Instant),
    /// It is lost by the link's or a fault's loss probability. What follows it closely shares its fate.
    Lost,
    /// The queue is full, or the path blocked.
    Dropped,
}

impl Fate {
    /// When it arrives, if it does.
    pub(crate) fn arrival(self) -> Option<Instant> {
        match self {
            Fate::Arrives(at) => Some(at),
            Fate::Lost | Fate::Dropped => None,
        }
    }
}

/// One direction between two hosts. Nothing overtakes anything on it.
///
/// It draws from a generator of its own, so what happens elsewhere does not change what happens here.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    rng: Rng,
    seed: u64,
    latency: Duration,
    jitter_ns: u64,
    bits_per_s: Option<u64>,
    queue_bytes: u64,
    loss: f64,
    /// When the bottleneck is through with what it was given so far.
    free_at: Instant,
    /// When the last of it arrives.
    last_arrival: Instant,
    clogged_until: Instant,
    burst_loss: f64,
    burst_until: Instant,
    blocked: bool,
}

impl Path {
    /// A path over `link`. The same seed is the same path.
    pub(crate) fn new(link: &Link, seed: u64) -> Path {
        let mut path = Path {
            rng: Rng::with_seed(seed),
            seed,
            latency: Duration::ZERO,
            jitter_ns: 0,
            bits_per_s: None,
            queue_bytes: 0,
            loss: 0.0,
            free_at: Instant::ZERO,
            last_arrival: Instant::ZERO,
            clogged_until: Instant::ZERO,
            burst_loss: 0.0,
            burst_until: Instant::ZERO,
            blocked: false,
        };
        path.set(link);
        path
    }

    /// Makes it a path over another link; faults stay. What is under way arrives when it was going to, and nothing
    /// sent from now on before that. The latency is drawn anew but from the same seed: what was a long way in one
    /// distribution is a long way in the other.
    pub(crate) fn set(&mut self, link: &Link) {
        self.latency = link.latency.draw(&mut Rng::with_seed(self.seed));
        self.jitter_ns = nanos_of(link.jitter);
        self.bits_per_s = link.bandwidth_bits_per_s;
        self.queue_bytes = link.queue_bytes as u64;
        self.loss = link.loss;
    }

    /// When `bytes` (headers included) that are sent now arrive; `None` if they do not.
    pub(crate) fn transit(&mut self, now: Instant, bytes: u32) -> Option<Instant> {
        self.carry(now, bytes).arrival()
    }

    /// What becomes of `bytes` (headers included) that are sent now.
    pub(crate) fn carry(&mut self, now: Instant, bytes: u32) -> Fate {
        let spared = self.blocked || self.loss == 0.0 || self.rng.f64() >= self.loss;
        if spared { self.carry_spared(now, bytes) } else { Fate::Lost }
    }

    /// The same for what the link's own loss spares: see [`Link::loss`].
    pub(crate) fn carry_spared(&mut self, now: Instant, bytes: u32) -> Fate {
        if self.blocked {
            return Fate::Dropped;
        }
        if now < self.burst_until && self.rng.f64() < self.burst_loss {
            return Fate::Lost;
        }
        let Some(sent) = self.serialize(now, bytes) else { return Fate::Dropped };
        let mut at = sent + self.latency;
        if self.jitter_ns > 0 {
            at += Duration::from_nanos(self.rng.u64(..=self.jitter_ns));
        }
        self.last_arrival = at.max(self.clogged_until).max(self.last_arrival);
        Fate::Arrives(self.last_arrival)
    }

    /// When the bottleneck has put `bytes` on the wire; `None` if its queue has no room for them.
    fn serialize(&mut self, now: Instant, bytes: u32) -> Option<Instant> {
        let Some(rate) = self.bits_per_s else { return Some(now) };
        let wait_ns = nanos_of(self.free_at.since(now));
        if wait_ns > 0 && self.queued(wait_ns, rate) + u64::from(bytes) > self.queue_bytes {
            return None;
        }
        self.free_at = self.free_at.max(now) + self.serialization(u64::from(bytes));
        Some(self.free_at)
    }

    /// Bytes that the bottleneck sends in `wait_ns`.
    fn queued(&self, wait_ns: u64, rate: u64) -> u64 {
        let bytes = u128::from(wait_ns) * u128::from(rate) / u128::from(NANOS_PER_SECOND_OF_BITS);
        u64::try_from(bytes).unwrap_or(u64::MAX - u64::from(u32::MAX))
    }

    /// A partition: all that is sent while it lasts is lost. What is under way still arrives.
    pub(crate) fn set_blocked(&mut self, blocked: bool) {
        self.blocked = blocked;
    }

    /// Holds what is sent from now on back until then; nothing is lost by it. An earlier time ends an earlier clog,
    /// but what that holds stays held, and so does what is behind it.
    pub(crate) fn clog_until(&mut self, until: Instant) {
        self.clogged_until = until;
    }

    /// Loses what is sent before `until` with this probability, besides the link's own.
    pub(crate) fn burst_loss(&mut self, probability: f64, until: Instant) {
        (self.burst_loss, self.burst_until) = (probability, until);
    }

    /// The propagation delay that this path has drawn, without jitter, queue and serialization.
    pub(crate) fn latency(&self) -> Duration {
        self.latency
    }

    /// How long the bottleneck needs for `bytes` (headers included).
    pub(crate) fn serialization(&self, bytes: u64) -> Duration {
        let nanos = |rate: u64| {
            let nanos = u128::from(bytes) * u128::from(NANOS_PER_SECOND_OF_BITS) / u128::from(rate);
            u64::try_from(nanos).unwrap_or(u64::MAX)
        };
        Duration::from_nanos(self.bits_per_s.map_or(0, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::Latency;
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(millis: u64) -> Option<Instant> {
        Some(Instant::from_millis(millis))
    }

    fn link() -> Link {
        Link::new(Latency::Fixed(10 * MS))
    }

    #[test]
    fn a_bottleneck_sends_one_after_the_other() {
        // 1,000 bytes take 8 ms.
        let mut path = Path::new(&link().bandwidth(1_000_000).queue(2_500), 1);
        assert_eq!(path.serialization(1_000), 8 * MS);
        let now = Instant::from_millis(100);
        assert_eq!(path.transit(now, 1_000), at(118));
        assert_eq!(path.transit(now, 1_000), at(126));
        assert_eq!(path.carry(now, 1_000), Fate::Dropped, "2,000 wait, 2,500 may");
        assert_eq!(path.transit(now, 500), at(130));
        assert_eq!(path.transit(now + 100 * MS, 1_000), at(218), "idle since");
        let mut narrow = Path::new(&link().bandwidth(1_000_000).queue(0), 1);
        assert_eq!(narrow.transit(now, 1_000), at(118), "an idle link needs no queue");
    }

    #[test]
    fn nothing_overtakes() {
        let mut path = Path::new(&link().jitter(30 * MS), 3);
        let mut last = Instant::ZERO;
        for millis in 0..1_000 {
            let now = Instant::from_millis(millis);
            let arrival = path.transit(now, 100).expect("nothing is lost");
            assert!(arrival >= last && arrival >= now + 10 * MS && arrival <= now + 40 * MS);
            last = arrival;
        }
        path.set(&link().jitter(Duration::ZERO));
        assert!(path.transit(Instant::from_millis(999), 100) >= Some(last));
    }

    #[test]
    fn a_partition_loses_and_a_clog_holds() {
        let mut path = Path::new(&link(), 1);
        path.set_blocked(true);
        assert_eq!(path.carry(Instant::ZERO, 1), Fate::Dropped);
        path.set_blocked(false);
        path.clog_until(Instant::from_millis(500));
        assert_eq!(path.transit(Instant::ZERO, 1), at(500));
        assert_eq!(path.transit(Instant::from_millis(300), 1), at(500));
        path.clog_until(Instant::ZERO);
        assert_eq!(path.transit(Instant::from_millis(301), 1), at(500), "behind what is held");
        assert_eq!(path.transit(Instant::from_millis(495), 1), at(505));
    }

    #[test]
    fn losses_are_as_frequent_as_asked_for() {
        let mut path = Path::new(&link().loss(0.02), 5);
        path.burst_loss(0.5, Instant::from_millis(100_000));
        let mut count = |from: u64| {
            let carried = (from..from + 100_000).map(|millis| path.carry(Instant::from_millis(millis), 100));
            carried.filter(|fate| *fate == Fate::Lost).count()
        };
        let (bursting, after) = (count(0), count(100_000));
        assert!((50_000..52_000).contains(&bursting), "{bursting} of 51,000 expected");
        assert!((1_850..2_150).contains(&after), "{after} of 2,000 expected");
    }

    #[test]
    fn one_seed_is_one_path() {
        let link = link().jitter(5 * MS).loss(0.1);
        let run = |seed| {
            let mut path = Path::new(&link, seed);
            (0..200).map(|millis| path.carry(Instant::from_millis(millis), 9)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        let mut path = Path::new(&link().bandwidth(1).queue(usize::MAX), 1);
        for _ in 0..100 {
            assert!(path.transit(Instant::ZERO, u32::MAX).is_some());
        }
        path.set(&link().bandwidth(u64::MAX).queue(1));
        assert_eq!(path.carry(Instant::ZERO, 1), Fate::Dropped);
        assert!(path.transit(Instant::FAR_FUTURE, u32::MAX).is_some());
    }
}
