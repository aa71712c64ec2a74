//! Links: what a user says of the way between two hosts.

use crate::error::Error;
use fastrand::Rng;
use std::sync::Arc;
use std::time::Duration;

/// The longest latency and jitter that make sense: a day.
const DELAY_MAX: Duration = Duration::from_secs(86_400);
/// The widest log-normal distribution that makes sense: it spans 17 orders of magnitude.
const SIGMA_MAX: f64 = 10.0;

/// How long a bit is on its way: propagation delay, in one direction.
///
/// It is drawn once for each direction between two hosts and stays what it is, as distances do; what varies from
/// segment to segment is [`Link::jitter`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Latency {
    /// The same between all hosts.
    Fixed(Duration),
    /// From `min` to `max`, each value as likely as the other.
    Uniform {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// Log-normal: half of the ways are shorter than `median`, and a few are very much longer.
    LogNormal {
        /// Half of the ways are shorter than this.
        median: Duration,
        /// Standard deviation of the logarithm: with 0.5, one way in forty takes 2.7 times the median or more.
        sigma: f64,
    },
    /// Samples, each as likely as the other: what somebody measured.
    Table(Arc<[Duration]>),
}

impl Latency {
    /// One latency. However it is distributed, the same state of `rng` draws near from near and far from far.
    pub(super) fn draw(&self, rng: &mut Rng) -> Duration {
        match self {
            Latency::Fixed(latency) => *latency,
            Latency::Uniform { min, max } => *min + max.saturating_sub(*min).mul_f64(rng.f64()),
            Latency::LogNormal { median, sigma } => {
                let seconds = median.as_secs_f64() * (normal(rng) * sigma).exp();
                Duration::from_secs_f64(seconds.min(DELAY_MAX.as_secs_f64()))
            }
            Latency::Table(samples) => {
                samples.get((rng.f64() * samples.len() as f64) as usize).copied().unwrap_or_default()
            }
        }
    }

    fn validate(&self) -> Result<(), String> {
        let longest = match self {
            Latency::Fixed(latency) => *latency,
            Latency::Uniform { min, max } if min > max => {
                return Err(format!("the shortest latency, {min:?}, is above the longest, {max:?}"));
            }
            Latency::Uniform { max, .. } => *max,
            Latency::LogNormal { sigma, .. } if !(0.0..=SIGMA_MAX).contains(sigma) => {
                return Err(format!("sigma of a log-normal latency is from 0 to {SIGMA_MAX}, not {sigma}"));
            }
            Latency::LogNormal { median, .. } => *median,
            Latency::Table(samples) => {
                *samples.iter().max().ok_or("a table of latencies needs at least one sample")?
            }
        };
        if longest > DELAY_MAX {
            return Err(format!("a latency of {longest:?} is above {DELAY_MAX:?}"));
        }
        Ok(())
    }
}

impl From<Duration> for Latency {
    fn from(latency: Duration) -> Latency {
        Latency::Fixed(latency)
    }
}

/// A standard normal variate (Box and Muller, 1958).
fn normal(rng: &mut Rng) -> f64 {
    let (radius, angle) = (1.0 - rng.f64(), rng.f64());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// What lies between two hosts, in one direction or in both.
///
/// ```text
///             queue            bottleneck     latency + jitter
/// sender ──▶ [ queue_bytes ] ──▶ bandwidth ──▶ ═══════════════ ──▶ receiver
///    └ loss       └ full: dropped                 in order
/// ```
///
/// All connections between two hosts share the queue and the bottleneck of their direction. Rates count whole
/// packets: each segment carries 40 bytes of headers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Link {
    /// Propagation delay.
    pub latency: Latency,
    /// The most that a segment is delayed beyond that: uniform from zero to this, drawn for each segment. Segments
    /// keep their order, so a late one holds up those behind it.
    pub jitter: Duration,
    /// Rate of the bottleneck; `None` is unlimited.
    pub bandwidth_bits_per_s: Option<u64>,
    /// Bytes that may wait for the bottleneck. What comes on top is dropped.
    pub queue_bytes: usize,
    /// Probability that losses begin at a segment; they go on with what is sent within the same round trip.
    ///
    /// It is the `p` of Padhye et al. (1998): of the segments that a connection sends in one round trip, each is lost
    /// with this probability if it is the first or the one before it was not lost, and all after a lost one are lost
    /// as well. That is how full queues drop. A small message that travels alone is lost with this probability; of the
    /// segments of bulk transfers, several times as many. Acknowledgements are spared, as the paper supposes: those
    /// that follow make up for a lost one.
    pub loss: f64,
}

impl Link {
    /// A link with this latency, of unlimited rate, without jitter and loss.
    #[must_use]
    pub fn new(latency: impl Into<Latency>) -> Link {
        Link {
            latency: latency.into(),
            jitter: Duration::ZERO,
            bandwidth_bits_per_s: None,
            queue_bytes: usize::MAX,
            loss: 0.0,
        }
    }

    /// Sets the [latency](Link::latency).
    #[must_use]
    pub fn latency(mut self, latency: impl Into<Latency>) -> Link {
        self.latency = latency.into();
        self
    }

    /// Sets the greatest [jitter](Link::jitter).
    #[must_use]
    pub const fn jitter(mut self, jitter: Duration) -> Link {
        self.jitter = jitter;
        self
    }

    /// Sets the [rate of the bottleneck](Link::bandwidth_bits_per_s). How much may wait for it is
    /// [`Link::queue`]'s to say.
    #[must_use]
    pub const fn bandwidth(mut self, bits_per_s: u64) -> Link {
        self.bandwidth_bits_per_s = Some(bits_per_s);
        self
    }

    /// Sets how many [bytes may wait](Link::queue_bytes) for the bottleneck.
    #[must_use]
    pub const fn queue(mut self, bytes: usize) -> Link {
        self.queue_bytes = bytes;
        self
    }

    /// Sets the [probability of loss](Link::loss).
    #[must_use]
    pub const fn loss(mut self, probability: f64) -> Link {
        self.loss = probability;
        self
    }

    /// Whether the numbers make sense. A network asks before it uses a link.
    ///
    /// # Errors
    /// [`Error::Config`] with a sentence that names what is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        self.latency.validate().map_err(Error::Config)?;
        if !(0.0..=1.0).contains(&self.loss) {
            return Err(Error::Config(format!("loss is a probability from 0 to 1, not {}", self.loss)));
        }
        if self.jitter > DELAY_MAX {
            return Err(Error::Config(format!("a jitter of {:?} is above {DELAY_MAX:?}", self.jitter)));
        }
        if self.bandwidth_bits_per_s == Some(0) {
            return Err(Error::Config("a bandwidth of 0 carries nothing: block the link instead".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn samples(latency: &Latency) -> Vec<Duration> {
        let mut drawn: Vec<_> = (0..10_001).map(|seed| latency.draw(&mut Rng::with_seed(seed))).collect();
        drawn.sort_unstable();
        drawn
    }

    #[test]
    fn latencies_are_distributed_as_asked_for() {
        assert!(samples(&Latency::from(7 * MS)).iter().all(|drawn| *drawn == 7 * MS));
        let uniform = samples(&Latency::Uniform { min: 10 * MS, max: 30 * MS });
        assert!(uniform[0] >= 10 * MS && uniform[10_000] <= 30 * MS);
        assert!(uniform[5_000].abs_diff(20 * MS) < MS, "median {:?}", uniform[5_000]);
        let skewed = samples(&Latency::LogNormal { median: 100 * MS, sigma: 0.5 });
        assert!(skewed[5_000].abs_diff(100 * MS) < 3 * MS, "median {:?}", skewed[5_000]);
        assert!(skewed[9_772].abs_diff(272 * MS) < 15 * MS, "two sigma {:?}", skewed[9_772]);
        let table = samples(&Latency::Table([MS, 2 * MS, 3 * MS].into()));
        for sample in [MS, 2 * MS, 3 * MS] {
            let share = table.iter().filter(|drawn| **drawn == sample).count();
            assert!((3_100..3_600).contains(&share), "{share} of 10,001 are {sample:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        let refused = |link: Link, word: &str| {
            let text = link.validate().expect_err("it makes no sense").to_string();
            assert!(text.contains(word), "{text}");
        };
        let link = || Link::new(MS);
        refused(link().loss(1.1), "1.1");
        refused(link().loss(f64::NAN), "loss");
        refused(link().loss(-0.1), "loss");
        refused(link().bandwidth(0), "bandwidth");
        refused(link().jitter(Duration::MAX), "jitter");
        refused(Link::new(Duration::MAX), "latency");
        refused(Link::new(Latency::Table([].into())), "table");
        refused(Link::new(Latency::Uniform { min: 2 * MS, max: MS }), "shortest");
        refused(Link::new(Latency::LogNormal { median: MS, sigma: f64::INFINITY }), "sigma");
        refused(Link::new(Latency::LogNormal { median: Duration::MAX, sigma: 0.1 }), "latency");
        link().loss(1.0).bandwidth(1).queue(0).jitter(MS).validate().expect("odd, but it means something");
    }

    #[test]
    fn a_table_that_nobody_validated_draws_nothing_worse_than_zero() {
        assert_eq!(Latency::Table([].into()).draw(&mut Rng::with_seed(1)), Duration::ZERO);
    }
}
