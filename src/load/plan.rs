//! What a run is to do: target, pace, connections, times. Plain values, checked before anything is started.

use crate::error::{Address, Error};
use crate::reactor::Connect;
use std::time::Duration;

/// The most connections one run opens: what one client address has ports for, and then some for Unix sockets.
pub const CONNECTIONS_MAX: usize = 200_000;

/// The most requests in flight on one connection.
pub const DEPTH_MAX: usize = 65_536;

/// The most generator threads.
pub const THREADS_MAX: usize = 256;

/// The fastest pace that can be asked for, in requests per second over all threads.
pub const RATE_MAX: f64 = 1e8;

/// The slowest, one request in 1,000 s.
pub const RATE_MIN: f64 = 1e-3;

/// The longest a run, a warm-up, a think time or a time-out may be.
pub const TIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The shortest interval of the time series.
pub const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// The most intervals of one run.
pub const INTERVALS_MAX: u128 = 10_000;

/// Connections for each handshake under way that may still be closing.
const CLOSING_PER_HANDSHAKE: usize = 4;

/// When requests are to start.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pace {
    /// Open loop: at given times, whether or not earlier requests were answered, as independent users do.
    Open {
        /// Requests per second at the beginning, over all connections.
        from_per_s: f64,
        /// Requests per second at the end; the rate changes evenly from one to the other. The same number twice is
        /// a constant rate.
        to_per_s: f64,
        /// How the starts are spaced.
        spacing: Spacing,
    },
    /// Closed loop: a connection with fewer requests in flight than its depth starts the next at once (after the
    /// think time). It finds the highest rate; what it says of latency is what clients feel that wait politely.
    Closed,
}

/// How the starts of an open loop are spaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spacing {
    /// Evenly.
    Even,
    /// As a Poisson process: each start independent of the others, as many unrelated users make them.
    Poisson,
}

impl Pace {
    /// An open loop at a constant rate, evenly spaced.
    #[must_use]
    pub const fn constant(per_s: f64) -> Pace {
        Pace::Open { from_per_s: per_s, to_per_s: per_s, spacing: Spacing::Even }
    }

    /// How many starts an open loop intends in the first `elapsed` of a measured `duration`; `None` for a closed
    /// loop.
    #[must_use]
    pub fn intended(&self, elapsed: Duration, duration: Duration) -> Option<f64> {
        let Pace::Open { from_per_s, to_per_s, .. } = *self else { return None };
        let (t, total) = (elapsed.min(duration).as_secs_f64(), duration.as_secs_f64().max(1e-9));
        Some(from_per_s * t + (to_per_s - from_per_s) * t * t / (2.0 * total))
    }
}

/// What a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// A message on a connection that is there already.
    Messages,
    /// A connection of its own: connect, shake hands if that is asked for, one message and its answer, close. A response
    /// time then counts until the answer, because only that shows that the target too has done its part; how long
    /// connecting and shaking hands took stands beside it. [`Plan::connections`] is how many may be under way.
    Handshakes,
}

/// How a generator thread waits for what comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// It looks all the time: starts within microseconds of the intended time, and takes a whole processor.
    Spin,
    /// It sleeps in the kernel: starts up to 1 ms late, and leaves the processor to others. For machines with a
    /// single processor.
    Block,
}

/// A run to be. Start from [`Plan::new`] and change fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// What to measure, and how to get there: `Connect::to(address)`, with TLS or Noise if that is wanted. Its options
    /// are the generator's own.
    pub connect: Connect,
    /// What a request is. Default: [`Mode::Messages`].
    pub mode: Mode,
    /// When requests start. Default: 10,000 per second, evenly.
    pub pace: Pace,
    /// Connections, all opened before the first request. Default 64.
    pub connections: usize,
    /// Requests in flight per connection at most; above 1 they are pipelined. An open loop whose connections are
    /// all full holds further requests back, and their waiting counts. Default 1.
    pub depth: usize,
    /// How long a connection rests after an answer, also when it is replaced; at a depth above 1, once it is full.
    /// Default: not at all.
    pub think: Duration,
    /// Replace a connection after so many answers. Default: never.
    pub reconnect_every: Option<u64>,
    /// Generator threads; connections and rate are divided among them. Default 1.
    pub threads: usize,
    /// How long to send before anything is counted. Default 1 s.
    pub warm_up: Duration,
    /// How long to measure. Default 8 s.
    pub duration: Duration,
    /// How long a request may take; then it failed and its connection is replaced. Looked at every 20 ms: an answer
    /// that comes in that time still counts. Default 5 s.
    pub timeout: Duration,
    /// How long a connection may take to be established, and then once more to be secured. Default 5 s.
    pub connect_timeout: Duration,
    /// Length of the intervals of the time series. `None` picks one, as [`Plan::interval`] says.
    pub interval: Option<Duration>,
    /// Seed of everything left to chance. Default 1.
    pub seed: u64,
    /// How threads wait. Default: [`Waiting::Spin`].
    pub waiting: Waiting,
    /// Pin the threads to processors, the first to this one of those that the process may use (counted from 0, as they
    /// come), the others to those after it. Default: not pinned.
    pub pin_from: Option<usize>,
}

impl Plan {
    /// A run against `target` with the defaults of each field, over connections that are not secured.
    #[must_use]
    pub fn new(target: impl Into<Address>) -> Plan {
        Plan {
            connect: Connect::to(target),
            mode: Mode::Messages,
            pace: Pace::constant(10_000.0),
            connections: 64,
            depth: 1,
            think: Duration::ZERO,
            reconnect_every: None,
            threads: 1,
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(8),
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            interval: None,
            seed: 1,
            waiting: Waiting::Spin,
            pin_from: None,
        }
    }

    /// The address that is measured.
    #[must_use]
    pub fn target(&self) -> &Address {
        &self.connect.to
    }

    /// What carries the bytes, as the record says it: `tcp`, `unix`, and over TCP `tls`, `noise`, `tls+noise`; over a
    /// Unix socket `unix+tls` and so on.
    #[must_use]
    pub fn transport(&self) -> String {
        let layers: Vec<&str> = [self.is_tls().then_some("tls"), self.is_noise().then_some("noise")]
            .into_iter()
            .flatten()
            .collect();
        match (self.target(), layers.is_empty()) {
            (Address::Inet(_), true) => "tcp".into(),
            (Address::Inet(_), false) => layers.join("+"),
            (Address::Unix(_), true) => "unix".into(),
            (Address::Unix(_), false) => format!("unix+{}", layers.join("+")),
        }
    }

    /// How many descriptors its connections take at most. A connection that was closed keeps its own until the target
    /// has closed too, which with [`Mode::Handshakes`] is when the next one is long under way.
    #[must_use]
    pub fn descriptors_max(&self) -> usize {
        match self.mode {
            Mode::Messages => self.connections,
            Mode::Handshakes => self.connections * CLOSING_PER_HANDSHAKE,
        }
    }

    /// Whether connections shake hands before they carry anything.
    pub(super) fn is_secured(&self) -> bool {
        self.is_tls() || self.is_noise()
    }

    #[cfg(feature = "tls")]
    fn is_tls(&self) -> bool {
        self.connect.security.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    fn is_tls(&self) -> bool {
        false
    }

    #[cfg(feature = "noise")]
    fn is_noise(&self) -> bool {
        self.connect.security.noise.is_some()
    }

    #[cfg(not(feature = "noise"))]
    fn is_noise(&self) -> bool {
        false
    }

    /// The length of the intervals: as asked for, or 250 ms up to 15 s, 1 s up to 2 minutes, and a 120th beyond.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let seconds = self.duration.as_secs_f64();
        self.interval.unwrap_or(match seconds {
            _ if seconds <= 15.0 => Duration::from_millis(250),
            _ if seconds <= 120.0 => Duration::from_secs(1),
            _ => Duration::from_secs((seconds / 120.0).ceil() as u64),
        })
    }

    /// Checks that the numbers make sense and stay within the bounds of this module.
    ///
    /// # Errors
    /// [`Error::Config`] with a sentence that names the number and its bounds.
    pub fn validate(&self) -> Result<(), Error> {
        within("connections", self.connections, 1, CONNECTIONS_MAX)?;
        within("depth", self.depth, 1, DEPTH_MAX)?;
        within("threads", self.threads, 1, THREADS_MAX.min(self.connections))?;
        if let Pace::Open { from_per_s, to_per_s, .. } = self.pace {
            for rate in [from_per_s, to_per_s] {
                // Written so that a NaN is refused too.
                if !(RATE_MIN..=RATE_MAX).contains(&rate) {
                    return refuse(format!(
                        "a rate of {rate} per second is not between {RATE_MIN} and {RATE_MAX}"
                    ));
                }
            }
        }
        if self.mode == Mode::Handshakes && (self.depth > 1 || self.reconnect_every.is_some()) {
            return refuse(
                "handshakes have a connection each, for one message: a depth above 1 and reconnecting make no sense".into(),
            );
        }
        if self.reconnect_every == Some(0) {
            return refuse("reconnecting after every 0 answers makes no sense: write at least 1".into());
        }
        for (what, time, zero_is_fine) in [
            ("duration", self.duration, false),
            ("warm-up", self.warm_up, true),
            ("think time", self.think, true),
            ("time-out", self.timeout, false),
            ("connect time-out", self.connect_timeout, false),
        ] {
            if time > TIME_MAX || (time.is_zero() && !zero_is_fine) {
                let low = if zero_is_fine { "0" } else { "more than 0" };
                return refuse(format!("a {what} of {time:?} is not between {low} and 7 days"));
            }
        }
        let interval = self.interval();
        if interval < INTERVAL_MIN || self.duration.as_nanos() / interval.as_nanos() > INTERVALS_MAX {
            return refuse(format!(
                "intervals of {interval:?} in a run of {:?}: write at least {INTERVAL_MIN:?} and at most \
                 {INTERVALS_MAX} intervals",
                self.duration
            ));
        }
        Ok(())
    }
}

fn within(what: &str, number: usize, low: usize, high: usize) -> Result<(), Error> {
    if (low..=high).contains(&number) {
        return Ok(());
    }
    refuse(format!("{number} {what}: must be between {low} and {high}"))
}

fn refuse(sentence: String) -> Result<(), Error> {
    Err(Error::Config(sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(change: impl FnOnce(&mut Plan)) -> Result<(), Error> {
        let mut plan = Plan::new("127.0.0.1:1".parse::<Address>().unwrap());
        change(&mut plan);
        plan.validate()
    }

    #[test]
    fn absurd_numbers_are_refused_with_a_sentence() {
        assert!(plan(|_| ()).is_ok());
        let refused = [
            plan(|p| p.connections = 0),
            plan(|p| p.connections = CONNECTIONS_MAX + 1),
            plan(|p| p.depth = 0),
            plan(|p| p.threads = 65),
            plan(|p| p.pace = Pace::constant(f64::NAN)),
            plan(|p| p.pace = Pace::constant(0.0)),
            plan(|p| p.pace = Pace::constant(-5.0)),
            plan(|p| p.pace = Pace::constant(f64::INFINITY)),
            plan(|p| p.reconnect_every = Some(0)),
            plan(|p| (p.mode, p.depth) = (Mode::Handshakes, 2)),
            plan(|p| (p.mode, p.reconnect_every) = (Mode::Handshakes, Some(1))),
            plan(|p| p.duration = Duration::ZERO),
            plan(|p| p.duration = Duration::MAX),
            plan(|p| p.interval = Some(Duration::ZERO)),
            plan(|p| (p.interval, p.duration) = (Some(INTERVAL_MIN), Duration::from_secs(86_400))),
        ];
        for (place, refusal) in refused.into_iter().enumerate() {
            assert!(matches!(refusal, Err(Error::Config(_))), "case {place}");
        }
    }

    #[test]
    fn a_ramp_intends_the_area_under_its_line() {
        let ramp = Pace::Open { from_per_s: 100.0, to_per_s: 300.0, spacing: Spacing::Even };
        let ten = Duration::from_secs(10);
        assert_eq!(ramp.intended(ten, ten), Some(2_000.0));
        assert_eq!(ramp.intended(ten / 2, ten), Some(750.0));
        assert_eq!(Pace::Closed.intended(ten, ten), None);
    }
}
