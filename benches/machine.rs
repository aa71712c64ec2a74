//! What the timed benches share: a core for each thread, and quantiles.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::LazyLock;

/// The cores that the process was given, asked before any of its threads was tied to one.
static CORES: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let given = sched_getaffinity(None).expect("a thread may ask for its own cores");
    (0..CpuSet::MAX_CPU).filter(|core| given.is_set(*core)).collect()
});

/// Ties the calling thread to the `which`th of the process's cores; to the last if there are fewer.
pub fn pin(which: usize) {
    let mut one = CpuSet::new();
    one.set(CORES[which.min(CORES.len() - 1)]);
    sched_setaffinity(None, &one).expect("a thread may choose among its own cores");
}

/// That quantile, 0 to 1, of `values`, which are sorted.
pub fn quantile<T: Copy>(values: &[T], share: f64) -> T {
    values[((values.len() - 1) as f64 * share) as usize]
}

/// The median over rounds.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}
