//! The run over time: reads what the threads have counted once an interval, and keeps the differences.

use super::plan::Plan;
use super::record::Interval;
use super::samples::{Counts, Readers, merged, total};
use crate::metrics::{CoreView, HistogramSnapshot};
use crate::time::Instant;
use std::time::Duration;

/// An interval that would be shorter than this share of the others is added to the one before it.
const SHORTEST_SHARE: f64 = 0.5;

/// What had been counted at one moment.
#[derive(Debug, Default)]
struct Seen {
    sent: u64,
    answered: u64,
    failed: u64,
    response: HistogramSnapshot,
    send_lag: HistogramSnapshot,
    /// Of each thread, how long it worked so far.
    busy_ns: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct Series {
    pub(super) readers: Vec<Readers>,
    views: Vec<CoreView>,
    pub(super) intervals: Vec<Interval>,
    /// How long each thread had worked when the measurement began.
    busy_before_ns: Vec<u64>,
    last: Seen,
    begin: Instant,
    end: Instant,
    from: Instant,
    in_time: Option<InTime>,
}

/// What was counted when the measured time was over: what came later says nothing about rates.
#[derive(Clone, Copy, Debug)]
pub(super) struct InTime {
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) length: Duration,
    busy_fraction: f64,
}

impl Series {
    pub(super) fn new(readers: Vec<Readers>, views: Vec<CoreView>) -> Series {
        Series {
            readers,
            views,
            intervals: Vec::new(),
            busy_before_ns: Vec::new(),
            last: Seen::default(),
            begin: Instant::FAR_FUTURE,
            end: Instant::FAR_FUTURE,
            from: Instant::FAR_FUTURE,
            in_time: None,
        }
    }

    /// The measurement begins at `begin`, which is yet to come, and lasts until `end`.
    pub(super) fn begin(&mut self, begin: Instant, end: Instant) {
        (self.begin, self.from, self.end) = (begin, begin, end);
    }

    /// When the interval under way ends: none reaches across the end of the measured time.
    pub(super) fn boundary(&self, length: Duration) -> Instant {
        let boundary = self.from + length;
        if self.from < self.end { boundary.min(self.end) } else { boundary }
    }

    /// What was counted in time; `None` if nothing was.
    pub(super) fn in_time(&self) -> Option<InTime> {
        let now = InTime {
            sent: self.last.sent,
            answered: self.last.answered,
            length: self.from.min(self.end).since(self.begin),
            busy_fraction: self.busy_so_far(),
        };
        self.in_time.or((!now.length.is_zero()).then_some(now))
    }

    /// Connections that are up.
    pub(super) fn up(&self) -> u64 {
        self.readers.iter().map(|reader| reader.counts.up.get()).sum()
    }

    /// Requests in flight.
    pub(super) fn outstanding(&self) -> u64 {
        self.readers.iter().map(|reader| reader.counts.outstanding.get()).sum()
    }

    /// Notes how long the threads worked during the warm-up.
    pub(super) fn warmed_up(&mut self) {
        self.last.busy_ns = self.busy_ns();
        self.busy_before_ns.clone_from(&self.last.busy_ns);
    }

    /// Ends the interval under way at `now`; `None` before the measurement began.
    pub(super) fn close(&mut self, plan: &Plan, now: Instant) -> Option<Interval> {
        let measured = self.end.since(self.begin);
        if now <= self.from {
            return None;
        }
        let seen = self.look();
        let (start, length) = (self.from.since(self.begin), now.since(self.from));
        let intended = |at: Duration| plan.pace.intended(at.min(measured), plan.duration);
        let asked = match (intended(start), intended(start + length)) {
            (Some(before), Some(after)) => after - before,
            _ => (seen.sent - self.last.sent) as f64,
        };
        let busy =
            seen.busy_ns.iter().zip(&self.last.busy_ns).map(|(now, before)| now.saturating_sub(*before));
        let interval = Interval {
            start_s: start.as_secs_f64(),
            length_s: length.as_secs_f64(),
            asked,
            sent: seen.sent - self.last.sent,
            answered: seen.answered - self.last.answered,
            failed: seen.failed - self.last.failed,
            response: seen.response.since(&self.last.response).into(),
            send_lag_p99_ns: seen.send_lag.since(&self.last.send_lag).percentile(0.99),
            busy_fraction: (busy.max().unwrap_or(0) as f64 / length.as_nanos() as f64).min(1.0),
            connections: self.up(),
        };
        self.last = seen;
        self.from = now;
        if now >= self.end && self.in_time.is_none() {
            self.in_time = self.in_time();
        }
        self.intervals.push(interval.clone());
        Some(interval)
    }

    /// The run is over, and `measured` was its measured time: ends the last interval, or counts what came in it as part
    /// of the one before if it is a mere rest.
    pub(super) fn close_last(&mut self, plan: &Plan, measured: Duration, now: Instant) -> Option<Interval> {
        self.end = self.end.min(self.begin + measured);
        let mut last = self.close(plan, now)?;
        // An interrupted run still waited for answers, which is no part of the measured time.
        let in_time_s = (measured.as_secs_f64() - last.start_s).max(0.0);
        if in_time_s > 0.0 {
            last.length_s = last.length_s.min(in_time_s);
        }
        let whole = plan.interval().as_secs_f64();
        let count = self.intervals.len();
        if last.length_s >= whole * SHORTEST_SHARE || count < 2 {
            self.intervals[count - 1] = last.clone();
            return Some(last);
        }
        self.intervals.pop();
        let before = &mut self.intervals[count - 2];
        before.length_s += in_time_s;
        before.asked += last.asked;
        before.sent += last.sent;
        before.answered += last.answered;
        before.failed += last.failed;
        before.response.histogram.merge(&last.response.histogram);
        before.connections = last.connections;
        None
    }

    /// The busiest thread's share of working time in the measured time: waiting for the last answers is no rest.
    pub(super) fn busy_fraction(&self) -> f64 {
        self.in_time().map_or(0.0, |in_time| in_time.busy_fraction)
    }

    fn busy_so_far(&self) -> f64 {
        let measured = self.from.since(self.begin).as_nanos().max(1) as f64;
        let busy = self.last.busy_ns.iter().zip(&self.busy_before_ns);
        let most = busy.map(|(now, before)| now.saturating_sub(*before)).max().unwrap_or(0);
        (most as f64 / measured).min(1.0)
    }

    fn busy_ns(&self) -> Vec<u64> {
        self.views.iter().map(|view| view.figures().busy_nanos).collect()
    }

    fn look(&self) -> Seen {
        let readers = &self.readers;
        let failures: [fn(&Counts) -> &crate::metrics::Counter; 4] = [
            |counts| &counts.refused,
            |counts| &counts.timed_out,
            |counts| &counts.lost,
            |counts| &counts.unsent,
        ];
        Seen {
            sent: total(readers, |counts| &counts.sent),
            answered: total(readers, |counts| &counts.answered),
            failed: failures.into_iter().map(|which| total(readers, which)).sum(),
            response: merged(readers, |reader| &reader.response),
            send_lag: merged(readers, |reader| &reader.send_lag),
            busy_ns: self.busy_ns(),
        }
    }
}
