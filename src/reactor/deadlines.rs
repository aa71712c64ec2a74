//! When a connection has to be looked at, and what happens when a deadline or a timer came.

use super::Io;
use super::event::{Event, Handler, Timer};
use super::io::Alarm;
use super::serve::nanos_since;
use crate::collections::Handle;
use crate::error::Cause;
use crate::metrics::Budget;
use crate::time::Instant;
use std::time::Duration;

/// Deadlines further off than this are looked at early, on a coarse grid: traffic will most likely have moved
/// them by then, and ten thousand idle connections wake the reactor no more than eight times a second.
const FAR: Duration = Duration::from_secs(2);
const COARSE_NANOS: u64 = 128_000_000;

impl Io {
    /// Makes sure that the wheel comes by before the connection's earliest deadline. Cheap when it does
    /// already: then only a comparison.
    pub(super) fn watch(&mut self, handle: Handle) {
        let Some(c) = self.conns.get_mut(handle) else { return };
        let (at, _) = c.deadline(&c.options.timeouts);
        let at = visit_at(at, self.now);
        if at < c.wheel_at {
            c.wheel_at = at;
            self.wheel.schedule(handle.index(), at);
        }
    }

    /// Looks at the connections whose time on the wheel has come.
    #[inline]
    pub(super) fn expire_deadlines(&mut self) {
        if self.wheel.next_deadline().is_some_and(|at| at <= self.now) {
            self.turn_wheel();
        }
    }

    fn turn_wheel(&mut self) {
        let now = self.now;
        let mut expired = std::mem::take(&mut self.expired);
        let conns = &mut self.conns;
        let advance = self.wheel.advance(now, self.config.budgets.deadlines, |index| {
            let (handle, c) = conns.at_index_mut(index)?;
            let (at, cause) = c.deadline(&c.options.timeouts);
            if at <= now {
                c.wheel_at = Instant::FAR_FUTURE;
                expired.push((handle, cause));
                return None;
            }
            c.wheel_at = visit_at(at, now);
            (at < Instant::FAR_FUTURE).then_some(c.wheel_at)
        });
        if advance.backlog {
            self.metrics.budgets_exhausted[Budget::Deadlines].add(1);
        }
        for (handle, cause) in expired.drain(..) {
            self.metrics.deadlines_expired.add(1);
            self.work.deadlines += 1;
            if matches!(cause, Cause::WriteTimeout | Cause::DrainTimeout | Cause::DeadlineExceeded)
                && let Some(c) = self.conns.get(handle)
            {
                c.socket.reset_on_close();
            }
            // An old session is closed in good order, once: then it is the drain timeout that came.
            if cause != Cause::SessionExpired || !self.begin_close(handle, cause) {
                self.close_now(handle, cause, None);
            }
        }
        self.expired = expired;
    }

    /// Fires the timers that are due, at most a budget of them.
    pub(super) fn fire_timers<H: Handler + ?Sized>(&mut self, handler: &mut H) {
        for _ in 0..self.config.budgets.timers {
            let Some((handle, at, alarm)) = self.timers.pop_due(self.now) else { return };
            match alarm {
                Alarm::User { owner, tag } => {
                    self.metrics.timers_fired.add(1);
                    self.work.timers += 1;
                    self.metrics.timer_lateness_nanos.record(nanos_since(at, self.now));
                    self.call(handler, Event::Timer { timer: Timer { handle, owner }, tag });
                }
                Alarm::AcceptRetry(listener) => self.retry_accepting(listener),
                Alarm::TrimPool => self.trim_pool(),
            }
        }
        if self.timers.next_at().is_some_and(|at| at <= self.now) {
            self.metrics.budgets_exhausted[Budget::Timers].add(1);
        }
    }

    /// The earliest time at which something must be done even if nothing happens.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        [self.wheel.next_deadline(), self.timers.next_at(), self.stop_deadline()].into_iter().flatten().min()
    }
}

/// Where to look at a connection whose deadline is `at`: there, or earlier on the coarse grid if it is far.
fn visit_at(at: Instant, now: Instant) -> Instant {
    if at.since(now) < FAR || at == Instant::FAR_FUTURE {
        return at;
    }
    let early = (at - FAR / 4).as_nanos();
    Instant::from_nanos(early - early % COARSE_NANOS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_deadlines_share_few_visits_and_near_ones_are_exact() {
        let now = Instant::from_millis(1_000_000);
        let near = now + Duration::from_millis(1999);
        assert_eq!(visit_at(near, now), near);
        assert_eq!(visit_at(Instant::FAR_FUTURE, now), Instant::FAR_FUTURE);
        let mut visits = std::collections::BTreeSet::new();
        for ms in 300_000..310_000 {
            let at = now + Duration::from_millis(ms);
            let visit = visit_at(at, now);
            assert!(visit > now && visit < at && at.since(visit) < FAR, "{visit:?}");
            visits.insert(visit);
        }
        assert!(visits.len() <= 80, "{} visits for deadlines over 10 s", visits.len());
    }
}
