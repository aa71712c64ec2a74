//! The metrics of a whole process: the views of all its cores, and their merged picture at one moment.

use super::registry::{CoreView, Figures};
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// The metrics of all cores of a process. Cheap to clone, and readable from any thread while they run.
#[derive(Clone, Debug)]
pub struct Metrics {
    cores: Arc<[CoreView]>,
}

/// What a process had counted at one moment, or in one interval. [`Display`](std::fmt::Display) is a report for
/// people.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub taken_at: Instant,
    /// How long the longest-running core had been up.
    pub uptime: Duration,
    /// The time that the figures cover: all of the uptime, or the interval asked for.
    pub interval: Duration,
    /// All cores together.
    pub total: Figures,
    /// Each core.
    pub cores: Vec<CoreSnapshot>,
}

/// The part of one core in a [`Snapshot`].
#[derive(Clone, PartialEq, Debug)]
pub struct CoreSnapshot {
    /// The core's number.
    pub core: usize,
    /// What it counted.
    pub figures: Figures,
}

impl Metrics {
    /// Metrics of a process with these cores.
    #[must_use]
    pub fn new(cores: Vec<CoreView>) -> Metrics {
        Metrics { cores: cores.into() }
    }

    /// What all cores have counted since they started. Takes some microseconds for each core and disturbs none.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let started_at = self.cores.iter().map(CoreView::started_at).min().unwrap_or(now);
        let cores = self.cores.iter().map(|view| CoreSnapshot { core: view.core(), figures: view.figures() });
        let uptime = now.since(started_at);
        Snapshot::merged(now, uptime, uptime, cores.collect())
    }
}

impl Snapshot {
    fn merged(taken_at: Instant, uptime: Duration, interval: Duration, cores: Vec<CoreSnapshot>) -> Snapshot {
        let mut total = Figures::default();
        for core in &cores {
            total.merge(&core.figures);
        }
        Snapshot { taken_at, uptime, interval, total, cores }
    }

    /// What was counted after `earlier`, an earlier snapshot of the same [`Metrics`]. Gauges are those of `self`.
    #[must_use]
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        let difference = |core: &CoreSnapshot| match earlier.cores.iter().find(|e| e.core == core.core) {
            Some(before) => CoreSnapshot { core: core.core, figures: core.figures.since(&before.figures) },
            None => core.clone(),
        };
        let cores = self.cores.iter().map(difference).collect();
        Snapshot::merged(self.taken_at, self.uptime, self.taken_at.since(earlier.taken_at), cores)
    }
}

#[cfg(test)]
mod tests {
    use super::super::CoreMetrics;
    use super::*;

    #[test]
    fn a_snapshot_merges_its_cores_and_an_interval_their_differences() {
        let cores = [0, 1].map(|core| CoreMetrics::new(core, Instant::from_millis(1_000 + core as u64)));
        let metrics = Metrics::new(cores.iter().map(CoreMetrics::view).collect());
        cores[0].bytes_in.add(10);
        cores[1].bytes_in.add(5);
        cores[1].turn_latency_nanos.record(700);
        let earlier = metrics.snapshot(Instant::from_millis(3_000));
        assert_eq!((earlier.total.bytes_in, earlier.cores[1].figures.bytes_in), (15, 5));
        assert_eq!((earlier.uptime, earlier.interval), (Duration::from_secs(2), Duration::from_secs(2)));

        cores[0].bytes_in.add(3);
        cores[0].turn_latency_nanos.record(900);
        let interval = metrics.snapshot(Instant::from_millis(3_500)).since(&earlier);
        assert_eq!((interval.total.bytes_in, interval.cores[1].figures.bytes_in), (3, 0));
        assert_eq!(interval.total.turn_latency_nanos.max(), Some(900));
        assert_eq!(interval.total.turn_latency_nanos.count(), 1);
        assert_eq!(interval.interval, Duration::from_millis(500));
        assert_eq!(interval.uptime, Duration::from_millis(2_500));
    }
}
