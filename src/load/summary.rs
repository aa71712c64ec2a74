//! Makes the record of a run out of what its threads counted.

use super::faults::Faults;
use super::plan::{self, Pace, Plan, Spacing, Waiting};
use super::record::{
    Arrivals, Distribution, Generator, Host, Mode, Outcome, Run, SCHEMA_VERSION, Target, Totals, Verdict,
    Workload,
};
use super::samples::{Readers, merged, total};
use super::secured::Handshakes;
use super::series::{InTime, Series};
use super::verdict::{Evidence, judge, late_tail};
use crate::error::Address;
use crate::metrics::HistogramReader;
use crate::time::wall_now;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An interval whose p99 is so many times the median interval's is worth a warning.
const OUTLIER_TIMES: f64 = 4.0;

/// How a run ended, as the collector saw it.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) started: SystemTime,
    pub(super) measured: Duration,
    /// Connections that were up when the first request was sent.
    pub(super) up_at_first: usize,
    pub(super) last_refusal: String,
    /// The longest that a thread of this process waited for a processor, as a share of the time.
    pub(super) processor_wait_fraction: Option<f64>,
    pub(super) interrupted: bool,
    pub(super) failure: Option<String>,
    pub(super) faults: Vec<Faults>,
    pub(super) handshakes: Vec<Handshakes>,
}

impl Ending {
    /// Why the last attempt to connect failed, without the address of `target`, which most reasons begin with.
    pub(super) fn refusal(&self, target: &Address) -> &str {
        let why = self.last_refusal.as_str();
        why.strip_prefix(&target.to_string()).and_then(|why| why.strip_prefix(": ")).unwrap_or(why)
    }
}

impl Default for Ending {
    fn default() -> Ending {
        Ending {
            started: UNIX_EPOCH + wall_now(),
            measured: Duration::ZERO,
            up_at_first: 0,
            last_refusal: String::new(),
            processor_wait_fraction: None,
            interrupted: false,
            failure: None,
            faults: Vec::new(),
            handshakes: Vec::new(),
        }
    }
}

pub(super) fn summarize(plan: &Plan, protocol: &str, series: &Series, ending: &Ending) -> Run {
    let readers = &series.readers;
    let response = merged(readers, |reader| &reader.response);
    let send_lag = merged(readers, |reader| &reader.send_lag);
    let receive_lag = merged(readers, |reader| &reader.receive_lag);
    let busy_fraction = series.busy_fraction();
    let evidence =
        Evidence { plan, response: &response, send_lag: &send_lag, receive_lag: &receive_lag, busy_fraction };
    let (verdict, reason) = judge(&evidence);
    let totals = totals(plan, series, ending.measured);
    let mut warnings = warnings(series, &totals);
    warnings.extend(late_tail(&response, &send_lag).filter(|_| verdict == Verdict::Trustworthy));
    let failure = failure(plan, ending, &totals);
    let outcome = match failure {
        Some(_) => Outcome::Failed,
        None if ending.interrupted => Outcome::Interrupted,
        None => Outcome::Complete,
    };
    Run {
        schema_version: SCHEMA_VERSION,
        windlass_version: env!("CARGO_PKG_VERSION").into(),
        started_unix_ms: ending
            .started
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64),
        command: String::new(),
        host: Host { processor_wait_fraction: ending.processor_wait_fraction, ..Host::read() },
        target: target(plan, protocol),
        workload: workload(plan),
        outcome,
        failure,
        measured_s: ending.measured.as_secs_f64(),
        warnings,
        totals,
        failures: Faults::merged(ending.faults.iter()),
        response: response.into(),
        service: merged(readers, |reader| &reader.service).into(),
        connect: merged(readers, |reader| &reader.connect).into(),
        handshake: handshakes(readers, |reader| &reader.handshake),
        handshake_resumed: handshakes(readers, |reader| &reader.handshake_resumed),
        security: plan.is_secured().then(|| Handshakes::merged(ending.handshakes.iter())),
        generator: Generator {
            send_lag: send_lag.into(),
            receive_lag: receive_lag.into(),
            busy_fraction,
            verdict,
            reason,
        },
        slo: Vec::new(),
        intervals: series.intervals.clone(),
        search: None,
        comparison: None,
        resources: Vec::new(),
    }
}

/// Absent where there were none: a connection that is not secured, a session that was never resumed.
fn handshakes(readers: &[Readers], which: impl Fn(&Readers) -> &HistogramReader) -> Option<Distribution> {
    let all = merged(readers, which);
    (!all.is_empty()).then(|| all.into())
}

fn target(plan: &Plan, protocol: &str) -> Target {
    Target {
        address: plan.target().to_string(),
        named: String::new(),
        transport: plan.transport(),
        protocol: protocol.into(),
        embedded: false,
    }
}

fn workload(plan: &Plan) -> Workload {
    let (arrivals, from, to) = match plan.pace {
        Pace::Open { from_per_s, to_per_s, spacing: Spacing::Even } => {
            (Arrivals::Constant, Some(from_per_s), Some(to_per_s))
        }
        Pace::Open { from_per_s, to_per_s, spacing: Spacing::Poisson } => {
            (Arrivals::Poisson, Some(from_per_s), Some(to_per_s))
        }
        Pace::Closed => (Arrivals::Closed, None, None),
    };
    Workload {
        mode: match plan.mode {
            plan::Mode::Messages => Mode::Messages,
            plan::Mode::Handshakes => Mode::Handshakes,
        },
        arrivals,
        rate_per_s: from,
        rate_to_per_s: to.filter(|_| to != from),
        connections: plan.connections as u64,
        depth: plan.depth as u64,
        threads: plan.threads as u64,
        size_bytes: String::new(),
        think_s: plan.think.as_secs_f64(),
        reconnect_every: plan.reconnect_every,
        warm_up_s: plan.warm_up.as_secs_f64(),
        duration_s: plan.duration.as_secs_f64(),
        timeout_s: plan.timeout.as_secs_f64(),
        seed: plan.seed,
        waiting: match plan.waiting {
            Waiting::Spin => "spin",
            Waiting::Block => "block",
        }
        .into(),
    }
}

fn totals(plan: &Plan, series: &Series, measured: Duration) -> Totals {
    let readers = &series.readers;
    let (sent, unsent) = (total(readers, |c| &c.sent), total(readers, |c| &c.unsent));
    let in_time = series.in_time();
    let per_s = |count: fn(&InTime) -> u64| {
        in_time.map_or(0.0, |in_time| count(&in_time) as f64 / in_time.length.as_secs_f64())
    };
    let asked = sent + unsent;
    let asked_per_s = match plan.pace {
        Pace::Open { .. } if !measured.is_zero() => asked as f64 / measured.as_secs_f64(),
        _ => per_s(|in_time| in_time.sent),
    };
    Totals {
        asked,
        sent,
        answered: total(readers, |c| &c.answered),
        refused: total(readers, |c| &c.refused),
        timed_out: total(readers, |c| &c.timed_out),
        lost: total(readers, |c| &c.lost),
        unsent,
        connected: total(readers, |c| &c.connected),
        connect_failed: total(readers, |c| &c.connect_failed),
        sent_bytes: total(readers, |c| &c.sent_bytes),
        received_bytes: total(readers, |c| &c.received_bytes),
        asked_per_s,
        sent_per_s: per_s(|in_time| in_time.sent),
        answered_per_s: per_s(|in_time| in_time.answered),
    }
}

/// Why the run does not measure what it was asked to.
fn failure(plan: &Plan, ending: &Ending, totals: &Totals) -> Option<String> {
    if ending.failure.is_some() {
        return ending.failure.clone();
    }
    let missing = plan.connections.saturating_sub(ending.up_at_first);
    if missing > 0 && !ending.interrupted {
        return Some(format!(
            "{missing} of {} connections to {} could not be opened: {}; the figures are for the other {}",
            plan.connections,
            plan.target(),
            ending.refusal(plan.target()),
            ending.up_at_first
        ));
    }
    if totals.answered == 0 && !ending.interrupted {
        let most = Faults::merged(ending.faults.iter()).into_iter().next();
        let why = most.map_or_else(|| "nothing was sent".into(), |kind| kind.reason);
        return Some(format!("{} gave no good answer: {why}", plan.target()));
    }
    None
}

fn warnings(series: &Series, totals: &Totals) -> Vec<String> {
    let mut warnings = Vec::new();
    if totals.unsent > 0 {
        warnings.push(format!(
            "{} requests were never sent, because every connection was busy: the target does not keep up with this \
             rate, or needs more --connections or --depth",
            totals.unsent
        ));
    }
    let p99s: Vec<(f64, u64)> = series
        .intervals
        .iter()
        .filter_map(|interval| Some((interval.start_s, interval.response.percentile_ns(0.99)?)))
        .collect();
    let mut sorted: Vec<u64> = p99s.iter().map(|(_, p99)| *p99).collect();
    sorted.sort_unstable();
    if let Some(median) = sorted.get(sorted.len() / 2).copied().filter(|median| *median > 0) {
        let worst = p99s.iter().max_by_key(|(_, p99)| *p99);
        if let Some((at, p99)) = worst.filter(|(_, p99)| *p99 as f64 > OUTLIER_TIMES * median as f64) {
            warnings.push(format!(
                "at {at:.1} s the p99 was {:.0}x that of the median interval: if the target should not do that, run \
                 again on a quiet machine",
                *p99 as f64 / median as f64
            ));
        }
    }
    warnings
}
