//! The generator's decisions without its sockets: which request starts next, on which connection, meant for when, and
//! what its answer or the lack of one counts as. Time is handed in, so that what the figures mean can be tested
//! against arithmetic.
//!
//! A request of an open loop exists from its intended start on, whether or not it could be sent. If every connection
//! is busy it waits, and its response time runs. Nothing is stored for those that wait: the next intended start is
//! simply in the past.

use super::arrivals::Arrivals;
use super::plan::{Mode, Plan};
use super::protocol::Answer;
use super::samples::Samples;
use crate::time::{Instant, nanos_of};
use std::collections::VecDeque;
use std::time::Duration;

/// Connections of one thread are numbered from 0; a number keeps its place when its connection is replaced.
pub(super) type Line = usize;

/// A request that may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) line: Line,
    /// When it was meant to start.
    intended: Instant,
    /// When it could have been sent: then, or later when the connection became free.
    ready: Instant,
}

/// What a connection should do after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Go on.
    Stay,
    /// It has answered its share: replace it.
    Replace,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    intended: Instant,
    sent: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum List {
    #[default]
    None,
    Free,
    Resting,
}

#[derive(Debug, Default)]
struct Place {
    up: bool,
    /// Where it is listed.
    list: List,
    /// Since when it can take a request.
    free_since: Instant,
    /// Requests started since it was opened.
    started: u64,
    in_flight: VecDeque<Flight>,
}

#[derive(Debug)]
pub(super) struct Engine {
    /// `None` in a closed loop.
    arrivals: Option<Arrivals>,
    measure_from: Instant,
    /// Requests meant for this time or later are none.
    end: Instant,
    depth: usize,
    think: Duration,
    timeout_ns: u64,
    started_max: u64,
    places: Vec<Place>,
    /// Connections that can take a request, the longest free first; some may have gone down since.
    free: VecDeque<Line>,
    /// How many of those are up.
    available: usize,
    /// Since when there has always been one that could take a request.
    available_since: Instant,
    /// Connections that rest after an answer, with the end of their rest.
    resting: VecDeque<(Instant, Line)>,
    outstanding: usize,
    /// How late the generator was for the queue under way: what it costs whoever waits behind a late start.
    late_ns: u64,
    pub(super) samples: Samples,
}

impl Engine {
    /// An engine for `lines` connections that are all down. Nothing starts before [`begin`](Self::begin).
    pub(super) fn new(plan: &Plan, lines: usize, samples: Samples) -> Engine {
        Engine {
            arrivals: None,
            measure_from: Instant::FAR_FUTURE,
            end: Instant::ZERO,
            depth: plan.depth,
            think: plan.think,
            timeout_ns: nanos_of(plan.timeout),
            started_max: match plan.mode {
                Mode::Messages => plan.reconnect_every.unwrap_or(u64::MAX),
                Mode::Handshakes => 1,
            },
            places: (0..lines).map(|_| Place::default()).collect(),
            free: VecDeque::with_capacity(lines),
            available: 0,
            available_since: Instant::ZERO,
            resting: VecDeque::new(),
            outstanding: 0,
            late_ns: 0,
            samples,
        }
    }

    /// The warm-up begins at `begin`.
    pub(super) fn begin(&mut self, plan: &Plan, thread: usize, begin: Instant) {
        self.arrivals = Arrivals::new(plan, thread, begin);
        self.measure_from = begin + plan.warm_up;
        self.end = self.measure_from + plan.duration;
        self.available_since = begin;
        for place in &mut self.places {
            place.free_since = begin;
        }
    }

    /// Requests meant for this time or later are none of this run.
    pub(super) fn end(&self) -> Instant {
        self.end
    }

    /// Nothing new starts from `now` on; what is in flight may still be answered.
    pub(super) fn interrupt(&mut self, now: Instant) {
        self.end = self.end.min(now);
    }

    fn measures(&self, intended: Instant) -> bool {
        self.measure_from <= intended && intended < self.end
    }

    /// How many of those in flight on this connection count, being meant for the measured time.
    pub(super) fn measured_in_flight(&self, line: Line) -> usize {
        self.places[line].in_flight.iter().filter(|flight| self.measures(flight.intended)).count()
    }

    /// Whether the oldest request of this connection counts.
    pub(super) fn measures_oldest(&self, line: Line) -> bool {
        self.places[line].in_flight.front().is_some_and(|flight| self.measures(flight.intended))
    }

    /// Whether the connection is up.
    pub(super) fn is_up(&self, line: Line) -> bool {
        self.places[line].up
    }

    /// Requests in flight on all connections.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Requests in flight on this one.
    pub(super) fn in_flight(&self, line: Line) -> usize {
        self.places[line].in_flight.len()
    }

    /// Whether everything was started that was meant to start before the end.
    pub(super) fn all_started(&self, now: Instant) -> bool {
        now >= self.end && self.arrivals.as_ref().is_none_or(|arrivals| arrivals.next() >= self.end)
    }

    /// When [`ready`](Self::ready) may have something: `None` if that takes an answer or a connection first.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let can_take = if self.available == 0 { self.resting.front()?.0 } else { now };
        match &self.arrivals {
            Some(arrivals) => (arrivals.next() < self.end).then(|| arrivals.next().max(can_take)),
            None => (now < self.end).then_some(can_take),
        }
    }

    /// The next request that may be sent now; it must be [`sent`](Self::sent).
    pub(super) fn ready(&mut self, now: Instant) -> Option<Ticket> {
        self.wake(now);
        let intended = match &mut self.arrivals {
            Some(arrivals) => Some(arrivals.next()).filter(|at| *at <= now && *at < self.end)?,
            None if now < self.end => Instant::ZERO,
            None => return None,
        };
        let line = self.first_free()?;
        Some(match &mut self.arrivals {
            Some(arrivals) => {
                arrivals.advance();
                Ticket { line, intended, ready: intended.max(self.available_since) }
            }
            // Without a schedule, a request is meant for when its connection was free.
            None => {
                let free_since = self.places[line].free_since;
                Ticket { line, intended: free_since, ready: free_since }
            }
        })
    }

    fn first_free(&mut self) -> Option<Line> {
        loop {
            let line = self.free.pop_front()?;
            self.places[line].list = List::None;
            // Listed connections may have gone down since.
            if self.can_take(line) {
                return Some(line);
            }
        }
    }

    fn can_take(&self, line: Line) -> bool {
        let place = &self.places[line];
        place.up && place.in_flight.len() < self.depth && place.started < self.started_max
    }

    /// The request of `ticket` was sent at `now`.
    pub(super) fn sent(&mut self, ticket: Ticket, now: Instant, bytes: usize) {
        // A start that was late delays all that wait behind it for a connection, as in Lindley's recursion, but
        // nobody by more than it waited: once the queue is empty nothing of it is left.
        let waited_ns = nanos_between(ticket.intended, now);
        self.late_ns = nanos_between(ticket.ready, now).max(self.late_ns.min(waited_ns));
        if self.measures(ticket.intended) {
            self.samples.counts.sent.add(1);
            self.samples.counts.sent_bytes.add(bytes as u64);
            self.samples.send_lag.record(self.late_ns);
        }
        let place = &mut self.places[ticket.line];
        place.started += 1;
        place.in_flight.push_back(Flight { intended: ticket.intended, sent: now });
        self.outstanding += 1;
        if self.can_take(ticket.line) {
            // With room for more it has been free all along, and a next request that starts late was late before.
            self.places[ticket.line].list = List::Free;
            self.free.push_back(ticket.line);
        } else {
            self.available -= 1;
        }
    }

    /// So many bytes of the answer to the connection's oldest request came.
    pub(super) fn received(&self, line: Line, bytes: usize) {
        if self.measures_oldest(line) {
            self.samples.counts.received_bytes.add(bytes as u64);
        }
    }

    /// The oldest request of the connection was answered at `now`, by an answer that the generator could have seen
    /// since `seen`.
    pub(super) fn answered(&mut self, line: Line, now: Instant, seen: Instant, answer: &Answer) -> After {
        let Some(flight) = self.places[line].in_flight.pop_front() else { return After::Stay };
        self.outstanding -= 1;
        let seen = seen.max(flight.sent);
        if self.measures(flight.intended) {
            self.samples.receive_lag.record(nanos_between(seen, now));
            match answer {
                Answer::Good => {
                    self.samples.counts.answered.add(1);
                    self.samples.response.record(nanos_between(flight.intended, now));
                    self.samples.service.record(nanos_between(flight.sent, now));
                }
                Answer::Refused(_) => {
                    self.samples.counts.refused.add(1);
                    self.record_failure(flight, now);
                }
            }
        }
        self.rest(line, now);
        let place = &self.places[line];
        let done = place.started >= self.started_max && place.in_flight.is_empty();
        if done { After::Replace } else { After::Stay }
    }

    /// A failed request counts as one that took the whole time-out: it was not answered, and no percentile may look
    /// better for it.
    fn record_failure(&self, flight: Flight, now: Instant) {
        self.samples.response.record_n(nanos_between(flight.intended, now).max(self.timeout_ns), 1);
        self.samples.service.record_n(nanos_between(flight.sent, now).max(self.timeout_ns), 1);
    }

    /// The connection is up.
    pub(super) fn line_up(&mut self, line: Line, now: Instant) {
        self.samples.counts.up.add(1);
        let place = &mut self.places[line];
        (place.up, place.started, place.free_since) = (true, 0, now);
        match place.list {
            // Listed still, from before it went down.
            List::Free => self.one_more_available(now),
            List::Resting => {}
            List::None => self.list(line, now),
        }
    }

    /// The connection is gone: whatever was in flight on it is lost.
    pub(super) fn line_down(&mut self, line: Line, now: Instant) {
        if std::mem::take(&mut self.places[line].up) {
            self.samples.counts.up.sub(1);
            if self.places[line].list == List::Free {
                self.available -= 1;
            }
        }
        let flights = std::mem::take(&mut self.places[line].in_flight);
        self.outstanding -= flights.len();
        for flight in &flights {
            if self.measures(flight.intended) {
                self.samples.counts.lost.add(1);
                self.record_failure(*flight, now);
            }
        }
    }

    /// Whether the oldest request of this connection is overdue.
    pub(super) fn is_overdue(&self, line: Line, now: Instant) -> bool {
        self.places[line]
            .in_flight
            .front()
            .is_some_and(|flight| nanos_between(flight.sent, now) >= self.timeout_ns)
    }

    /// The oldest request of this connection counts as timed out. The connection should go: whose the next answer on
    /// it is can no longer be told.
    pub(super) fn time_out(&mut self, line: Line, now: Instant) {
        let Some(flight) = self.places[line].in_flight.pop_front() else { return };
        self.outstanding -= 1;
        if self.measures(flight.intended) {
            self.samples.counts.timed_out.add(1);
            self.record_failure(flight, now);
        }
    }

    /// The run is over at `now`: counts what was never sent, and says how much that is.
    pub(super) fn finish(&mut self, now: Instant) -> u64 {
        self.samples.settle();
        let (end, measure_from, timeout_ns) = (self.end, self.measure_from, self.timeout_ns);
        let Some(arrivals) = &mut self.arrivals else { return 0 };
        let (counts, response) = (&self.samples.counts, &self.samples.response);
        let mut unsent = 0;
        arrivals.skip_until(end, |intended, n| {
            if intended >= measure_from {
                unsent += n;
                counts.unsent.add(n);
                response.record_n(nanos_between(intended, now).max(timeout_ns), n);
            }
        });
        unsent
    }

    fn wake(&mut self, now: Instant) {
        while let Some((until, line)) = self.resting.front().copied().filter(|(until, _)| *until <= now) {
            self.resting.pop_front();
            self.places[line].list = List::None;
            // A connection that was replaced meanwhile may have come up later than that.
            self.list(line, until.max(self.places[line].free_since));
        }
    }

    fn rest(&mut self, line: Line, now: Instant) {
        if self.think.is_zero() {
            self.list(line, now);
        } else if self.places[line].list == List::None {
            self.places[line].list = List::Resting;
            self.resting.push_back((now + self.think, line));
        }
    }

    /// Lists the connection as able to take a request, if it is and was not listed already.
    fn list(&mut self, line: Line, since: Instant) {
        if self.places[line].list == List::None && self.can_take(line) {
            let place = &mut self.places[line];
            (place.list, place.free_since) = (List::Free, since);
            self.free.push_back(line);
            self.one_more_available(since);
        }
    }

    fn one_more_available(&mut self, since: Instant) {
        if self.available == 0 {
            self.available_since = since;
        }
        self.available += 1;
    }
}

/// A [`Duration`] between the two would be taken apart into seconds and put together again, for each message.
fn nanos_between(earlier: Instant, later: Instant) -> u64 {
    later.as_nanos().saturating_sub(earlier.as_nanos())
}

#[cfg(test)]
mod tests;
