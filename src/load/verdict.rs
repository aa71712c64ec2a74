//! Whether to believe a generator: its own lateness against what it reports, and how busy it was.

use super::plan::{Pace, Plan};
use super::record::Verdict;
use crate::metrics::HistogramSnapshot;

/// The generator's p99 lateness may be this share of the reported p99.
const LAG_SHARE_MAX: f64 = 0.10;

/// Lateness below this is what clocks and system calls take, and never void a run.
pub(super) const LAG_FLOOR_NS: u64 = 10_000;

/// A thread that works for more than this share of the time has no time left to be punctual.
const BUSY_MAX: f64 = 0.90;

/// What the verdict rests on.
pub(super) struct Evidence<'a> {
    pub(super) plan: &'a Plan,
    pub(super) response: &'a HistogramSnapshot,
    pub(super) send_lag: &'a HistogramSnapshot,
    pub(super) receive_lag: &'a HistogramSnapshot,
    pub(super) busy_fraction: f64,
}

/// The verdict and its reason.
pub(super) fn judge(evidence: &Evidence<'_>) -> (Verdict, String) {
    let busy = evidence.busy_fraction * 100.0;
    if evidence.response.is_empty() {
        return (Verdict::Untrustworthy, "nothing was measured".into());
    }
    if evidence.plan.pace == Pace::Closed {
        if evidence.busy_fraction > BUSY_MAX {
            let sentence = format!(
                "the generator was busy {busy:.0} % of the time: the rate is a lower bound of what the target can do, \
                 and latencies hold the generator's own work; add --threads"
            );
            return (Verdict::Saturated, sentence);
        }
        return (Verdict::Trustworthy, format!("busy {busy:.0} % of the time"));
    }
    for (what, lag) in [("sent", evidence.send_lag), ("saw answers", evidence.receive_lag)] {
        let (Some(lag), Some(p99)) = (lag.percentile(0.99), evidence.response.percentile(0.99)) else {
            continue;
        };
        if lag > LAG_FLOOR_NS && lag as f64 > LAG_SHARE_MAX * p99 as f64 {
            let sentence = format!(
                "the generator {what} up to {:.0} µs late (p99), more than a tenth of the p99 it reports: add \
                 --threads, lower --rate, or give it a processor of its own",
                lag as f64 / 1e3
            );
            return (Verdict::Untrustworthy, sentence);
        }
    }
    if evidence.busy_fraction > BUSY_MAX {
        let sentence = format!(
            "the generator was busy {busy:.0} % of the time, too much to be punctual: add --threads or lower --rate"
        );
        return (Verdict::Untrustworthy, sentence);
    }
    let lag = evidence.send_lag.percentile(0.99).unwrap_or(0) as f64 / 1e3;
    (Verdict::Trustworthy, format!("sent at most {lag:.0} µs late (p99), busy {busy:.0} % of the time"))
}
