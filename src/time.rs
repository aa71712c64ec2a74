//! Time as the reactor sees it: nanoseconds on a monotonic clock, and the one place that reads that clock and the one on
//! the wall.
//!
//! Below the reactor nobody asks what time it is; whoever needs to know takes `now: Instant`. That makes
//! every deadline, histogram and policy testable in virtual time. `tests/tidy.rs` keeps other files from
//! naming the operating system's clocks.

#[cfg(feature = "sim")]
use std::cell::Cell;
use std::ops::{Add, AddAssign, Sub};
use std::sync::OnceLock;
use std::time::Duration;

/// A point on the monotonic clock, in nanoseconds since the first clock of this process was made.
///
/// All clocks of one process share that origin, so instants may be compared across cores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Instant = Instant(0);
    /// A point 584 years away: what an absent deadline compares as.
    pub const FAR_FUTURE: Instant = Instant(u64::MAX);

    /// The instant `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Instant {
        Instant(nanos)
    }

    /// The instant `millis` milliseconds after the origin; saturates at [`Instant::FAR_FUTURE`].
    #[must_use]
    pub const fn from_millis(millis: u64) -> Instant {
        Instant(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero if `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Whole nanoseconds of `duration`; `u64::MAX` if it is longer than 584 years.
#[must_use]
pub fn nanos_of(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

/// Saturates at [`Instant::FAR_FUTURE`], so that "forever" needs no special case.
impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, rhs: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos_of(rhs)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

/// Saturates at [`Instant::ZERO`].
impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, rhs: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos_of(rhs)))
    }
}

/// A source of [`Instant`]s. The reactor owns one and reads it once a turn.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    /// What the operating system says, counted from here.
    Os(std::time::Instant),
    /// What a simulation says, in nanoseconds.
    #[cfg(feature = "sim")]
    Virtual(std::sync::Arc<std::sync::atomic::AtomicU64>),
}

impl Clock {
    /// The operating system's monotonic clock.
    #[must_use]
    pub fn os() -> Clock {
        static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
        Clock(Source::Os(*ORIGIN.get_or_init(std::time::Instant::now)))
    }

    /// A clock that stands wherever `nanos` was last set to.
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(nanos: &std::sync::Arc<std::sync::atomic::AtomicU64>) -> Clock {
        Clock(Source::Virtual(std::sync::Arc::clone(nanos)))
    }

    /// Reads the clock: about 16 ns on Linux, where it needs no system call.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::Os(origin) => Instant(nanos_of(origin.elapsed())),
            #[cfg(feature = "sim")]
            Source::Virtual(nanos) => Instant(nanos.load(std::sync::atomic::Ordering::Relaxed)),
        }
    }
}

#[cfg(feature = "sim")]
thread_local! {
    /// The clock on the wall of the simulated host whose turn it is on this thread.
    static VIRTUAL_WALL: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Sets the time since 1970 that [`wall_now`] tells on this thread; `None` gives it back to the machine's clock. Answers
/// what was set before.
#[cfg(feature = "sim")]
pub(crate) fn set_virtual_wall(since_1970: Option<Duration>) -> Option<Duration> {
    VIRTUAL_WALL.replace(since_1970)
}

/// What [`set_virtual_wall`] set on this thread.
#[cfg(all(feature = "sim", feature = "tls"))]
pub(crate) fn virtual_wall() -> Option<Duration> {
    VIRTUAL_WALL.get()
}

/// The time since 1970 by the wall clock, which may be set at will: for the dates of certificates, tickets and reports,
/// never to measure how long something took. Zero where the clock shows a time before 1970.
#[cfg(any(feature = "load", feature = "tls"))]
pub(crate) fn wall_now() -> Duration {
    #[cfg(feature = "sim")]
    if let Some(virtual_now) = VIRTUAL_WALL.get() {
        return virtual_now;
    }
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::FAR_FUTURE + Duration::from_secs(1), Instant::FAR_FUTURE);
        assert_eq!(Instant::from_nanos(5) + Duration::MAX, Instant::FAR_FUTURE);
        assert_eq!(Instant::from_nanos(5) - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::from_millis(3).since(Instant::from_millis(5)), Duration::ZERO);
        assert_eq!(Instant::from_millis(5).since(Instant::from_millis(3)), Duration::from_millis(2));
        assert_eq!(Instant::from_millis(u64::MAX), Instant::FAR_FUTURE);
    }

    #[cfg(all(feature = "sim", feature = "tls"))]
    #[test]
    fn the_wall_clock_is_virtual_on_the_thread_that_set_it_and_until_it_is_taken_back() {
        let real = wall_now();
        set_virtual_wall(Some(Duration::from_secs(5)));
        assert_eq!(wall_now(), Duration::from_secs(5));
        assert!(std::thread::spawn(wall_now).join().is_ok_and(|elsewhere| elsewhere >= real));
        set_virtual_wall(None);
        assert!(wall_now() >= real);
    }

    #[test]
    fn clocks_share_one_origin_and_never_go_back() {
        let (a, b) = (Clock::os(), Clock::os());
        let first = a.now();
        assert!(b.now() >= first);
    }
}
