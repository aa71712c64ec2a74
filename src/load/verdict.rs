//! Whether to believe a generator: its own lateness against what it reports, and how busy it was.

use super::plan::{Pace, Plan, Waiting};
use super::record::{PERCENTILES, Verdict};
use crate::metrics::HistogramSnapshot;
use crate::units::human_duration;

/// The generator's lateness at a percentile may be this share of what it reports there.
const LAG_SHARE_MAX: f64 = 0.10;

/// Where the two are compared. Not at the 99th alone: two failures in a hundred lift that to the time-out, beside which
/// every lateness looks small.
const COMPARED: [(f64, &str); 3] = [(0.99, "p99"), (0.9, "p90"), (0.5, "p50")];

/// Lateness below this is what clocks and system calls take, and never void a run.
const LAG_FLOOR_NS: u64 = 10_000;

/// A thread that works for more than this share of the time has no time left to be punctual.
const BUSY_MAX: f64 = 0.90;

/// A thread that works for less than this share of the time was not late because of its work.
const BUSY_ENOUGH: f64 = 0.50;

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
        return (Verdict::Untrustworthy, "Nothing was measured".into());
    }
    if evidence.send_lag.is_empty() {
        return (Verdict::Untrustworthy, "No request was sent in the measured time".into());
    }
    if evidence.plan.pace == Pace::Closed {
        if evidence.busy_fraction > BUSY_MAX {
            let sentence = format!(
                "The generator was busy {busy:.0} % of the time: the rate is a lower bound of what the target can do, \
                 and latencies hold the generator's own work; add --threads"
            );
            return (Verdict::Saturated, sentence);
        }
        return (Verdict::Trustworthy, format!("The generator was busy {busy:.0} % of the time"));
    }
    if let Some(sentence) = lateness(evidence) {
        return (Verdict::Untrustworthy, sentence);
    }
    if evidence.busy_fraction > BUSY_MAX {
        let sentence = format!(
            "The generator was busy {busy:.0} % of the time, too much to be punctual: add --threads or lower --rate"
        );
        return (Verdict::Untrustworthy, sentence);
    }
    let lag = human_duration(evidence.send_lag.percentile(0.99).unwrap_or(0));
    (Verdict::Trustworthy, format!("Sent at most {lag} late (p99), busy {busy:.0} % of the time"))
}

/// What the generator's lateness spoils, if anything.
fn lateness(evidence: &Evidence<'_>) -> Option<String> {
    for (p, name) in COMPARED {
        let reported = evidence.response.percentile(p)?;
        for (what, lag) in [("sent", evidence.send_lag), ("saw answers", evidence.receive_lag)] {
            let lag = lag.percentile(p).unwrap_or(0);
            if lag > LAG_FLOOR_NS && lag as f64 > LAG_SHARE_MAX * reported as f64 {
                return Some(format!(
                    "The generator {what} up to {} late ({name}), more than a tenth of the {name} it reports: {}",
                    human_duration(lag),
                    remedy(evidence)
                ));
            }
        }
    }
    None
}

/// What makes a late generator punctual.
fn remedy(evidence: &Evidence<'_>) -> &'static str {
    match evidence.plan.waiting {
        Waiting::Block => "it slept between requests; let it spin (--idle spin)",
        Waiting::Spin if evidence.busy_fraction > BUSY_ENOUGH => "add --threads or lower --rate",
        Waiting::Spin => {
            "something else had its processor; run again on a quiet machine, or give it one of its own (--pin)"
        }
    }
}

/// Which of the rare percentiles hold the generator's lateness: too few requests to distrust the run, but the percentile
/// is theirs.
pub(super) fn late_tail(response: &HistogramSnapshot, send_lag: &HistogramSnapshot) -> Option<String> {
    let rare = PERCENTILES.into_iter().filter(|p| *p > COMPARED[0].0 && response.is_supported(*p));
    let (p, lag, reported) = rare
        .filter_map(|p| Some((p, send_lag.percentile(p)?, response.percentile(p)?)))
        .find(|(_, lag, reported)| *lag > LAG_FLOOR_NS && *lag as f64 > LAG_SHARE_MAX * *reported as f64)?;
    Some(format!(
        "from p{} on the figures hold the generator's own lateness: {} of {} there",
        (p * 1e5).round() / 1e3,
        human_duration(lag),
        human_duration(reported)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Address;
    use crate::metrics::histogram;

    /// A snapshot of so many values each.
    fn values(groups: &[(u64, u64)]) -> HistogramSnapshot {
        let (recorder, reader) = histogram();
        groups.iter().for_each(|(value, n)| recorder.record_n(*value, *n));
        reader.snapshot()
    }

    fn verdict(response: &[(u64, u64)], send_lag: &[(u64, u64)]) -> (Verdict, String) {
        let plan = Plan::new("127.0.0.1:1".parse::<Address>().unwrap());
        judge(&Evidence {
            plan: &plan,
            response: &values(response),
            send_lag: &values(send_lag),
            receive_lag: &values(&[]),
            busy_fraction: 0.5,
        })
    }

    #[test]
    fn a_punctual_generator_is_trusted_whatever_the_target_does() {
        for response in [[(200_000, 1_000), (9, 0)], [(200_000, 900), (5_000_000_000, 100)]] {
            assert_eq!(verdict(&response, &[(5_000, 1_000)]).0, Verdict::Trustworthy);
        }
    }

    #[test]
    fn failures_at_the_time_out_do_not_excuse_a_late_generator() {
        let response = [(400_000_000, 9_800), (5_000_000_000, 200)];
        let (verdict, reason) = verdict(&response, &[(390_000_000, 9_800)]);
        assert_eq!(verdict, Verdict::Untrustworthy, "half of what it reports is its own lateness: {reason}");
    }

    #[test]
    fn a_late_tail_that_leaves_the_verdict_alone_is_told() {
        let (response, lag) = ([(200_000, 99_500), (4_000_000, 500)], [(500, 99_500), (3_900_000, 500)]);
        assert_eq!(verdict(&response, &lag).0, Verdict::Trustworthy);
        let sentence = late_tail(&values(&response), &values(&lag)).unwrap();
        assert!(sentence.starts_with("from p99.9 on"), "{sentence}");
        assert_eq!(late_tail(&values(&response), &values(&[(500, 100_000)])), None, "the target's own tail");
    }

    #[test]
    fn a_generator_that_sent_nothing_is_not_trusted() {
        assert_eq!(verdict(&[(5_000_000_000, 1_000)], &[]).0, Verdict::Untrustworthy);
    }
}
