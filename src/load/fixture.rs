//! Runs for tests: the least that a run can hold, and one with every field filled.

use super::record::*;
use crate::metrics::HistogramSnapshot;

/// A distribution with these values (in nanoseconds) and counts.
pub(super) fn distribution(values: &[(u64, u64)]) -> Distribution {
    let max = values.iter().map(|(ns, _)| *ns).max().unwrap_or(0);
    HistogramSnapshot::from_buckets(values.iter().copied(), max).into()
}

/// A run in which nothing happened: whatever may be absent is.
pub(super) fn empty_run() -> Run {
    Run {
        schema_version: SCHEMA_VERSION,
        windlass_version: "0.1.0".into(),
        started_unix_ms: 0,
        command: String::new(),
        host: Host::default(),
        target: Target::default(),
        workload: Workload::default(),
        outcome: Outcome::Complete,
        failure: None,
        measured_s: 0.0,
        totals: Totals::default(),
        failures: Vec::new(),
        response: Distribution::default(),
        service: Distribution::default(),
        connect: Distribution::default(),
        handshake: None,
        generator: Generator {
            send_lag: Distribution::default(),
            receive_lag: Distribution::default(),
            busy_fraction: 0.0,
            verdict: Verdict::Trustworthy,
            reason: String::new(),
        },
        slo: Vec::new(),
        intervals: Vec::new(),
        search: None,
        comparison: None,
        resources: Vec::new(),
        warnings: Vec::new(),
    }
}

/// A run that was answered in these times (values and counts), all of it within `measured_s`.
pub(super) fn run_with(values: &[(u64, u64)], measured_s: f64) -> Run {
    let count = values.iter().map(|(_, count)| count).sum();
    let per_s = count as f64 / measured_s;
    let totals = Totals {
        asked: count,
        sent: count,
        answered: count,
        asked_per_s: per_s,
        sent_per_s: per_s,
        answered_per_s: per_s,
        ..Totals::default()
    };
    Run { measured_s, totals, response: distribution(values), service: distribution(values), ..empty_run() }
}
