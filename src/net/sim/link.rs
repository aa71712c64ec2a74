//! Links: what a user says of the way between two hosts, and the live state of one direction of it.

use crate::error::Error;
use crate::time::{Instant, nanos_of};
use fastrand::Rng;
use std::sync::Arc;
use std::time::Duration;

/// How long a bit takes from one end of a link to the other. Drawn once for each direction between two hosts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Latency {
    /// The same for every pair of hosts.
    Fixed(Duration),
    /// Any value from `min` to `max`, each as likely as the other.
    Uniform {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// Log-normal: half the pairs are nearer than `median`, a few are very much farther.
    LogNormal {
        /// The median.
        median: Duration,
        /// Standard deviation of the logarithm; 0.5 puts one pair in forty at 2.7 times the median or more.
        sigma: f64,
    },
    /// One of these samples, each as likely as the other: measured data.
    Table(Arc<[Duration]>),
}

impl Latency {
    /// The latency that `seed` stands for: the same seed is the same place in any distribution.
    fn draw(&self, seed: u64) -> Duration {
        let mut rng = Rng::with_seed(seed);
        match self {
            Latency::Fixed(latency) => *latency,
            Latency::Uniform { min, max } => *min + (max.saturating_sub(*min)).mul_f64(rng.f64()),
            Latency::LogNormal { median, sigma } => median.mul_f64((normal(&mut rng) * sigma).exp()),
            Latency::Table(samples) => samples[rng.usize(..samples.len())],
        }
    }
}

/// A standard normal variate: Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958.
fn normal(rng: &mut Rng) -> f64 {
    let (radius, angle) = (1.0 - rng.f64(), rng.f64());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// What lies between two hosts, in one direction or both.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// Propagation delay, drawn once per direction of a pair of hosts.
    pub latency: Latency,
    /// The most that a segment is delayed on top of that, uniform from zero. Segments never overtake each other.
    pub jitter: Duration,
    /// Rate of the bottleneck; `None` is unlimited.
    pub bandwidth_bits_per_s: Option<u64>,
    /// Bytes that may wait for the bottleneck; what comes on top is dropped.
    pub queue_bytes: usize,
    /// Probability that a segment is lost, as Padhye et al. define it.
    pub loss: f64,
}

impl Link {
    /// A link of this latency, without jitter or loss, of unlimited rate.
    #[must_use]
    pub const fn new(latency: Latency) -> Link {
        Link {
            latency,
            jitter: Duration::ZERO,
            bandwidth_bits_per_s: None,
            queue_bytes: usize::MAX,
            loss: 0.0,
        }
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// [`Error::Config`] with a sentence that names the field.
    pub fn validate(&self) -> Result<(), Error> {
        if !(0.0..=1.0).contains(&self.loss) {
            return Err(Error::Config(format!("loss is a probability from 0 to 1, not {}", self.loss)));
        }
        Ok(())
    }
}

/// One direction between two hosts, live.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    rng: Rng,
    seed: u64,
    latency: Duration,
    jitter_ns: u64,
    bits_per_s: Option<u64>,
    queue_bytes: u64,
    loss: f64,
    /// When the bottleneck has sent what it was given so far.
    free_at: Instant,
    /// When the last segment arrives; none overtakes it.
    last_arrival: Instant,
    clogged_until: Instant,
    burst_loss: f64,
    burst_until: Instant,
    blocked: bool,
}

impl Path {
    pub(crate) fn new(link: &Link, seed: u64) -> Path {
        let mut path = Path {
            rng: Rng::with_seed(seed ^ 0x9e37_79b9_7f4a_7c15),
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

    /// Changes what the link is made of. What is under way arrives when it was going to.
    pub(crate) fn set(&mut self, link: &Link) {
        self.latency = link.latency.draw(self.seed);
        self.jitter_ns = nanos_of(link.jitter);
        self.bits_per_s = link.bandwidth_bits_per_s;
        self.queue_bytes = link.queue_bytes as u64;
        self.loss = link.loss;
    }

    /// When `bytes` that are sent now arrive, or `None` if they are lost.
    pub(crate) fn transit(&mut self, now: Instant, bytes: u32) -> Option<Instant> {
        if self.blocked || self.is_lost(now) {
            return None;
        }
        let mut at = now;
        if let Some(rate) = self.bits_per_s {
            let start = self.free_at.max(now);
            let wait_ns = nanos_of(start.since(now));
            let queued = u128::from(wait_ns) * u128::from(rate) / 8_000_000_000;
            if queued + u128::from(bytes) > u128::from(self.queue_bytes) && wait_ns > 0 {
                return None;
            }
            at = start + Duration::from_nanos(u64::from(bytes) * 8_000_000_000 / rate);
            self.free_at = at;
        }
        at += self.latency;
        if self.jitter_ns > 0 {
            at += Duration::from_nanos(self.rng.u64(..=self.jitter_ns));
        }
        self.last_arrival = at.max(self.clogged_until).max(self.last_arrival);
        Some(self.last_arrival)
    }

    fn is_lost(&mut self, now: Instant) -> bool {
        (self.loss > 0.0 && self.rng.f64() < self.loss)
            || (now < self.burst_until && self.rng.f64() < self.burst_loss)
    }

    /// A partition: everything sent from now on is lost.
    pub(crate) fn set_blocked(&mut self, blocked: bool) {
        self.blocked = blocked;
    }

    /// What is sent from now on arrives at `until` or later; nothing is lost.
    pub(crate) fn clog_until(&mut self, until: Instant) {
        self.clogged_until = until;
    }

    /// Until then, segments are lost with this probability on top of the link's own.
    pub(crate) fn burst_loss(&mut self, probability: f64, until: Instant) {
        (self.burst_loss, self.burst_until) = (probability, until);
    }

    /// The propagation delay that this direction has drawn.
    pub(crate) fn latency(&self) -> Duration {
        self.latency
    }
}
