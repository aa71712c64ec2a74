//! How crowded the machine was during a run: how long this process's threads had work and no processor to do it on.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// A run in which a thread waited for a processor for more than this share of the time says more about the other
/// programs than about its target. Runs on a machine left alone waited for 0.3 to 3.8 %, runs beside a compiler for 8
/// to 60 %.
pub const CROWDED_FRACTION: f64 = 0.05;

/// Less than this says nothing about a thread.
const OBSERVED_MIN: Duration = Duration::from_millis(50);

/// Watches the threads of this process. A thread that is over is known as it was at the last
/// [`sample`](Self::sample), so take one every interval of a run.
///
/// Every figure of a crowded run is worse than the target deserves, evenly and from beginning to end, so nothing
/// inside the run gives it away. The kernel knows, though: it counts for each thread how long it was ready to run
/// and did not (the second figure of `schedstat`).
#[derive(Clone, Debug)]
pub struct Crowding {
    began: Instant,
    /// By thread: nanoseconds waited when it was first seen, and at the last sample.
    waited_ns: HashMap<String, (u64, u64)>,
    until: Instant,
}

impl Crowding {
    /// Watches from now on.
    #[must_use]
    pub fn start() -> Crowding {
        let now = Instant::now();
        let mut crowding = Crowding { began: now, waited_ns: HashMap::new(), until: now };
        crowding.sample();
        crowding
    }

    /// Looks at all threads there are.
    pub fn sample(&mut self) {
        self.until = Instant::now();
        let Ok(tasks) = fs::read_dir("/proc/self/task") else { return };
        for task in tasks.flatten() {
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else { continue };
            if let (Some(waited), Ok(thread)) = (waited_ns(&text), task.file_name().into_string()) {
                self.waited_ns.entry(thread).or_insert((waited, waited)).1 = waited;
            }
        }
    }

    /// The largest share of the time that any thread waited for a processor, 0 to 1; `None` where the system does
    /// not count it (outside Linux, and in kernels without `schedstat`) or hardly any time has passed.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        let observed = self.until - self.began;
        if observed < OBSERVED_MIN {
            return None;
        }
        let most = self.waited_ns.values().map(|(first, last)| last.saturating_sub(*first)).max()?;
        Some((most as f64 / observed.as_nanos() as f64).min(1.0))
    }
}

/// The time waited of `RAN WAITED TIMES`.
fn waited_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(waited: &[(u64, u64)], observed: Duration) -> Option<f64> {
        let began = Instant::now();
        let waited_ns =
            waited.iter().enumerate().map(|(thread, waited)| (thread.to_string(), *waited)).collect();
        Crowding { began, waited_ns, until: began + observed }.fraction()
    }

    #[test]
    fn the_thread_that_waited_longest_counts() {
        let second = Duration::from_secs(1);
        assert_eq!(watched(&[(5, 5), (1_000, 250_001_000)], second), Some(0.25));
        assert_eq!(watched(&[(0, u64::MAX)], second), Some(1.0));
        assert_eq!(watched(&[(9, 3)], second), Some(0.0));
        assert_eq!(watched(&[], second), None);
        assert_eq!(watched(&[(0, 1)], Duration::from_millis(1)), None);
    }

    #[test]
    fn the_kernels_figures_are_read() {
        assert_eq!(waited_ns("79867 1455901 2\n"), Some(1_455_901));
        assert_eq!((waited_ns(""), waited_ns("5"), waited_ns("5 x 7")), (None, None, None));
        let mut crowding = Crowding::start();
        crowding.sample();
        if fs::read_to_string("/proc/self/schedstat").is_ok() {
            assert!(!crowding.waited_ns.is_empty());
        }
    }
}
